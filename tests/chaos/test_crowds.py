"""Callers of one instant: nobody is added or lost, and a strike finds them."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from chaos.crowds import CROWD, IN_THE_MIDST_S, gathered, next_crowd
from chaos.schedule import CALM_S, KILL_EVERY_S
from loadtest.workload import PlannedCall

anywhere = st.floats(0, 60)
where_a_crowd_comes = st.floats(CALM_S, CALM_S + 1)
instants = st.lists((anywhere | where_a_crowd_comes).map(lambda at_s: round(at_s, 3)), max_size=200)


def planned(at_s: float, number: int = 0) -> PlannedCall:
    return PlannedCall(at_s, f"c{number}", "+16175550101", "urn:service:sos", "faults", "Boston", 42.3, -71.0, 50.0)


@given(instants)
def test_the_same_callers_call_in_the_same_second_in_order(at_s: list[float]) -> None:
    """Whoever is moved dials earlier, by less than a second; all others stay."""
    before = {call.call_id: call for call in (planned(each, number) for number, each in enumerate(sorted(at_s)))}
    after = gathered(before.values())
    assert [call.at_s for call in after] == sorted(call.at_s for call in after)
    assert sorted(call.call_id for call in after) == sorted(before)
    for call in after:
        was = before[call.call_id].at_s
        assert call.at_s == was or (was - 1 < call.at_s < was and (call.at_s - CALM_S) % KILL_EVERY_S == 0)


@given(instants)
def test_a_crowd_is_of_those_who_would_have_called_within_the_second(at_s: list[float]) -> None:
    """All of them, up to what two cores can carry."""
    crowds = Counter(call.at_s for call in gathered(planned(each, number) for number, each in enumerate(sorted(at_s))))
    for number in range(20):
        instant = CALM_S + number * KILL_EVERY_S
        would_have = sum(instant <= each < instant + 1 for each in at_s)
        there = sum(each == instant for each in at_s)
        assert min(would_have, CROWD) <= crowds[instant] <= max(CROWD, there)


@given(st.floats(0, 3_600))
def test_a_strike_waits_for_a_crowd_and_never_for_two(elapsed_s: float) -> None:
    """It comes in the midst of the one that dials now, or waits for the next."""
    waits_s = next_crowd(elapsed_s) - elapsed_s
    assert -IN_THE_MIDST_S - 1e-9 <= waits_s < max(CALM_S, KILL_EVERY_S) + 1e-9
    assert waits_s < KILL_EVERY_S - IN_THE_MIDST_S + 1e-9


def test_a_strike_on_time_finds_the_crowd_of_its_instant() -> None:
    """Strikes are scheduled at the instants of crowds; one that is late by more than a moment waits."""
    assert next_crowd(CALM_S + 2 * KILL_EVERY_S) == CALM_S + 2 * KILL_EVERY_S
    assert next_crowd(CALM_S + IN_THE_MIDST_S / 2) == CALM_S
    assert next_crowd(CALM_S + 2 * IN_THE_MIDST_S) == CALM_S + KILL_EVERY_S
