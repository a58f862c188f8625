"""Whether diverted calls are answered, by what is read of `calls`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.policy.verdicts.answers import SILENCE_S, UNANSWERED_MAX, UNANSWERED_S, Answers, Unanswered


def read_on(answers: Answers, from_s: float, to_s: float) -> list[Unanswered]:
    """`calls` is read, a record each second."""
    found = []
    for second in range(int(from_s), int(to_s) + 1):
        found += answers.read(float(second))
    return found


def diverted(calls: int = 3, now: float = 0.0) -> Answers:
    answers = Answers()
    answers.read(now)
    for n in range(calls):
        answers.diverts(f"call-{n}", "b", now)
    return answers


def test_three_diverts_that_nobody_answers_within_a_minute_are_found() -> None:
    """And two are not: somebody hangs up, somebody is slow (L7)."""
    assert read_on(diverted(UNANSWERED_MAX), 1, 200) == []
    assert read_on(diverted(3), 1, UNANSWERED_S - 1) == []
    assert read_on(diverted(3), 1, UNANSWERED_S) == [Unanswered(3, 3, "b")]


def test_more_than_half_must_be_unanswered() -> None:
    """A desk that is busy answers many and not all."""
    answers = diverted(8)
    for n in range(4):
        assert answers.ended(f"call-{n}", True, 1.0) == []
    assert read_on(answers, 1, UNANSWERED_S) == []
    for n in range(3):
        assert not answers.ended(f"call-{4 + n}", False, UNANSWERED_S)


def test_while_calls_is_not_read_silence_says_nothing() -> None:
    """Kafka is away for two minutes: nobody could tell that the desk answered. Afterwards each has its minute."""
    answers = diverted(5)
    assert answers.read(120.0) == []
    assert read_on(answers, 121, 120 + UNANSWERED_S - 1) == []
    for n in range(5):
        assert answers.ended(f"call-{n}", True, 150.0) == []
    assert read_on(answers, 151, 400) == []


def test_a_pause_of_a_few_seconds_is_no_silence() -> None:
    """Or a broker that changes its leader now and then would hide a desk at which nobody sits."""
    answers, now, found = diverted(3), 0.0, []
    while now < UNANSWERED_S:
        now += SILENCE_S
        found += answers.read(now)
    assert found == [Unanswered(3, 3, "b")]


def test_an_end_that_is_told_before_its_divert_is_not_lost() -> None:
    """Two topics have no common order: the answer can be read before the screening of another replica."""
    answers = Answers()
    for n in range(5):
        answers.ended(f"call-{n}", True, 0.0)
        assert answers.hears(f"call-{n}", "b", 1.0, age_s=30.0) == []
    assert read_on(answers, 1, 300) == []
    for n in (5, 6, 7):
        answers.ended(f"call-{n}", False, 301.0)
    said = [answers.hears(f"call-{n}", "b", 302.0, age_s=1.0) for n in (5, 6, 7)]
    assert said == [[], [], [Unanswered(3, 3, "b")]]


def test_what_had_its_minute_before_it_was_heard_of_is_not_watched() -> None:
    """A firewall that starts reads an hour of diverts; nobody was here to hear of their ends."""
    answers = Answers()
    answers.read(0.0)
    for n in range(50):
        answers.hears(f"call-{n}", "b", 0.0, age_s=UNANSWERED_S + n)
    assert read_on(answers, 1, 300) == []


def test_the_end_of_an_earlier_leg_is_none_of_a_call_that_is_diverted_now() -> None:
    """Its first leg was lost unscreened; the second is diverted, and has its minute."""
    answers = Answers()
    for n in range(3):
        answers.ended(f"call-{n}", False, 0.0)
        answers.diverts(f"call-{n}", "b", 1.0)
    for n in range(3):
        assert answers.ended(f"call-{n}", True, 5.0) == []
    assert read_on(answers, 5, 300) == []


TOLD = st.lists(st.tuples(st.sampled_from(["diverts", "hears", "ended", "read"]), st.integers(0, 9), st.booleans()))


@given(TOLD, st.floats(0, 20))
def test_calls_that_are_all_answered_in_time_are_never_found(told: list[tuple[str, int, bool]], pause_s: float) -> None:
    """Whatever is told in whatever order, as long as each end is an answer and comes within the minute."""
    answers, now = Answers(), 0.0
    for what, n, early in told:
        now += pause_s
        match what:
            case "diverts":
                answers.diverts(f"call-{n}", "b", now)
            case "hears":
                if early:
                    assert answers.ended(f"call-{n}", True, now) == []
                assert answers.hears(f"call-{n}", "b", now, 0.0) == []
            case "ended":
                assert answers.ended(f"call-{n}", True, now) == []
        for each in range(10):
            assert answers.ended(f"call-{each}", True, now) == []
        assert answers.read(now) == []
