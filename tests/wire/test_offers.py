"""Offers as they cross the wire, whole and broken."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from throughline.v1 import call_pb2, place_pb2

from services.domain.offer import Attestation, Offer
from services.domain.place import POLYGON_POINTS_MAX, Circle, PlaceFlaw, Polygon, flaw
from services.wire import offers
from services.wire.methods import PARSE_BYTES_MAX
from services.wire.salvage import FIELDS_MAX, salvage

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=offers.TEXT_CHARS_MAX)
numbers = st.floats(allow_nan=False)
places = st.one_of(
    st.none(),
    st.builds(Circle, numbers, numbers, numbers),
    st.builds(Polygon, st.lists(st.tuples(numbers, numbers), max_size=20).map(tuple)),
)
any_offers = st.builds(
    Offer,
    call_id=st.text(st.characters(exclude_categories=["Cs"]), max_size=offers.CALL_ID_CHARS_MAX).filter(
        str.isprintable
    ),
    leg=st.integers(1, 2**32 - 1),
    caller=texts,
    service_urn=texts,
    place=places,
    attestation=st.sampled_from(Attestation),
    source=texts,
    confirmed_attempt=texts,
    i3_call_id=texts,
    i3_incident_id=texts,
)


def request_bytes(**fields: Any) -> bytes:
    """The bytes of a PlaceCallRequest with this offer."""
    return call_pb2.PlaceCallRequest(offer=call_pb2.Offer(**fields)).SerializeToString()


@given(any_offers)
def test_an_offer_survives_the_wire(offer: Offer) -> None:
    """What one service believes of an offer, the next believes too."""
    raw = offers.to_wire(offer).SerializeToString()
    assert offers.to_domain(call_pb2.Offer.FromString(raw)) == offer


def test_a_place_that_is_no_number_passes_as_it_is() -> None:
    """Judging a place is the place check's business; the wire changes nothing."""
    place = offers.place_to_domain(
        place_pb2.Place(circle=place_pb2.Circle(centre=place_pb2.Point(latitude=math.nan, longitude=400), radius_m=-1))
    )
    assert isinstance(place, Circle)
    assert math.isnan(place.lat)
    assert (place.lon, place.radius_m) == (400, -1)


@pytest.mark.parametrize(
    ("points", "expected"),
    [(POLYGON_POINTS_MAX, PlaceFlaw.TOO_FEW_POINTS), (POLYGON_POINTS_MAX + 1, PlaceFlaw.TOO_MANY_POINTS)],
)
def test_a_polygon_past_the_limit_is_marked_and_not_copied(points: int, expected: PlaceFlaw) -> None:
    """The marker is refused by its count, here and after another crossing; one at the limit is copied and looked at."""
    message = place_pb2.Place(polygon=place_pb2.Polygon(points=[place_pb2.Point(latitude=42, longitude=-71)] * points))
    place = offers.place_to_domain(message)
    assert flaw(place) is expected
    assert (place is offers.POLYGON_TOO_LARGE) is (expected is PlaceFlaw.TOO_MANY_POINTS)
    again = offers.place_to_wire(place)
    assert again is not None
    assert flaw(offers.place_to_domain(place_pb2.Place.FromString(again.SerializeToString()))) is expected


def test_an_id_past_the_limit_counts_as_none_and_a_text_is_cut() -> None:
    """Two long ids with the same beginning must not become one call."""
    offer = offers.to_domain(call_pb2.Offer(call_id="a" * (offers.CALL_ID_CHARS_MAX + 1), caller="1" * 60_000))
    assert (offer.call_id, offer.leg, len(offer.caller)) == ("", 1, offers.TEXT_CHARS_MAX)


def test_an_id_that_cannot_be_shown_counts_as_none() -> None:
    """It would rewrite an operator's terminal, or end a text in a database early."""
    assert [offers.call_id_or_none(text) for text in ("c-1 é", "c\x1b[2J", "c\0", "")] == ["c-1 é", "", "", ""]


