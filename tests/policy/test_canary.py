"""A candidate among real calls: whom it meets, when more, when it must go back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.policy.bundle import CanaryStep
from services.policy.life.canary import Tally, diverges, ran, reached, under, waits_for
from tests.policy.files import bundle

STEPS = (CanaryStep(0.1), CanaryStep(0.0, frozenset({"Worcester"})), CanaryStep(0.5), CanaryStep(1.0))


@given(st.text(max_size=20), st.sampled_from(["", "Worcester", "Boston"]))
def test_a_call_that_is_under_the_candidate_stays_so_at_later_steps(call_id: str, area: str) -> None:
    """Each leg of a call meets the same policy, and more of them as the steps go on; at the end all."""
    told = [under(STEPS, step, "d", call_id, area) for step in range(4)]
    assert told == sorted(told)
    assert told[3]
    assert area != "Worcester" or told[1]


def test_the_share_of_calls_is_the_steps_share() -> None:
    """By hash of the call, and another tenth for another bundle."""
    calls = [f"call-{number}" for number in range(5_000)]
    tenth = {call for call in calls if under(STEPS, 0, "one", call, "")}
    other = {call for call in calls if under(STEPS, 0, "another", call, "")}
    assert 400 < len(tenth) < 600
    assert len(tenth & other) < 150


def test_a_step_waits_for_its_calls_and_its_time() -> None:
    """Both: a quiet night is no proof, and neither is a minute of flood."""
    step = CanaryStep(0.1, calls_min=10, minutes_min=15)
    assert waits_for(step, 0, 10**9, 9) == "9 of 10 calls"
    assert waits_for(step, 0, 14 * 60_000, 10) == "14.0 of 15 minutes"
    assert waits_for(step, 0, 15 * 60_000, 10) == ""


@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.integers(0, 400))
def test_a_plan_has_run_once_all_its_steps_have_had_their_time(minutes: list[int], waited: int) -> None:
    """Whoever writes to the topic says of a step when it began; the order says when all of them did."""
    steps = [CanaryStep(0.1, minutes_min=each) for each in minutes]
    assert ran(steps, 1_000, 1_000 + waited * 60_000) is (waited >= sum(minutes))
    last = reached(steps, 1_000, 1_000 + waited * 60_000) == len(steps) - 1
    assert last or not ran(steps, 1_000, 1_000 + waited * 60_000)


def test_a_call_counts_once_however_often_it_is_screened() -> None:
    """Redials of one leg and two replicas are one call."""
    tally = Tally()
    for _ in range(3):
        tally.add("call-1", "nuisance", True)
    assert (tally.calls, tally.diverted, tally.by_rule["nuisance"]) == (1, 1, 1)


def test_a_candidate_that_speaks_far_past_its_forecast_diverges() -> None:
    """Forecast 0.1 %: five calls say nothing yet, every call does."""
    tally = Tally()
    for number in range(5):
        tally.add(f"call-{number}", "nuisance", True)
    assert diverges(bundle(), tally) == ""
    tally.add("call-6", "nuisance", True)
    assert "rule nuisance spoke for 6 of 6 calls" in diverges(bundle(), tally)


@given(st.integers(0, 3_000))
def test_a_candidate_that_keeps_to_its_forecast_does_not_diverge(calls: int) -> None:
    """One call in a thousand, forecast one in a thousand."""
    tally = Tally()
    for number in range(calls):
        tally.add(f"call-{number}", "nuisance" if number % 1_000 == 0 else "", number % 1_000 == 0)
    assert diverges(bundle(), tally) == ""
