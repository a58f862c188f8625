"""The fold: whatever the order, the repeats and the splits, one story; and which outcome it tells (J2)."""

from __future__ import annotations

import random
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.durability import Durability
from services.domain.events import CLOSED, CONNECTED, Fact, FactKind
from services.domain.fold import Outcome, fold, merge
from services.domain.offer import SOS_URN, Offer
from services.domain.where import Where


def fact(kind: FactKind, leg: int = 1, seq: int = 0, at_ms: int = 0, **more: Any) -> Fact:
    """A fact of the call "c"."""
    return Fact(call_id="c", leg=leg, seq=seq, kind=kind, at_ms=at_ms, **{"writer": "w", **more})


def offer(leg: int, caller: str) -> Offer:
    return Offer("c", leg, caller, SOS_URN, None)


any_facts = st.builds(
    fact,
    kind=st.sampled_from(FactKind),
    leg=st.integers(0, 3),
    seq=st.integers(0, 3),
    at_ms=st.integers(0, 5),
    writer=st.sampled_from("ab"),
    reason=st.sampled_from(["", "x"]),
    age_ms=st.sampled_from([0, 7]),
    due_in_ms=st.sampled_from([0, 1, 1000]),
    settled=st.booleans(),
    caller_hash=st.sampled_from(["", "h", "i"]),
    test=st.booleans(),
    urgent=st.booleans(),
    offer=st.none() | st.builds(offer, st.integers(0, 3), st.sampled_from(["", "+16175550100", "+16175550101"])),
    attempt=st.sampled_from(["", "c/1/1", "c/2/1"]),
    where=st.none() | st.builds(Where, st.sampled_from(["", "p"]), st.sampled_from(["", "l"])),
)
sets_of_facts = st.lists(any_facts, min_size=1, max_size=12)


@given(sets_of_facts, st.randoms(use_true_random=False))
def test_neither_order_nor_repeats_change_the_story(facts: list[Fact], source: random.Random) -> None:
    """A call is the set of its facts: commutative and idempotent (J2)."""
    again = facts + source.choices(facts, k=len(facts))
    source.shuffle(again)
    assert fold(again) == fold(facts)


@given(sets_of_facts, sets_of_facts, sets_of_facts)
def test_stories_of_parts_merge_into_the_story_of_the_whole(
    one: list[Fact], two: list[Fact], three: list[Fact]
) -> None:
    """However the facts are split between readers: associative (J2)."""
    whole = fold(one + two + three)
    assert merge(merge(fold(one), fold(two)), fold(three)) == whole
    assert merge(fold(one), merge(fold(two), fold(three))) == whole


@given(sets_of_facts)
def test_a_story_merged_with_itself_is_itself(facts: list[Fact]) -> None:
    """Reading a partition twice changes nothing (J2)."""
    told = fold(facts)
    assert reduce(merge, [told] * 3) == told


@given(sets_of_facts)
def test_the_outcome_is_what_the_rule_says_in_plain_words(facts: list[Fact]) -> None:
    """J2 read off the whole set: a connection, else a closure, else the list's facts of the highest leg."""
    highest = max(each.leg for each in facts)

    def closes(each: Fact) -> bool:
        if each.kind is FactKind.RECONNECTED and not each.attempt:
            return each.leg == highest
        return each.kind in CLOSED or (each.kind is FactKind.UNKNOWN and each.settled)

    listed = [each for each in facts if each.leg == highest and each.kind in ("abandoned", "callback_due")]
    test = all(each.test for each in facts)
    if any(each.kind in CONNECTED for each in facts):
        expected = {Outcome.ANSWERED, Outcome.DIVERTED}
    elif any(closes(each) for each in facts):
        expected = {Outcome.CALLBACK_CLOSED}
    elif listed and test:
        expected = {Outcome.CALLBACK_OPEN, Outcome.CALLBACK_CLOSED}
    else:
        expected = {Outcome.CALLBACK_OPEN} if listed else {Outcome.IN_PROGRESS}
    assert fold(facts).outcome in expected


