"""Whom an ingress asks, each within its budget, and what it does when nobody answers.

Nothing here can fail a call: no verdict becomes "unscreened", no route our own atlas.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from throughline.v1 import call_pb2, holding_pb2, place_pb2, routing_pb2, screening_pb2

from services.domain.calls.exchange import Routed, Screened
from services.domain.calls.ladder import GATEWAYS_TRIED_MAX, Destination
from services.domain.holding import UNKNOWN, Holding, Standing, furthest
from services.domain.identity import identity_of
from services.domain.offer import Offer
from services.domain.routing import StatusView, choose
from services.domain.where import Where
from services.host.lag import LoopLag
from services.host.network import Broken, Network
from services.ingress.metrics import IngressMetrics
from services.ingress.replicas import Diallers, Replicas
from services.ingress.settings import IngressSettings
from services.places.region import Region
from services.wire import verdicts
from services.wire.holding import to_domain as to_holding
from services.wire.holding import where_to_wire
from services.wire.methods import RESUME, ROUTE, SCREEN
from services.wire.offers import TEXT_CHARS_MAX
from services.wire.offers import to_domain as to_offer

SCREENED_AGAIN_MAX: Final = 3
RESUME_S: Final = 0.300
RESUME_ASKED_MAX: Final = 8
LET_GO_AFTER_S: Final = (0.0, 1.0, 2.0, 4.0)


class Neighbours:
    """What the conductors of one ingress ask of others."""

    def __init__(
        self,
        network: Network,
        settings: IngressSettings,
        region: Callable[[], Region],
        metrics: IngressMetrics,
        lag: LoopLag,
        start: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self.diallers = Diallers(network, settings.failovers, self, start)
        self.network = network
        self._firewalls = Replicas(network, settings.firewalls, self)
        self._routers = Replicas(network, settings.routers, self)
        self._gateways = settings.gateways
        self._lag = lag
        self._region = region
        self._screen_s = settings.screen_budget_ms / 1000
        self._route_s = settings.route_budget_ms / 1000
        self._metrics = metrics

    async def screen(self, offer: call_pb2.Offer) -> Screened:
        """The firewall's verdict, or none within the budget; asked again while we ourselves are late (L2).

        The replica that counts this caller's calls is asked, so that windows hold across replicas."""
        request = screening_pb2.ScreenRequest(offer=offer)
        of = identity_of(to_offer(offer))
        try:
            answer = await self._screened(request, of, SCREENED_AGAIN_MAX)
        except Broken as broken:
            screened = Screened(None, f"unscreened_{broken.status.lower()}")
        else:
            verdict = verdicts.to_domain(answer.verdict)
            policy = answer.verdict.policy[:TEXT_CHARS_MAX]
            screened = Screened(verdict, policy if verdict is not None else "unscreened_unknown_verdict")
        verdict = screened.verdict
        self._metrics.screened.labels("unscreened" if verdict is None else type(verdict).__name__.lower()).inc()
        return screened

    def excuses(self, address: str) -> bool:
        """Whether this neighbour's failure now may be this process's own fault; counted either way (L2)."""
        self.broke(address)
        late = self._lag.late
        if late:
            self._metrics.excused.inc()
        return late

    def broke(self, address: str) -> None:
        """Counts this neighbour's failure, unless it may be our own."""
        if not self._lag.late:
            self._metrics.neighbours_failed.labels(address).inc()

    async def _screened(
        self, request: screening_pb2.ScreenRequest, of: str, again: int
    ) -> screening_pb2.ScreenResponse:
        try:
            return await self._firewalls.ask(SCREEN, request, self._screen_s, of)
        except Broken:
            if not again or not self._lag.late:
                raise
        return await self._screened(request, of, again - 1)

    async def resume(self, call_id: str, attempt: str, where: Where | None) -> Holding:
        """How far the attempt has come, by those who may have rung it, within the budget (P5).

        A PSAP's attempt: every gateway, since any of them may have taken it over. A line's: every failover replica.
        Who does not answer leaves it unknown, unless somebody has it; where we ourselves were late it is asked once
        more (L2).
        """
        addresses = self._who_may_have(where)
        request = holding_pb2.ResumeRequest(
            call_id=call_id, attempt=attempt, where=None if where is None else where_to_wire(where)
        )
        holding = await self._resumed_anywhere(addresses, request)
        if holding.standing is Standing.UNKNOWN and self._lag.late:
            holding = await self._resumed_anywhere(addresses, request)
        self._metrics.resumed.labels(holding.standing).inc()
        return holding

    async def let_go(self, call_id: str, attempt: str, where: Where | None) -> None:
        """Has whoever may be connected under this attempt let go of, by the same who are asked about one (P5).

        Said again until one of them has it from the PSAP, or from every trunk, that nobody is connected there.
        """
        request = holding_pb2.ResumeRequest(
            call_id=call_id, attempt=attempt, where=None if where is None else where_to_wire(where), unwanted=True
        )
        addresses = self._who_may_have(where)[:RESUME_ASKED_MAX]
        for after_s in LET_GO_AFTER_S:
            await asyncio.sleep(after_s)
            said = await asyncio.gather(*(self._resumed(each, request) for each in addresses))
            if any(each.standing is Standing.NONE for each in said):
                self._metrics.let_go[Standing.NONE].inc()
                return
        self._metrics.let_go[Standing.UNKNOWN].inc()

    def _who_may_have(self, where: Where | None) -> Sequence[str]:
        lines, psaps = self.diallers.addresses, self._gateways
        return (*psaps, *lines) if where is None else lines if where.is_line else psaps

    async def _resumed_anywhere(self, addresses: Sequence[str], request: holding_pb2.ResumeRequest) -> Holding:
        asked = [asyncio.ensure_future(self._resumed(each, request)) for each in addresses[:RESUME_ASKED_MAX]]
        said: list[Holding] = []
        try:
            for answer in asyncio.as_completed(asked):
                said.append(await answer)
                if said[-1].standing is Standing.CONNECTED:
                    break
        finally:
            for each in asked:
                each.cancel()
        return furthest(said)

    async def _resumed(self, address: str, request: holding_pb2.ResumeRequest) -> Holding:
        try:
            answer: holding_pb2.ResumeResponse = await self.network.ask(address, RESUME, request, within_s=RESUME_S)
        except Broken:
            return UNKNOWN
        return to_holding(answer)

    async def route(self, offer: Offer, place: place_pb2.Place, excluded: tuple[str, ...], suspicion: int) -> Routed:
        """The router's answer, or our own atlas's, which asks for no suspicion."""
        request = routing_pb2.RouteRequest(
            call_id=offer.call_id,
            leg=offer.leg,
            place=place,
            service_urn=offer.service_urn,
            excluded=excluded,
            suspicion=suspicion,
        )
        try:
            answer = await self._routers.ask(ROUTE, request, self._route_s)
        except Broken:
            return self.own_route(offer, excluded)
        self._metrics.routed.labels("router").inc()
        reason = answer.reason[:TEXT_CHARS_MAX]
        if not answer.psap_id:
            return Routed(None, reason)
        if len(answer.psap_id) > TEXT_CHARS_MAX:
            return self.own_route(offer, excluded)
        gateways = tuple(answer.gateways[:GATEWAYS_TRIED_MAX]) or self._gateways  # a router may know of none yet
        return Routed(Destination(answer.psap_id, gateways, answer.reachable, reason), reason)

    def own_route(self, offer: Offer, excluded: tuple[str, ...]) -> Routed:
        """What our own atlas says, at once."""
        self._metrics.routed.labels("own_atlas").inc()
        located = self._region().locate(offer.place)
        route = choose(located.candidates, excluded, StatusView(), 0.0, self._gateways)
        reason = f"own_atlas_{located.reason}"
        if route.psap_id is None:
            return Routed(None, f"own_atlas_{route.reason}")
        return Routed(Destination(route.psap_id, route.gateways, route.reachable, reason), reason)
