"""What an ingress makes of mistakes, its own and others', under virtual time: no call is lost or harms another."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from throughline.v1 import call_pb2, delivery_pb2

from services.domain.calls.exchange import CallerHungUp
from services.domain.events import FactKind
from services.host.network import Answers, Broken, Converses, Refuse, Status
from services.host.network.memory import MemoryNetwork
from services.ingress.outbox import LAST_WORDS_S, UNREAD_S
from services.wire.methods import DIVERT, KEEP, Question
from simulator.virtual_loop import run_virtual, virtual_wall_ms
from tests.services.ingress_stage import RingStream, Stage, is_silent, line_answers, rejects, rings


def play(scene: Coroutine[Any, Any, None]) -> None:
    run_virtual(scene, limit_s=3600)


class Mistaken(MemoryNetwork):
    """A port that breaks its own promise: some questions raise what no caller of it expects."""

    def __init__(self, *paths: str) -> None:
        super().__init__(latency_s=0.001)
        self._paths = paths

    async def ask(self, address: str, question: Question[Any, Any], said: Any, *, within_s: float) -> Any:
        """Raises where it should answer."""
        if any(path in question.path for path in self._paths):
            raise ZeroDivisionError(question.path)
        return await super().ask(address, question, said, within_s=within_s)


@pytest.mark.parametrize("where", ["Screen", "Route"])
def test_a_mistake_of_ours_in_a_question_costs_no_call(where: str) -> None:
    """Twenty calls with two places: each goes on, and none keeps its place (promise 2, L1)."""

    async def scene() -> None:
        async with Stage(Mistaken(where), setups_max=2) as stage:
            for number in range(20):
                assert (await stage.place(f"call-{number}").call())[-1] == "connected"
            assert stage.count("mistakes_total") >= 20
            assert stage.count("calls_waiting") == 0

    play(scene())


def hangs(stage: Stage, address: str, hung: list[Any]) -> Coroutine[Any, Any, Any]:
    """A failover replica that takes everything and says nothing; what it was given to divert is in `hung`."""

    async def divert(stream: RingStream) -> None:
        hung.append(await stream.read())
        await asyncio.Event().wait()

    async def keep(_: delivery_pb2.KeepRequest) -> delivery_pb2.KeepResponse:
        await asyncio.Event().wait()
        raise AssertionError

    return stage.network.serve(address, [Converses(DIVERT, divert), Answers(KEEP, keep)])


def test_a_hung_failover_replica_costs_one_call_a_second_and_later_calls_nothing() -> None:
    """The PSAP's own line rings through the other replica; the hung one is asked first no more until it answers."""

    async def scene() -> None:
        async with Stage(failovers=("failover:1", "failover:2")) as stage:
            hung: list[Any] = []
            await hangs(stage, "failover:2", hung)
            stage.by_psap["P1"] = rejects(delivery_pb2.REJECTION_UNREACHABLE)
            waits = []
            for number in range(8):
                began = asyncio.get_running_loop().time()
                caller = stage.place(f"call-{number}")
                await caller.offer()
                assert (await caller.until("ringing")).ringing.where.psap_id == "P1"
                waits.append(asyncio.get_running_loop().time() - began)
                await caller.until()
                await asyncio.sleep(5)
            assert 1.0 <= max(waits) < 1.1
            assert sorted(waits)[-2] < 0.1
            assert len(hung) == 1

    play(scene())


def test_a_failover_replica_that_comes_back_is_asked_again() -> None:
    """A doubt ends with the first answer to a question that costs no caller anything."""

    async def scene() -> None:
        async with Stage(failovers=("failover:2", "failover:1")) as stage:
            stage.by_psap["P1"] = rejects(delivery_pb2.REJECTION_UNREACHABLE)
            for number in range(2):
                await stage.place(f"call-{number}").call()
            dialled: list[str] = []

            async def divert(stream: RingStream) -> None:
                first = await stream.read()
                assert first is not None
                dialled.append(first.offer.call_id)
                await line_answers(stream, first.offer)

            await stage.network.serve("failover:2", [Converses(DIVERT, divert)])
            await asyncio.sleep(2)
            for number in range(2, 6):
                await stage.place(f"call-{number}").call()
            assert len(dialled) == 2

    play(scene())


