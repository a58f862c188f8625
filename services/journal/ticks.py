"""The journal's own clock: a record on each partition of `calls` each TICK_EVERY_S (protocol.md T1, T2).

Lateness is measured in the times that the log itself writes, so they must go on where no call does. A writer's ticks
also say that it reaches the log: who hears its stream fall silent, and had seen no tick just before, suspects the log
and not the writer. A tick that is not acknowledged is not followed by another on its partition: an outage leaves no
pile of them behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from services.journal import Log, Topic

TICK_EVERY_S: Final = 0.5
TICK_KEY: Final = "tick"


class Ticker:
    """`make` gives the bytes of a tick of this moment, as `services/wire/facts.py` encodes it."""

    def __init__(self, log: Log, make: Callable[[], bytes]) -> None:
        self._log = log
        self._make = make
        self._unanswered: dict[int, asyncio.Future[None]] = {}
        self._ticking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """The first ticks leave at once."""
        assert self._ticking is None, "a ticker is started once"
        self._ticking = asyncio.get_running_loop().create_task(self._tick(), name="ticks")

    async def stop(self) -> None:
        """No tick leaves any more. Can be called without a start."""
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.wait({self._ticking})

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        while True:
            try:
                value = self._make()
            except Exception as mistake:
                _tell(mistake)
            else:
                self._send(value)
            # A loop that was held up ticks on from now: nobody needs the ticks that it missed.
            next_at = max(next_at + TICK_EVERY_S, loop.time())
            await asyncio.sleep(next_at - loop.time())

    def _send(self, value: bytes) -> None:
        for partition in self._log.partitions(Topic.CALLS):
            before = self._unanswered.get(partition)
            if before is None or before.done():
                try:
                    acked = self._log.append(Topic.CALLS, TICK_KEY, value, partition=partition)
                except Exception as mistake:
                    _tell(mistake)
                else:
                    acked.add_done_callback(_looked_at)
                    self._unanswered[partition] = acked


def _tell(mistake: Exception) -> None:
    """To the loop's exception handler. The next tick may go well, and nothing else says that this process lives."""
    message = "ticks: a tick was not sent, by a mistake"
    asyncio.get_running_loop().call_exception_handler({"message": message, "exception": mistake})


def _looked_at(acked: asyncio.Future[None]) -> None:
    """Its failure is no news: the log's health tells it, and the next tick tries again."""
    if not acked.cancelled():
        acked.exception()
