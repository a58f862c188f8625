"""The gateway's real shell with scripted PSAPs and conductors, under virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from throughline.v1 import delivery_pb2, holding_pb2

from services.domain.deliveries import Outcome
from services.domain.events import Failure
from services.domain.gateways.rings import CONFIRM_S
from services.host.network import Broken, Converses, Served, Server, Status
from services.host.network.grpc import GrpcNetwork
from services.host.network.memory import MemoryNetwork
from services.wire.methods import ATTACH
from simulator.virtual_loop import run_virtual, virtual_wall_ms
from tests.services.gateway_stage import Attempt, GatewayStage, Psap

FULL, REFUSED = delivery_pb2.REJECTION_FULL, delivery_pb2.REJECTION_REFUSED


def play(scene: Callable[[GatewayStage], Coroutine[Any, Any, None]]) -> None:
    async def staged() -> None:
        async with GatewayStage(virtual_wall_ms) as stage:
            await scene(stage)

    run_virtual(staged(), limit_s=120)


def now() -> float:
    return asyncio.get_running_loop().time()


async def rings(stage: GatewayStage, psap: Psap, **call: Any) -> Attempt:
    """An attempt that rings at `psap`."""
    attempt = await stage.ring(psap.psap_id, **call)
    offer = await psap.next("offer")
    assert offer.attempt == attempt.name
    await psap.ringing(attempt.name)
    assert (await attempt.next("ringing")).where.psap_id == psap.psap_id
    return attempt


async def answered(stage: GatewayStage, psap: Psap, **call: Any) -> Attempt:
    """An attempt that a person at `psap` has answered."""
    attempt = await rings(stage, psap, **call)
    await psap.answer(attempt.name)
    await attempt.next("answer")
    return attempt


# The calm way.


def test_an_attempt_is_offered_rung_answered_confirmed_and_connected() -> None:
    """The words of one delivery, in order, and the same on record (R1)."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        attempt = await answered(stage, psap)
        await attempt.connect()
        assert (await psap.next("connect")).attempt == attempt.name
        await psap.connected(attempt.name)
        done = await attempt.next("connected")
        assert (done.attempt, done.where.psap_id, done.where.line) == ("call-1/1/1", "P1", "")
        await attempt.over()
        await asyncio.sleep(0.1)
        told = stage.deliveries()
        assert [each.outcome for each in told] == [Outcome.RINGING, Outcome.ANSWERED, Outcome.CONNECTED]
        assert {(each.attempt, each.by, each.leg) for each in told} == {("call-1/1/1", "gateway-1", 1)}

    play(scene)


def test_an_offer_reaches_the_psap_as_it_was_made() -> None:
    """Place, reason, suspicion and ring time travel unchanged (R1)."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        attempt = Attempt(stage.network, stage.gateway.address, "P1", "call-1", 2, 3)
        offer = delivery_pb2.RingOffer(
            attempt=attempt.name, call_id="call-1", leg=2, psap_id="P1", caller="+15085550101", ring_ms=1234,
            reason="town_primary", suspicion=7, service_urn="urn:service:sos",
        )  # fmt: skip
        offer.place.circle.centre.latitude = 42.0
        await attempt.say(offer=offer)
        assert await psap.next("offer") == offer

    play(scene)


def test_heartbeats_go_both_ways_each_second() -> None:
    """Each 1 s (R2)."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        began = now()
        await asyncio.sleep(5.5)
        assert [round(at - began, 2) for at in psap.heartbeats_at] == [1.0, 2.0, 3.0, 4.0, 5.0]
        assert stage.standing() == (True, "")

    play(scene)


# Who may attach.


@pytest.mark.parametrize("credential", ["", "token-of-P2", "x" * 10_000])
def test_a_wrong_credential_is_denied(credential: str) -> None:
    """PERMISSION_DENIED, counted, and nothing is published of that PSAP (R2)."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap(credential=credential)
        assert await psap.status() is Status.PERMISSION_DENIED
        await asyncio.sleep(0.1)
        assert stage.standing() is None
        assert stage.count("streams_ended_total", offence="wrong_credential") == 1

    play(scene)


def test_an_unknown_psap_is_denied() -> None:
    """No hash in the directory, no attachment (R2)."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap("P9")
        assert await psap.status() is Status.PERMISSION_DENIED

    play(scene)