def test_a_failover_replica_whose_lines_are_slow_is_not_taken_for_hung() -> None:
    """It answers when it is asked whether it is there, so it keeps its three seconds for a line that rings."""

    async def slow(stream: RingStream, offer: delivery_pb2.RingOffer) -> None:
        await asyncio.sleep(2.5)
        await line_answers(stream, offer)

    async def scene() -> None:
        async with Stage() as stage:
            stage.by_psap["P1"] = rejects(delivery_pb2.REJECTION_UNREACHABLE)
            stage.lines = slow
            assert (await stage.place().call())[-1] == "connected"
            assert len(stage.dialled) == 1

    play(scene())


def test_a_call_that_waits_for_hours_stays_small() -> None:
    """What has failed is forgotten: the memory of a long-waiting call does not grow with its attempts."""

    async def scene() -> None:
        async with Stage() as stage:
            full = rejects(delivery_pb2.REJECTION_FULL)
            stage.by_psap, stage.lines = {"P1": full, "P2": full}, full
            caller = stage.place()
            await caller.offer()
            listening = asyncio.ensure_future(caller.until())
            await asyncio.sleep(600)
            (conductor,) = stage.ingress._calls.values()
            assert conductor.attempts > 100
            assert len(conductor._rings) <= 1
            listening.cancel()

    play(scene())


@pytest.mark.parametrize("leg", [1, 2])
def test_a_call_id_that_two_callers_share_loses_neither(leg: int) -> None:
    """The newcomer gets an id of our own, as one without any; the first is not disturbed (promise 1)."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.by_psap["P1"] = rings
            first = stage.place(caller="+15085550101")
            await first.offer()
            await first.until("ringing")
            del stage.by_psap["P1"]
            second = stage.place(leg=leg, caller="+15085550102", confirmed_attempt="call-1/1/1")
            assert (await second.call())[-1] == "connected"
            (accepted,) = [m.accepted for m in second.messages if m.WhichOneof("said") == "accepted"]
            assert accepted.call_id.startswith("minted-")
            assert stage.count("offers_odd_total", oddity="duplicate_call_id") == 1
            assert FactKind.CALLER_LOST not in stage.kinds()
            await first.until()
            assert first.words[-1] == "connected"
            offer = stage.facts(accepted.call_id)[0].offer
            assert offer is not None and offer.caller == "+15085550102"

    play(scene())


class NotRead:
    """A caller's stream on which words can be written until the other side's window is full."""

    peer = "nobody"

    def __init__(self, offer: call_pb2.Offer, room: int) -> None:
        self._offer: call_pb2.Offer | None = offer
        self._room = room

    async def read(self) -> call_pb2.PlaceCallRequest | None:
        """The offer, then nothing for ever."""
        if self._offer is None:
            await asyncio.Event().wait()
        offer, self._offer = self._offer, None
        return call_pb2.PlaceCallRequest(offer=offer)

    async def write(self, _: Any) -> None:
        """Blocks when there is no room."""
        self._room -= 1
        if self._room < 0:
            await asyncio.Event().wait()


@pytest.mark.parametrize("room", [1, 3])
def test_a_caller_who_does_not_read_keeps_no_handler(room: int) -> None:
    """The stream is cut when its words are not taken, or a moment after the call is over."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.by_psap["P1"] = rings
            stream = NotRead(call_pb2.Offer(call_id="call-1", leg=1, caller="+15085550101"), room)
            serving = asyncio.ensure_future(stage.ingress._place_call(stream))
            done, _ = await asyncio.wait({serving}, timeout=2 * UNREAD_S)
            assert done, "the handler is still inside its write"
            assert getattr(serving.exception(), "status", None) is Status.RESOURCE_EXHAUSTED
            await asyncio.sleep(5)
            assert stage.kinds()[-1] is FactKind.CALLBACK_DUE

    play(scene())


