"""Records as lines."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from throughline.v1 import call_pb2, delivery_pb2, place_pb2, psap_status_pb2, routing_pb2, screening_pb2

from services.domain.events import Fact, FactKind
from services.journal import Record, Topic
from services.journal.memory import MemoryBroker, MemoryLog
from services.readers.since import BadInstant, parse_since, span_ms
from services.readers.tail import tail
from services.readers.wording import line
from services.wire import facts


def record(topic: Topic, value: bytes, key: str = "c-1") -> Record:
    return Record(topic, 0, 0, key, value, 1_466_262_900_000)


async def test_tail_says_records_as_they_land_on_each_topic() -> None:
    """From now on: what was there before is not said."""
    now_ms = 0
    broker = MemoryBroker(lambda: now_ms)
    said: list[str] = []
    heard = asyncio.Event()

    def say(text: str) -> None:
        said.append(text)
        if len(said) == 2:
            heard.set()

    broker.land(Topic.CALLS, "old", facts.encode(Fact("old", 1, 0, "w", FactKind.OFFERED, 0)))
    now_ms = 1_000
    tailing = asyncio.ensure_future(tail(MemoryLog(broker), [Topic.CALLS, Topic.DELIVERIES], now_ms, say))
    await asyncio.sleep(0)
    broker.land(
        Topic.CALLS, "c-1", facts.encode(Fact("c-1", 2, 0, "w", FactKind.WAITING, 0, reason="every_rung_failed"))
    )
    broker.land(Topic.DELIVERIES, "c-1", delivery_pb2.Delivery(call_id="c-1", leg=2).SerializeToString())
    async with asyncio.timeout(10):
        await heard.wait()
    tailing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await tailing
    assert {each.split(" ", 1)[1] for each in said} == {
        "calls c-1 leg 2 waiting (every_rung_failed)",
        "deliveries c-1 leg 2 unspecified at  attempt ",
    }


def test_each_topic_has_its_line() -> None:
    """The words that a person looks for, and no caller's number."""
    verdict = screening_pb2.Verdict(divert=screening_pb2.Divert(desk="nuisance-desk", rule="r1", reason="hoax"))
    offer = call_pb2.PlaceCallRequest(offer=call_pb2.Offer(call_id="c-1", caller="+16175550123"))
    lines = {
        Topic.SCREENINGS: screening_pb2.Screening(leg=1, verdict=verdict, firewall="firewall-1", took_us=1500),
        Topic.ROUTINGS: routing_pb2.Routing(leg=1, route=routing_pb2.RouteResponse(psap_id="boston", reason="town")),
        Topic.DELIVERIES: delivery_pb2.Delivery(
            leg=1,
            attempt="c-1/1/2",
            outcome=delivery_pb2.DELIVERY_OUTCOME_ANSWERED,
            where=place_pb2.Where(psap_id="boston", line="+16175550100"),
        ),
        Topic.PSAP_STATUS: psap_status_pb2.PsapStatus(seq=7, rows=[psap_status_pb2.PsapRow(attached=True)]),
        Topic.CALLS_UNREADABLE: offer,
        Topic.ROUTING: routing_pb2.RegionCurrent(version=4),
        Topic.POLICY: verdict,
    }
    keys = {Topic.ROUTING: "current"}
    said = {
        topic: line(record(topic, message.SerializeToString(), keys.get(topic, "c-1")))
        for topic, message in lines.items()
    }
    assert "diverted to nuisance-desk by r1 (hoax) by firewall-1 in 1.5 ms" in said[Topic.SCREENINGS]
    assert "to boston (town, not reachable)" in said[Topic.ROUTINGS]
    assert "answered at line +16175550100 of boston attempt 2" in said[Topic.DELIVERIES]
    assert "seq 7: 1 of 1 PSAPs attached" in said[Topic.PSAP_STATUS]
    assert "id c-1, from …23" in said[Topic.CALLS_UNREADABLE]
    assert "current is version 4" in said[Topic.ROUTING]
    assert "bytes" in said[Topic.POLICY]


@given(st.sampled_from(Topic), st.binary(max_size=300), st.text(max_size=10), st.booleans())
def test_any_record_is_one_line(topic: Topic, value: bytes, key: str, show: bool) -> None:
    """Whatever somebody wrote there: said, and harmless to a terminal."""
    said = line(record(topic, value, key), show)
    assert said.isprintable()


@given(
    st.builds(
        Fact, st.just("c"), st.integers(0, 9), st.integers(0, 9), st.text(max_size=5), st.sampled_from(FactKind),
        st.integers(-(2**63), 2**63 - 1), st.text(max_size=9), due_in_ms=st.integers(-(2**63), 2**63 - 1),
    )
)  # fmt: skip
def test_any_fact_is_one_line(fact: Fact) -> None:
    """Instants outside any calendar among them."""
    said = line(Record(Topic.CALLS, 0, 0, "c", facts.encode(fact), fact.at_ms))
    assert said.isprintable()


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [("90s", 9_910_000), ("1.5m", 9_910_000), (" 2h ", 2_800_000), ("1970-01-01T00:00:05Z", 5_000)],
)
def test_since_takes_a_time_ago_or_an_instant(text: str, expected_ms: int) -> None:
    """As people say them."""
    assert parse_since(text, 10_000_000) == expected_ms


@pytest.mark.parametrize("text", ["", "yesterday", "10", "-5m", "2024-13-01"])
def test_since_says_what_it_expected(text: str) -> None:
    """And what it got."""
    with pytest.raises(BadInstant, match=r"expected a time ago .* got"):
        parse_since(text, 0)
    with pytest.raises(BadInstant):
        span_ms(text)


def test_a_span_is_never_nothing() -> None:
    """A window of no length has no rows."""
    assert (span_ms("1m"), span_ms("0.0001s")) == (60_000, 1)
    with pytest.raises(BadInstant):
        span_ms("0s")
