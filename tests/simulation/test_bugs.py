"""Five of the known mistakes, at the seeds at which they were found: the simulator still sees them (make mutants)."""

from __future__ import annotations

import pytest

from tests.simulation.bugs.families import KNOWN
from tests.simulation.bugs.hunt import findings_at

SAMPLE = [
    ("connects_without_confirm", 2),
    ("queue_keeps_the_newest_alone", 0),
    ("drops_copies_by_attempt", 0),
    ("take_over_says_diverted", 0),
    ("heartbeats_end_with_a_call", 0),
]


@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.parametrize(("name", "seed"), SAMPLE)
def test_a_known_mistake_is_found_and_only_where_it_is_made(name: str, seed: int) -> None:
    """One of each family: the same schedule has a finding with the mistake, and none without (P4, J6, J2, T3, P1)."""
    known = KNOWN[name]
    again = (
        f"the services or the schedules have changed: take the seed that `python -m tests.simulation.bugs {name}` says"
    )
    assert findings_at(known, seed, known.calls, known.only), f"seed {seed} does not find it any more; {again}"
    assert findings_at(None, seed, known.calls, known.only) == [], f"seed {seed} has a finding of its own; {again}"


def test_what_a_mistake_replaced_is_there_again_afterwards() -> None:
    """The real parts are untouched once a run is over: nothing else may ever run with a mistake."""
    for known in KNOWN.values():
        real = vars(known.owner)[known.attribute]
        with known.made():
            assert vars(known.owner)[known.attribute] is not real
        assert vars(known.owner)[known.attribute] is real


def test_there_are_as_many_known_mistakes_as_are_told() -> None:
    """Each says what is wrong and which rule it breaks; at least 25 of them."""
    assert len(KNOWN) >= 25
    for known in KNOWN.values():
        assert known.wrong.endswith("."), known.name
