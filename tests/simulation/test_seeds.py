"""What the simulator once found does not come back (tests/simulation/seeds.py)."""

from __future__ import annotations

import pytest

from simulator.checkers import check
from simulator.run import run
from tests.simulation.seeds import SEEDS, Seed


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_a_schedule_that_once_showed_something_is_clean(seed: Seed) -> None:
    """Rules by seed; each says what it showed."""
    found = check(run(seed.schedule()))
    assert not found, f"{seed.showed}, and now: " + "; ".join(map(str, found))


def test_the_seeds_are_sorted_by_name_and_no_name_is_there_twice() -> None:
    """So that what two people add meets without a quarrel."""
    names = [seed.name for seed in SEEDS]
    assert names == sorted(set(names))