def test_a_stream_that_says_nothing_is_ended_after_two_seconds() -> None:
    """Hello is due within 2 s (R2)."""

    async def scene(stage: GatewayStage) -> None:
        psap = Psap(stage.network, stage.gateway.address, "P1")
        began = now()
        with pytest.raises(Broken) as broken:
            await psap.stream.read()
        assert broken.value.status is Status.INVALID_ARGUMENT
        assert now() - began == pytest.approx(2.0, abs=0.01)
        assert stage.count("streams_ended_total", offence="no_hello") == 1

    play(scene)


def test_the_newer_stream_of_a_psap_wins() -> None:
    """The older stream is ended, what rings goes on over the newer one where its hello names it (R5 in small)."""

    async def scene(stage: GatewayStage) -> None:
        older = await stage.psap()
        kept = await rings(stage, older, call_id="call-1")
        lost = await rings(stage, older, call_id="call-2")
        newer = await stage.psap(ringing=[kept.name])
        assert await older.status() is Status.ALREADY_EXISTS
        assert await lost.rejected() == ("unreachable", "psap_attached_again")
        assert (await newer.next("cancel")).attempt == lost.name
        await newer.answer(kept.name)
        await kept.next("answer")
        await asyncio.sleep(0.1)
        assert stage.standing() == (True, "")

    play(scene)


# Not there.


def test_a_psap_that_is_not_attached_is_said_so_in_milliseconds() -> None:
    """NOT_ATTACHED at once, so that the conductor takes the next gateway (R4)."""

    async def scene(stage: GatewayStage) -> None:
        began = now()
        attempt = await stage.ring()
        assert await attempt.rejected() == ("not_attached", "never_attached")
        assert now() - began < 0.01
        await asyncio.sleep(0.1)
        assert [(each.outcome, each.failure) for each in stage.deliveries()] == [(Outcome.FAILED, Failure.NOT_ATTACHED)]

    play(scene)


def test_a_silent_psap_is_found_within_three_seconds() -> None:
    """After 2.5 s without a word its rings are given back and its row says so (R2, R8)."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        other = await stage.psap("P2")
        attempt = await rings(stage, psap)
        psap.mute = True
        last_heard = now()
        elsewhere = await rings(stage, other, call_id="call-2")
        assert await attempt.rejected() == ("unreachable", "silent")
        assert 2.4 < now() - last_heard < 2.6
        await asyncio.sleep(0.03)
        assert stage.standing("P1") == (False, "silent")
        assert stage.standing("P2") == (True, "")
        again = await stage.ring(call_id="call-3")
        assert await again.rejected() == ("unreachable", "silent")
        await other.answer(elsewhere.name)
        await elsewhere.next("answer")

    play(scene)


def test_a_silent_psap_that_speaks_again_is_back_at_once() -> None:
    """Any word ends the silence; the stream was never cut."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        psap.mute = True
        await asyncio.sleep(3)
        assert stage.standing() == (False, "silent")
        await psap.say(heartbeat=delivery_pb2.PsapHeartbeat())
        await asyncio.sleep(0.03)
        assert stage.standing() == (True, "")
        await rings(stage, psap)
        await asyncio.sleep(3)
        assert stage.standing() == (False, "silent")

    play(scene)


def test_a_cut_stream_gives_its_rings_back_at_once() -> None:
    """A broken stream is unreachable now, not after a time-out."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        attempt = await rings(stage, psap)
        began = now()
        psap.leave()
        assert (await attempt.rejected())[0] == "unreachable"
        assert now() - began < 0.01
        await asyncio.sleep(0.03)
        assert stage.standing() == (False, "stream_lost")

    play(scene)


def test_an_offer_without_a_taker_makes_the_psap_suspect_at_once() -> None:
    """No word within 300 ms: published, and heartbeats do not clear it; a probe each 2 s may (R8)."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        began = now()
        attempt = await stage.ring()
        await psap.next("offer")
        assert await attempt.rejected() == ("unreachable", "no_word_on_an_offer")
        assert now() - began == pytest.approx(0.300, abs=0.005)
        assert (await psap.next("cancel")).attempt == attempt.name
        await asyncio.sleep(0.025)
        assert stage.standing() == (False, "no_word_on_an_offer")
        await asyncio.sleep(1.5)  # a heartbeat has come meanwhile
        assert stage.standing() == (False, "no_word_on_an_offer")
        refused = await stage.ring(call_id="call-2")
        assert await refused.rejected() == ("unreachable", "no_word_on_an_offer")
        await asyncio.sleep(0.5)
        assert stage.standing() == (True, "probe_due")
        probe = await stage.ring(call_id="call-3")
        await psap.next("offer")
        beside = await stage.ring(call_id="call-4")
        assert await beside.rejected() == ("unreachable", "no_word_on_an_offer")
        await psap.ringing(probe.name)
        await probe.next("ringing")
        await asyncio.sleep(0.03)
        assert stage.standing() == (True, "")
        await rings(stage, psap, call_id="call-5")

    play(scene)


