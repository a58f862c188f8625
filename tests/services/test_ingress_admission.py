"""An ingress sets up so many calls at once; others wait, turn to lines or are parked (L1), under virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from throughline.v1 import call_pb2, delivery_pb2

from services.domain.events import FactKind
from services.domain.fold import Outcome, fold
from services.host.network import Broken, Status
from simulator.virtual_loop import run_virtual
from tests.services.ingress_stage import REGION, TEXTS, Caller, RingStream, Stage, is_silent, line_answers, rejects

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


class Leaves(StrEnum):
    """How a caller's side leaves a call that is being set up."""

    HANGS_UP = "hangs_up"
    BREAKS_OFF = "breaks_off"
    OFFERS_THE_NEXT_LEG = "offers_the_next_leg"
    STAYS = "stays"


async def leave(stage: Stage, number: int, how: Leaves, after_ms: int) -> None:
    """One caller, from the offer to wherever it goes; some offer the next leg while this one is being set up."""
    caller = stage.place(f"call-{number}")
    await caller.offer()
    await asyncio.sleep(after_ms / 1000)
    match how:
        case Leaves.HANGS_UP:
            with suppress(Broken):
                await caller.say(hangup=call_pb2.Hangup())
        case Leaves.BREAKS_OFF:
            caller.stream.cancel()
        case Leaves.OFFERS_THE_NEXT_LEG:
            await stage.place(f"call-{number}", leg=2).call()
        case Leaves.STAYS:
            await caller.until()


@given(st.lists(st.tuples(st.sampled_from(Leaves), st.integers(0, 300)), min_size=1, max_size=8))
@example([(Leaves.HANGS_UP, 30)] * 4)
@example([(Leaves.OFFERS_THE_NEXT_LEG, 30)] * 4)
@settings(max_examples=40, deadline=None)
def test_whenever_and_however_callers_leave_every_place_is_given_back(leavers: list[tuple[Leaves, int]]) -> None:
    """L1: after calls of any end, the same moment of another call's setting-up, as many as ever are set up at once."""

    async def scene() -> None:
        async with Stage(setups_max=PLACES) as stage:
            stage.screen_after_s = stage.route_after_s = SCREENING_S
            gone = [leave(stage, number, how, after_ms) for number, (how, after_ms) in enumerate(leavers)]
            await asyncio.gather(*gone)
            await asyncio.sleep(10)
            assert stage.count("calls_in_hand") == 0
            late = [stage.place(f"late-{number}") for number in range(PLACES + 1)]
            await offered(late)
            await asyncio.sleep(0.02)
            assert stage.count("calls_waiting") == 1, "a place is held for a call that is over"
            for caller in late:
                await caller.until()
                assert caller.words[-1] == "connected"

    play(scene())


# Past room or time (L1).


