"""A failing schedule becomes small, still fails, and no run too many is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from loadtest.leg import NetworkMischief
from simulator.schedule import Schedule, draw
from simulator.shrink import RUNS_MAX, SHORTEST_S, shrink

CALLS = 24


def drawn(seed: int) -> Schedule:
    """A seed's schedule, in which every injury lasts as long as the others."""
    schedule = draw(seed, CALLS)
    return replace(schedule, injuries=tuple(replace(each, lasts_s=5.0) for each in schedule.injuries))


schedules = st.integers(0, 500).map(drawn)


def needs(
    injuries: set[tuple[str, float]], calls: set[str], least_s: float, wrong: str = ""
) -> Callable[[Schedule], bool]:
    """A fault that shows where all of these are there, each injury for so long, and one call's network did wrong."""

    def fails(schedule: Schedule) -> bool:
        long_enough = {(each.kind, each.at_s) for each in schedule.injuries if each.lasts_s >= least_s}
        there = {call.call_id for call in schedule.calls}
        sins = {call.call_id for call in schedule.calls if call.mischief is not NetworkMischief.NONE}
        return injuries <= long_enough and calls <= there and (not wrong or wrong in sins)

    return fails


@given(schedules, st.data())
def test_what_is_left_still_fails_and_no_injury_of_it_can_go(schedule: Schedule, data: st.DataObject) -> None:
    """With runs enough, every injury and every call that is left is needed."""
    injuries = data.draw(st.sets(st.sampled_from([(each.kind, each.at_s) for each in schedule.injuries])))
    calls = data.draw(st.sets(st.sampled_from([each.call_id for each in schedule.calls]), max_size=3))
    fails = needs(injuries, calls, SHORTEST_S)
    least = shrink(schedule, fails, runs_max=1_000)
    assert fails(least)
    assert {(each.kind, each.at_s) for each in least.injuries} == injuries
    assert {each.call_id for each in least.calls} >= calls
    assert len(least.calls) <= max(1, 2 * len(calls))
    assert all(each.mischief is NetworkMischief.NONE for each in least.calls)
    assert all(each.lasts_s < max(SHORTEST_S * 2, 0.2) for each in least.injuries)


@given(schedules, st.data(), st.integers(0, RUNS_MAX))
def test_no_run_too_many_is_made_and_the_result_was_seen_to_fail(
    schedule: Schedule, data: st.DataObject, runs_max: int
) -> None:
    """Where the runs are used up, what is in hand is a schedule that failed."""
    calls = data.draw(st.sets(st.sampled_from([each.call_id for each in schedule.calls]), min_size=1, max_size=8))
    injuries = data.draw(st.sets(st.sampled_from([(each.kind, each.at_s) for each in schedule.injuries])))
    fails, failed, runs = needs(injuries, calls, 1.0), [schedule], 0

    def counted(smaller: Schedule) -> bool:
        nonlocal runs
        runs += 1
        if fails(smaller):
            failed.append(smaller)
            return True
        return False

    least = shrink(schedule, counted, runs_max=runs_max)
    assert runs <= runs_max
    assert least == failed[-1]


def test_what_a_network_did_wrong_stays_where_it_is_the_cause() -> None:
    """Mischief is made plain but where the failure needs it."""
    schedule = next(
        each
        for each in (draw(seed, 60) for seed in range(50))
        if sum(call.mischief is not NetworkMischief.NONE for call in each.calls) > 2
    )
    wrong = next(call.call_id for call in schedule.calls if call.mischief is not NetworkMischief.NONE)
    least = shrink(schedule, needs(set(), {wrong}, 0.0, wrong))
    assert [call.call_id for call in least.calls] == [wrong]
    assert least.calls[0].mischief is not NetworkMischief.NONE
    assert least.injuries == ()


def test_each_step_down_is_told() -> None:
    """Whoever waits hears how far it has come."""
    told: list[str] = []
    shrink(draw(3, CALLS), lambda _: True, tell=told.append)
    assert told and "1 call and 0 injuries still fail" in told[-1]
