"""Who asks a gateway for a call: its real shell, scripted PSAPs and conductors, under virtual time (P5, T3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from throughline.v1 import delivery_pb2, holding_pb2, place_pb2

from services.host.network import Broken, Status
from services.host.network.grpc import GrpcNetwork
from services.wire.methods import RESUME
from simulator.virtual_loop import run_virtual, virtual_wall_ms
from tests.services.gateway_stage import GatewayStage
from tests.services.test_psap_gateway import answered, now, rings

NONE, UNKNOWN = holding_pb2.STANDING_NONE, holding_pb2.STANDING_UNSPECIFIED
RINGING, ANSWERED, CONNECTED = (
    holding_pb2.STANDING_RINGING,
    holding_pb2.STANDING_ANSWERED,
    holding_pb2.STANDING_CONNECTED,
)


def play(scene: Callable[[GatewayStage], Coroutine[Any, Any, None]]) -> None:
    async def staged() -> None:
        async with GatewayStage(virtual_wall_ms) as stage:
            await scene(stage)

    run_virtual(staged(), limit_s=120)


def test_a_gateway_says_how_far_a_call_has_come() -> None:
    """T3: from what it knows itself, in one hop, and nothing is changed by the question."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        attempt = await rings(stage, psap)
        assert (await stage.who_has("call-1", "P1")).standing == RINGING
        await psap.answer(attempt.name)
        await attempt.next("answer")
        assert (await stage.who_has("call-1", "P1")).standing == ANSWERED
        await attempt.connect()
        await psap.next("connect")
        await psap.connected(attempt.name)
        await attempt.next("connected")
        began = now()
        has = await stage.who_has("call-1", "P1")
        assert now() - began < 0.003
        assert (has.standing, has.attempt, has.where.psap_id) == (CONNECTED, "call-1/1/1", "P1")
        assert stage.count("attestations_total", question="who_has", standing="connected") == 1

    play(scene)


def test_a_psap_is_asked_and_its_silence_is_no_answer() -> None:
    """T3: its own mouth within 200 ms, else unknown; three seconds without a stream are a no."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        asking = asyncio.ensure_future(stage.who_has("call-1", "P1"))
        assert (await psap.next("who_has")).call_id == "call-1"
        await psap.say(has=delivery_pb2.Has(call_id="call-1", attempt="call-1/1/1", standing=CONNECTED))
        assert (await asking).standing == CONNECTED
        began = now()
        assert (await stage.who_has("call-2", "P1")).standing == UNKNOWN
        assert now() - began == pytest.approx(0.202, abs=0.001)
        assert (await stage.who_has("call-1", "P2")).standing == UNKNOWN
        psap.leave()
        await asyncio.sleep(2.9)
        assert (await stage.who_has("call-1", "P1")).standing == UNKNOWN
        await asyncio.sleep(0.2)
        assert (await stage.who_has("call-1", "P1")).standing == NONE
        assert (await stage.who_has("call-1", "P2")).standing == NONE

    play(scene)


def test_a_ring_is_released_for_a_newer_leg_and_its_conductor_connects_nobody() -> None:
    """P5: the older conductor hears superseded; what it says after that reaches no PSAP."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        zombie = await answered(stage, psap)
        assert (await stage.resume(zombie.name)).standing == NONE
        assert (await psap.next("release")).attempt == zombie.name
        assert await zombie.rejected() == ("superseded", "a_newer_leg_has_come")
        again = await stage.ring()  # it wakes, and offers the same attempt again
        assert await again.rejected() == ("superseded", "a_newer_leg_has_come")
        await rings(stage, psap, leg=2)

    play(scene)


def test_a_conductor_that_dies_between_connect_and_connected_leaves_the_call_connected() -> None:
    """P5: the PSAP was told, and acknowledges; the newer leg hears of it without ringing."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        attempt = await answered(stage, psap)
        await attempt.connect()
        await psap.next("connect")
        attempt.stream.cancel()
        await asyncio.sleep(0.01)
        asking = asyncio.ensure_future(stage.resume(attempt.name))
        await asyncio.sleep(0.05)
        await psap.connected(attempt.name)
        said = await asking
        assert (said.standing, said.attempt) == (CONNECTED, attempt.name)
        assert psap.heard.empty(), "nothing was released"

    play(scene)


def test_what_the_psap_rings_elsewhere_is_taken_up_and_released() -> None:
    """P5: a gateway that never saw the attempt makes the PSAP let go, and says none by the PSAP's word."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap(ringing=["call-1/1/1"])
        asking = asyncio.ensure_future(stage.resume("call-1/1/1"))
        await psap.next("who_has")
        await psap.say(has=delivery_pb2.Has(call_id="call-1", attempt="call-1/1/1", standing=RINGING))
        assert (await psap.next("resume")).attempt == "call-1/1/1"
        await psap.ringing("call-1/1/1")
        assert (await psap.next("cancel")).attempt == "call-1/1/1"
        await psap.next("who_has")
        assert not asking.done()
        await psap.say(has=delivery_pb2.Has(call_id="call-1", standing=NONE))
        assert (await asking).standing == NONE

    play(scene)


