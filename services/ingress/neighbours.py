"""Whom an ingress asks, each within its budget, and what it does when nobody answers.

Nothing here can fail a call: no verdict becomes "unscreened", no route our own atlas. A breaker for each address
keeps a dead neighbour from costing every caller the whole budget.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import TypeVar

from google.protobuf.message import Message
from throughline.v1 import call_pb2, place_pb2, routing_pb2, screening_pb2

from services.domain.breaker import Breaker
from services.domain.exchange import Routed, Screened
from services.domain.ladder import GATEWAYS_TRIED_MAX, Destination
from services.domain.offer import Offer
from services.domain.routing import StatusView, choose
from services.host.network import Broken, Network, Status
from services.ingress.metrics import IngressMetrics
from services.ingress.settings import IngressSettings
from services.places.region import Region
from services.wire import verdicts
from services.wire.methods import ROUTE, SCREEN, Question
from services.wire.offers import TEXT_CHARS_MAX

In = TypeVar("In", bound=Message)
Out = TypeVar("Out", bound=Message)

_FAILURES_MAX = 3
_OPEN_S = 1.0


class Replicas:
    """Some addresses that can all answer the same; those that just failed are left alone for a second."""

    def __init__(self, network: Network, addresses: Sequence[str]) -> None:
        self._network = network
        self._breakers = {address: Breaker(_FAILURES_MAX, _OPEN_S) for address in addresses}
        self._order = list(addresses)
        self._turn = 0

    def in_turn(self, now: float) -> Iterator[str]:
        """The addresses worth asking now, a different one first each time."""
        self._turn += 1
        for step in range(len(self._order)):
            address = self._order[(self._turn + step) % len(self._order)]
            if self._breakers[address].allows(now):
                yield address

    def well(self, address: str) -> None:
        self._breakers[address].succeeded()

    def unwell(self, address: str, now: float) -> None:
        self._breakers[address].failed(now)

    async def ask(self, question: Question[Out, In], said: Out, budget_s: float) -> In:
        """The first answer within `budget_s` seconds; raises the last Broken. A silent replica costs its share only."""
        loop = asyncio.get_running_loop()
        until = loop.time() + budget_s
        last = Broken(Status.UNAVAILABLE, "no replica is configured or well")
        left = len(self._order)
        for address in self.in_turn(loop.time()):
            remaining_s = until - loop.time()
            if remaining_s <= 0:
                break
            try:
                answer = await self._network.ask(address, question, said, within_s=remaining_s / left)
            except Broken as broken:
                self.unwell(address, loop.time())
                last, left = broken, max(1, left - 1)
            else:
                self.well(address)
                return answer
        raise last


class Neighbours:
    """Screening and routing for the conductors of one ingress."""

    def __init__(self, network: Network, settings: IngressSettings, region: Region, metrics: IngressMetrics) -> None:
        self.failovers = Replicas(network, settings.failovers)
        self.network = network
        self._firewalls = Replicas(network, settings.firewalls)
        self._routers = Replicas(network, settings.routers)
        self._gateways = settings.gateways
        self._region = region
        self._screen_s = settings.screen_budget_ms / 1000
        self._route_s = settings.route_budget_ms / 1000
        self._metrics = metrics

    async def screen(self, offer: call_pb2.Offer) -> Screened:
        """The firewall's verdict, or none within the budget."""
        try:
            answer = await self._firewalls.ask(SCREEN, screening_pb2.ScreenRequest(offer=offer), self._screen_s)
        except Broken as broken:
            screened = Screened(None, f"unscreened_{broken.status.lower()}")
        else:
            verdict = verdicts.to_domain(answer.verdict)
            policy = answer.verdict.policy[:TEXT_CHARS_MAX]
            screened = Screened(verdict, policy if verdict is not None else "unscreened_unknown_verdict")
        verdict = screened.verdict
        self._metrics.screened.labels("unscreened" if verdict is None else type(verdict).__name__.lower()).inc()
        return screened

    async def route(self, offer: Offer, place: place_pb2.Place, excluded: tuple[str, ...]) -> Routed:
        """The router's answer, or our own atlas's."""
        request = routing_pb2.RouteRequest(
            call_id=offer.call_id, leg=offer.leg, place=place, service_urn=offer.service_urn, excluded=excluded
        )
        try:
            answer = await self._routers.ask(ROUTE, request, self._route_s)
        except Broken:
            self._metrics.routed.labels("own_atlas").inc()
            return self._own_route(offer, excluded)
        self._metrics.routed.labels("router").inc()
        reason = answer.reason[:TEXT_CHARS_MAX]
        if not answer.psap_id:
            return Routed(None, reason)
        if len(answer.psap_id) > TEXT_CHARS_MAX:
            return self._own_route(offer, excluded)
        gateways = tuple(answer.gateways[:GATEWAYS_TRIED_MAX]) or self._gateways  # a router may know of none yet
        return Routed(Destination(answer.psap_id, gateways, answer.reachable, reason), reason)

    def _own_route(self, offer: Offer, excluded: tuple[str, ...]) -> Routed:
        located = self._region.locate(offer.place)
        route = choose(located.candidates, excluded, StatusView(), 0.0, self._gateways)
        reason = f"own_atlas_{located.reason}"
        if route.psap_id is None:
            return Routed(None, f"own_atlas_{route.reason}")
        return Routed(Destination(route.psap_id, route.gateways, route.reachable, reason), reason)
