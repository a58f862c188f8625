"""The arithmetic of the benchmark: percentiles, medians over rounds, and ratios of rounds that stood side by side.

A ratio is taken within a round, where both sides met the same noise, and then the median over the rounds: a neighbour
that takes the machine for a few seconds spoils one round, not the result.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` per cent of `values` do not exceed (nearest rank); NaN of nothing."""
    assert 0 < percent <= 100, f"expected a percentage above 0 and up to 100; got {percent}"
    if not values:
        return math.nan
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


@dataclass(frozen=True, slots=True)
class Spread:
    """A median over rounds with the lowest and the highest of them."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """NaNs (rounds that measured nothing) are left out; all NaN where nothing is left."""
        known = [value for value in values if not math.isnan(value)]
        if not known:
            return Spread(math.nan, math.nan, math.nan)
        return Spread(statistics.median(known), min(known), max(known))


def paired_ratio(ours: Sequence[float], floor: Sequence[float]) -> Spread:
    """Ours over the floor's, round by round. Both sides must have run the same rounds."""
    pairs = zip(ours, floor, strict=True)
    return Spread.of([one / other if other else math.nan for one, other in pairs])
