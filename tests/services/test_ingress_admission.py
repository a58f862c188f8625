"""An ingress sets up so many calls at once and no more (protocol.md L1), under virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from throughline.v1 import call_pb2, delivery_pb2

from tests.services.ingress_stage import Caller, Stage, is_silent, line_answers, rejects
from tests.simulation.virtual_loop import run_virtual

SCREENING_S = 0.1
PLACES = 2


def play(scene: Coroutine[Any, Any, None]) -> None:
    run_virtual(scene, limit_s=600)


def crowd(stage: Stage, size: int) -> list[Caller]:
    return [stage.place(f"call-{number}") for number in range(size)]


async def offered(callers: list[Caller]) -> None:
    """Offers, one after the other."""
    for caller in callers:
        await caller.offer()
        await asyncio.sleep(0.002)


def test_calls_beyond_the_limit_are_set_up_in_their_turn_and_all_of_them() -> None:
    """L1: oldest first, so many at once; the budgets of each begin when its turn comes."""

    async def scene() -> None:
        async with Stage(setups_max=PLACES) as stage:
            stage.screen_after_s = SCREENING_S
            callers = crowd(stage, 8)
            await offered(callers)
            assert stage.count("calls_waiting") == 6
            for caller in callers:
                await caller.until("ringing")
            rang = [next(at for at, word in caller.heard if word == "ringing") for caller in callers]
            assert rang == sorted(rang)
            assert [round(at / SCREENING_S) for at in rang] == [1, 1, 2, 2, 3, 3, 4, 4]
            assert stage.count("calls_screened_total", verdict="pass") == 8
            assert stage.count("calls_waiting") == 0
            for caller in callers:
                await caller.until()
                assert caller.words[-1] == "connected"

    play(scene())


def test_a_call_that_waits_its_turn_is_accepted_and_hears_heartbeats() -> None:
    """P1, J4: the debt is written down at once, and the caller's side knows that we live."""

    async def scene() -> None:
        async with Stage(setups_max=1) as stage:
            stage.screen_after_s = stage.route_after_s = 0.14
            callers = crowd(stage, 5)
            await offered(callers)
            await callers[-1].until("ringing")
            heard = callers[-1].heard
            assert heard[0][1] == "accepted" and heard[0][0] < 0.05
            assert "heartbeat" in [word for _, word in heard]

    play(scene())


@pytest.mark.parametrize("gateway", [is_silent, rejects(delivery_pb2.REJECTION_REFUSED)])
def test_a_neighbour_that_brings_nothing_holds_no_place(gateway: Any) -> None:
    """The place is given back at the first failed attempt: who waits for others takes nothing from this process."""

    async def scene() -> None:
        async with Stage(setups_max=1) as stage:
            stage.gateways = dict.fromkeys(stage.gateways, gateway)
            stage.lines = line_answers
            callers = crowd(stage, 4)
            await offered(callers)
            for caller in callers:
                await caller.until()
                assert caller.words[-1] == "connected"
            assert stage.count("calls_waiting") == 0
            assert asyncio.get_running_loop().time() < 4 * 0.35 + 2

    play(scene())


def test_a_caller_who_gives_up_while_waiting_leaves_no_gap() -> None:
    """A place that nobody needs any more goes to the next."""

    async def scene() -> None:
        async with Stage(setups_max=1) as stage:
            stage.screen_after_s = SCREENING_S
            callers = crowd(stage, 4)
            await offered(callers)
            await callers[1].say(hangup=call_pb2.Hangup())
            callers[2].stream.cancel()
            await callers[3].until("ringing")
            assert 2 * SCREENING_S <= asyncio.get_running_loop().time() < 3 * SCREENING_S
            again = stage.place("call-again")
            await again.offer()
            await again.until("ringing")
            assert len(stage.offered) == 3

    play(scene())