class Busy(Stage):
    """One place, held for five seconds by a call whose screening takes so long."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(setups_max=1, screen_budget_ms=5_000, **settings)
        self.screen_after_s = 60.0

    async def occupied(self) -> Caller:
        """The caller who has the place; it is free again 5 s later, or when the firewall answers."""
        caller = self.place("occupies")
        await caller.offer()
        await asyncio.sleep(0.01)
        self.screen_after_s = 0.0  # for those who come later
        return caller


def test_past_two_seconds_a_call_turns_to_its_home_psaps_lines() -> None:
    """Nobody is asked on the way: our own atlas knows whose lines; counted under its own word, not as unscreened."""

    async def scene() -> None:
        async with Busy() as stage:
            await stage.occupied()
            began = asyncio.get_running_loop().time()
            caller = stage.place("late")
            await caller.offer()
            assert (await caller.until("diverting")).diverting.reason == "overflow"
            assert 2.0 <= asyncio.get_running_loop().time() - began < 2.01
            await caller.until()
            assert caller.messages[-1].connected.where.line
            (dialled,) = stage.dialled
            areas = TEXTS[REGION / "service_areas.csv"]
            assert any(row.startswith(f"Worcester,{dialled.psap_id},") for row in areas.splitlines())
            assert dialled.reason == "overflow"
            assert stage.count("calls_overflowed_total", why="too_long") == 1
            assert stage.count("calls_screened_total", verdict="overflow") == 1
            assert stage.count("calls_screened_total", verdict="unscreened") == 0

    play(scene())


def test_without_room_to_wait_a_call_turns_to_lines_at_once() -> None:
    """The room is bounded: whom it cannot serve in time it does not let in."""

    async def scene() -> None:
        async with Busy(waiting_max=2) as stage:
            await stage.occupied()
            callers = crowd(stage, 5)
            await offered(callers)
            assert stage.count("calls_waiting") == 2
            await callers[4].until("diverting")
            assert asyncio.get_running_loop().time() < 0.1
            assert stage.count("calls_overflowed_total", why="no_room") == 3

    play(scene())


def test_a_call_that_no_line_takes_is_parked_and_set_up_when_there_is_room() -> None:
    """Heartbeats, an entry on the callback list, and then the usual way; the connection closes the entry (L1, J2)."""

    async def scene() -> None:
        async with Busy(waiting_max=0) as stage:
            stage.lines = rejects(delivery_pb2.REJECTION_FULL)
            await stage.occupied()
            callers = crowd(stage, 3)
            await offered(callers)
            for caller in callers:
                assert (await caller.until("waiting")).waiting.reason == "parked"
            assert stage.count("calls_parked") == 3
            ends = [asyncio.ensure_future(caller.until()) for caller in callers]
            await asyncio.sleep(1)
            for number, (caller, end) in enumerate(zip(callers, ends, strict=True)):
                due = next(fact for fact in stage.facts(f"call-{number}") if fact.kind is FactKind.CALLBACK_DUE)
                assert due.reason == "overflow"
                assert due.due_in_ms > 0, "its conductor owes another fact"
                await end
                assert caller.words[-1] == "connected"
                assert caller.longest_silence_s() <= 0.5
            rang = [next(at for at, word in caller.heard if word == "ringing") for caller in callers]
            assert rang == sorted(rang) and rang[0] >= 5.0
            await asyncio.sleep(1)
            assert fold(stage.facts("call-0")).outcome is Outcome.ANSWERED
            assert stage.count("calls_parked") == 0

    play(scene())


def test_beyond_what_may_be_parked_an_offer_is_refused_before_it_is_accepted() -> None:
    """RESOURCE_EXHAUSTED, counted; no fact is written, and the same leg may be offered here again later (L1, J3)."""

    async def scene() -> None:
        async with Busy(waiting_max=0, parked_max=2) as stage:
            stage.lines = rejects(delivery_pb2.REJECTION_FULL)
            await stage.occupied()
            await offered(crowd(stage, 2))
            await asyncio.sleep(0.1)
            with pytest.raises(Broken) as refused:
                await stage.place("one-too-many").call()
            assert refused.value.status is Status.RESOURCE_EXHAUSTED
            assert stage.count("offers_refused_total", why="full") == 1
            await asyncio.sleep(6)
            assert stage.facts("one-too-many") == []
            assert (await stage.place("one-too-many").call())[-1] == "connected"

    play(scene())


def test_parked_calls_and_newcomers_take_turns() -> None:
    """Every other place is the oldest parked call's: neither waits for the other's end (docs/decisions/0028)."""

    async def scene() -> None:
        async with Busy(waiting_max=10) as stage:
            stage.lines = rejects(delivery_pb2.REJECTION_FULL)
            await stage.occupied()
            parked = [stage.place(f"parked-{number}") for number in range(3)]
            await offered(parked)
            await asyncio.sleep(3.5)
            assert stage.count("calls_parked") == 3
            waiting = [stage.place(f"waiting-{number}") for number in range(3)]
            await offered(waiting)
            stage.screen_after_s = 0.1
            for caller in (*parked, *waiting):
                await caller.until("ringing")
            order = [offer.call_id for offer in stage.offered if not offer.call_id.startswith("occ")]
            assert order == ["waiting-0", "parked-0", "waiting-1", "parked-1", "waiting-2", "parked-2"]

    play(scene())


def test_a_thousand_calls_in_a_second_are_each_answered_and_none_is_lost() -> None:
    """Waiting room, lines and parking together; nobody goes unscreened because we were slow (L1, promise 1)."""

    async def scene() -> None:
        async with Stage(setups_max=16) as stage:
            stage.screen_after_s = 0.05
            free = 40

            async def few_lines(stream: RingStream, offer: delivery_pb2.RingOffer) -> None:
                nonlocal free
                if free <= 0:
                    await rejects(delivery_pb2.REJECTION_FULL)(stream, offer)
                    return
                free -= 1
                await line_answers(stream, offer)

            stage.lines = few_lines
            callers = [stage.place(f"call-{number}") for number in range(1_000)]
            ends = [asyncio.ensure_future(caller.call()) for caller in callers]
            await asyncio.wait(ends)
            assert {end.result()[-1] for end in ends} == {"connected"}
            assert stage.count("calls_screened_total", verdict="unscreened") == 0
            overflowed = stage.count("calls_screened_total", verdict="overflow")
            assert overflowed > 100
            assert stage.count("calls_parked") == stage.count("calls_waiting") == stage.count("calls_in_hand") == 0

    play(scene())