@given(any_offers)
def test_salvage_reads_what_a_parser_would(offer: Offer) -> None:
    """Bytes that are well laid out give the same id, leg, number, service, source and place either way (P6)."""
    raw = call_pb2.PlaceCallRequest(offer=offers.to_wire(offer)).SerializeToString()
    saved = salvage(raw)
    assert saved.unreadable
    kept = ("call_id", "leg", "caller", "service_urn", "source", "place")
    assert [getattr(saved, name) for name in kept] == [getattr(offer, name) for name in kept]


@given(st.binary(max_size=2_000))
def test_salvage_never_raises(raw: bytes) -> None:
    """Any bytes are a call (P6)."""
    assert salvage(raw).unreadable


@given(any_offers, st.data())
def test_salvage_never_raises_for_an_offer_with_a_hole(offer: Offer, data: st.DataObject) -> None:
    """Bytes that were an offer once, cut or changed anywhere, are still a call."""
    raw = bytearray(call_pb2.PlaceCallRequest(offer=offers.to_wire(offer)).SerializeToString())
    if raw:
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    assert salvage(bytes(raw[:cut])).unreadable


def test_salvage_steps_over_two_million_bytes_of_text() -> None:
    """What stands before and after an endless text is saved; of the text itself, the beginning."""
    raw = request_bytes(
        call_id="c-1",
        leg=3,
        caller="+1" + "5" * 2_000_000,
        place=place_pb2.Place(circle=place_pb2.Circle(centre=place_pb2.Point(latitude=42.3, longitude=-71.1))),
    )
    saved = salvage(raw)
    assert (saved.call_id, saved.leg, len(saved.caller)) == ("c-1", 3, offers.TEXT_CHARS_MAX)
    assert saved.place == Circle(42.3, -71.1, 0.0)


def test_salvage_marks_a_polygon_of_very_many_points() -> None:
    """A polygon too large to be parsed is refused by its count, with its call's id and number saved."""
    points = [place_pb2.Point(latitude=42, longitude=-71)] * 10_000
    raw = request_bytes(
        call_id="c-2", caller="+16175550123", place=place_pb2.Place(polygon=place_pb2.Polygon(points=points))
    )
    assert len(raw) > PARSE_BYTES_MAX
    saved = salvage(raw)
    assert (saved.call_id, saved.caller, flaw(saved.place)) == ("c-2", "+16175550123", PlaceFlaw.TOO_MANY_POINTS)


def test_salvage_saves_an_offer_whose_end_is_missing() -> None:
    """A message cut in the middle of its place keeps its id and number."""
    raw = request_bytes(call_id="c-3", caller="+16175550124", place=offers.place_to_wire(Circle(42, -71, 5)))
    saved = salvage(raw[:-10])
    assert (saved.call_id, saved.caller, saved.place) == ("c-3", "+16175550124", None)


def test_salvage_keeps_an_id_only_if_it_is_whole() -> None:
    """An id that is no text would be another call's id when repaired."""
    broken = call_pb2.PlaceCallRequest(offer=call_pb2.Offer(call_id="abcd", caller="+16175550125")).SerializeToString()
    saved = salvage(broken.replace(b"abcd", b"ab\xff\xfe"))
    assert (saved.call_id, saved.caller) == ("", "+16175550125")


def test_salvage_looks_at_a_bounded_number_of_fields() -> None:
    """A sender cannot make it work for long: what stands behind very many fields is not read."""
    offer = b"\x30\x01" * FIELDS_MAX + b"\x0a\x01x"
    raw = b"\x0a" + bytes([len(offer) & 0x7F | 0x80, len(offer) >> 7]) + offer
    assert call_pb2.PlaceCallRequest.FromString(raw).offer.call_id == "x"
    assert salvage(raw).call_id == ""
