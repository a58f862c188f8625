"""Mistakes of our own code: counted, logged, told at /readyz; and never the end of what else is to be done.

Taking up debts must go on when one record, one call or one look trips over something that nobody thought of.
"""

from __future__ import annotations

import asyncio
from typing import Final

from services.failover.metrics import FailoverMetrics
from services.host.world import World

SAID_EVERY_S: Final = 10.0
"""A part that fails at each look would fill the log."""
TOLD_FOR_S: Final = 300.0


class Mistakes:
    """What went wrong lately."""

    def __init__(self, world: World, metrics: FailoverMetrics) -> None:
        self._world = world
        self._metrics = metrics
        self._newest = ""
        self._newest_at = float("-inf")
        self._said_at: dict[str, float] = {}

    def note(self, part: str, mistake: Exception) -> None:
        """`part`: what was being done."""
        now = asyncio.get_running_loop().time()
        self._metrics.mistakes.inc()
        self._newest, self._newest_at = f"{part} failed: {mistake!r}", now
        if now - self._said_at.get(part, float("-inf")) >= SAID_EVERY_S:
            self._said_at[part] = now
            self._world.logger.error("part.failed", part=part, exc_info=mistake)

    def ended(self, part: str, task: asyncio.Task[None]) -> None:
        """A task of this part is over, in whatever way."""
        mistake = None if task.cancelled() else task.exception()
        if isinstance(mistake, Exception):
            self.note(part, mistake)

    def remark(self) -> str:
        """The newest, for five minutes; empty where there is none."""
        return self._newest if asyncio.get_running_loop().time() - self._newest_at < TOLD_FOR_S else ""
