"""A thousand schedules of failures over the real services: after each, everything holds (simulator/checkers)."""

from __future__ import annotations

import os

import pytest

from simulator.campaign import Wanted, campaign

SEEDS = 1_000
AT_ONCE = 100


@pytest.mark.schedules
@pytest.mark.timeout(900)
@pytest.mark.parametrize("first", range(1, SEEDS + 1, AT_ONCE))
def test_nothing_is_lost_whatever_is_hurt(first: int) -> None:
    """A hundred calls and up to six injuries a schedule; no call lost, one call one answer (J2, J3, P3)."""
    found = {
        f"throughline simulate --schedules 1 --seed {result.seed}": [*map(str, result.findings)]
        for result in campaign(range(first, first + AT_ONCE), Wanted(), os.cpu_count() or 1)
        if result.findings
    }
    assert found == {}
