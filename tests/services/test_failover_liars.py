"""Words that a replica must not believe: whoever lies to it costs nobody a call (protocol.md T3, P5, J4)."""

from __future__ import annotations

import asyncio

import pytest

from services.domain.events import FactKind
from services.domain.holding import Holding, Standing
from services.domain.where import Where
from tests.services.succession_stage import Succession
from tests.services.test_failover_debts import play, until_listed


@pytest.mark.parametrize("name", ["99999999999/1001", "2/1001", "1/1004", "1/99999999999", "1/1000"])
def test_a_try_that_failover_never_named_is_no_ring_back(name: str) -> None:
    """A PSAP that says it has the caller under such a name is believed that it has it, and the fact is written (T3)."""

    async def scene(stage: Succession) -> None:
        await stage.ingresses[0].call("call-1")
        stage.holds["call-1"] = Holding(Standing.CONNECTED, f"call-1/{name}", Where("P1"))
        await stage.ingresses[0].kill()
        await asyncio.sleep(10)
        (told,) = stage.facts(FactKind.ANSWERED)
        assert (told.leg, told.attempt, told.settled) == (1, f"call-1/{name}", True)
        assert stage.facts(FactKind.RECONNECTED) == []

    play(scene)


@pytest.mark.parametrize("name", ["4000000000/1", "2/1"])
def test_a_ring_that_goes_on_and_on_defers_a_take_over_for_half_a_minute_at_most(name: str) -> None:
    """Whoever says that a higher leg rings there is believed for as long as a ring may take; then it is due (T3)."""

    async def scene(stage: Succession) -> None:
        await stage.ingresses[0].call("call-1")
        stage.holds["call-1"] = Holding(Standing.RINGING, f"call-1/{name}", Where("P1"))
        await stage.ingresses[0].kill()
        await until_listed(stage, 1, 40.0)
        await asyncio.sleep(60)
        assert stage.dialled, "nor is its caller's being rung back deferred for ever"

    play(scene)