def test_a_conductor_that_gives_up_first_makes_it_suspect_too() -> None:
    """The conductor's own 300 ms run a little ahead of ours; its word counts where our clock agrees."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        attempt = await stage.ring()
        await psap.next("offer")
        await asyncio.sleep(0.28)
        await attempt.release("unreachable")
        await attempt.over()
        await asyncio.sleep(0.03)
        assert stage.standing() == (False, "no_word_on_an_offer")

    play(scene)


def test_a_hasty_conductor_does_not_make_a_psap_suspect() -> None:
    """A process that is late itself accuses nobody (L2): 100 ms are not silence."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        attempt = await stage.ring()
        await psap.next("offer")
        await asyncio.sleep(0.1)
        await attempt.release("unreachable")
        await attempt.over()
        await psap.next("cancel")
        await rings(stage, psap, call_id="call-2")

    play(scene)


# There, but cannot.


@pytest.mark.parametrize(("rejection", "name"), [(FULL, "full"), (REFUSED, "refused")])
def test_what_a_psap_refuses_goes_back_as_it_said(rejection: delivery_pb2.Rejection.ValueType, name: str) -> None:
    """The conductor hears the PSAP's own word, and the PSAP stays reachable (R1)."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        attempt = await stage.ring()
        await psap.next("offer")
        await psap.reject(attempt.name, rejection)
        assert await attempt.rejected() == (name, "as_scripted")
        await asyncio.sleep(0.1)
        assert stage.standing() == (True, "")

    play(scene)


def test_a_call_that_the_psap_has_already_is_superseded() -> None:
    """`have` names the attempt under which the call is there (R3)."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap(held=["call-1/1/1"])
        attempt = await stage.ring(leg=2)
        await psap.next("offer")
        await psap.say(have=delivery_pb2.Have(call_id="call-1", attempt="call-1/1/1"))
        assert await attempt.rejected() == ("superseded", "call-1/1/1")

    play(scene)


# Confirm, release.


def test_an_answer_that_nobody_confirms_is_released_after_a_second() -> None:
    """The gateway's own second is the authority (P4)."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        attempt = await answered(stage, psap)
        began = now()
        assert await attempt.rejected() == ("expired", "not_confirmed_in_time")
        assert now() - began == pytest.approx(1.0, abs=0.005)
        assert (await psap.next("release")).attempt == attempt.name
        await asyncio.sleep(0.1)
        assert stage.deliveries()[-1].failure is Failure.EXPIRED

    play(scene)


def test_a_connect_that_crosses_the_release_connects_nobody() -> None:
    """Connect after release is refused (P4): the PSAP never hears it."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        attempt = await answered(stage, psap)
        await asyncio.sleep(0.9985)  # leaves in time, and comes too late
        await attempt.connect()
        assert (await attempt.rejected())[0] == "expired"
        assert (await psap.next("release")).attempt == attempt.name
        await psap.connected(attempt.name)  # a PSAP that connects all the same is told again
        assert (await psap.next("release")).attempt == attempt.name

    play(scene)


def test_a_connect_before_any_answer_is_refused() -> None:
    """An answer is a proposal, and without one there is nothing to confirm (P4)."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        attempt = await rings(stage, psap)
        await attempt.connect()
        assert (await attempt.rejected())[0] == "expired"
        assert (await psap.next("cancel")).attempt == attempt.name

    play(scene)


def test_a_release_stops_the_ringing() -> None:
    """Cancel to the PSAP, `released` on record, and the stream ends well (R1)."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        attempt = await rings(stage, psap)
        await attempt.release("caller_hung_up")
        await attempt.over()
        cancel = await psap.next("cancel")
        assert (cancel.attempt, cancel.reason) == (attempt.name, "caller_hung_up")
        await asyncio.sleep(0.1)
        assert [each.outcome for each in stage.deliveries()] == [Outcome.RINGING, Outcome.RELEASED]

    play(scene)


