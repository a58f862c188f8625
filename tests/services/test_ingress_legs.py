"""What one leg leaves to the next, here or elsewhere, and gateways that die meanwhile; under virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from throughline.v1 import call_pb2, delivery_pb2, place_pb2

from services.domain.events import FactKind
from services.domain.holding import NONE, UNKNOWN, Holding, Standing
from services.domain.where import Where
from simulator.virtual_loop import run_virtual
from tests.services.ingress_stage import RingStream, Stage, answers, is_silent, rejects, rings

CONFIRMED = "call-1/1/1"
AT_P1 = place_pb2.Where(psap_id="P1")


async def connects(stream: RingStream, offer: delivery_pb2.RingOffer, after_s: float) -> None:
    """Answers at once, and is slow to acknowledge that it is connected."""
    say = delivery_pb2.DeliverResponse
    await stream.write(say(ringing=delivery_pb2.Rung(attempt=offer.attempt, where=AT_P1)))
    await stream.write(say(answer=delivery_pb2.Answer(attempt=offer.attempt)))
    await stream.read()
    await asyncio.sleep(after_s)
    await stream.write(say(connected=delivery_pb2.ConnectDone(attempt=offer.attempt, where=AT_P1)))


def play(scene: Coroutine[Any, Any, None]) -> None:
    run_virtual(scene, limit_s=600)


# P5


@pytest.mark.parametrize("where", [AT_P1, place_pb2.Where(psap_id="P1", line="+15085550100"), None])
def test_a_caller_who_is_connected_already_is_told_so_without_a_ring(where: place_pb2.Where | None) -> None:
    """Those who rang the attempt are asked first: every gateway for a PSAP's, failover for a line's (P5)."""

    async def scene() -> None:
        async with Stage() as stage:
            at = Where("P1", where.line if where else "")
            by = "lines" if at.is_line else "gateway:2"
            stage.holdings[by] = Holding(Standing.CONNECTED, CONFIRMED, at)
            caller = stage.place(leg=2, confirmed_attempt=CONFIRMED, confirmed_where=where)
            words = await caller.call()
            assert sorted(words) == ["accepted", "connected"] or words == ["connected"]
            assert caller.messages[-1].connected.attempt == CONFIRMED
            assert not stage.offered and not stage.dialled
            expected = {"lines"} if at.is_line else {"gateway:1", "gateway:2"} | ({"lines"} if where is None else set())
            assert set(stage.asked_to_resume) == expected
            await asyncio.sleep(1)
            settled = stage.facts()[-1]
            assert settled.kind is (FactKind.DIVERTED if at.is_line else FactKind.ANSWERED)
            assert (settled.attempt, settled.where, settled.settled) == (CONFIRMED, at, True)

    play(scene())


def test_a_caller_who_is_not_connected_rings_only_after_that_is_known() -> None:
    """All gateways say so, by the PSAP's own mouth; the attempt is released by then (P5)."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.resume_after_s = 0.1
            caller = stage.place(leg=2, confirmed_attempt=CONFIRMED, confirmed_where=AT_P1)
            await caller.offer()
            await caller.until("ringing")
            assert 0.1 <= asyncio.get_running_loop().time() < 0.15
            assert not stage.offered[0].maybe_connected
            assert stage.count("legs_resumed_total", standing="none") == 1

    play(scene())


@pytest.mark.parametrize("why", ["silent", "unknown", "one_gateway_gone"])
def test_where_nobody_can_say_it_rings_within_300_ms_and_is_flagged(why: str) -> None:
    """The call-taker hears that the caller may be connected with somebody (P5)."""

    async def scene() -> None:
        async with Stage() as stage:
            if why == "silent":
                stage.resume_after_s = 60
            elif why == "unknown":
                stage.holdings["gateway:1"] = UNKNOWN
            else:
                await stage.servers["gateway:2"].stop(0)
            caller = stage.place(leg=2, confirmed_attempt=CONFIRMED, confirmed_where=AT_P1)
            await caller.offer()
            await caller.until("ringing")
            assert asyncio.get_running_loop().time() < 0.35
            assert stage.offered[0].maybe_connected
            await caller.until()
            await asyncio.sleep(1)
            (attempting,) = [fact for fact in stage.facts() if fact.kind is FactKind.ATTEMPTING]
            assert attempting.reason == "maybe_connected"

    play(scene())


# P7


