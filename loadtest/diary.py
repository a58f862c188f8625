"""A witness's own account: what it saw, one JSON line an event, written down as it happens.

Each line goes to the file in one write and before anything else is done, so that a witness that is killed leaves every
line but perhaps the last. Nothing is ever read back here: a witness says what it saw, and the comparer (witness.py)
says what follows from it. A witness that lives in the same process as its reader keeps the same entries in memory.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol


def wall_ms() -> int:
    """Milliseconds since 1970, for the record."""
    return time.time_ns() // 1_000_000


class Account(Protocol):
    """Where a witness writes what it sees."""

    def write(self, event: str, **seen: Any) -> None:
        """One event, past tense. `seen` must be JSON; empty values are left out."""


def entry_of(witness: str, event: str, at_ms: int, seen: dict[str, Any]) -> dict[str, Any]:
    """One event as it is written down and read back."""
    entry = {"witness": witness, "event": event, "at_ms": at_ms}
    entry.update((key, value) for key, value in seen.items() if value not in ("", None))
    return entry


class MemoryDiary:
    """An account in memory, by the clock that is given: milliseconds since 1970."""

    def __init__(self, witness: str, wall_ms: Callable[[], int]) -> None:
        self.entries: list[dict[str, Any]] = []
        self.readers: list[Callable[[Mapping[str, Any]], None]] = []
        """Told of each entry when it is written."""
        self._witness = witness
        self._wall_ms = wall_ms

    def write(self, event: str, **seen: Any) -> None:
        """See Account."""
        entry = entry_of(self._witness, event, self._wall_ms(), seen)
        self.entries.append(entry)
        for told in self.readers:
            told(entry)


class Diary:
    """The file of one witness. With `tell`, each line goes to standard output too, for whoever watches."""

    def __init__(self, path: Path, witness: str, *, tell: bool = False) -> None:
        self._witness = witness
        self._tell = tell
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, event: str, **seen: Any) -> None:
        """See Account."""
        line = json.dumps(entry_of(self._witness, event, wall_ms(), seen), separators=(",", ":"))
        os.write(self._file, line.encode() + b"\n")
        if self._tell:
            tell_line(line)

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> Diary:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def tell(event: str, **what: Any) -> None:
    """One event on standard output that belongs in no witness's file: an address, a control word obeyed."""
    tell_line(json.dumps({"event": event, "at_ms": wall_ms(), **what}, separators=(",", ":")))


def silent(event: str, **what: Any) -> None:
    """In place of `tell`, where nobody watches."""


def tell_line(line: str) -> None:
    """A line on standard output, at once; a reader that is gone is no reason to stop."""
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        pass


def read_diary(path: Path) -> list[dict[str, Any]]:
    """The entries of a file, in order. A last line that was cut short is left out: its writer was killed there."""
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