def test_a_gateway_that_drains_answers_who_asks() -> None:
    """T3, L4: what it knows is needed most when calls move away from it."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        await rings(stage, psap)
        stopping = asyncio.ensure_future(stage.gateway.stop(1.0))
        await asyncio.sleep(0.01)
        assert (await stage.who_has("call-1", "P1")).standing == RINGING
        await stopping

    play(scene)


def test_a_restarted_gateway_neither_cuts_off_nor_releases_what_a_psap_brings_with_it() -> None:
    """R5: the attempt is offered through it, goes on where it stands, and is connected."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap(ringing=["call-1/1/1"])
        await psap.ringing("call-1/1/1")
        await psap.answer("call-1/1/1")
        attempt = await stage.ring()
        assert (await psap.next("offer")).attempt == attempt.name
        await psap.ringing(attempt.name)
        await psap.answer(attempt.name)
        await attempt.next("ringing")
        await attempt.next("answer")
        await attempt.connect()
        await psap.next("connect")
        await psap.connected(attempt.name)
        await attempt.next("connected")

    play(scene)


def test_an_attempt_connected_through_another_gateway_is_reported_connected() -> None:
    """R5: the PSAP says `have` with the attempt that it is offered."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap(held=["call-9/1/1"])
        attempt = await stage.ring()
        await psap.next("offer")
        await psap.say(have=delivery_pb2.Have(call_id="call-1", attempt=attempt.name))
        assert (await attempt.next("connected")).where.psap_id == "P1"
        await attempt.over()
        assert (await stage.who_has("call-1", "P1")).standing == CONNECTED

    play(scene)


def test_a_talk_whose_caller_is_gone_is_released_though_the_psap_is_slow_to_say_that_it_has_it() -> None:
    """P5: it was connected through another gateway; the PSAP reads its release before it says a word of the offer."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        attempt = await stage.ring()
        await psap.next("offer")
        await asyncio.sleep(0.29)
        await attempt.release("unreachable")  # its conductor has waited for `have` long enough
        await attempt.over()
        assert (await psap.next("cancel")).attempt == attempt.name
        assert (await stage.resume(attempt.name)).standing == UNKNOWN  # who is slow to ring is not asked
        asking = asyncio.ensure_future(stage.resume(attempt.name, unwanted=True))
        await psap.say(have=delivery_pb2.Have(call_id="call-1", attempt=attempt.name))  # at last
        assert (await psap.next("resume")).attempt == attempt.name
        assert (await psap.next("release")).attempt == attempt.name
        await psap.next("who_has")
        await psap.say(has=delivery_pb2.Has(call_id="call-1", standing=NONE))
        assert (await asking).standing == NONE
        assert (await stage.who_has("call-1", "P1")).standing == UNKNOWN

    play(scene)


@pytest.mark.parametrize(("call_id", "attempt"), [("", "call-1/1/1"), ("call-2", "call-1/1/1"), ("call-1", "x" * 300)])
def test_a_question_that_makes_no_sense_is_refused(call_id: str, attempt: str) -> None:
    """P5: INVALID_ARGUMENT, and nothing is released."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        ring = await rings(stage, psap)
        asked = holding_pb2.ResumeRequest(call_id=call_id, attempt=attempt, where=place_pb2.Where(psap_id="P1"))
        with pytest.raises(Broken) as broken:
            await stage.network.ask(stage.gateway.address, RESUME, asked, within_s=0.3)
        assert broken.value.status is Status.INVALID_ARGUMENT
        await psap.answer(ring.name)
        await ring.next("answer")

    play(scene)


async def test_over_grpc_a_newer_leg_has_its_answer_in_milliseconds() -> None:
    """P5, T3: the same over real streams."""
    async with asyncio.timeout(20):
        async with GatewayStage(lambda: 0, GrpcNetwork(), "127.0.0.1:0") as stage:
            psap = await stage.psap()
            attempt = await answered(stage, psap)
            assert (await stage.who_has("call-1", "P1")).standing == ANSWERED
            assert (await stage.resume(attempt.name)).standing == NONE
            assert (await psap.next("release")).attempt == attempt.name
            asking = asyncio.ensure_future(stage.resume(attempt.name))
            await psap.next("who_has")
            await psap.say(has=delivery_pb2.Has(call_id="call-1", attempt="call-1/1/2", standing=CONNECTED))
            said = await asking
            assert (said.standing, said.attempt) == (CONNECTED, "call-1/1/2")


@pytest.mark.parametrize("name", ["call-9/99999999999/1001", "call-9/1/x", "call-9/1/99999999999"])
def test_a_name_that_is_no_attempts_is_not_attested(name: str) -> None:
    """A hello that names it is heard without it; an answer that names it ends the stream (T3)."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap(held=[name])
        asked = asyncio.ensure_future(stage.who_has("call-9", "P1"))
        assert (await psap.next("who_has")).call_id == "call-9"
        await psap.say(has=delivery_pb2.Has(call_id="call-9", attempt=name, standing=CONNECTED))
        assert (await asked).standing == UNKNOWN

    play(scene)
