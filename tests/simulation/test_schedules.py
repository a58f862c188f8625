"""A thousand schedules of failures over the real services: after each, everything holds (simulator/checkers)."""

from __future__ import annotations

import pytest

from simulator.campaign import Wanted, judged

SEEDS = 1_000
AT_ONCE = 50
OPEN = {942: {("three_witnesses", "c98"), ("one_outcome", "c98")}}
"""What is known and not mended yet, by seed: checker and call. A seed that is clean again leaves this table.

942: a machine loses power within milliseconds of a connection, before anybody else has the fact, and the replica that
takes the call over cannot reach the trunk that has it: the caller talks to a person, and is on the callback list as
well (J4, T3). Whether the list must then be looked at again, when the trunk answers, is to be decided.
"""


@pytest.mark.schedules
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(1, SEEDS + 1, AT_ONCE))
def test_nothing_is_lost_whatever_is_hurt(first: int) -> None:
    """A hundred calls and up to six injuries a schedule; no call lost, one call one answer (J2, J3, P3)."""
    found = {}
    for seed in range(first, first + AT_ONCE):
        findings = judged(Wanted().schedule(seed))[1].findings
        if {(each.checker, each.call_id) for each in findings} != OPEN.get(seed, set()):
            found[f"throughline simulate --schedules 1 --seed {seed}"] = [str(finding) for finding in findings]
    assert found == {}, f"expected nothing but {OPEN}"
