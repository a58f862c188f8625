"""The port to a disk that must remember through a crash: files that only grow, each write synced before it is done.

Two backends: `services/host/disk.py`, and `MemoryDisk` here, for tests and the simulator, which fails in the ways of a
real one. What `append` has returned from is synced and is there whatever happens; of a write in whose middle the
process was killed or the power lost, any part may be. The spool stands on it (protocol.md J4, J5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final, Protocol

BLOCK_BYTES: Final = 4096


class DiskTrouble(Exception):
    """Something could not be done; the message says what, where and why."""


class NoRoom(DiskTrouble):
    """The disk, or the limit that was set for it, is full. It can be tried again."""


class FolderTaken(DiskTrouble):
    """Another process holds the folder: two replicas that share one would eat each other's files."""


class Disk(Protocol):
    """Files in claimed folders. Every operation raises DiskTrouble where it fails."""

    async def claim(self, folder: Path) -> list[str]:
        """Makes the folder if need be and holds it for this process until it ends; returns the names of the files in
        it, sorted. Raises FolderTaken where another process holds it."""
        ...

    async def release(self, folder: Path) -> None:
        """Lets go of a folder. One that is not held is let be."""
        ...

    async def read(self, path: Path) -> bytes:
        """The whole file."""
        ...

    async def append(self, path: Path, data: bytes) -> None:
        """Writes behind what is there, making the file if need be, and returns when it would survive a loss of power.

        Where it raises (NoRoom for a full disk), any part of `data` may stand in the file, and what stood there before
        still does."""
        ...

    async def remove(self, path: Path) -> None:
        """Takes the file away. One that is not there is let be."""
        ...


