"""The last-line breaker: a firewall that diverts too many is not followed, whatever it says."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from services.domain.calls.divert_cap import Cap, DivertCap


def told(cap: DivertCap, verdicts: Iterable[bool], now: float = 0.0, prefix: str = "c") -> None:
    for number, diverts in enumerate(verdicts):
        cap.heard(f"{prefix}{number}", diverts, now)


def test_a_firewall_that_diverts_all_is_followed_for_less_than_ten_calls() -> None:
    """The tenth divert is past the cap already: nine callers have gone to a desk, and no more."""
    cap = DivertCap(Cap())
    told(cap, [True] * 9)
    assert not cap.ignores
    cap.heard("tenth", True, 0.0)
    assert cap.ignores


def test_a_firewall_that_diverts_a_flood_among_many_is_followed() -> None:
    """Ten of fifty is the cap, and not past it."""
    cap = DivertCap(Cap())
    told(cap, [False] * 40 + [True] * 10)
    assert (cap.diverts, cap.calls) == (10, 50)
    assert not cap.ignores
    cap.heard("one-more", True, 0.0)
    assert cap.ignores


def test_it_stays_so_for_a_minute_and_until_the_share_is_small_again() -> None:
    """Neither alone is enough."""
    cap = DivertCap(Cap())
    told(cap, [True] * 20)
    told(cap, [False] * 50, now=59.9, prefix="well")
    assert cap.ignores, "the minute is not over"
    cap = DivertCap(Cap())
    told(cap, [True] * 20)
    cap.heard("late", True, 61.0)
    assert cap.ignores, "the share is not small"
    told(cap, [False] * 50, now=62.0, prefix="well")
    assert not cap.ignores


def test_what_is_ignored_is_counted_all_the_same() -> None:
    """Else the breaker would close by its own doing."""
    cap = DivertCap(Cap())
    told(cap, [True] * 200, now=100.0)
    assert cap.ignores and cap.diverts == 50


def test_a_call_counts_once_however_often_it_is_screened() -> None:
    """Legs and a repeated question are one call (L3)."""
    cap = DivertCap(Cap())
    for _ in range(100):
        cap.heard("the-same", True, 0.0)
    assert (cap.diverts, cap.calls) == (1, 1)
    assert not cap.ignores


def test_old_verdicts_say_nothing_of_the_firewall_of_now() -> None:
    """A quiet night's diverts do not add up."""
    cap = DivertCap(Cap())
    for hour in range(20):
        cap.heard(f"c{hour}", True, hour * 3600.0)
    assert cap.calls == 1
    assert not cap.ignores


@given(st.lists(st.tuples(st.integers(0, 80), st.booleans(), st.floats(0, 30)), max_size=300))
def test_its_count_is_that_of_the_newest_verdicts(said: list[tuple[int, bool, float]]) -> None:
    """Whatever comes in whatever order: the count is never off, and never of more calls than it may be."""
    cap, now = DivertCap(Cap()), 0.0
    newest: dict[str, tuple[float, bool]] = {}
    for call, diverts, pause in said:
        now += pause
        newest.pop(f"c{call}", None)
        newest[f"c{call}"] = (now, diverts)
        cap.heard(f"c{call}", diverts, now)
        counted = [each for at, each in list(newest.values())[-50:] if at >= now - 300.0]
        assert (cap.calls, cap.diverts) == (len(counted), sum(counted))


def test_a_flood_of_calls_that_pass_does_not_hide_that_everybody_else_is_diverted() -> None:
    """Ten callers of eleven, though ten calls of fifty are no more than the cap."""
    cap = DivertCap(Cap())
    for n in range(40):
        cap.heard(f"flood-{n}", False, 0.0, "one source")
    for n in range(10):
        assert not cap.ignores
        cap.heard(f"call-{n}", True, 0.0, f"caller-{n}")
    assert cap.ignores and (cap.diverts, cap.diverted_callers) == (10, 10)


@given(st.lists(st.tuples(st.integers(0, 80), st.integers(0, 9), st.booleans(), st.floats(0, 30)), max_size=200))
def test_its_count_of_callers_is_that_of_the_newest_verdicts(said: list[tuple[int, int, bool, float]]) -> None:
    """Whoever calls, and is told what, in whatever order."""
    cap, now = DivertCap(Cap()), 0.0
    newest: dict[str, tuple[float, bool, str]] = {}
    for call, caller, diverts, pause in said:
        now += pause
        newest.pop(f"c{call}", None)
        newest[f"c{call}"] = (now, diverts, f"n{caller}")
        cap.heard(f"c{call}", diverts, now, f"n{caller}")
        counted = [each for each in list(newest.values())[-50:] if each[0] >= now - 3600.0]
        assert cap.diverted_callers == len({caller for _, diverted, caller in counted if diverted})


def test_a_firewall_that_diverts_everybody_in_a_quiet_night_is_found_out() -> None:
    """A call each two minutes, each of another caller: nine of them go to a desk, and no more."""
    cap, followed = DivertCap(Cap()), 0
    for n in range(60):
        cap.heard(f"call-{n}", True, n * 120.0, f"caller-{n}")
        followed += not cap.ignores
    assert followed == 9


def test_one_nuisance_caller_in_a_quiet_night_is_diverted_as_the_policy_says() -> None:
    """A hundred calls of one number and hardly any other: that is what a policy is for."""
    cap = DivertCap(Cap())
    for n in range(100):
        cap.heard(f"call-{n}", n % 10 > 0, n * 120.0, "one number" if n % 10 else f"caller-{n}")
        assert not cap.ignores
