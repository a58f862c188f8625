"""What the gateways say of the PSAPs, from a service's start to its end: `psap-status`, followed (protocol.md R8).

It begins a little before the start, since what is older than six seconds says nothing. The view is in memory and asked
without waiting: the newest snapshot of each gateway that was heard within a minute. Kafka away: it grows stale, which
means "unknown", and goes on when Kafka is back.
"""

from __future__ import annotations

import asyncio
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.domain.routing import STALE_AFTER_SECONDS, StatusView
from services.host.world import World
from services.journal import Follower, Topic
from services.journal.journal import Journal
from services.wire import psap_status
from services.wire.methods import Unreadable

LOOK_BACK_MS: Final = int(STALE_AFTER_SECONDS * 1000) + 4_000
"""How far back the follower begins: what is older than stale says nothing."""
FORGET_AFTER_S: Final = 60.0


class _Metrics:
    """Made once for a process, in its registry, under its service's name."""

    def __init__(self, registry: CollectorRegistry, service: str) -> None:
        def counter(name: str, text: str) -> Counter:
            return Counter(f"throughline_{service}_{name}", text, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"throughline_{service}_{name}", text, registry=registry)

        self.read = counter("status_snapshots_read", "Snapshots of gateways read from `psap-status`.")
        self.unreadable = counter("status_snapshots_unreadable", "Records of `psap-status` that are none.")
        self.heard = gauge("gateways_heard", "Gateways of which a snapshot is known.")
        self.silent = gauge(
            "gateways_silent",
            "Gateways known of which no snapshot has come for six seconds, looked at whenever another's comes (R8); a "
            "gateway is forgotten after a minute.",
        )


class PsapStatuses:
    """Made before the start, so that its metrics are there from then on."""

    def __init__(self, world: World, journal: Journal, service: str) -> None:
        self._world = world
        self._journal = journal
        self._metrics = _Metrics(world.registry, service)
        self._service = service
        self._view = StatusView()
        self._follower: Follower | None = None
        self._following: asyncio.Task[None] | None = None
        self._stopping = False
        self._deaf = ""

    @property
    def view(self) -> StatusView:
        """The newest. Ask anew for each decision."""
        return self._view

    async def start(self) -> None:
        """Begins; nothing is waited for."""
        self._follower = self._journal.follow(Topic.PSAP_STATUS, self._world.wall_ms() - LOOK_BACK_MS)
        await self._follower.start()
        self._following = asyncio.create_task(self._follow(self._follower), name="psap-status follower")
        self._following.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Follows no longer; the view stands."""
        self._stopping = True
        if self._follower is not None and self._following is not None:
            await self._follower.stop()
            await asyncio.wait({self._following}, timeout=1.0)
            self._following.cancel()

    def remarks(self, unknown_means: str) -> list[str]:
        """What an operator should know. `unknown_means`: what comes of it where no gateway was heard; where that is
        empty, nobody minds."""
        found = [self._deaf] if self._deaf else []
        now = asyncio.get_running_loop().time()
        stale = all(now - snapshot.at > STALE_AFTER_SECONDS for snapshot in self._view.newest.values())
        if stale and unknown_means:
            found.append(f"psap-status: no gateway was heard lately; {unknown_means}")
        return found

    async def _follow(self, follower: Follower) -> None:
        """Keeps the view, for ever."""
        loop = asyncio.get_running_loop()
        async for batch in follower:
            for record in batch:
                try:
                    snapshot = psap_status.decode(record.value, loop.time(), self._world.wall_ms())
                except Unreadable as unreadable:
                    self._metrics.unreadable.inc()
                    self._world.logger.warning("psap_status.unreadable", offset=record.offset, why=unreadable.why)
                    continue
                self._metrics.read.inc()
                self._view = self._view.fold(snapshot)
            self._forget_the_dead(loop.time())
            silent = (loop.time() - each.at > STALE_AFTER_SECONDS for each in self._view.newest.values())
            self._metrics.silent.set(sum(silent))
            self._metrics.heard.set(len(self._view.newest))

    def _forget_the_dead(self, now: float) -> None:
        """Drops gateways unheard of for a minute while others are heard: their addresses cost callers time.

        When none is heard it is Kafka that is away, and every address stays.
        """
        newest = self._view.newest
        if any(now - each.at <= STALE_AFTER_SECONDS for each in newest.values()):
            kept = {name: each for name, each in newest.items() if now - each.at <= FORGET_AFTER_S}
            if len(kept) < len(newest):
                self._view = StatusView(kept)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Whatever ended it, a cancel by nobody included: the view stands still, for ever."""
        if not self._stopping:
            mistake = None if task.cancelled() else task.exception()
            self._deaf = (
                f"psap-status: its reader has ended ({mistake!r}), by a mistake of ours: restart this {self._service}"
            )
            self._world.logger.error("psap_status.follower_ended", cancelled=task.cancelled(), exc_info=mistake)
