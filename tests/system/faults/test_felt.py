"""The arithmetic of the failures' figures, on diaries written by hand: a figure that flatters is worse than none."""

from __future__ import annotations

import math
from typing import Any

import pytest

from chaos.felt import Delay, added, calm, offered_between, read_calls, to_ringing


def entry(event: str, at_ms: int, call_id: str = "a", leg: int = 1, **more: Any) -> dict[str, Any]:
    """One line of the callers' diary."""
    return {"witness": "caller", "event": event, "at_ms": at_ms, "call_id": call_id, "leg": leg, **more}


def a_call(call_id: str, offered_ms: int, *rang_ms: int, left_ms: int | None = None) -> list[dict[str, Any]]:
    """A caller who is offered, rung some times, and gone if they left."""
    lines = [entry("offered", offered_ms, call_id, ingress="one", town="Boston")]
    lines += [entry("ringing", at_ms, call_id, attempt=f"{call_id}/1/{at_ms}", psap_id="P") for at_ms in rang_ms]
    return lines + ([entry("hung_up", left_ms, call_id)] if left_ms is not None else [])


def test_a_call_is_read_leg_by_leg() -> None:
    """P2: where its newest leg stood, and what rang, at any instant."""
    [call] = read_calls(
        [
            *a_call("a", 100, 150),
            entry("offered", 400, leg=2, ingress="two"),
            entry("ringing", 450, leg=2, psap_id="Q", line="+15550100"),
            entry("connected", 900, leg=2, psap_id="Q", line="+15550100"),
        ]
    )
    assert (call.ingress_at(99), call.ingress_at(399), call.ingress_at(400)) == ("", "one", "two")
    assert (call.ringing_at(149), call.ringing_at(150), call.ringing_at(450)) == ("", "P", "")
    assert (call.in_hand_at(99), call.in_hand_at(899), call.in_hand_at(900)) == (False, True, False)
    assert call.rings_after_ms(200) == 250


def test_whoever_was_being_set_up_when_the_fault_came_was_hit_by_it() -> None:
    """A call that rings already is not set up any more; one that comes after the end is not hit."""
    lines = [*a_call("rung", 10, 20), *a_call("hit", 90, 300), *a_call("in", 150, 160), *a_call("after", 200, 210)]
    hit = [call.call_id for call in read_calls(lines) if offered_between(100, 200)(call)]
    assert hit == ["hit", "in"]


def test_delays_count_from_the_fault_or_from_the_offer_if_that_is_later() -> None:
    """Nobody's delay is longer than it was because they called early, or shorter because they called late."""
    calls = read_calls([*a_call("before", 0, 10, 700), *a_call("during", 300, 340)])
    assert to_ringing(calls, 100) == Delay(2, 40, 600, 600)


def test_a_caller_who_left_unrung_counts_with_what_they_waited() -> None:
    """Else the longest waits of all would vanish from the figures."""
    calls = read_calls([*a_call("left", 0, left_ms=5_000), *a_call("rung", 0, 30)])
    assert added(calls, 10).worst_ms == 4_990
    assert math.isinf(to_ringing(read_calls(a_call("neither", 0)), 0).worst_ms)


def test_calm_calls_are_those_that_rang_before_the_fault() -> None:
    """What a fault adds is told against the same run."""
    calls = read_calls([*a_call("calm", 0, 12), *a_call("hit", 90, 800)])
    assert calm(calls, 100) == Delay(1, 12, 12, 12)


def test_the_99th_of_a_hundred_is_not_the_worst() -> None:
    """Nearest rank; and no figure is made of no calls."""
    assert Delay.of(range(1, 101)) == Delay(100, 50, 99, 100)
    with pytest.raises(AssertionError, match="at least one call"):
        Delay.of([])