def test_what_rings_for_a_conductor_that_is_gone_is_cancelled() -> None:
    """R5: nobody rings for a conductor that cannot connect."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        attempt = await rings(stage, psap)
        attempt.stream.cancel()
        assert (await psap.next("cancel")).attempt == attempt.name
        await asyncio.sleep(0.1)
        assert stage.deliveries()[-1].outcome is Outcome.RELEASED

    play(scene)


def test_an_answer_is_taken_up_by_who_comes_back_within_its_second() -> None:
    """P4, R5: a stream that broke is no release; the PSAP hears nothing of it, and connects."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        (await answered(stage, psap)).stream.cancel()
        await asyncio.sleep(0.5)
        again = await stage.ring()
        await again.next("ringing")
        await again.next("answer")
        await again.connect()
        assert (await psap.next("connect")).attempt == again.name
        await psap.connected(again.name)
        await again.next("connected")

    play(scene)


def test_an_answer_whose_conductor_does_not_come_back_is_released_at_its_second() -> None:
    """P4: the call-taker does not wait for longer than for any other answer."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        attempt = await answered(stage, psap)
        answered_at = now()
        attempt.stream.cancel()
        assert (await psap.next("release")).attempt == attempt.name
        assert now() - answered_at == pytest.approx(CONFIRM_S, abs=0.01)
        await asyncio.sleep(0.1)
        assert stage.deliveries()[-1].failure is Failure.EXPIRED

    play(scene)


def test_an_answer_that_crosses_a_release_is_released() -> None:
    """The PSAP had not heard yet: it is told again, and keeps its stream."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        attempt = await rings(stage, psap)
        await attempt.release()
        await attempt.over()
        await psap.answer(attempt.name)
        await psap.next("cancel")
        assert (await psap.next("release")).attempt == attempt.name
        await rings(stage, psap, call_id="call-2")

    play(scene)


