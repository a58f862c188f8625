"""The router's life: one answer a question, from an atlas in memory and a view of the PSAPs that a follower keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from throughline.v1 import routing_pb2

from services.domain.routing import choose
from services.host.network import Answers, Refuse, Server, Status
from services.host.psap_statuses import PsapStatuses
from services.host.region import WHOLE
from services.host.region_feed import RegionFeed
from services.host.world import World
from services.journal import Topic
from services.journal.journal import Journal, JournalEvent
from services.router.metrics import RouterMetrics
from services.router.settings import RouterSettings
from services.wire import offers, routes
from services.wire.methods import ROUTE


class Router:
    """See the package."""

    def __init__(self, world: World, settings: RouterSettings) -> None:
        self.address = ""
        self._world = world
        self._settings = settings
        self._metrics = RouterMetrics(world.registry)
        self._journal = Journal(world.log, on_event=self._journal_event)
        self._statuses = PsapStatuses(world, self._journal, settings.service)
        self._regions = RegionFeed(world, settings, WHOLE)
        self._server: Server | None = None
        self._draining = False

    async def start(self) -> None:
        """Reads the region, binds, serves; Kafka may come later."""
        await asyncio.gather(self._regions.start(), self._journal.start())
        await self._statuses.start()
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
        return [*remarks, *self._statuses.remarks("every PSAP counts as unknown and is tried")]

    async def stop(self, grace_s: float) -> None:
        """Answers what was asked, then closes."""
        self._draining = True
        if self._server is not None:
            self._server.set_ready(False)
            await self._server.stop(min(grace_s, 1.0))
        await self._statuses.stop()
        await self._regions.stop()
        await self._journal.close()

    async def _route(self, asked: routing_pb2.RouteRequest) -> routing_pb2.RouteResponse:
        """Where to: always an answer, whatever the place is."""
        if self._draining:
            raise Refuse(Status.UNAVAILABLE, "draining")
        place = offers.place_to_domain(asked.place) if asked.HasField("place") else None
        located = self._regions.newest().locate(place)
        now = asyncio.get_running_loop().time()
        route = choose(located.candidates, asked.excluded, self._statuses.view, now, self._settings.gateways)
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
            suspicion=asked.suspicion,
        )
        record = routes.encode(asked, self._settings.name, answer, self._world.wall_ms())
        self._journal.append_soon(Topic.ROUTINGS, asked.call_id, record)
        return answer

    def _journal_event(self, event: JournalEvent) -> None:
        self._metrics.journal[event.happening].inc()
        self._metrics.journal_queued.set(event.queued)