def test_a_caller_who_does_not_read_the_end_keeps_no_handler() -> None:
    """A moment after the call is over its handler ends, though the last words are not taken."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.by_psap["P1"] = rings
            stream = NotRead(call_pb2.Offer(call_id="call-1", leg=1, caller="+15085550101"), 1)
            serving = asyncio.ensure_future(stage.ingress._place_call(stream))
            await asyncio.sleep(0.1)
            (conductor,) = stage.ingress._calls.values()
            conductor.hear(CallerHungUp())
            done, _ = await asyncio.wait({serving}, timeout=LAST_WORDS_S + 0.1)
            assert done, "the handler is still inside its write"
            assert isinstance(serving.exception(), Refuse)

    play(scene())


class BadClock:
    """A wall clock that fails once, just when the heartbeat finds that a caller has not read for UNREAD_S."""

    def __init__(self) -> None:
        self.failed = False

    def __call__(self) -> int:
        """Milliseconds since 1970."""
        if not self.failed and asyncio.get_running_loop().time() > UNREAD_S + 0.1:
            self.failed = True
            raise ZeroDivisionError
        return virtual_wall_ms()


def test_a_mistake_in_one_call_silences_no_other_callers_heartbeat() -> None:
    """P1: a second without a word and every caller's side would offer its call elsewhere."""

    async def scene() -> None:
        async with Stage(wall_ms=BadClock()) as stage:
            stage.by_psap["P1"] = rings
            stream = NotRead(call_pb2.Offer(call_id="bad", leg=1, caller="+15085550101"), 0)
            await asyncio.sleep(0.15)  # its time is up between two ticks, which ask for the clock too
            serving = asyncio.ensure_future(stage.ingress._place_call(stream))
            good = stage.place("good")
            calling = asyncio.ensure_future(good.call())
            await asyncio.sleep(2 * UNREAD_S)
            assert stage.count("mistakes_total") == 1
            assert good.longest_silence_s() <= 0.5
            assert good.heard[-1][0] > 2 * UNREAD_S - 0.5
            assert isinstance(serving.exception(), Refuse), "its own next heartbeat has cut it"
            calling.cancel()

    play(scene())


class Torn(NotRead):
    """A stream whose end makes its reader fail in a way that nobody expects."""

    async def read(self) -> call_pb2.PlaceCallRequest | None:
        """The offer, then a mistake."""
        if self._offer is None:
            await asyncio.sleep(1)
            raise ZeroDivisionError
        return await super().read()


def test_a_mistake_while_listening_is_counted_and_ends_the_leg() -> None:
    """The caller's side is not left with a leg that hears nothing: its stream counts as broken (P7)."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.by_psap["P1"] = rings
            stream = Torn(call_pb2.Offer(call_id="call-1", leg=1, caller="+15085550101"), 1_000)
            await stage.ingress._place_call(stream)
            await asyncio.sleep(1)
            assert stage.count("mistakes_total") == 1
            assert stage.kinds()[-2:] == [FactKind.CALLER_LOST, FactKind.CALLBACK_DUE]
            assert stage.facts()[-2].reason == "mistake"

    play(scene())


def test_a_drain_that_cuts_a_call_says_so_to_the_callers_side() -> None:
    """UNAVAILABLE("draining"): on that word the next leg is offered elsewhere at once (P2, L4)."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.by_psap["P1"] = is_silent
            stage.lines = rings
            caller = stage.place()
            await caller.offer()
            listening = asyncio.ensure_future(caller.until())
            await asyncio.sleep(1)
            await stage.ingress.stop(grace_s=0.5)
            with pytest.raises(Broken) as cut:
                await listening
            assert (cut.value.status, cut.value.detail) == (Status.UNAVAILABLE, "draining")
            assert stage.kinds()[-1] is FactKind.CALLER_LOST
            assert stage.facts()[-1].reason == "draining"

    play(scene())