def test_a_connect_that_the_psap_does_not_acknowledge_comes_to_an_end() -> None:
    """The conductor hears of it, and the PSAP is told to let go."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        attempt = await answered(stage, psap)
        await attempt.connect()
        await psap.next("connect")
        assert await attempt.rejected() == ("unreachable", "no_acknowledgement")
        assert (await psap.next("release")).attempt == attempt.name

    play(scene)


# Misbehaviour: cut off, counted, others unharmed.


async def _answers_what_was_not_offered(stage: GatewayStage, liar: Psap, other: Attempt) -> None:
    await liar.answer("call-9/1/1")


async def _rings_anothers(stage: GatewayStage, liar: Psap, other: Attempt) -> None:
    await liar.ringing(other.name)


async def _answers_anothers(stage: GatewayStage, liar: Psap, other: Attempt) -> None:
    await liar.answer(other.name)


async def _rejects_anothers(stage: GatewayStage, liar: Psap, other: Attempt) -> None:
    await liar.reject(other.name, FULL)


async def _ends_anothers(stage: GatewayStage, liar: Psap, other: Attempt) -> None:
    await liar.say(ended=delivery_pb2.Ended(attempt=other.name))


async def _says_hello_twice(stage: GatewayStage, liar: Psap, other: Attempt) -> None:
    await liar.say(hello=delivery_pb2.Hello(psap_id="P2", credential="token-of-P2"))


async def _answers_for_anothers_call(stage: GatewayStage, liar: Psap, other: Attempt) -> None:
    await liar.say(has=delivery_pb2.Has(call_id="call-1", attempt=other.name, standing=holding_pb2.STANDING_CONNECTED))


async def _claims_anothers_call_when_asked(stage: GatewayStage, liar: Psap, other: Attempt) -> None:
    asking = asyncio.ensure_future(stage.who_has("call-1", "P2"))
    await liar.next("who_has")
    await liar.say(has=delivery_pb2.Has(call_id="call-1", attempt=other.name, standing=holding_pb2.STANDING_CONNECTED))
    told = await asking
    assert (told.standing, told.where.psap_id) == (holding_pb2.STANDING_RINGING, "P1")  # where it is known to ring


async def _has_what_rings_there(stage: GatewayStage, liar: Psap, other: Attempt) -> None:
    attempt = await rings(stage, liar, call_id="call-8")
    await liar.say(have=delivery_pb2.Have(call_id="call-8", attempt=attempt.name))
    assert (await attempt.rejected())[0] == "unreachable"


async def _floods_with_has(stage: GatewayStage, liar: Psap, other: Attempt) -> None:
    asking = asyncio.ensure_future(stage.who_has("call-9", "P2"))
    await liar.next("who_has")
    for _ in range(1_000):
        await liar.say(has=delivery_pb2.Has(call_id="call-9", standing=holding_pb2.STANDING_NONE))
    assert (await asking).standing == holding_pb2.STANDING_NONE


async def _connects_unasked(stage: GatewayStage, liar: Psap, other: Attempt) -> None:
    attempt = await rings(stage, liar, call_id="call-8")
    await liar.connected(attempt.name)
    assert (await attempt.rejected())[0] == "unreachable"


async def _floods(stage: GatewayStage, liar: Psap, other: Attempt) -> None:
    for _ in range(1_000):
        await liar.say(heartbeat=delivery_pb2.PsapHeartbeat())


async def _shouts(stage: GatewayStage, liar: Psap, other: Attempt) -> None:
    await liar.say(state=delivery_pb2.PsapState(service_state="x" * 100_000))


@pytest.mark.parametrize(
    ("misbehave", "status", "offence"),
    [
        (_answers_what_was_not_offered, Status.INVALID_ARGUMENT, "out_of_turn"),
        (_rings_anothers, Status.PERMISSION_DENIED, "anothers_id"),
        (_answers_anothers, Status.PERMISSION_DENIED, "anothers_id"),
        (_rejects_anothers, Status.PERMISSION_DENIED, "anothers_id"),
        (_ends_anothers, Status.PERMISSION_DENIED, "anothers_id"),
        (_says_hello_twice, Status.INVALID_ARGUMENT, "out_of_turn"),
        (_answers_for_anothers_call, Status.INVALID_ARGUMENT, "out_of_turn"),
        (_claims_anothers_call_when_asked, Status.PERMISSION_DENIED, "anothers_id"),
        (_has_what_rings_there, Status.INVALID_ARGUMENT, "out_of_turn"),
        (_floods_with_has, Status.INVALID_ARGUMENT, "out_of_turn"),
        (_connects_unasked, Status.INVALID_ARGUMENT, "out_of_turn"),
        (_floods, Status.RESOURCE_EXHAUSTED, "flood"),
        (_shouts, Status.INVALID_ARGUMENT, "unreadable"),
    ],
)
def test_a_psap_that_misbehaves_is_cut_off_and_others_are_unharmed(
    misbehave: Callable[[GatewayStage, Psap, Attempt], Awaitable[None]], status: Status, offence: str
) -> None:
    """Each kind by itself: the liar's stream ends with a status and a count, the other's call goes on."""

    async def scene(stage: GatewayStage) -> None:
        good = await stage.psap("P1")
        liar = await stage.psap("P2")
        attempt = await rings(stage, good)
        with suppress(Broken):  # the stream may end while it still speaks
            await misbehave(stage, liar, attempt)
        assert await liar.status() is status
        assert stage.count("streams_ended_total", offence=offence) == 1
        await good.answer(attempt.name)
        await attempt.next("answer")
        await attempt.connect()
        await good.next("connect")
        await good.connected(attempt.name)
        await attempt.next("connected")
        await asyncio.sleep(0.1)
        assert stage.standing("P2") in ((False, f"cut_off_{offence}"),)
        assert stage.standing("P1") == (True, "")

    play(scene)


def test_a_hello_that_claims_anothers_ring_is_cut_off() -> None:
    """Claiming another's id (R2)."""

    async def scene(stage: GatewayStage) -> None:
        good = await stage.psap("P1")
        attempt = await rings(stage, good)
        liar = await stage.psap("P2", ringing=[attempt.name])
        assert await liar.status() is Status.PERMISSION_DENIED
        await good.answer(attempt.name)
        await attempt.next("answer")

    play(scene)