LOST_AGAIN = [fact(FactKind.ABANDONED, 1), fact(FactKind.ABANDONED, 2)]
CASES = [
    ("offered alone", [fact(FactKind.OFFERED)], Outcome.IN_PROGRESS),
    ("answered by a lower leg", [fact(FactKind.ANSWERED, 1), fact(FactKind.CALLBACK_DUE, 2)], Outcome.ANSWERED),
    ("diverted", [fact(FactKind.OFFERED), fact(FactKind.DIVERTED)], Outcome.DIVERTED),
    ("hung up", [fact(FactKind.OFFERED), fact(FactKind.ABANDONED)], Outcome.CALLBACK_OPEN),
    ("lost, and held yet", [fact(FactKind.OFFERED), fact(FactKind.CALLER_LOST)], Outcome.IN_PROGRESS),
    ("lost for good", [fact(FactKind.CALLER_LOST), fact(FactKind.CALLBACK_DUE)], Outcome.CALLBACK_OPEN),
    ("offered again", [fact(FactKind.CALLBACK_DUE, 1), fact(FactKind.OFFERED, 2)], Outcome.IN_PROGRESS),
    ("hung up, offered again", [fact(FactKind.ABANDONED, 1), fact(FactKind.OFFERED, 2)], Outcome.IN_PROGRESS),
    ("called back", [fact(FactKind.ABANDONED), fact(FactKind.CALLED_BACK)], Outcome.CALLBACK_CLOSED),
    ("reached by a redial", [fact(FactKind.ABANDONED), fact(FactKind.RECONNECTED)], Outcome.CALLBACK_CLOSED),
    ("reached, and lost again", [*LOST_AGAIN, fact(FactKind.RECONNECTED)], Outcome.CALLBACK_OPEN),
    ("reached, and calls again", [fact(FactKind.RECONNECTED), fact(FactKind.OFFERED, 2)], Outcome.IN_PROGRESS),
    ("reached once more", [*LOST_AGAIN, fact(FactKind.RECONNECTED, 2)], Outcome.CALLBACK_CLOSED),
    ("rung back meanwhile", [*LOST_AGAIN, fact(FactKind.RECONNECTED, attempt="c/1/1001")], Outcome.CALLBACK_CLOSED),
    ("closed by a person", [fact(FactKind.CALLBACK_DUE, 2), fact(FactKind.CLOSED_BY_HUMAN)], Outcome.CALLBACK_CLOSED),
    ("closed, then answered", [fact(FactKind.CLOSED_BY_HUMAN), fact(FactKind.ANSWERED)], Outcome.ANSWERED),
    ("tried in vain", [fact(FactKind.ABANDONED), fact(FactKind.CALLBACK_ATTEMPTED)], Outcome.CALLBACK_OPEN),
    ("test hung up", [fact(FactKind.OFFERED, test=True), fact(FactKind.ABANDONED, test=True)], Outcome.CALLBACK_CLOSED),
    ("test lost", [fact(FactKind.CALLBACK_DUE, test=True)], Outcome.CALLBACK_OPEN),
    ("newer kind settles", [fact(FactKind.OFFERED), fact(FactKind.UNKNOWN, settled=True)], Outcome.CALLBACK_CLOSED),
    ("newer kind", [fact(FactKind.ABANDONED), fact(FactKind.UNKNOWN)], Outcome.CALLBACK_OPEN),
]


@pytest.mark.parametrize(("facts", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_each_end_of_a_call_has_its_outcome(facts: list[Fact], expected: Outcome) -> None:
    """The table of J2, case by case, in both orders."""
    assert fold(facts).outcome is expected
    assert fold(facts[::-1]).outcome is expected


def test_two_attempts_that_connect_are_connected_twice() -> None:
    """J2: alarmed; the first is the outcome."""
    told = fold(
        [
            fact(FactKind.DIVERTED, 2, at_ms=9, attempt="c/2/1"),
            fact(FactKind.ANSWERED, 1, at_ms=8, attempt="c/1/1", where=Where("p")),
        ]
    )
    assert told.connected_twice
    assert (told.outcome, told.connected_at_ms, told.connects[0].where) == (Outcome.ANSWERED, 8, Where("p"))


def test_one_attempt_told_by_two_writers_is_connected_once() -> None:
    """An attestation, or the next leg's word, of the same attempt is the same connection (J2, P5)."""
    told = fold([fact(FactKind.ANSWERED, leg, at_ms=leg, writer=f"w{leg}", attempt="c/1/1") for leg in (2, 1)])
    assert not told.connected_twice
    assert told.connected_at_ms == 1


def test_a_leg_offered_to_two_processes_is_a_conflict() -> None:
    """P8; one process that says it twice is none."""
    assert fold([fact(FactKind.OFFERED, writer="a"), fact(FactKind.OFFERED, writer="b")]).leg_conflict
    assert not fold([fact(FactKind.OFFERED, 1), fact(FactKind.OFFERED, 2), fact(FactKind.OFFERED, 1)]).leg_conflict


def test_due_is_what_the_newest_fact_of_the_highest_leg_owes() -> None:
    """J1: each fact moves the due time, one of an unknown kind too."""
    early = fact(FactKind.RINGING, seq=3, at_ms=1_000, due_in_ms=15_000)
    late = fact(FactKind.UNKNOWN, seq=4, at_ms=2_000, due_in_ms=500)
    assert fold([late, early]).due_at_ms == 2_500
    assert fold([late, early, fact(FactKind.OFFERED, 2, at_ms=10, due_in_ms=1_000)]).due_at_ms == 1_010
    assert fold([late, early, fact(FactKind.CALLBACK_DUE, seq=5, at_ms=3_000)]).due_at_ms is None
    assert fold([late, early, fact(FactKind.ANSWERED, seq=5, at_ms=3_000, due_in_ms=9)]).due_at_ms is None


def test_the_highest_leg_that_knew_the_number_is_believed() -> None:
    """A later leg without a number does not lose it."""
    told = fold(
        [
            fact(FactKind.OFFERED, 1, caller_hash="h", offer=offer(1, "+16175550100")),
            fact(FactKind.OFFERED, 2, offer=offer(2, "")),
        ]
    )
    assert (told.number.text, told.caller_hash.text) == ("+16175550100", "h")


@pytest.mark.parametrize("told", [None, *Durability])
def test_an_offer_that_waited_for_kafka_counts_by_how_safe_it_was_told_to_be(told: Durability | None) -> None:
    """J4, J6: columns of their own, even when the first try turns out to have landed as well; other facts count not."""
    waited = fact(FactKind.OFFERED, age_ms=900, durability=told)
    for story in (fold([fact(FactKind.OFFERED), waited]), fold([waited, fact(FactKind.ANSWERED)])):
        assert story.not_durable is (told is Durability.NOT_DURABLE)
        assert story.at_risk is (told is Durability.AT_RISK)
    later = fold([fact(FactKind.OFFERED), fact(FactKind.ANSWERED, age_ms=900, durability=told)])
    assert not later.not_durable and not later.at_risk
