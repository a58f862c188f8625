"""What an ingress has seen connected lately: bounded, for ten seconds, and told to one leg (P5)."""

from __future__ import annotations

import pytest

from services.domain.calls.exchange import Resume
from services.domain.calls.settlements import REMEMBERED_S, Settlements
from services.domain.where import Where

SEEN = Resume("c1/1/1", Where("P1"), seen=True)


@pytest.mark.parametrize(("after_s", "told"), [(0.0, SEEN), (REMEMBERED_S - 0.1, SEEN), (REMEMBERED_S, None)])
def test_a_settlement_is_remembered_for_a_while(after_s: float, told: Resume | None) -> None:
    """A talk ends, and nobody tells the ingress: it believes itself for the first tries of a network alone (P2, P5)."""
    settlements = Settlements()
    settlements.note("c1", SEEN, 100.0)
    assert settlements.take("c2", 100.0 + after_s) is None
    assert settlements.take("c1", 100.0 + after_s) == told
    assert settlements.take("c1", 100.0 + after_s) is None, "the leg that took it settles it again, or it is over"


def test_a_settlement_that_is_told_again_is_remembered_anew() -> None:
    """The next leg settles the same attempt once more: its ten seconds begin then (P5)."""
    settlements = Settlements()
    settlements.note("c1", SEEN, 100.0)
    settlements.note("c2", SEEN, 101.0)
    settlements.note("c1", SEEN, 105.0)
    assert settlements.take("c1", 114.0) == SEEN


def test_what_is_remembered_is_bounded_in_number_and_in_time() -> None:
    """The oldest go first, and what is too old goes with the next settlement."""
    settlements = Settlements(calls_max=3)
    for number in range(5):
        settlements.note(f"c{number}", SEEN, 100.0 + number)
    assert len(settlements) == 3
    assert settlements.take("c1", 105.0) is None
    assert settlements.take("c2", 105.0) == SEEN
    settlements.note("c9", SEEN, 200.0)
    assert len(settlements) == 1
