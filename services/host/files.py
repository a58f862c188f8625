"""The files port: how a service reads what it was given and keeps its last good copy.

Two backends: `DiskFiles`, and `MemoryFiles` for tests and the simulator. Both are asynchronous, because a snapshot is
written while calls are carried, and a slow disk must not hold them up.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class FileTrouble(Exception):
    """A file that cannot be read or written; the message says which, why and what to do."""


class NoFile(FileTrouble):
    """Nothing is there: no such file, nor a folder where one might be."""


class Files(Protocol):
    """Whole text files, in UTF-8."""

    async def read_text(self, path: Path) -> str:
        """The file's text; raises NoFile where there is none, else FileTrouble."""
        ...

    async def write_text(self, path: Path, text: str) -> None:
        """Replaces the file: whoever reads it finds the old text or the new, never a part; raises FileTrouble."""
        ...


class DiskFiles:
    """Real files, each touched in a thread."""

    async def read_text(self, path: Path) -> str:
        try:
            return await asyncio.to_thread(path.read_text, encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NoFile(_cannot_read(path, _why(error))) from error
        except (OSError, UnicodeDecodeError) as error:
            raise FileTrouble(_cannot_read(path, _why(error))) from error

    async def write_text(self, path: Path, text: str) -> None:
        try:
            await asyncio.to_thread(_replace, path, text)
        except OSError as error:
            raise FileTrouble(f"cannot write {path}: {_why(error)}; is the folder there and writable?") from error


class MemoryFiles:
    """Files that are a mapping; `texts` can be looked at, and what is `unreadable` is there and cannot be read."""

    def __init__(self, texts: Mapping[Path, str] | None = None) -> None:
        self.texts = dict(texts or {})
        self.unreadable: set[Path] = set()

    async def read_text(self, path: Path) -> str:
        if path in self.unreadable:
            raise FileTrouble(_cannot_read(path, "permission denied"))
        if path not in self.texts:
            raise NoFile(_cannot_read(path, "no such file"))
        return self.texts[path]

    async def write_text(self, path: Path, text: str) -> None:
        self.texts[path] = text


def _cannot_read(path: Path, why: str) -> str:
    return f"cannot read {path}: {why}; is the setting that names it right?"


def _why(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or repr(error)) if isinstance(error, OSError) else f"not UTF-8: {error.reason}"


def _replace(path: Path, text: str) -> None:
    """Writes beside the file, syncs, then renames over it: a crash at any moment leaves one whole file."""
    descriptor, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
