"""How much a policy may divert, whatever it says: budgets, and what trips."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.identity import anonymous
from services.policy.bundle import Limits
from services.policy.verdicts.answers import UNANSWERED_S
from services.policy.verdicts.breakers import UNPROVEN, Breakers, Trip
from services.policy.verdicts.credit import CALLS_EACH, CALLS_MAX, UNPROVEN_CALLS
from services.policy.verdicts.scopes import (
    CALLS,
    CALLS_OF_ONE_MAX,
    HOLD_S,
    LAST_CALLS_S,
    REPEATERS_MAX,
    SLACK_CALLS,
    WINDOWS_S,
    Heard,
    Why,
)

LIMITS = Limits()
PAUSES = st.floats(0, 20) | st.floats(0, 60) | st.floats(0, 8_000)
STREAM = st.lists(
    st.tuples(
        st.floats(0, 30),
        st.integers(0, 40),
        st.booleans(),
        st.sampled_from(["", "P1", "P2"]),
        st.sampled_from(["", "r", "r", "s"]),
        st.booleans(),
    ),
    max_size=150,
)


def call(
    n: int,
    *,
    caller: str = "",
    rule: str = "r",
    repeats: bool = False,
    psap: str = "",
    share: float = 1.0,
    bundle: str = "b",
) -> Heard:
    return Heard(f"call-{n}", caller or f"caller-{n}", repeats, "", psap, rule, share, bundle)


@given(STREAM)
def test_what_is_diverted_stays_in_budget_for_any_stream_and_any_proposals(
    stream: list[tuple[float, int, bool, str, str, bool]],
) -> None:
    """Against a list of everything: at each divert, its state, PSAP and rule are within budget in every window; a rule
    is held to twice its forecast; callers who repeat to a number of callers."""
    breakers = Breakers(LIMITS)
    told: list[tuple[float, Heard, bool]] = []
    now = 0.0
    for n, (pause_s, caller, repeats, psap, rule, elsewhere) in enumerate(stream):
        now += pause_s
        heard = Heard(f"call-{n}", f"caller-{caller}", repeats, "", psap, rule, 0.001)
        if elsewhere:
            breakers.heard(heard, bool(rule), now)
            told.append((now, heard, False))
            continue
        granted = bool(rule) and not breakers.judge(heard, now)
        told.append((now, heard, granted))
        if granted:
            scopes = [(LIMITS.diverted_share, "", ""), (0.002, "", rule)]
            scopes += [(LIMITS.psap_diverted_share, psap, "")] if psap else []
            for share, of_psap, of_rule in scopes:
                flow = [each for each in told if not of_psap or each[1].psap == of_psap]
                in_windows = [[each for each in flow if each[0] > now - window_s] for window_s in WINDOWS_S]
                in_windows.append([each for each in flow[-CALLS:] if each[0] > now - LAST_CALLS_S])
                for window in in_windows:
                    diverts = [each for _, each, granted in window if granted and (not of_rule or each.rule == of_rule)]
                    calls = sum(not each.repeats for _, each, _ in window)
                    of_each = Counter(each.caller for each in diverts if not each.repeats)
                    assert sum(min(n, CALLS_OF_ONE_MAX) for n in of_each.values()) <= max(SLACK_CALLS, share * calls)
                    assert len({each.caller for each in diverts if each.repeats}) <= REPEATERS_MAX


@settings(max_examples=40)
@given(
    st.integers(1, 8),
    st.lists(st.tuples(PAUSES, st.integers(0, 7), st.integers(0, 200), st.booleans()), min_size=60, max_size=120),
    st.integers(0, 10),
)
def test_a_bundle_that_diverts_everybody_diverts_twenty_calls_at_most_over_all_replicas(
    replicas: int, stream: list[tuple[float, int, int, bool]], behind_calls: int
) -> None:
    """Massachusetts: each call proposed, of callers who repeat and others, each screened anywhere, each told to the
    others a few calls later; afterwards everything passes, for as long as the bundle stays. What is diverted are the
    five that everybody knows of and those that were on their way."""
    each_one = [Breakers(LIMITS) for _ in range(replicas)]
    under_way: deque[tuple[int, Heard, bool]] = deque()
    diverted = 0
    now = 0.0
    for n, (pause_s, where, caller, repeats) in enumerate(stream):
        now += pause_s
        while under_way and (len(under_way) > behind_calls):
            teller, heard, was = under_way.popleft()
            for replica, breakers in enumerate(each_one):
                if replica != teller:
                    breakers.heard(heard, was, now)
        heard = call(n, caller=f"caller-{caller}", repeats=repeats)
        was = not each_one[where % replicas].judge(heard, now)
        diverted += was
        under_way.append((where % replicas, heard, was))
    assert SLACK_CALLS <= diverted <= UNPROVEN_CALLS + min(behind_calls, UNPROVEN_CALLS * (replicas - 1)) <= 20


@settings(max_examples=30)
@given(st.integers(1, 4), st.lists(st.tuples(PAUSES, st.integers(0, 7), st.booleans()), min_size=60, max_size=100))
def test_four_replicas_that_hear_nothing_of_each_other_divert_no_more(
    replicas: int, stream: list[tuple[float, int, bool]]
) -> None:
    """Kafka away: each has five calls to itself, and that is all, whoever repeats."""
    each_one = [Breakers(LIMITS) for _ in range(replicas)]
    now, diverted = 0.0, 0
    for n, (pause_s, where, repeats) in enumerate(stream):
        now += pause_s
        diverted += not each_one[where % replicas].judge(call(n, repeats=repeats), now)
    assert diverted <= UNPROVEN_CALLS * replicas <= 20


def test_one_caller_who_repeats_at_night_stops_no_rule() -> None:
    """What a rule is there for: a hundred calls of one number, hardly any of others; two had passed in the evening."""
    breakers = Breakers(LIMITS)
    for n in range(2):
        breakers.heard(call(1_000 + n, rule=""), False, -3_000.0)
    for n in range(100):
        assert breakers.judge(call(n, caller="n", repeats=True, share=0.001), n * 6.0) == ""
        breakers.ended(f"call-{n}", answered=n % 3 > 0, now=n * 6.0 + 5.0)
    assert breakers.trips() == []


def test_too_many_callers_who_repeat_trip_it_all_the_same() -> None:
    """People who redial in a disaster are not a flood of a few sources."""
    breakers = Breakers(LIMITS)
    for n in range(2):
        breakers.heard(call(1_000 + n, rule=""), False, -3_000.0)
    kept = [breakers.judge(call(n, repeats=True), n * 0.1) for n in range(REPEATERS_MAX + 5)]
    assert kept == [""] * REPEATERS_MAX + ["state"] * 5
    assert breakers.trips()[0] == Trip("state", Why.REPEATERS, REPEATERS_MAX + 1, 0, "r", "b")


def test_a_new_bundle_proves_itself_anew_in_the_middle_of_a_flood() -> None:
    """An honest bundle diverts a flood; one that diverts everybody comes live, and diverts five of its calls."""
    breakers = Breakers(LIMITS)
    for n in range(10):
        breakers.judge(call(n, rule="", bundle="honest"), n * 1.0)
    flood = [call(100 + n, caller=f"c{n % 20}", repeats=True, bundle="honest") for n in range(100)]
    assert {breakers.judge(each, 20.0) for each in flood} == {""}
    after = [call(1_000 + n, caller=f"c{n % 20}", repeats=True, bundle="all") for n in range(100)]
    assert [breakers.judge(each, 21.0) for each in after] == [""] * UNPROVEN_CALLS + [UNPROVEN] * 95
    assert breakers.trips() == [] and breakers.judge(call(2_000, repeats=True, bundle="honest"), 22.0) == ""


@given(st.integers(0, 30), st.integers(1, 20), PAUSES)
@settings(max_examples=30)
def test_between_two_ordinary_calls_that_pass_a_bundle_diverts_a_bounded_number(
    passed: int, callers: int, pause_s: float
) -> None:
    """One that began well and diverts everybody from an hour on: fifty calls for each that it let pass, five hundred at
    most, and of callers who repeat alone."""
    breakers = Breakers(LIMITS)
    for n in range(passed):
        breakers.judge(call(n, rule=""), n * 1.0)
    diverted = 0
    for n in range(600):
        now = 100.0 + n * pause_s
        diverted += not breakers.judge(call(1_000 + n, caller=f"c{n % callers}", repeats=True), now)
        breakers.ended(f"call-{1_000 + n}", answered=True, now=now)
    assert diverted == min(CALLS_MAX, UNPROVEN_CALLS + CALLS_EACH * passed)


@pytest.mark.parametrize("ordinary_every", [1, 11, 55, 60])
def test_a_flood_of_fifty_sources_is_diverted_nearly_whole(ordinary_every: int) -> None:
    """What a rule is there for: fifty calls of the flood at least for each ordinary call that passes."""
    breakers = Breakers(LIMITS)
    kept = 0
    for n in range(600):
        if n % ordinary_every == 0:
            assert breakers.judge(call(10_000 + n, rule=""), n * 0.1) == ""
        kept += bool(breakers.judge(call(n, caller=f"flood-{n % 50}", repeats=True), n * 0.1))
    assert kept == max(0, ordinary_every - UNPROVEN_CALLS - CALLS_EACH)


def test_first_calls_that_no_guard_lets_through_count_as_proposals() -> None:
    """A bundle that would divert everybody is found out before anybody is diverted: `heard`, kept back or not."""
    breakers = Breakers(LIMITS)
    for n in range(SLACK_CALLS + 1):
        breakers.heard(call(n), diverted=False, now=float(n))
    assert breakers.keeps(call(99), 9.0) == "state"


def test_a_breaker_closes_when_the_proposals_are_back_in_budget_and_not_before() -> None:
    """Held for a minute at least; then for as long as the rules propose too much."""
    breakers = Breakers(LIMITS)
    for n in range(10):
        breakers.judge(call(n), float(n))
        breakers.ended(f"call-{n}", answered=True, now=float(n))
    assert breakers.tripped(10.0) == ["rule:r", "state"]
    for n in range(10, 60):
        breakers.judge(call(n, rule=""), float(n))
    assert breakers.tripped(HOLD_S) == ["rule:r", "state"]
    assert breakers.tripped(WINDOWS_S[-1]) == ["rule:r", "state"]
    assert breakers.tripped(WINDOWS_S[-1] + 10.0) == []
    assert breakers.judge(call(99), 701.0) == ""


def test_a_trip_is_told_once_and_again_only_after_it_was_closed() -> None:
    """An alarm for each time it trips, not for each call."""
    breakers = Breakers(LIMITS)
    for n in range(30):
        breakers.judge(call(n, psap="P1"), float(n))
    assert [(each.scope, each.why) for each in breakers.trips()] == [
        ("state", Why.SHARE),
        ("psap:P1", Why.SHARE),
        ("rule:r", Why.SHARE),
    ]
    assert breakers.trips() == []


def test_a_rule_is_held_to_twice_its_forecast_and_leaves_others_alone() -> None:
    """A quiet rule that begins to speak: it alone is stopped."""
    breakers = Breakers(LIMITS)
    now = 0.0
    for n in range(2_000):
        now += 0.1
        breakers.judge(call(n, rule="" if n % 50 else "quiet", share=0.001), now)
    assert breakers.tripped(now) == ["rule:quiet"]
    assert breakers.judge(call(5_000, rule="other", share=0.05), now) == ""
    assert breakers.judge(call(5_001, rule="quiet", share=0.001), now) == "rule:quiet"


def test_callers_who_call_again_soon_after_a_divert_stop_its_rule() -> None:
    """Redials: the person at the desk could not help them."""
    breakers = Breakers(LIMITS)
    for n in range(3):
        breakers.judge(call(n, caller=f"c{n}"), n * 1.0)
        breakers.ended(f"call-{n}", answered=True, now=30.0)
    for n in range(3):
        breakers.judge(call(10 + n, caller=f"c{n}", rule=""), 60.0 + n)
    assert breakers.trips() == [Trip("rule:r", Why.REDIALS, 3, 3, "r", "b")]
    assert breakers.keeps(call(50), 63.0) == "rule:r"
    assert breakers.keeps(call(50, rule="other"), 63.0) == ""


@pytest.mark.parametrize("hangs_up", [True, False])
def test_diverted_calls_that_nobody_answers_stop_all_diverts(hangs_up: bool) -> None:
    """A desk at which nobody sits looks staffed in every table; those that were answered are no matter."""
    breakers = Breakers(LIMITS)
    for n in range(4):
        breakers.judge(call(n), float(n))
    breakers.ended("call-0", answered=True, now=5.0)
    for n in (1, 2, 3) if hangs_up else ():
        breakers.ended(f"call-{n}", answered=False, now=10.0)
    later = 11.0 if hangs_up else UNANSWERED_S + 4.0
    for second in range(round(later) + 1):
        breakers.read_calls(float(second))
    assert [(each.scope, each.why, each.told) for each in breakers.trips()] == [("state", Why.UNANSWERED, 3)]
    assert breakers.tripped(later) == ["state"]


@pytest.mark.parametrize("callers", [1, 2])
def test_a_nuisance_caller_or_two_of_a_small_town_stop_no_rule_for_all(callers: int) -> None:
    """Five calls in a burst, each quarter of an hour, all night, below what makes a repeater; hardly anybody else."""
    breakers = Breakers(LIMITS)
    for n in range(2):
        breakers.heard(call(1_000 + n, rule="", psap="P1"), False, 0.0)
    for burst in range(30):
        for n in range(5 * callers):
            heard = call(burst * 100 + n, caller=f"+1617555010{n % callers}", rule="r" if n >= 2 * callers else "")
            heard = replace(heard, psap="P1", area="Lynn", forecast_share=0.001)
            assert breakers.judge(heard, burst * 900.0 + n * 10.0) == ""
            breakers.ended(heard.call_id, True, burst * 900.0 + n * 10.0 + 5.0)
    assert breakers.trips() == []


def test_callers_without_a_number_of_their_own_count_each() -> None:
    """They share an identity and may be many: of all people these must not be diverted uncounted."""
    breakers = Breakers(LIMITS)
    kept = [breakers.judge(call(n, caller=anonymous("mobile", "trunk-1", "42.36,-71.06")), n * 1.0) for n in range(8)]
    assert kept == [""] * SLACK_CALLS + ["state"] * 3


@pytest.mark.parametrize(("callers", "trips"), [(1, 0), (2, 0), (3, 1)])
def test_who_hangs_up_again_and_again_counts_once_among_those_whom_nobody_answered(callers: int, trips: int) -> None:
    """One who knows of it could have reverted a good policy for the whole state by three calls."""
    breakers = Breakers(LIMITS)
    for n in range(10):
        breakers.heard(call(1_000 + n, rule=""), False, 0.0)
    for n in range(9):
        breakers.judge(call(n, caller=f"+1617555010{n % callers}", repeats=True), n * 5.0)
        breakers.ended(f"call-{n}", answered=False, now=n * 5.0 + 2.0, gave_up=True)
    assert [each.why for each in breakers.trips()] == [Why.UNANSWERED] * trips


def test_what_was_heard_of_before_a_start_counts() -> None:
    """A restart is no way round a limit: the log's own calls, with their age."""
    breakers = Breakers(LIMITS)
    for n in range(SLACK_CALLS):
        breakers.heard(call(n), diverted=True, now=1_000.0, age_s=100.0 - n)
    assert breakers.judge(call(99), 1_000.0) == "state"
