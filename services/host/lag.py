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

    @property
    def late(self) -> bool:
        """Whether the loop is late now, or was a moment ago."""
        now = asyncio.get_running_loop().time()
        return now < self._late_until or (self._due is not None and now - self._due >= LATE_S)

    async def watch(self) -> None:
        """Comes to a timer again and again, until cancelled, and notes how late it does."""
        loop = asyncio.get_running_loop()
        while True:
            self._due = loop.time() + LOOKED_AT_EVERY_S
            await asyncio.sleep(LOOKED_AT_EVERY_S)
            now = loop.time()
            if now - self._due >= LATE_S:
                self._late_until = now + REMEMBERED_S
