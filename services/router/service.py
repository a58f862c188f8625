"""The router's life: one answer a question, from an atlas in memory and a view of the PSAPs that a follower keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from throughline.v1 import routing_pb2

from services.domain.routing import STALE_AFTER_SECONDS, StatusView, choose
from services.host.network import Answers, Refuse, Server, Status
from services.host.region import WHOLE
from services.host.region_feed import RegionFeed
from services.host.world import World
from services.journal import Follower, Topic
from services.journal.journal import Journal, JournalEvent
from services.router.metrics import RouterMetrics
from services.router.settings import RouterSettings
from services.wire import offers, psap_status, routes
from services.wire.methods import ROUTE, Unreadable

LOOK_BACK_MS: Final = int(STALE_AFTER_SECONDS * 1000) + 4_000
"""How far back the follower begins: what is older than stale says nothing."""
FORGET_AFTER_S: Final = 60.0


class Router:
    """See the package."""

    def __init__(self, world: World, settings: RouterSettings) -> None:
        self.address = ""
        self._world = world
        self._settings = settings
        self._metrics = RouterMetrics(world.registry)
        self._journal = Journal(world.log, on_event=self._journal_event)
        self._view = StatusView()
        self._regions = RegionFeed(world, settings, WHOLE)
        self._server: Server | None = None
        self._follower: Follower | None = None
        self._following: asyncio.Task[None] | None = None
        self._draining = False
        self._deaf = ""

    async def start(self) -> None:
        """Reads the region, binds, serves; Kafka may come later."""
        await asyncio.gather(self._regions.start(), self._journal.start())
        since_ms = self._world.wall_ms() - LOOK_BACK_MS
        self._follower = self._journal.follow(Topic.PSAP_STATUS, since_ms)
        await self._follower.start()
        self._following = asyncio.create_task(self._follow(self._follower), name="psap-status follower")
        self._following.add_done_callback(self._follower_ended)
        self._server = await self._world.network.serve(self._settings.listen, [Answers(ROUTE, self._route)])
        self.address = self._server.address

    def troubles(self) -> Sequence[str]:
        """Why this router should not be asked."""
        return ["draining"] if self._draining else []

    def remarks(self) -> Sequence[str]:
        """What an operator should know though it answers."""
        remarks = self._regions.remarks()
        if trouble := self._journal.health():
            remarks.append(f"journal: {trouble}")
        if self._deaf:
            remarks.append(self._deaf)
        now = asyncio.get_running_loop().time()
        if all(now - snapshot.at > STALE_AFTER_SECONDS for snapshot in self._view.newest.values()):
            remarks.append("psap-status: no gateway was heard lately; every PSAP counts as unknown and is tried")
        return remarks

    async def stop(self, grace_s: float) -> None:
        """Answers what was asked, then closes."""
        self._draining = True
        if self._server is not None:
            self._server.set_ready(False)
            await self._server.stop(min(grace_s, 1.0))
        if self._follower is not None and self._following is not None:
            await self._follower.stop()
            await asyncio.wait({self._following}, timeout=1.0)
            self._following.cancel()
        await self._regions.stop()
        await self._journal.close()

    async def _route(self, asked: routing_pb2.RouteRequest) -> routing_pb2.RouteResponse:
        """Where to: always an answer, whatever the place is."""
        if self._draining:
            raise Refuse(Status.UNAVAILABLE, "draining")
        place = offers.place_to_domain(asked.place) if asked.HasField("place") else None
        located = self._regions.newest().locate(place)
        now = asyncio.get_running_loop().time()
        route = choose(located.candidates, asked.excluded, self._view, now, self._settings.gateways)
        answer = routes.to_wire(route, located.reason)
        self._metrics.routed[route.reason].inc()
        self._metrics.located.labels(located.reason).inc()
        self._world.logger.info(
            "route.chosen",
            call_id=asked.call_id,
            leg=asked.leg,
            psap_id=answer.psap_id,
            reason=answer.reason,
            reachable=answer.reachable,
        )
        record = routes.encode(
            asked.call_id, asked.leg, self._settings.name, answer, asked.excluded, self._world.wall_ms()
        )
        self._journal.append_soon(Topic.ROUTINGS, asked.call_id, record)
        return answer

    async def _follow(self, follower: Follower) -> None:
        """Keeps the view, for ever."""
        loop = asyncio.get_running_loop()
        async for batch in follower:
            for record in batch:
                try:
                    snapshot = psap_status.decode(record.value, loop.time(), self._world.wall_ms())
                except Unreadable as unreadable:
                    self._metrics.statuses_unreadable.inc()
                    self._world.logger.warning("psap_status.unreadable", offset=record.offset, why=unreadable.why)
                    continue
                self._metrics.statuses.inc()
                self._view = self._view.fold(snapshot)
            self._forget_the_dead(loop.time())
            silent = (loop.time() - each.at > STALE_AFTER_SECONDS for each in self._view.newest.values())
            self._metrics.gateways_silent.set(sum(silent))
            self._metrics.gateways_heard.set(len(self._view.newest))

    def _forget_the_dead(self, now: float) -> None:
        """Drops gateways unheard of for a minute while others are heard: their addresses cost callers time.

        When none is heard it is Kafka that is away, and every address stays.
        """
        newest = self._view.newest
        if any(now - each.at <= STALE_AFTER_SECONDS for each in newest.values()):
            kept = {name: each for name, each in newest.items() if now - each.at <= FORGET_AFTER_S}
            if len(kept) < len(newest):
                self._view = StatusView(kept)

    def _follower_ended(self, task: asyncio.Task[None]) -> None:
        """Whatever ended it, a cancel by nobody included: the view stands still, for ever."""
        if not self._draining:
            mistake = None if task.cancelled() else task.exception()
            self._deaf = f"psap-status: its reader has ended ({mistake!r}), by a mistake of ours: restart this router"
            self._world.logger.error("psap_status.follower_ended", cancelled=task.cancelled(), exc_info=mistake)

    def _journal_event(self, event: JournalEvent) -> None:
        self._metrics.journal[event.happening].inc()
        self._metrics.journal_queued.set(event.queued)
