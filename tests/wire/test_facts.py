"""Facts as bytes: what is kept of a newer version's fact, and what a re-stamp changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from throughline.v1 import fact_pb2, screening_pb2

from services.domain.durability import Durability
from services.domain.events import Conductor, Fact, FactKind, Tick
from services.domain.offer import Offer
from services.domain.place import Circle
from services.domain.policy import Divert, Flag, Pass
from services.domain.where import Where
from services.wire import facts, verdicts
from services.wire.methods import Unreadable

texts = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20)
uint32s = st.integers(0, 2**32 - 1)
millis = st.integers(-(2**63), 2**63 - 1)
verdict_s = st.one_of(
    st.builds(Pass), st.builds(Flag, st.integers(0, 100), texts, texts), st.builds(Divert, texts, texts, texts)
)
any_facts = st.builds(
    Fact,
    call_id=texts.filter(bool),
    leg=uint32s,
    seq=uint32s,
    writer=texts,
    kind=st.sampled_from(FactKind),
    at_ms=millis,
    reason=texts,
    age_ms=millis,
    due_in_ms=millis,
    settled=st.booleans(),
    conductor=st.none() | st.builds(Conductor, texts, texts),
    caller_hash=texts,
    i3_call_id=texts,
    i3_incident_id=texts,
    test=st.booleans(),
    offer=st.none() | st.builds(Offer, texts, st.integers(1, 9), texts, texts, st.just(Circle(42.0, -71.0, 10.0))),
    attempt=texts,
    where=st.none() | st.builds(Where, texts, texts),
    verdict=st.none() | verdict_s,
    urgent=st.booleans(),
    durability=st.none() | st.sampled_from(Durability),
)


@given(any_facts)
def test_a_fact_survives_its_record(fact: Fact) -> None:
    """What is remembered is what happened."""
    assert facts.decode(facts.encode(fact)) == fact


@given(st.builds(Tick, texts, texts, st.builds(Conductor, texts, texts), millis))
def test_a_tick_survives_its_record_and_is_no_fact(tick: Tick) -> None:
    """T1: it stands on `calls` and is of no call; a reader that wants facts alone is not given it as one."""
    raw = facts.encode_tick(tick)
    assert facts.read(raw) == tick
    with pytest.raises(Unreadable):
        facts.decode(raw)


def test_every_kind_has_its_number() -> None:
    """No kind is written as another, and none that is known is read as unknown."""
    for kind in FactKind:
        message = fact_pb2.Fact.FromString(facts.encode(Fact("c", 1, 0, "w", kind, 0)))
        expected = "UNSPECIFIED" if kind is FactKind.UNKNOWN else kind.name
        assert fact_pb2.FactKind.Name(message.kind) == f"FACT_KIND_{expected}"


def test_a_kind_of_a_newer_version_keeps_its_envelope() -> None:
    """An unknown fact still moves due and settled (J1)."""
    message = fact_pb2.Fact(call_id="c", leg=2, seq=7, writer="w", at_ms=5, due_in_ms=400, settled=True)
    message.kind = 977  # type: ignore[assignment]
    fact = facts.decode(message.SerializeToString())
    assert (fact.kind, fact.leg, fact.due_in_ms, fact.settled) == (FactKind.UNKNOWN, 2, 400, True)


@given(any_facts, st.integers(0, 10**9), st.none() | st.sampled_from(Durability))
def test_a_restamp_adds_to_the_age_and_keeps_fields_of_newer_versions(
    fact: Fact, age_ms: int, told: Durability | None
) -> None:
    """A fact that waited for Kafka loses nothing that this version does not know (J1), and says how safe it was."""
    newer = b"\xc2\x3e\x03new"  # field 1000, a text
    raw = facts.restamp(facts.encode(fact) + newer, age_ms, told)
    assert facts.decode(raw) == replace(
        fact, age_ms=min(fact.age_ms + age_ms, 2**63 - 1), durability=told or fact.durability
    )
    assert newer in raw


@given(st.binary(max_size=200), st.integers(0, 10**9))
def test_a_restamp_never_raises(raw: bytes, age_ms: int) -> None:
    """The back-fill goes on whatever waits in it."""
    facts.restamp(raw, age_ms, None)


@pytest.mark.parametrize("raw", [b"\xff\xff", b"", b"\x10\x01", b"\x0a\x02c\0"])
def test_bytes_that_are_no_fact_are_unreadable(raw: bytes) -> None:
    """Poison is a value that its reader sets aside, and a fact that names no call is poison."""
    with pytest.raises(Unreadable) as caught:
        facts.decode(raw)
    assert caught.value.raw == raw


@given(verdict_s, texts)
def test_a_verdict_survives_the_wire(verdict: Pass | Flag | Divert, policy: str) -> None:
    """Whichever of the three it is."""
    raw = verdicts.to_wire(verdict, policy).SerializeToString()
    message = screening_pb2.Verdict.FromString(raw)
    assert verdicts.to_domain(message) == verdict
    assert message.policy == policy


def test_a_verdict_that_says_nothing_known_is_none() -> None:
    """A conductor goes on unscreened; there is nothing that it could mistake for a refusal."""
    assert verdicts.to_domain(screening_pb2.Verdict(policy="p")) is None


def test_a_suspicion_past_a_hundred_counts_as_a_hundred() -> None:
    """i3's CallSuspicion ends there."""
    message = screening_pb2.Verdict(flag=screening_pb2.Flag(score=4_000_000_000))
    assert verdicts.to_domain(message) == Flag(100, "", "")
