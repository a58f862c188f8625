"""The topic `policy`, read by one firewall: what stands on it, and which of that was ordered by people it knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from services.firewall.policies.metrics import PolicyMetrics
from services.firewall.policies.vetting import signed_ever
from services.firewall.policies.warrants import Warrants
from services.host.entries import Batch, batches
from services.host.world import World
from services.journal import Follower
from services.policy.files.signing import Keys
from services.policy.life.shelf import Entry, Shelf, SignedBy
from services.wire import policy_records

FOLDED_AT_ONCE: Final = 5
"""Records, between two turns of other work: calls are screened by this loop, whatever somebody writes to the topic."""


class PolicyTopic:
    """`shelf` and `warrants`, as far as it was read. `keys` are asked anew each time."""

    def __init__(self, world: World, metrics: PolicyMetrics, keys: Callable[[], Keys]) -> None:
        self._world = world
        self._metrics = metrics
        self._keys = keys
        self.shelf = Shelf(self._vouches)
        self.warrants = Warrants(keys, world.wall_ms)

    async def follow(self, follower: Follower, landed: Callable[[], None]) -> None:
        """Reads for ever; `landed` is told after each batch."""
        read: AsyncIterator[Batch[Entry]] = batches(follower, policy_records.read, self._unreadable)
        async for batch in read:
            if batch.anew:
                self.shelf = Shelf(self._vouches)
            for number, (_, entry) in enumerate(batch.entries, 1):
                before = self.shelf.state
                self.shelf.put(entry)
                if self.shelf.state is not before:
                    self.warrants.follow(self.shelf.state)
                if number % FOLDED_AT_ONCE == 0:
                    await asyncio.sleep(0)
            landed()

    def _vouches(self, signed: SignedBy) -> bool:
        return bool(signed_ever(self._keys(), signed.pointer, [signed.signature]))

    def _unreadable(self, offset: int, why: str) -> None:
        self._metrics.unreadable.inc()
        self._world.logger.warning("policy.unreadable", offset=offset, why=why)
