"""The port to a disk that must remember through a crash: files that only grow, each write synced before it is done.

Two backends: `services/host/disk.py`, and `MemoryDisk` here, for tests and the simulator, which fails in the ways of a
real one: slow, hung, full, broken, torn in the middle of a write when its process is killed. The spool stands on it
(protocol.md J4, J5).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


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

    slow_s: how long an append takes. hangs_s: how long claiming and reading take. room_bytes: what still fits.
    broken: why nothing works, if nothing does. unreadable: files that cannot be read.
    appends: how many were made, so that a test sees a group commit.
    """

    files: dict[Path, bytes] = field(default_factory=dict)
    slow_s: float = 0.0
    hangs_s: float = 0.0
    room_bytes: int = 1 << 40
    broken: str = ""
    unreadable: set[Path] = field(default_factory=set)
    appends: int = 0
    _held: set[Path] = field(default_factory=set)
    _writing: dict[Path, bytes] = field(default_factory=dict)

    def crashed(self, torn_bytes: int = 0) -> MemoryDisk:
        """The disk as the next process finds it; this one works no more. Of a write that was under way, the first
        `torn_bytes` are there."""
        self.broken = "its process was killed"
        files = dict(self.files)
        for path, data in self._writing.items():
            files[path] = files.get(path, b"") + data[:torn_bytes]
        return MemoryDisk(files)

    async def claim(self, folder: Path) -> list[str]:
        await asyncio.sleep(self.hangs_s)
        self._must_work(folder)
        if folder in self._held:
            raise FolderTaken(f"{folder} is held by another process; give each replica a name of its own")
        self._held.add(folder)
        return sorted(path.name for path in self.files if path.parent == folder)

    async def release(self, folder: Path) -> None:
        self._held.discard(folder)

    async def read(self, path: Path) -> bytes:
        await asyncio.sleep(self.hangs_s)
        self._must_work(path)
        if path in self.unreadable or path not in self.files:
            raise DiskTrouble(f"cannot read {path}")
        return self.files[path]

    async def append(self, path: Path, data: bytes) -> None:
        self._must_work(path)
        self.appends += 1
        self._writing[path] = data
        try:
            await asyncio.sleep(self.slow_s)
        finally:
            del self._writing[path]
        self._must_work(path)
        fits = data[: max(self.room_bytes, 0)]
        self.room_bytes -= len(fits)
        self.files[path] = self.files.get(path, b"") + fits
        if len(fits) < len(data):
            raise NoRoom(f"cannot write {path}: no space is left")

    async def remove(self, path: Path) -> None:
        self._must_work(path)
        self.room_bytes += len(self.files.pop(path, b""))

    def _must_work(self, path: Path) -> None:
        if self.broken:
            raise DiskTrouble(f"cannot use {path}: {self.broken}")
