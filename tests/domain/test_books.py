"""The books: they balance over real stories, and say so when a call is missing on one side (J3)."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from services.domain.books import NAMED_MAX, Delays, Stories, books, books_by, overdue
from services.domain.events import Fact, FactKind
from services.domain.fold import Outcome

ENDS = {
    Outcome.ANSWERED: [FactKind.RINGING, FactKind.ANSWERED],
    Outcome.DIVERTED: [FactKind.DIVERTING, FactKind.RINGING, FactKind.DIVERTED],
    Outcome.CALLBACK_OPEN: [FactKind.CALLER_LOST, FactKind.CALLBACK_DUE],
    Outcome.CALLBACK_CLOSED: [FactKind.ABANDONED, FactKind.RECONNECTED],
    Outcome.IN_PROGRESS: [FactKind.RINGING],
}


def facts_of(call_id: str, end: Outcome, *, begun_ms: int = 0, step_ms: int = 100, test: bool = False) -> list[Fact]:
    """A call's facts, one each `step_ms`, from its offer to this end."""
    kinds = [FactKind.OFFERED, *ENDS[end]]
    return [
        Fact(call_id, 1, seq, "w", kind, begun_ms + seq * step_ms, attempt=f"{call_id}/1/1", test=test)
        for seq, kind in enumerate(kinds)
    ]


def stories_of(facts: list[Fact]) -> Stories:
    stories = Stories()
    for fact in facts:
        stories.add(fact)
    return stories


@given(st.lists(st.tuples(st.sampled_from(Outcome), st.booleans()), max_size=20), st.randoms(use_true_random=False))
def test_whole_stories_balance(ends: list[tuple[Outcome, bool]], source: random.Random) -> None:
    """offered = answered + diverted + callback open + callback closed + in progress, tests apart (J3)."""
    facts = [
        fact for number, (end, test) in enumerate(ends) for fact in facts_of(f"c{number}", end, test=test) for _ in "12"
    ]
    source.shuffle(facts)
    sums = books(stories_of(facts).by_call.values())
    assert sums.sound
    for columns, test in ((sums.real, False), (sums.tests, True)):
        expected = [end for end, is_test in ends if is_test is test]
        assert columns.offered == columns.calls == len(expected)
        assert columns.outcomes == {outcome: expected.count(outcome) for outcome in Outcome}


def test_a_call_without_its_offer_does_not_balance() -> None:
    """What was settled and never offered is a hole in the journal, and is named."""
    facts = facts_of("c1", Outcome.ANSWERED) + facts_of("c2", Outcome.DIVERTED)[1:]
    sums = books(stories_of(facts).by_call.values())
    assert not sums.sound
    assert (sums.real.offered, sums.real.calls, sums.real.never_offered.call_ids) == (1, 2, ["c2"])


def test_books_with_a_call_connected_twice_are_not_sound() -> None:
    """They may balance and still be wrong (J2)."""
    again = Fact("c1", 1, 9, "w", FactKind.DIVERTED, 900, attempt="c1/1/2")
    sums = books(stories_of([*facts_of("c1", Outcome.ANSWERED), again]).by_call.values())
    assert sums.real.balanced
    assert not sums.sound
    assert sums.real.connected_twice.call_ids == ["c1"]


def test_a_finding_counts_all_and_names_a_few() -> None:
    """A broken journal does not print a million ids."""
    facts = [fact for n in range(NAMED_MAX + 5) for fact in facts_of(f"c{n}", Outcome.ANSWERED)[1:]]
    found = books(stories_of(facts).by_call.values()).real.never_offered
    assert (found.count, len(found.call_ids)) == (NAMED_MAX + 5, NAMED_MAX)


def test_delays_run_from_the_first_offer() -> None:
    """*Reached* is ringing, *answered* is connected (J3); a call that only rang is in the first alone."""
    facts = facts_of("c1", Outcome.ANSWERED, begun_ms=5_000) + facts_of("c2", Outcome.IN_PROGRESS, step_ms=300)
    columns = books(stories_of(facts).by_call.values()).real
    assert (columns.reached.ms, columns.answered.ms) == ((100, 300), (200,))


def test_books_can_be_kept_for_each_phase() -> None:
    """By whatever a story says of itself, such as the window of its offer."""
    facts = facts_of("c1", Outcome.ANSWERED) + facts_of("c2", Outcome.DIVERTED, begun_ms=60_000)
    by_minute = books_by(stories_of(facts).by_call.values(), lambda each: each.first_at_ms // 60_000)
    assert {minute: sums.real.offered for minute, sums in by_minute.items()} == {0: 1, 1: 1}


def test_a_call_that_owes_a_fact_is_overdue_once_the_time_is_past() -> None:
    """A conductor that died leaves a call in progress; the books balance and still show it (J1)."""
    owes = Fact("c1", 1, 0, "w", FactKind.RINGING, 1_000, due_in_ms=500)
    stories = stories_of([owes, *facts_of("c2", Outcome.ANSWERED)]).by_call
    assert overdue(stories.values(), 1_500).count == 0
    assert overdue(stories.values(), 1_501).call_ids == ["c1"]


@given(st.lists(st.integers(0, 1_000), min_size=1), st.floats(0, 1))
def test_a_share_of_delays_stays_within_its_quantile(delays: list[int], share: float) -> None:
    """The nearest rank: enough of them are within it, and without it there would be too few."""
    ordered = Delays(tuple(sorted(delays)))
    quantile = ordered.at(share)
    assert quantile is not None
    within = ordered.share_within(quantile)
    assert within is not None
    assert within >= share
    assert sum(delay < quantile for delay in delays) < max(share * len(delays), 1)


def test_no_delays_have_no_quantiles() -> None:
    """Nothing is said of calls that were not there."""
    empty = Delays(())
    assert (empty.median, empty.worst, empty.share_within(15_000)) == (None, None, None)
