"""Offers on the wire and in the domain, and what can be saved of an offer that cannot be read.

This is the first code that a caller's words meet, so nothing here raises for any message or any bytes: a place may be
NaN, a text endless, an id missing. Texts are cut to a length that every later message has room for, and a polygon past
the limit is not copied: a marker stands for it, which the place check refuses by its count (services/domain/place.py).
"""

from __future__ import annotations

from typing import Final

from throughline.v1 import call_pb2, place_pb2

from services.domain.offer import Attestation, Device, Offer, Verification
from services.domain.place import POLYGON_POINTS_MAX, Circle, Place, Polygon
from services.domain.where import Where
from services.wire.holding import where_to_wire

CALL_ID_CHARS_MAX: Final = 128
TEXT_CHARS_MAX: Final = 256
DISPLAY_NAME_CHARS_MAX: Final = 128

POLYGON_TOO_LARGE: Final = Polygon(((0.0, 0.0),) * (POLYGON_POINTS_MAX + 1))
"""Stands for any polygon past the limit; `place.flaw` says TOO_MANY_POINTS of it."""

_POLYGON_TOO_LARGE_PB: Final = place_pb2.Place(
    polygon=place_pb2.Polygon(points=[place_pb2.Point() for _ in range(POLYGON_POINTS_MAX + 1)])
)
_ATTESTATION: Final = {
    call_pb2.ATTESTATION_A: Attestation.A,
    call_pb2.ATTESTATION_B: Attestation.B,
    call_pb2.ATTESTATION_C: Attestation.C,
}
_ATTESTATION_PB: Final = {attestation: number for number, attestation in _ATTESTATION.items()}
_VERIFICATION: Final = {
    call_pb2.VERIFICATION_PASSED: Verification.PASSED,
    call_pb2.VERIFICATION_FAILED: Verification.FAILED,
}
_VERIFICATION_PB: Final = {verification: number for number, verification in _VERIFICATION.items()}
_DEVICE: Final = {
    call_pb2.DEVICE_WIRELESS: Device.WIRELESS,
    call_pb2.DEVICE_WIRELINE: Device.WIRELINE,
    call_pb2.DEVICE_VOIP: Device.VOIP,
    call_pb2.DEVICE_TEXT: Device.TEXT,
    call_pb2.DEVICE_ALARM: Device.ALARM,
}
_DEVICE_PB: Final = {device: number for number, device in _DEVICE.items()}


def to_domain(message: call_pb2.Offer) -> Offer:
    """The offer as believed. Its call_id is empty where there is none (`call_id_or_none`): the caller of this function
    mints one. A leg of 0 is the first leg."""
    return Offer(
        call_id_or_none(message.call_id),
        message.leg or 1,
        message.caller[:TEXT_CHARS_MAX],
        message.service_urn[:TEXT_CHARS_MAX],
        place_to_domain(message.place) if message.HasField("place") else None,
        _ATTESTATION.get(message.attestation, Attestation.NONE),
        message.source[:TEXT_CHARS_MAX],
        message.confirmed_attempt[:TEXT_CHARS_MAX],
        message.i3_call_id[:TEXT_CHARS_MAX],
        message.i3_incident_id[:TEXT_CHARS_MAX],
        _confirmed_where(message),
        verification=_VERIFICATION.get(message.verification, Verification.NONE),
        trunk=message.trunk[:TEXT_CHARS_MAX],
        device=_DEVICE.get(message.device, Device.UNKNOWN),
        display_name=message.display_name[:DISPLAY_NAME_CHARS_MAX],
    )


def _confirmed_where(message: call_pb2.Offer) -> Where | None:
    if not message.HasField("confirmed_where"):
        return None
    where = message.confirmed_where
    return Where(where.psap_id[:TEXT_CHARS_MAX], where.line[:TEXT_CHARS_MAX])


def call_id_or_none(text: str) -> str:
    """The id, or an empty text where it is past 128 characters or has characters that cannot be shown.

    It becomes a key, a row and a word in logs and terminals; to cut or clean it could make two calls one.
    """
    return text if len(text) <= CALL_ID_CHARS_MAX and text.isprintable() else ""


def to_wire(offer: Offer) -> call_pb2.Offer:
    """The same offer as a message. That it was unreadable does not travel: its bytes are in `calls-unreadable`."""
    return call_pb2.Offer(
        call_id=offer.call_id,
        leg=offer.leg,
        caller=offer.caller,
        service_urn=offer.service_urn,
        place=place_to_wire(offer.place),
        attestation=_ATTESTATION_PB.get(offer.attestation, call_pb2.ATTESTATION_UNSPECIFIED),
        source=offer.source,
        confirmed_attempt=offer.confirmed_attempt,
        i3_call_id=offer.i3_call_id,
        i3_incident_id=offer.i3_incident_id,
        confirmed_where=None if offer.confirmed_where is None else where_to_wire(offer.confirmed_where),
        verification=_VERIFICATION_PB.get(offer.verification, call_pb2.VERIFICATION_UNSPECIFIED),
        trunk=offer.trunk,
        device=_DEVICE_PB.get(offer.device, call_pb2.DEVICE_UNSPECIFIED),
        display_name=offer.display_name,
    )


def place_to_domain(message: place_pb2.Place) -> Place:
    """The place, its numbers as they are; None where the message has no shape that this version knows."""
    shape = message.WhichOneof("shape")
    if shape == "circle":
        circle = message.circle
        centre = circle.centre
        return Circle(centre.latitude, centre.longitude, circle.radius_m)
    if shape == "polygon":
        points = message.polygon.points
        if len(points) > POLYGON_POINTS_MAX:
            return POLYGON_TOO_LARGE
        return Polygon(tuple((point.latitude, point.longitude) for point in points))
    return None


def place_to_wire(place: Place) -> place_pb2.Place | None:
    """The place as a message; None where there is none, so that it can be given to a message's constructor."""
    if place is None:
        return None
    if isinstance(place, Circle):
        centre = place_pb2.Point(latitude=place.lat, longitude=place.lon)
        return place_pb2.Place(circle=place_pb2.Circle(centre=centre, radius_m=place.radius_m))
    if len(place.points) > POLYGON_POINTS_MAX:
        return _POLYGON_TOO_LARGE_PB
    points = [place_pb2.Point(latitude=lat, longitude=lon) for lat, lon in place.points]
    return place_pb2.Place(polygon=place_pb2.Polygon(points=points))