def test_a_busy_psap_is_no_flood() -> None:
    """What the gateway itself asked for is paid in advance: 200 calls a second, five words each."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()

        async def connects() -> None:
            while True:
                message = await psap.heard.get()
                match message.WhichOneof("said"):
                    case "offer":
                        for _ in range(3):
                            await psap.ringing(message.offer.attempt)
                        await psap.answer(message.offer.attempt)
                    case "connect":
                        await psap.connected(message.connect.attempt)

        working = asyncio.ensure_future(connects())

        async def call(number: int) -> None:
            attempt = await stage.ring(call_id=f"call-{number}")
            await attempt.next("ringing")
            await attempt.next("answer")
            await attempt.connect()
            await attempt.next("connected")

        calls = []
        for number in range(1_000):
            calls.append(asyncio.ensure_future(call(number)))
            await asyncio.sleep(0.005)
        await asyncio.gather(*calls)
        working.cancel()
        assert stage.count("outcomes_total", outcome="connected") == 1_000

    play(scene)


@pytest.mark.parametrize(
    "said",
    [
        {"connect": delivery_pb2.Connect(attempt="call-1/1/1")},
        {"offer": delivery_pb2.RingOffer(psap_id="P1", call_id="call-1")},
        {"offer": delivery_pb2.RingOffer(psap_id="P1", call_id="c" * 300, attempt="a")},
        {},
    ],
)
def test_a_conductor_that_does_not_begin_with_an_offer_is_refused(said: dict[str, Any]) -> None:
    """INVALID_ARGUMENT, counted (R1)."""

    async def scene(stage: GatewayStage) -> None:
        await stage.psap()
        attempt = Attempt(stage.network, stage.gateway.address, "P1", "call-1", 1, 1)
        await attempt.say(**said)
        with pytest.raises(Broken) as broken:
            await attempt.stream.read()
        assert broken.value.status is Status.INVALID_ARGUMENT
        assert stage.count("conductor_words_refused_total") == 1

    play(scene)


def test_an_attempt_offered_again_goes_on_by_its_newest_stream() -> None:
    """R5: the newer stream hears how it stands, the older one ends superseded, and the PSAP hears nothing of it."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        older = await answered(stage, psap)
        newer = await stage.ring()
        assert await older.rejected() == ("superseded", "taken_over")
        assert (await newer.next("ringing")).where.psap_id == "P1"
        await newer.next("answer")
        await newer.connect()
        await psap.next("connect")
        await psap.connected(newer.name)
        await newer.next("connected")
        await newer.over()
        await asyncio.sleep(0.1)
        assert [each.outcome for each in stage.deliveries()] == [
            Outcome.RINGING,
            Outcome.ANSWERED,
            Outcome.CONNECTED,
        ]
        assert stage.count("attempts_taken_over_total") == 1

    play(scene)


def test_two_conductors_of_one_attempt_make_one_connection() -> None:
    """R5: a zombie that has said connect, and a newer stream that says it too: the PSAP hears it once."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        zombie = await answered(stage, psap)
        newer = Attempt(stage.network, stage.gateway.address, "P1", "call-1", 1, 1)
        await zombie.connect()
        await newer.offer()
        await newer.next("ringing")
        await newer.next("answer")
        await newer.connect()
        await psap.next("connect")
        assert await zombie.rejected() == ("superseded", "taken_over")
        with suppress(Broken):
            await zombie.connect()
        await psap.connected(newer.name)
        await newer.next("connected")
        await asyncio.sleep(0.1)
        assert psap.heard.empty()
        assert [each.outcome for each in stage.deliveries()].count(Outcome.CONNECTED) == 1

    play(scene)


def test_the_name_of_anothers_attempt_is_refused() -> None:
    """R5: ALREADY_EXISTS for one that names another PSAP; the first rings on."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        first = await rings(stage, psap)
        second = await stage.ring("P2")
        with pytest.raises(Broken) as broken:
            await second.stream.read()
        assert broken.value.status is Status.ALREADY_EXISTS
        await psap.answer(first.name)
        await first.next("answer")

    play(scene)