@dataclass(slots=True)
class MemoryDisk:
    """A disk that is a mapping. Change its faults at any moment; `files` can be looked at and damaged.

    sync_s: what a well disk takes for an append, and for a removal, drawn between the two. It needs `random`.
    slow_s: how much longer an append takes. hangs_s: how long claiming, reading and removing take. room_bytes: what
    still fits; give some back at any moment. broken: why nothing works, if nothing does. unreadable: files that nobody
    reads. fail_share: of appends, between 0 and 1; these write some part of their bytes and fail. It needs `random`.
    appends: how many were made, so that a test sees a group commit. sees_off: told of each file that is removed, and of
    what was in it, without what writes left that failed: on that nobody counts.
    """

    files: dict[Path, bytes] = field(default_factory=dict)
    sync_s: tuple[float, float] = (0.0, 0.0)
    slow_s: float = 0.0
    hangs_s: float = 0.0
    room_bytes: int = 1 << 40
    broken: str = ""
    unreadable: set[Path] = field(default_factory=set)
    fail_share: float = 0.0
    random: Random | None = None
    appends: int = 0
    sees_off: Callable[[Path, bytes], None] = lambda path, data: None
    _held: set[Path] = field(default_factory=set)
    _writing: dict[Path, bytes] = field(default_factory=dict)
    _removing: dict[Path, bytes] = field(default_factory=dict)
    _sound: dict[Path, int] = field(default_factory=dict)
    """How much of a file stood there before its first write that failed."""
    _hung: asyncio.Event | None = None

    def hang(self) -> None:
        """From now on no operation ends, as when a sync does not come back; what is under way waits too."""
        self._hung = self._hung or asyncio.Event()

    def go_on(self) -> None:
        """What hung is done now."""
        if self._hung is not None:
            self._hung.set()
            self._hung = None

    def as_bad_as(self, other: MemoryDisk) -> MemoryDisk:
        """Returns itself, with what is wrong with the other: the next process finds a failing disk failing."""
        self.slow_s, self.hangs_s, self.fail_share, self.random = (
            other.slow_s, other.hangs_s, other.fail_share, other.random,
        )  # fmt: skip
        if other._hung is not None:
            self.hang()
        return self

    def crashed(self, torn_bytes: int = 0) -> MemoryDisk:
        """The disk as the next process finds it; this one works no more. Of a write that was under way, the first
        `torn_bytes` are there."""
        return self._ended("its process was killed", {path: data[:torn_bytes] for path, data in self._writing.items()})

    def killed(self, chance: Random) -> MemoryDisk:
        """As `crashed`; how much is there of a write that was under way is drawn, and whether what was about to be
        removed still is."""
        there = {path: _some(chance, data) for path, data in self._writing.items()}
        return self._ended("its process was killed", there | self._not_removed(chance))

    def lost_power(self, chance: Random) -> MemoryDisk:
        """As `killed`, and worse: behind such a write there may be zeros, or what lay on the disk before."""
        there = {path: _some(chance, data) + _rubbish(chance) for path, data in self._writing.items()}
        return self._ended("it has no power", there | self._not_removed(chance))

    async def claim(self, folder: Path) -> list[str]:
        await self._take(self.hangs_s)
        self._must_work(folder)
        if folder in self._held:
            raise FolderTaken(f"{folder} is held by another process; give each replica a name of its own")
        self._held.add(folder)
        return sorted(path.name for path in self.files if path.parent == folder)

    async def release(self, folder: Path) -> None:
        self._held.discard(folder)

    async def read(self, path: Path) -> bytes:
        await self._take(self.hangs_s)
        self._must_work(path)
        if path in self.unreadable or path not in self.files:
            raise DiskTrouble(f"cannot read {path}")
        return self.files[path]

    async def append(self, path: Path, data: bytes) -> None:
        self._must_work(path)
        self.appends += 1
        self._writing[path] = data
        try:
            await self._take(self._syncs_s() + self.slow_s)
        finally:
            del self._writing[path]
        self._must_work(path)
        fits = data[: max(self.room_bytes, 0)]
        fails = self.random is not None and self.random.random() < self.fail_share
        if fails and self.random is not None:
            fits = _some(self.random, fits)
        self.room_bytes -= len(fits)
        before = self.files.get(path, b"")
        self.files[path] = before + fits
        if fails or len(fits) < len(data):
            self._sound.setdefault(path, len(before))
        if fails:
            raise DiskTrouble(f"cannot write {path}: it failed")
        if len(fits) < len(data):
            raise NoRoom(f"cannot write {path}: no space is left")

    async def remove(self, path: Path) -> None:
        self._must_work(path)
        data = self._removing[path] = self.files.pop(path, b"")
        self.sees_off(path, data[: self._sound.pop(path, len(data))])
        try:
            await self._take(self._syncs_s() + self.hangs_s)
        finally:
            self.room_bytes += len(self._removing.pop(path))
        self._must_work(path)

    def _syncs_s(self) -> float:
        return self.random.uniform(*self.sync_s) if self.random is not None else 0.0

    async def _take(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s)
        while self._hung is not None:
            await self._hung.wait()

    def _not_removed(self, chance: Random) -> dict[Path, bytes]:
        return {path: data for path, data in self._removing.items() if chance.random() < 0.5}

    def _ended(self, why: str, there: dict[Path, bytes]) -> MemoryDisk:
        self.broken = why
        files = dict(self.files)
        for path, data in there.items():
            files[path] = files.get(path, b"") + data
        return MemoryDisk(files, self.sync_s, room_bytes=self.room_bytes, random=self.random, sees_off=self.sees_off)

    def _must_work(self, path: Path) -> None:
        if self.broken:
            raise DiskTrouble(f"cannot use {path}: {self.broken}")


def _some(chance: Random, data: bytes) -> bytes:
    """Nothing, everything, or any part from the beginning."""
    return data[: chance.choice((0, len(data), chance.randint(0, len(data))))]


def _rubbish(chance: Random) -> bytes:
    """Nothing, zeros, or anything, up to a block."""
    size = chance.randint(1, BLOCK_BYTES)
    return chance.choice((b"", bytes(size), chance.randbytes(size)))
