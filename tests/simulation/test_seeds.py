"""What the simulator once found does not come back, and would be found again (tests/simulation/seeds.py)."""

from __future__ import annotations

import pytest

from simulator.checkers import check
from simulator.run import run
from tests.simulation.bugs.families import KNOWN
from tests.simulation.bugs.hunt import FALLS_OVER
from tests.simulation.seeds import SEEDS, Seed


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_a_schedule_that_once_showed_something_is_clean(seed: Seed) -> None:
    """Rules by seed; each says what it showed."""
    found = check(run(seed.schedule()))
    assert not found, f"{seed.showed}, and now: " + "; ".join(map(str, found))


@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.parametrize("seed", [seed for seed in SEEDS if seed.mistake], ids=lambda seed: seed.name)
def test_a_schedule_that_once_showed_something_shows_it_again(seed: Seed) -> None:
    """With the mistake made that it names: one that finds nothing any more is no guard."""
    with KNOWN[seed.mistake].made():
        found = check(run(seed.schedule()))
    assert found, f"{seed.mistake} is not seen any more: seek another seed, or other injuries"
    assert all(each.checker != FALLS_OVER for each in found), "a mistake that falls over would be seen by anybody"


def test_the_seeds_are_sorted_by_name_and_no_name_is_there_twice() -> None:
    """So that what two people add meets without a quarrel."""
    names = [seed.name for seed in SEEDS]
    assert names == sorted(set(names))
