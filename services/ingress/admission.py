"""How many calls an ingress sets up at once (protocol.md L1).

More than it can carry at once would make each of them slower than its budgets, and a budget that runs out costs another
attempt: an overloaded ingress would then spend itself on attempts that nobody needs, and carry fewer calls than before.
So a call beyond the limit waits its turn, oldest first, accepted and with heartbeats. A place is held from screening to
the first ringing, and given back earlier by a call that turns to lines or has to wait: it waits for others, not for us.
"""

from __future__ import annotations

import asyncio

from prometheus_client import Gauge


class Admission:
    """Places for calls that are being set up."""

    def __init__(self, places: int, waiting: Gauge) -> None:
        self._places = asyncio.Semaphore(places)
        self._waiting = waiting

    async def enter(self) -> None:
        """Waits for a place, behind those who came before."""
        if self._places.locked():
            with self._waiting.track_inprogress():
                await self._places.acquire()
        else:
            await self._places.acquire()

    def leave(self) -> None:
        """Gives a place back."""
        self._places.release()
