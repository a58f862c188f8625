"""A router's answer on the wire, and as the bytes of a record on `routings`."""

from __future__ import annotations

from throughline.v1 import routing_pb2

from services.domain.routing import Route
from services.wire.verdicts import SCORE_MAX


def to_wire(route: Route, why: str) -> routing_pb2.RouteResponse:
    """The answer; `why` says how the place led to its PSAPs ("town", "no_place", "sea"...)."""
    return routing_pb2.RouteResponse(
        psap_id=route.psap_id or "",
        gateways=route.gateways,
        reachable=route.reachable,
        reason=f"{why}_{route.reason}",
    )


def encode(asked: routing_pb2.RouteRequest, router: str, response: routing_pb2.RouteResponse, at_ms: int) -> bytes:
    """The record's value: what this router was asked and answered."""
    return routing_pb2.Routing(
        call_id=asked.call_id,
        leg=asked.leg,
        router=router,
        route=response,
        excluded=asked.excluded,
        at_ms=at_ms,
        suspicion=min(asked.suspicion, SCORE_MAX),
    ).SerializeToString()
