"""The text files of one process: what people laid on its machine, and what it wrote, which lies on its disk."""

from __future__ import annotations

from pathlib import Path

from services.host.files import FileTrouble, MemoryFiles
from services.journal.disk import DiskTrouble, MemoryDisk


class FilesOnDisk:
    """`Files` that are slow, full, hung or failing as the disk is, and are lost with it. What was written is read from
    the system's own memory, however the disk is."""

    def __init__(self, laid: MemoryFiles, disk: MemoryDisk) -> None:
        self._laid = laid
        self._disk = disk

    async def read_text(self, path: Path) -> str:
        if path in self._disk.files:
            return self._disk.files[path].decode()
        return await self._laid.read_text(path)

    async def write_text(self, path: Path, text: str) -> None:
        """Writes beside the file, then renames over it."""
        beside = path.with_name(f".{path.name}.new")
        self._forget(beside)
        try:
            await self._disk.append(beside, text.encode())
        except DiskTrouble as trouble:
            self._forget(beside)
            raise FileTrouble(f"cannot write {path}: {trouble}") from trouble
        self._forget(path)
        self._disk.files[path] = self._disk.files.pop(beside)

    def _forget(self, path: Path) -> None:
        self._disk.room_bytes += len(self._disk.files.pop(path, b""))
