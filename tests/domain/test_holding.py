"""What attestations say (protocol.md P5, T3)."""

from __future__ import annotations

import pytest

from services.domain.holding import Holding, Standing


@pytest.mark.parametrize(
    ("standing", "attempt", "carries_on"),
    [
        (Standing.RINGING, "call/1/2/1", True),
        (Standing.ANSWERED, "call/1/2/1", True),
        (Standing.RINGING, "call/1/1/7", False),
        (Standing.CONNECTED, "call/1/2/1", False),
        (Standing.NONE, "", False),
        (Standing.RINGING, "oddly-named", False),
        (Standing.RINGING, "call/1/17/1", True),
        (Standing.RINGING, "call/1/18/1", False),
        (Standing.RINGING, "call/1/4000000000/1", False),
        (Standing.RINGING, "/x/", False),
    ],
)
def test_a_ring_of_a_higher_leg_carries_the_call_on(standing: Standing, attempt: str, carries_on: bool) -> None:
    """By the attempt's name, call_id/leg/n, whatever the call's own id holds (T3)."""
    assert Holding(standing, attempt).carries_on(1) is carries_on
