"""The real disk: every operation in one thread of its own, so that no call waits while a platter or a network does.

A write is done when it is synced, and a new or removed file when its folder is too. A folder is held by a lock that
ends with its process, however that ends.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from services.journal.disk import DiskTrouble, FolderTaken, NoRoom

T = TypeVar("T")

LOCK: Final = "lock"
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class SyncedDisk:
    """See `Disk`. The thread starts with the first operation."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="disk")
        self._locks: dict[Path, int] = {}
        self._open: tuple[Path, int] | None = None  # the file that was written last, and its descriptor

    async def claim(self, folder: Path) -> list[str]:
        return await self._do("use", folder, lambda: self._claim(folder))

    async def release(self, folder: Path) -> None:
        await self._do("release", folder, lambda: self._release(folder))

    async def read(self, path: Path) -> bytes:
        return await self._do("read", path, path.read_bytes)

    async def append(self, path: Path, data: bytes) -> None:
        await self._do("write", path, lambda: self._append(path, data))

    async def remove(self, path: Path) -> None:
        await self._do("remove", path, lambda: self._remove(path))

    async def _do(self, verb: str, path: Path, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except OSError as error:
            kind = NoRoom if error.errno in _FULL else DiskTrouble
            raise kind(f"cannot {verb} {path}: {error.strerror or error!r}") from error

    # In the thread.

    def _claim(self, folder: Path) -> list[str]:
        if not folder.is_dir():
            folder.mkdir(parents=True)
            _sync_folder(folder.parent)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            if error.errno != errno.EWOULDBLOCK:
                raise
            raise FolderTaken(
                f"{folder} is held by another process; give each replica a name or a spool folder of its own"
            ) from None
        try:
            names = sorted(entry.name for entry in folder.iterdir() if entry.is_file() and entry.name != LOCK)
        except OSError:
            os.close(lock)
            raise
        self._locks[folder] = lock
        return names

    def _release(self, folder: Path) -> None:
        if self._open is not None and self._open[0].parent == folder:
            self._close()
        lock = self._locks.pop(folder, None)
        if lock is not None:
            os.close(lock)

    def _append(self, path: Path, data: bytes) -> None:
        descriptor = self._opened(path)
        before = os.fstat(descriptor).st_size
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fdatasync(descriptor)
        except OSError:
            # What a failed sync has written, nobody knows (a second sync may lie): this file is not written any more.
            try:
                os.ftruncate(descriptor, before)
            finally:
                self._close()
            raise

    def _opened(self, path: Path) -> int:
        if self._open is not None and self._open[0] == path:
            return self._open[1]
        self._close()
        is_new = not path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._open = (path, descriptor)
        if is_new:
            _sync_folder(path.parent)
        return descriptor

    def _close(self) -> None:
        if self._open is not None:
            descriptor = self._open[1]
            self._open = None
            os.close(descriptor)

    def _remove(self, path: Path) -> None:
        if self._open is not None and self._open[0] == path:
            self._close()
        path.unlink(missing_ok=True)
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