@pytest.mark.parametrize("broken_first", [True, False])
def test_the_next_leg_at_the_same_ingress_goes_on_with_the_ring(broken_first: bool) -> None:
    """The gateway's stream stays as it was, and the caller hears ringing at once (P7)."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.by_psap["P1"] = lambda stream, offer: answers(stream, offer, after_s=3)
            first = stage.place()
            await first.offer()
            await first.until("ringing")
            if broken_first:
                first.stream.cancel()
                await asyncio.sleep(0.5)
            began = asyncio.get_running_loop().time()
            second = stage.place(leg=2)
            await second.offer()
            rung = await second.until("ringing")
            assert rung.ringing.attempt == CONFIRMED
            assert asyncio.get_running_loop().time() - began < 0.01
            await second.until()
            assert second.messages[-1].connected.attempt == CONFIRMED
            assert len(stage.offered) == 1
            await asyncio.sleep(5)
            assert FactKind.CALLBACK_DUE not in stage.kinds()
            ended = [fact for fact in stage.facts() if fact.kind is FactKind.ENDED]
            assert [(fact.leg, fact.reason) for fact in ended] == [(1, "higher_leg")]
            assert stage.count("legs_adopted_total") == 1
            assert stage.count("calls_in_hand") == 0

    play(scene())


def test_a_connection_under_way_is_told_to_the_next_leg() -> None:
    """Connect was said for the leg before: who answered is connected with the caller, by whatever stream (P5, P7)."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.by_psap["P1"] = lambda stream, offer: connects(stream, offer, after_s=1)
            first = stage.place()
            await first.offer()
            await first.until("connecting")
            await asyncio.sleep(0.1)
            first.stream.cancel()
            second = stage.place(leg=2, confirmed_attempt=CONFIRMED, confirmed_where=AT_P1)
            words = await second.call()
            assert words[-1] == "connected" and "connecting" not in words
            assert second.messages[-1].connected.attempt == CONFIRMED
            assert not stage.asked_to_resume

    play(scene())


@pytest.mark.parametrize("says", [UNKNOWN, NONE, None])
@pytest.mark.parametrize("after_s", [0.05, 9.0, 11.0])
def test_a_leg_after_a_connection_in_the_hold_is_told_of_it(says: Holding | None, after_s: float) -> None:
    """Settled while the caller's stream was gone, and nobody can say any more: the ingress saw it itself, and believes
    that for ten seconds, unless those who had the caller say that the talk is over (P5, P7)."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.by_psap["P1"] = lambda stream, offer: connects(stream, offer, after_s=1)
            first = stage.place()
            await first.offer()
            await first.until("connecting")
            await asyncio.sleep(0.1)
            first.stream.cancel()
            await asyncio.sleep(1 + after_s)
            assert stage.facts()[-1].settled
            stage.holdings = {} if says is None else {"gateway:1": says, "gateway:2": says, "lines": says}
            stage.resume_after_s = 60.0 if says is None else 0.0
            began = asyncio.get_running_loop().time()
            second = stage.place(leg=2, confirmed_attempt=CONFIRMED)
            await second.call()
            remembered = after_s < 10 and says != NONE
            assert (second.messages[-1].connected.attempt == CONFIRMED) is remembered
            assert len(stage.offered) == (1 if remembered else 2)
            assert not remembered or asyncio.get_running_loop().time() - began < 0.35
            await asyncio.sleep(1)
            settled = [fact for fact in stage.facts() if fact.settled]
            assert [fact.leg for fact in settled] == [1, 2]
            assert (settled[1].attempt, settled[1].where) == (CONFIRMED, Where("P1")) or not remembered

    play(scene())


def test_a_memory_of_a_connection_goes_on_from_leg_to_leg() -> None:
    """Leg 2 is gone before it hears anything: leg 3 is told of what leg 1 settled (P5)."""

    async def scene() -> None:
        async with Stage() as stage:
            assert (await stage.place().call())[-1] == "connected"
            stage.resume_after_s = 60
            second = stage.place(leg=2)
            await second.offer()
            await asyncio.sleep(0.1)
            third = stage.place(leg=3)
            assert (await third.call())[-1] == "connected"
            assert third.messages[-1].connected.attempt == CONFIRMED
            assert len(stage.offered) == 1

    play(scene())


def test_a_leg_whose_caller_confirmed_elsewhere_meanwhile_adopts_nothing() -> None:
    """Leg 2 was at another ingress and confirmed an attempt there: that is asked first, and our old ring is let go."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.by_psap["P1"] = rings
            first = stage.place()
            await first.offer()
            await first.until("ringing")
            first.stream.cancel()
            stage.holdings["gateway:1"] = Holding(Standing.CONNECTED, "call-1/2/1", Where("P2"))
            third = stage.place(leg=3, confirmed_attempt="call-1/2/1", confirmed_where=place_pb2.Where(psap_id="P2"))
            assert (await third.call())[-1] == "connected"
            assert third.messages[-1].connected.attempt == "call-1/2/1"
            assert stage.count("legs_adopted_total") == 0

    play(scene())


def test_superseded_in_the_hold_owes_no_callback() -> None:
    """Leg 2 rings the same PSAP from another ingress: the PSAP itself says so (P7, R3)."""

    async def superseded_soon(stream: RingStream, offer: delivery_pb2.RingOffer) -> None:
        rung = delivery_pb2.Rung(attempt=offer.attempt, where=AT_P1)
        await stream.write(delivery_pb2.DeliverResponse(ringing=rung))
        await asyncio.sleep(1)
        rejected = delivery_pb2.Rejected(attempt=offer.attempt, rejection=delivery_pb2.REJECTION_SUPERSEDED)
        await stream.write(delivery_pb2.DeliverResponse(rejected=rejected))

    async def scene() -> None:
        async with Stage() as stage:
            stage.by_psap["P1"] = superseded_soon
            first = stage.place()
            await first.offer()
            await first.until("ringing")
            first.stream.cancel()
            await asyncio.sleep(5)
            assert stage.kinds()[-1] is FactKind.ENDED
            assert FactKind.CALLBACK_DUE not in stage.kinds()

    play(scene())