class DeafNetwork(MemoryNetwork):
    """One on which what is written to PSAPs waits while `deaf` is set."""

    def __init__(self) -> None:
        super().__init__(latency_s=0.001)
        self.flows = asyncio.Event()
        self.flows.set()

    async def serve(self, address: str, served: Sequence[Served]) -> Server:
        wrapped = [
            Converses(each.conversation, self._slow(each.handler))
            if isinstance(each, Converses) and each.conversation is ATTACH
            else each
            for each in served
        ]
        return await super().serve(address, wrapped)

    def _slow(self, handler: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
        network = self

        class Slow:
            def __init__(self, stream: Any) -> None:
                self.peer = stream.peer
                self.read = stream.read
                self._write = stream.write

            async def write(self, message: Any) -> None:
                await network.flows.wait()
                await self._write(message)

        return lambda stream: handler(Slow(stream))


def test_a_psap_that_does_not_read_is_cut_off() -> None:
    """What waits for it is bounded; what rings there goes elsewhere long before that (R2)."""

    async def staged() -> None:
        network = DeafNetwork()
        async with GatewayStage(virtual_wall_ms, network) as stage:
            psap = await stage.psap()
            network.flows.clear()
            unheard = await stage.ring()
            assert await unheard.rejected() == ("unreachable", "no_word_on_an_offer")
            await asyncio.sleep(1_100)  # a heartbeat each second fills what may wait
            assert stage.count("streams_ended_total", offence="deaf") == 1
            assert stage.standing() == (False, "cut_off_deaf")
            assert await psap.status() is Status.RESOURCE_EXHAUSTED

    run_virtual(staged(), limit_s=1_200)


WORDS = st.sampled_from(("call-1/1/1", "call-2/1/1", "", "x" * 300))
PSAP_SAYS = st.one_of(
    WORDS.map(lambda a: delivery_pb2.AttachRequest(ringing=delivery_pb2.Rung(attempt=a))),
    WORDS.map(lambda a: delivery_pb2.AttachRequest(answer=delivery_pb2.Answer(attempt=a))),
    WORDS.map(lambda a: delivery_pb2.AttachRequest(connected=delivery_pb2.ConnectDone(attempt=a))),
    st.builds(lambda a, r: delivery_pb2.Rejected(attempt=a, rejection=r), WORDS, st.integers(-(2**31), 2**31 - 1)).map(
        lambda rejected: delivery_pb2.AttachRequest(reject=rejected)
    ),
    WORDS.map(lambda a: delivery_pb2.AttachRequest(have=delivery_pb2.Have(call_id="call-1", attempt=a))),
    st.builds(
        lambda a, s: delivery_pb2.AttachRequest(has=delivery_pb2.Has(call_id="call-1", attempt=a, standing=s)),
        WORDS,
        st.integers(0, 9),
    ),
    WORDS.map(lambda a: delivery_pb2.AttachRequest(ended=delivery_pb2.Ended(attempt=a))),
    WORDS.map(lambda a: delivery_pb2.AttachRequest(state=delivery_pb2.PsapState(service_state=a))),
    st.just(delivery_pb2.AttachRequest(hello=delivery_pb2.Hello())),
    st.just(delivery_pb2.AttachRequest()),
)  # fmt: skip
CONDUCTOR_SAYS = st.one_of(
    WORDS.map(lambda a: delivery_pb2.DeliverRequest(connect=delivery_pb2.Connect(attempt=a))),
    WORDS.map(lambda a: delivery_pb2.DeliverRequest(release=delivery_pb2.Release(attempt=a, reason=a))),
    st.just(delivery_pb2.DeliverRequest()),
    st.just(delivery_pb2.DeliverRequest(offer=delivery_pb2.RingOffer(attempt="call-1/1/1"))),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(PSAP_SAYS, CONDUCTOR_SAYS), max_size=8))
def test_whatever_is_said_the_gateway_stands_and_the_other_call_is_connected(said: list[Any]) -> None:
    """No word of a PSAP or a conductor is a mistake of ours, and none of them reaches another's call."""

    async def scene(stage: GatewayStage) -> None:
        good, odd = await stage.psap("P1"), await stage.psap("P2")
        held = await answered(stage, good, call_id="call-2")
        attempt = await stage.ring("P2", call_id="call-1")
        for message in said:
            stream: Any = odd.stream if isinstance(message, delivery_pb2.AttachRequest) else attempt.stream
            with suppress(Broken):
                await stream.write(message)
        await asyncio.sleep(0.01)
        await held.connect()
        await good.next("connect")
        await good.connected(held.name)
        await held.next("connected")

    play(scene)


# What is published.


