"""Whether this process's own loop is late: then it is a bad judge of others' silence (protocol.md L2).

An answer that has come and was not read yet looks like no answer. So a process that was held up for 50 ms or more does
not count what it missed against a neighbour: not while it lags, and not for as long afterwards as a question that was
asked before may still be open.
"""

from __future__ import annotations

import asyncio
from typing import Final

LATE_S: Final = 0.050
LOOKED_AT_EVERY_S: Final = 0.025
REMEMBERED_S: Final = 0.300


class LoopLag:
    """Of the running loop. `watch` runs for as long as the process does."""

    def __init__(self) -> None:
        self._due: float | None = None
        self._late_until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def late(self) -> bool:
        """Whether the loop is late now, or was a moment ago."""
        now = asyncio.get_running_loop().time()
        return now < self._late_until or (self._due is not None and now - self._due >= LATE_S)

    async def watch(self) -> None:
        """Comes to a timer again and again, until cancelled, and notes how late it does. A bare timer: a task that woke
        forty times a second would be a good part of what an idle process does."""
        loop = asyncio.get_running_loop()
        try:
            self._wait(loop, loop.time())
            await loop.create_future()
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _wait(self, loop: asyncio.AbstractEventLoop, now: float) -> None:
        self._due = now + LOOKED_AT_EVERY_S
        self._timer = loop.call_at(self._due, self._come, loop, self._due)

    def _come(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = loop.time()
        if now - due >= LATE_S:
            self._late_until = now + REMEMBERED_S
        self._wait(loop, now)