# R5


# P5: nobody is left to sit with nobody.


@pytest.mark.parametrize(
    ("says", "times"),
    [(NONE, 1), (UNKNOWN, 4), (Holding(Standing.CONNECTED, CONFIRMED, Where("P1")), 4)],
    ids=["the PSAP has let go", "nobody can say", "an older gateway, which lets go of no talk"],
)
@pytest.mark.parametrize("hangs_up_s", [0.4, 0.8])
def test_who_may_have_a_caller_that_hangs_up_is_let_go_of(hangs_up_s: float, says: Holding, times: int) -> None:
    """The gateway breaks at `Connect`, by the other one no word comes in time, and the caller hangs up: while it is
    asked who has them, or after nobody could say. All who may have connected them are told, until one has let go."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.gateways.update({"gateway:1": dies_when_told_to_connect, "gateway:2": is_silent})
            stage.resume_after_s, stage.lines = 10.0, is_silent
            caller = stage.place()
            await caller.offer()
            await caller.until("connecting")
            listening = asyncio.ensure_future(caller.until())
            await asyncio.sleep(hangs_up_s)
            stage.resume_after_s, stage.holdings = 0.0, {"gateway:1": says, "gateway:2": says}
            hung_up_at = asyncio.get_running_loop().time()
            await caller.say(hangup=call_pb2.Hangup())
            await listening
            await asyncio.sleep(10)
            told = [round(at - hung_up_at) for at, by, _ in stage.asked_to_let_go if by == "gateway:2"]
            assert told == [0, 1, 3, 7][:times]
            assert {attempt for _, _, attempt in stage.asked_to_let_go} == {CONFIRMED}
            assert {by for _, by, _ in stage.asked_to_let_go} == {"gateway:1", "gateway:2"}
            assert stage.count("talks_let_go_total", standing="none" if times == 1 else "unknown") == 1

    play(scene())


async def dies_ringing(stream: RingStream, offer: delivery_pb2.RingOffer) -> None:
    """A gateway that is gone a second after its PSAP rings."""
    rung = delivery_pb2.Rung(attempt=offer.attempt, where=AT_P1)
    await stream.write(delivery_pb2.DeliverResponse(ringing=rung))
    await asyncio.sleep(1)


async def dies_when_told_to_connect(stream: RingStream, offer: delivery_pb2.RingOffer) -> None:
    """A gateway that is gone between Connect and connected."""
    rung = delivery_pb2.Rung(attempt=offer.attempt, where=AT_P1)
    await stream.write(delivery_pb2.DeliverResponse(ringing=rung))
    await stream.write(delivery_pb2.DeliverResponse(answer=delivery_pb2.Answer(attempt=offer.attempt)))
    await stream.read()


@pytest.mark.parametrize("dies", [dies_ringing, dies_when_told_to_connect])
def test_a_ring_survives_its_gateway_and_the_caller_hears_nothing_of_it(dies: Any) -> None:
    """The same attempt, under its name, through the PSAP's other gateway; connected there (R5)."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.gateways = {"gateway:1": dies, "gateway:2": answers}
            caller = stage.place()
            words = await caller.call()
            assert [word for word in words if word != "accepted"] == ["ringing", "connecting", "connected"]
            assert [offer.attempt for offer in stage.offered] == [CONFIRMED, CONFIRMED]
            assert stage.count("attempts_offered_again_total") == 1
            await asyncio.sleep(1)
            assert FactKind.DELIVERY_FAILED not in stage.kinds()

    play(scene())


@pytest.mark.parametrize("other", [is_silent, rejects(delivery_pb2.REJECTION_NOT_ATTACHED), dies_ringing])
def test_a_ring_that_is_lost_with_both_gateways_reaches_the_psaps_own_lines(other: Any) -> None:
    """Once for each gateway, within the reach budget, and only then has the attempt failed (R5)."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.gateways = {"gateway:1": dies_ringing, "gateway:2": other}
            caller = stage.place()
            assert (await caller.call())[-1] == "connected"
            assert caller.messages[-1].connected.where.line
            assert len(stage.offered) == 2
            assert asyncio.get_running_loop().time() < (2.1 if other is dies_ringing else 1.5)

    play(scene())


def test_another_calls_attempt_is_not_asked_for() -> None:
    """A caller that says it had confirmed another call's attempt is carried without it, and it is counted (P5, P6)."""

    async def scene() -> None:
        async with Stage() as stage:
            caller = stage.place(leg=2, confirmed_attempt="call-9/1/1", confirmed_where=AT_P1)
            await caller.offer()
            await asyncio.sleep(0.5)
            assert stage.asked_to_resume == []
            assert stage.count("offers_odd_total", oddity="not_its_attempt") == 1

    play(scene())
