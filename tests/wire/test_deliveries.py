"""Deliveries, PSAP status, routes and screenings as bytes and back."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from throughline.v1 import delivery_pb2, routing_pb2, screening_pb2

from services.domain.deliveries import Delivery, Outcome
from services.domain.events import Failure
from services.domain.gateways.attachments import Row
from services.domain.routing import Reach, Route, RouteReason
from services.domain.where import Where
from services.wire import deliveries, psap_status, routes, screenings
from services.wire.methods import Unreadable

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = TEXT | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.floats(allow_nan=False)
FAILURES = st.one_of(st.none(), st.sampled_from(Failure))
DELIVERIES = st.builds(
    Delivery,
    TEXT,
    st.integers(0, 2**32 - 1),
    TEXT,
    TEXT,
    st.builds(Where, TEXT, TEXT),
    st.sampled_from(Outcome),
    FAILURES,
    TEXT,
    st.integers(-(2**63), 2**63 - 1),
)
ROWS = st.builds(Row, TEXT, st.booleans(), TEXT, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))


@given(DELIVERIES)
def test_a_delivery_comes_back_as_it_was(delivery: Delivery) -> None:
    """Every field, and a failure only where there was one."""
    assert deliveries.decode(deliveries.encode(delivery)) == delivery


@given(st.binary(max_size=200))
def test_any_bytes_are_a_delivery_or_unreadable(raw: bytes) -> None:
    """A reader of the topic meets nothing else."""
    with suppress(Unreadable):
        assert isinstance(deliveries.decode(raw), Delivery)


def test_an_outcome_of_a_newer_version_is_unreadable_and_not_a_crash() -> None:
    """The record is kept aside by its reader, whole (J1 in small)."""
    raw = delivery_pb2.Delivery(call_id="c", outcome=99).SerializeToString()  # type: ignore[arg-type]
    with pytest.raises(Unreadable, match="99"):
        deliveries.decode(raw)


@pytest.mark.parametrize("failure", Failure)
def test_every_failure_has_its_rejection(failure: Failure) -> None:
    """What one process says, the next understands (R1)."""
    assert deliveries.failure_of(deliveries.rejection_of(failure)) is failure


def test_a_rejection_of_a_newer_version_is_a_refusal() -> None:
    """The attempt has failed in any case; the ladder goes on."""
    assert deliveries.failure_of(99) is Failure.REFUSED  # type: ignore[arg-type]


@given(st.lists(ROWS, max_size=5, unique_by=lambda row: row.psap_id), st.integers(0, 2**62), st.integers(0, 10**6))
def test_a_snapshot_is_as_old_as_it_is(rows: list[Row], at_ms: int, age_ms: int) -> None:
    """R8: its instant in the reader's own clock is now less its age; rows become what they say."""
    raw = psap_status.encode("gateway-1", "g:1", "inc", 7, at_ms, rows)
    snapshot = psap_status.decode(raw, 1000.0, at_ms + age_ms)
    assert (snapshot.gateway_id, snapshot.address, snapshot.incarnation, snapshot.seq) == ("gateway-1", "g:1", "inc", 7)
    assert snapshot.at == 1000.0 - age_ms / 1000
    assert snapshot.rows == {row.psap_id: Reach.REACHABLE if row.attached else Reach.UNREACHABLE for row in rows}


@given(st.lists(ROWS, max_size=5, unique_by=lambda row: row.psap_id))
def test_a_snapshot_has_the_calls_that_ring_and_those_that_talk_where_the_psap_is_attached(rows: list[Row]) -> None:
    """R8: whoever talks at a PSAP that has lost its stream may have hung up since; nobody told the gateway."""
    snapshot = psap_status.decode(psap_status.encode("gateway-1", "g:1", "inc", 7, 0, rows), 0.0, 0)
    for row in rows:
        talking = row.connected if row.attached else 0
        assert snapshot.calls.get(row.psap_id, 0) == row.ringing + talking


def test_a_gateway_whose_clock_runs_ahead_counts_as_fresh() -> None:
    """Never from the future: `at` is at most now."""
    raw = psap_status.encode("gateway-1", "g:1", "inc", 1, 10_000, [])
    assert psap_status.decode(raw, 50.0, 4_000).at == 50.0


@given(st.binary(max_size=200))
def test_any_bytes_are_a_snapshot_or_unreadable(raw: bytes) -> None:
    """The topic is read by every router: nothing on it may stop one."""
    with suppress(Unreadable):
        assert psap_status.decode(raw, 0.0, 0).at <= 0.0


def test_a_route_says_where_through_whom_and_why() -> None:
    """R4: the PSAP, its gateways in order, the reason in words with underscores."""
    answer = routes.to_wire(Route("P1", ("g2:1", "g1:1"), True, RouteReason.PRIMARY), "town")
    assert answer == routing_pb2.RouteResponse(
        psap_id="P1", gateways=["g2:1", "g1:1"], reachable=True, reason="town_primary"
    )
    assert routes.to_wire(Route(None, (), False, RouteReason.ALL_EXCLUDED), "sea").psap_id == ""
    asked = routing_pb2.RouteRequest(call_id="c", leg=2, excluded=["P9"])
    told = routing_pb2.Routing.FromString(routes.encode(asked, "router-1", answer, 5))
    assert (told.call_id, told.leg, told.router, told.route, list(told.excluded), told.at_ms) == (
        "c", 2, "router-1", answer, ["P9"], 5,
    )  # fmt: skip


@given(st.dictionaries(TEXT, VALUES))
def test_what_a_rule_was_given_comes_back_in_its_own_type(inputs: dict[str, str | int | float | bool]) -> None:
    """The record of a screening is enough to reach the same verdict again: an int is no double, a bool no int."""
    record = screening_pb2.Screening(call_id="c", inputs=screenings.inputs_to_wire(inputs))
    told = screenings.inputs_of(screenings.read(record.SerializeToString()))
    assert told == inputs
    assert {name: type(value) for name, value in told.items()} == {name: type(value) for name, value in inputs.items()}
