"""Leads a process of the world outside: commands down its standard input, JSON lines up its standard output."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

LINE_BYTES_MAX: Final = 1024 * 1024
LAST_CHARS: Final = 2_000
ENDS_WITHIN_S: Final = 3.0


class ChildEnded(Exception):
    """A process of the world outside ended, or never said what was waited for."""


class Outsider:
    """One such process. Its standard input is its lifeline: it ends when that does."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.events: list[Mapping[str, Any]] = []
        """What it has told, the witness's own lines apart."""
        self._process = process
        self._log = log
        self._told = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls,
        name: str,
        *arguments: str | Path,
        log: Path,
        on_entry: Callable[[Mapping[str, Any]], None] = lambda _: None,
    ) -> Outsider:
        """Starts `python -m loadtest NAME`; `on_entry` gets every line that it prints, `log` its standard error."""
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "loadtest",
                name,
                *map(str, arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors.fileno(),
                limit=LINE_BYTES_MAX,
                start_new_session=True,
            )
        child = cls(name, process, log)
        child._reading = asyncio.ensure_future(child._read(on_entry))
        return child

    async def _read(self, on_entry: Callable[[Mapping[str, Any]], None]) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            entry = json.loads(line)
            if "witness" not in entry:
                self.events.append(entry)
                self._told.set()
            on_entry(entry)
        self._told.set()

    def do(self, **command: Any) -> None:
        """Gives one command; does not wait for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def told(self, event: str, within_s: float, **like: Any) -> Mapping[str, Any]:
        """The first event of this name whose fields are like these; raises ChildEnded when none comes."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    self._told.clear()
                    for entry in self.events:
                        if entry["event"] == event and all(entry.get(key) == value for key, value in like.items()):
                            return entry
                    if self._reading is None or self._reading.done():
                        raise ChildEnded(f"{self.name} ended before it told {event}; {self._last_words()}")
                    await self._told.wait()
        except TimeoutError:
            raise ChildEnded(
                f"{self.name} did not tell {event} within {within_s:.0f} s; {self._last_words()}"
            ) from None

    async def stop(self) -> None:
        """Tells it to stop; kills it when it does not. Can be called twice."""
        if self._process.returncode is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                await asyncio.wait_for(self._process.wait(), ENDS_WITHIN_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)

    def _last_words(self) -> str:
        text = self._log.read_text("utf-8", "replace")[-LAST_CHARS:].strip()
        return f"its last words:\n{text}" if text else "it said nothing"
