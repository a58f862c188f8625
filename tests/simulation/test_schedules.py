"""A thousand schedules of failures over the real services: after each, everything holds (simulator/checkers)."""

from __future__ import annotations

import os

import pytest

from simulator.campaign import Wanted, campaign

SEEDS = 1_000
AT_ONCE = 100
OPEN: dict[int, set[tuple[str, str]]] = {}
"""What is known and not mended yet, by seed: checker and call. A seed that is clean again leaves this table."""


@pytest.mark.schedules
@pytest.mark.timeout(900)
@pytest.mark.parametrize("first", range(1, SEEDS + 1, AT_ONCE))
def test_nothing_is_lost_whatever_is_hurt(first: int) -> None:
    """A hundred calls and up to six injuries a schedule; no call lost, one call one answer (J2, J3, P3)."""
    found = {}
    for result in campaign(range(first, first + AT_ONCE), Wanted(), os.cpu_count() or 1):
        if {(each.checker, each.call_id) for each in result.findings} != OPEN.get(result.seed, set()):
            found[f"throughline simulate --schedules 1 --seed {result.seed}"] = [*map(str, result.findings)]
    assert found == {}, f"expected nothing but {OPEN}"