def test_a_snapshot_comes_each_two_seconds_and_a_change_at_once() -> None:
    """One each 2 s; changes within 20 ms, many in one (R8)."""

    async def scene(stage: GatewayStage) -> None:
        await asyncio.sleep(6.5)
        assert len(stage.statuses()) == 4  # at the start, then at 2, 4 and 6 s
        assert [each.seq for each in stage.statuses()] == [0, 1, 2, 3]
        for psap_id in ("P1", "P2", "P3"):
            await stage.psap(psap_id)
        await asyncio.sleep(0.025)
        assert len(stage.statuses()) == 5
        newest = stage.statuses()[-1]
        assert sorted(row.psap_id for row in newest.rows if row.attached) == ["P1", "P2", "P3"]
        assert (newest.gateway, newest.address) == ("gateway-1", "gateway:1")

    play(scene)


def test_rows_count_what_rings_and_what_is_connected() -> None:
    """Counts ride in the snapshots (R8)."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        await rings(stage, psap, call_id="call-1")
        held = await answered(stage, psap, call_id="call-2")
        await held.connect()
        await psap.connected((await psap.next("connect")).attempt)
        await held.next("connected")
        await asyncio.sleep(2.1)
        row = stage.statuses()[-1].rows[0]
        assert (row.ringing, row.connected) == (1, 1)
        await psap.say(ended=delivery_pb2.Ended(attempt=held.name))
        await asyncio.sleep(2.1)
        assert stage.statuses()[-1].rows[0].connected == 0

    play(scene)


def test_without_kafka_calls_are_rung_all_the_same() -> None:
    """The journal's absence is a remark, not a trouble (J6)."""

    async def scene(stage: GatewayStage) -> None:
        stage.log.fail(absent=True)
        psap = await stage.psap()
        attempt = await answered(stage, psap)
        await attempt.connect()
        await psap.next("connect")
        await psap.connected(attempt.name)
        await attempt.next("connected")
        assert stage.gateway.troubles() == []
        assert "journal" in stage.gateway.remarks()[0]
        stage.log.fail()
        await asyncio.sleep(3)
        assert stage.gateway.remarks() == []
        assert [each.outcome for each in stage.deliveries()][-1] is Outcome.CONNECTED

    play(scene)


def test_a_gateway_that_stops_says_so_and_lets_its_calls_finish() -> None:
    """Routers hear at once, new attempts go elsewhere, those in hand are connected, then PSAPs are let go (L4)."""

    async def scene(stage: GatewayStage) -> None:
        psap = await stage.psap()
        attempt = await answered(stage, psap)
        stopping = asyncio.ensure_future(stage.gateway.stop(5.0))
        await asyncio.sleep(0.03)
        assert stage.standing() == (False, "gateway_draining")
        refused = await stage.ring(call_id="call-2")
        with pytest.raises(Broken) as broken:
            await refused.stream.read()
        assert (broken.value.status, broken.value.detail) == (Status.UNAVAILABLE, "draining")
        await attempt.connect()
        await psap.next("connect")
        await psap.connected(attempt.name)
        await attempt.next("connected")
        await stopping
        assert now() < 2.0
        assert await psap.status() is Status.UNAVAILABLE

    play(scene)


# The same over the real network.


async def test_over_grpc_a_call_is_connected_and_a_flood_is_cut() -> None:
    """Real streams: the calm way, then a second hello, then a flood; the other PSAP keeps its ring."""
    async with asyncio.timeout(20):
        async with GatewayStage(lambda: 0, GrpcNetwork(), "127.0.0.1:0") as stage:
            psap = await stage.psap()
            attempt = await answered(stage, psap)
            await attempt.connect()
            await psap.next("connect")
            await psap.connected(attempt.name)
            await attempt.next("connected")
            await attempt.over()
            other = await stage.psap("P2")
            held = await rings(stage, psap, call_id="call-2")
            await _says_hello_twice(stage, other, held)
            assert await other.status() is Status.INVALID_ARGUMENT
            flooder = await stage.psap("P3")
            with suppress(Broken):
                while not flooder.ended.done():
                    await flooder.say(heartbeat=delivery_pb2.PsapHeartbeat())
            # Its own gRPC may say INTERNAL, where a write of its own failed before the status came.
            assert await flooder.status() in (Status.RESOURCE_EXHAUSTED, Status.INTERNAL)
            assert stage.count("streams_ended_total", offence="flood") == 1
            newer = await stage.psap("P1", ringing=[held.name])
            assert await psap.status() is Status.ALREADY_EXISTS
            await newer.answer(held.name)
            await held.next("answer")
            held.stream.cancel()
            assert (await newer.next("release")).attempt == held.name
