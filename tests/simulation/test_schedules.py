"""A thousand schedules of failures over the real services: after each, everything holds (simulator/checkers)."""

from __future__ import annotations

import pytest

from simulator.campaign import Wanted, judged

SEEDS = 1_000
AT_ONCE = 50
OPEN: dict[int, set[tuple[str, str]]] = {
    241: {("three_witnesses", "c1"), ("three_witnesses", "c26")},
    482: {("alarms", "")},
    747: {("three_witnesses", "c74"), ("one_outcome", "c74")},
}
"""What is known and not mended yet, by seed: checker and call. A seed that is clean again leaves this table.

241: a PSAP acknowledges a connection when its gateway has just cancelled it; asked a moment later (P5), it is said
to have the caller. 482: a PSAP that spoke for another had its stream ended by nobody. 747: a caller and a PSAP are
connected, the journal has nothing of it, and the caller is on the callback list as well.
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
