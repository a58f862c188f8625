"""When the bypass is drilled, and what a drill shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.policy.life.bypass import (
    DRILL_AGAIN_MS,
    DRILL_EVERY_MS,
    DRILL_STALE_MS,
    Drilled,
    drill_doubt,
    drill_due,
)


@given(st.lists(st.booleans(), max_size=60))
def test_a_drill_comes_every_hour_and_sooner_after_one_that_failed(went_well: list[bool]) -> None:
    """Whatever becomes of them, none is skipped and no two come within five minutes."""
    tried = done = 0
    now = 1_000_000
    for well in went_well:
        began = now
        while not drill_due(now, tried, done, began + 1_000):
            now += 1_000
        assert not tried or now - tried == (DRILL_EVERY_MS if done == tried else DRILL_AGAIN_MS)
        tried, done = now, now if well else done


@pytest.mark.parametrize(
    ("off", "on", "needed", "trouble"),
    [
        ("", "bypass", False, ""),
        ("breaker_state", "bypass", False, ""),
        ("no_history", "bypass", False, ""),
        ("bypass", "bypass", True, ""),
        ("bypass", "bypass", False, "by the bypass though it was off"),
        ("", "", False, "diverted though the bypass was on"),
        (None, "", False, "diverted though the bypass was on"),
        ("first_call", "first_call", False, "by first_call, and not by the bypass"),
        (None, "bypass", False, "shows nothing"),
        ("", None, True, "shows nothing"),
    ],
)
def test_a_drill_goes_well_only_where_the_switch_made_the_difference(
    off: str | None, on: str | None, needed: bool, trouble: str
) -> None:
    """A call that passes for another reason proves nothing of the switch; off, any other reason will do."""
    told = Drilled(off, on, needed=needed).trouble
    assert (trouble in told) and (told == "") == (trouble == "")


def test_without_a_success_for_two_hours_an_operator_is_told() -> None:
    """Counted from the start where there was none yet."""
    assert drill_doubt(DRILL_STALE_MS, 0, 0) == ""
    assert "130 minutes" in drill_doubt(DRILL_STALE_MS + 1, 0, 0)
    assert drill_doubt(DRILL_STALE_MS + 1, 5, 0) == ""
