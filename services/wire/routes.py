"""A router's answer on the wire, and as the bytes of a record on `routings`."""

from __future__ import annotations

from collections.abc import Sequence

from throughline.v1 import routing_pb2

from services.domain.routing import Route


def to_wire(route: Route, why: str) -> routing_pb2.RouteResponse:
    """The answer; `why` says how the place led to its PSAPs ("town", "no_place", "sea"...)."""
    return routing_pb2.RouteResponse(
        psap_id=route.psap_id or "",
        gateways=route.gateways,
        reachable=route.reachable,
        reason=f"{why}_{route.reason}",
    )


def encode(
    call_id: str, leg: int, router: str, response: routing_pb2.RouteResponse, excluded: Sequence[str], at_ms: int
) -> bytes:
    """The record's value."""
    return routing_pb2.Routing(
        call_id=call_id, leg=leg, router=router, route=response, excluded=excluded, at_ms=at_ms
    ).SerializeToString()
