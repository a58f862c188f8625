"""A thousand schedules of failures over the real services: after each, everything holds (simulator/checkers)."""

from __future__ import annotations

import pytest

from simulator.campaign import Wanted, judged

SEEDS = 1_000
AT_ONCE = 50


@pytest.mark.schedules
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(1, SEEDS + 1, AT_ONCE))
def test_nothing_is_lost_whatever_is_hurt(first: int) -> None:
    """A hundred calls and up to six injuries a schedule; no call lost, one call one answer (J2, J3, P3)."""
    found = {}
    for seed in range(first, first + AT_ONCE):
        findings = judged(Wanted().schedule(seed))[1].findings
        if findings:
            found[f"throughline simulate --schedules 1 --seed {seed}"] = [str(finding) for finding in findings]
    assert found == {}
