"""The benchmark's arithmetic: what its figures claim to be."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.arithmetic import Spread, paired_ratio, percentile

DELAYS = st.lists(st.floats(0, 1e6), min_size=1, max_size=200)
PERCENTS = st.floats(0.1, 100)


@given(DELAYS, PERCENTS)
def test_a_percentile_is_one_of_the_values_that_enough_of_them_do_not_exceed(
    values: list[float], percent: float
) -> None:
    """Nearest rank: no value is made up, and no smaller value would do."""
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= len(values) * percent / 100
    assert sum(value < found for value in values) < len(values) * percent / 100


@given(DELAYS)
def test_percentiles_never_fall_as_the_percentage_grows(values: list[float]) -> None:
    """p99 is never below p50."""
    found = [percentile(values, percent) for percent in (1, 50, 90, 99, 100)]
    assert found == sorted(found)
    assert found[-1] == max(values)


def test_of_nothing_there_is_no_percentile() -> None:
    """A round without calls yields NaN, not zero: zero would look fast."""
    assert math.isnan(percentile([], 50))


@given(st.lists(st.tuples(st.floats(0.1, 1e3), st.floats(0.1, 1e3)), min_size=1, max_size=20), st.floats(0.1, 1e3))
def test_a_ratio_does_not_notice_noise_that_both_sides_met(pairs: list[tuple[float, float]], noise: float) -> None:
    """A round in which everything took `noise` times as long has the same ratio."""
    ours, floor = [one for one, _ in pairs], [other for _, other in pairs]
    quiet = paired_ratio(ours, floor)
    loud = paired_ratio([ours[0] * noise, *ours[1:]], [floor[0] * noise, *floor[1:]])
    assert loud.median == pytest.approx(quiet.median)


def test_one_spoilt_round_does_not_move_the_ratio_far() -> None:
    """The median of pairs: one of five rounds met a neighbour on one side alone."""
    assert paired_ratio([2, 2, 2, 2, 90], [1, 1, 1, 1, 1]).median == 2
    assert paired_ratio([2, 2, 2, 2, 90], [1, 1, 1, 1, 1]).high == 90


def test_rounds_of_one_side_alone_have_no_ratio() -> None:
    """Sides that ran different rounds cannot be compared."""
    with pytest.raises(ValueError, match="zip"):
        paired_ratio([1.0], [1.0, 2.0])


def test_a_round_that_measured_nothing_is_left_out_of_the_spread() -> None:
    """NaN in one round does not make the median NaN; NaN in all does."""
    assert Spread.of([math.nan, 1.0, 3.0]) == Spread(2.0, 1.0, 3.0)
    assert math.isnan(Spread.of([math.nan]).median)
