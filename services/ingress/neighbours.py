"""Whom an ingress asks, each within its budget, and what it does when nobody answers.

Nothing here can fail a call: no verdict becomes "unscreened", no route our own atlas.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from throughline.v1 import call_pb2, place_pb2, routing_pb2, screening_pb2

from services.domain.exchange import Routed, Screened
from services.domain.ladder import GATEWAYS_TRIED_MAX, Destination
from services.domain.offer import Offer
from services.domain.routing import StatusView, choose
from services.host.network import Broken, Network
from services.ingress.metrics import IngressMetrics
from services.ingress.replicas import Diallers, Replicas
from services.ingress.settings import IngressSettings
from services.places.region import Region
from services.wire import verdicts
from services.wire.methods import ROUTE, SCREEN
from services.wire.offers import TEXT_CHARS_MAX


class Neighbours:
    """Screening and routing for the conductors of one ingress."""

    def __init__(
        self,
        network: Network,
        settings: IngressSettings,
        region: Callable[[], Region],
        metrics: IngressMetrics,
        start: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self.diallers = Diallers(network, settings.failovers, start)
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
        located = self._region().locate(offer.place)
        route = choose(located.candidates, excluded, StatusView(), 0.0, self._gateways)
        reason = f"own_atlas_{located.reason}"
        if route.psap_id is None:
            return Routed(None, f"own_atlas_{route.reason}")
        return Routed(Destination(route.psap_id, route.gateways, route.reachable, reason), reason)
