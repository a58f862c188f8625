"""A PSAP falls silent while calls ring there: the real ingress, two real gateways, the far end's PSAP; virtual time.

Within a second the next place rings beside it (R2, R6). A doubt that was wrong takes nothing from anybody: what rang
rings on, and whoever answers first has the call.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from throughline.v1 import delivery_pb2, place_pb2

from loadtest.answering_point import AnsweringPoint, Fault
from loadtest.attachment import BEAT_S, Attachment
from loadtest.diary import MemoryDiary, silent
from loadtest.humans import Humans
from services.domain.books import Stories, books
from services.domain.deliveries import Outcome as Step
from services.domain.fold import Outcome
from services.domain.gateways.attachments import SILENT_AFTER_S
from services.host.network import Converses
from services.host.network.memory import MemoryNetwork
from services.wire.methods import ATTACH
from simulator.virtual_loop import run_virtual, virtual_wall_ms
from simulator.wire import NetworkWire
from tests.services.ingress_stage import Caller, RingStream, Stage, line_answers
from tests.simulation.test_gateway_restart import CALLS, GATEWAYS, NEAR_S, Scene

REQUIRED_S = 1.0
RINGS_FOR_S = 1.0
SEED = 7


class OlderPoint(AnsweringPoint):
    """A PSAP that was built before there was a quick heartbeat: each second, whatever rings."""

    def hello(self, credential: str) -> delivery_pb2.Hello:
        told = super().hello(credential)
        told.beats_while_ringing = False
        return told

    def waits_on(self, line: Any) -> bool:
        return False


async def line_rings(stream: RingStream, offer: delivery_pb2.RingOffer) -> None:
    """A line that nobody picks up."""
    where = place_pb2.Where(psap_id=offer.psap_id, line="+15085550100")
    await stream.write(delivery_pb2.DivertResponse(ringing=delivery_pb2.Rung(attempt=offer.attempt, where=where)))
    await stream.read()


class Ringing:
    """One PSAP at two gateways, one ingress, and calls that ring at that PSAP."""

    def __init__(self, scene: Scene, stage: Stage, callers: list[Caller]) -> None:
        self.scene = scene
        self.stage = stage
        self.callers = callers

    async def silent_for(self, seconds: float) -> None:
        """It says nothing and hears nothing, on streams that stand; then it goes on as if nothing had been."""
        self.scene.point.fault = Fault.SILENT
        await asyncio.sleep(seconds)
        self.scene.point.fault = Fault.NONE

    async def connected(self) -> list[str]:
        """The attempt by which each caller is connected."""
        await asyncio.gather(*[caller.until() for caller in self.callers])
        return [caller.messages[-1].connected.attempt for caller in self.callers]

    def steps(self) -> list[Step]:
        """What the gateways have published of all attempts."""
        stages = self.scene.stages.values()
        return [each.outcome for stage in stages for call_id in CALLS for each in stage.deliveries(call_id)]

    def doubts(self) -> float:
        return sum(stage.count("doubts_total") for stage in self.scene.stages.values())

    def cancelled(self) -> list[str]:
        return [each["attempt"] for each in self.scene.diary.entries if each["event"] == "cancelled"]


def play(
    story: Callable[[Ringing], Coroutine[Any, Any, None]],
    calls: int = 1,
    seed: int = SEED,
    point: type[AnsweringPoint] = AnsweringPoint,
    speed: float = 1.0,
) -> None:
    """Tells a story that begins when so many calls ring at P1, and have for a second."""

    async def told() -> None:
        scene = Scene(seed, (NEAR_S, NEAR_S), point, speed)
        for address in GATEWAYS:
            await scene.open(address)
        await scene.attach()
        stage = Stage(network=scene.network)
        stage.gateways, stage.candidates, stage.lines = {}, ["P1"], line_rings
        await stage.__aenter__()
        callers = [stage.place(call_id, caller=f"+1508555010{n}") for n, call_id in enumerate(CALLS[:calls])]
        for caller in callers:
            await caller.offer()
            await caller.until("ringing")
        await asyncio.sleep(RINGS_FOR_S)
        async with asyncio.timeout(60.0):
            await story(Ringing(scene, stage, callers))
        await stage.ingress.stop(0.0)
        await scene.close()

    run_virtual(told(), limit_s=120)


def test_every_call_that_rings_at_a_psap_that_falls_silent_rings_elsewhere_within_a_second() -> None:
    """R2, R6: from the fault, of all affected calls; and the PSAP rings on until its silence is judged."""

    async def story(now: Ringing) -> None:
        loop = asyncio.get_running_loop()
        struck = loop.time()
        now.scene.point.fault = Fault.SILENT
        said = await asyncio.gather(*[caller.until("ringing") for caller in now.callers])
        assert loop.time() - struck < REQUIRED_S
        assert {each.ringing.where.line for each in said} == {"+15085550100"}
        assert {offer.reason for offer in now.stage.dialled} == {"unreachable"}, (
            "it may take what is kept for that (R7)"
        )
        assert set(now.steps()) == {Step.RINGING}
        await asyncio.sleep(SILENT_AFTER_S)
        assert now.steps().count(Step.FAILED) == len(CALLS)
        assert now.doubts() == len(CALLS), "each is told once"

    play(story, len(CALLS))


def test_a_psap_that_wakes_and_answers_first_has_the_call() -> None:
    """R6: the line that rang beside it is released, and the call-taker's phone never stopped ringing."""

    async def story(now: Ringing) -> None:
        await now.silent_for(1.5)
        assert now.stage.dialled
        assert await now.connected() == ["call-0/1/1"]
        assert now.scene.connections()["call-0"] == {"call-0/1/1": 1}
        assert now.cancelled() == []

    play(story)


def test_a_line_that_answers_first_has_the_call_and_the_psap_hears_so() -> None:
    """R6: make before break ends with one person."""

    async def story(now: Ringing) -> None:
        now.stage.lines = line_answers
        await now.silent_for(1.5)
        (attempt,) = await now.connected()
        assert attempt == "call-0/1/2"
        assert not now.scene.connections()["call-0"]

    play(story)


@pytest.mark.parametrize("length_s", [0.3, 0.5, 0.9])
def test_a_psap_that_hiccups_loses_nothing(length_s: float) -> None:
    """R2: what rang there rings on and is answered there, whether somebody was told of a doubt or not."""

    async def story(now: Ringing) -> None:
        await now.silent_for(length_s)
        assert now.doubts() == (len(CALLS) if length_s > 0.8 else 0), "three heartbeats missed are a doubt, two are not"
        assert await now.connected() == [f"{call_id}/1/1" for call_id in CALLS]
        assert now.cancelled() == []

    play(story, len(CALLS))


@pytest.mark.parametrize("point", [AnsweringPoint, OlderPoint])
def test_a_psap_that_keeps_its_own_heartbeat_is_never_doubted(point: type[AnsweringPoint]) -> None:
    """R2: each 250 ms where it has promised so, each second where it is of an older kind; it rings its whole time."""

    async def story(now: Ringing) -> None:
        await asyncio.sleep(10.0)
        assert now.doubts() == 0
        assert not now.stage.dialled

    play(story, point=point, speed=0.1)


def test_a_silent_psap_of_an_older_kind_is_judged_as_ever() -> None:
    """R2: by 2.5 s."""

    async def story(now: Ringing) -> None:
        began = asyncio.get_running_loop().time()
        now.scene.point.fault = Fault.SILENT
        await now.callers[0].until("ringing")
        assert 1.5 < asyncio.get_running_loop().time() - began < SILENT_AFTER_S + 0.5
        assert now.doubts() == 0

    play(story, point=OlderPoint)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(1, 50),
    silences=st.lists(st.tuples(st.sampled_from((0.0, 0.2, 1.0, 3.0)), st.floats(0.05, 4.0)), min_size=1, max_size=4),
    a_line_answers=st.booleans(),
)
def test_whatever_silences_come_each_call_has_one_person(
    seed: int, silences: list[tuple[float, float]], a_line_answers: bool
) -> None:
    """R2, R6, P4: doubted, given up, awake in any order, callers are connected once, with whom both sides name."""

    async def story(now: Ringing) -> None:
        if a_line_answers:
            now.stage.lines = line_answers
        ends = asyncio.ensure_future(now.connected())
        for after_s, length_s in silences:
            await asyncio.sleep(after_s)
            await now.silent_for(length_s)
        if not a_line_answers:
            now.stage.lines = line_answers  # somebody must
        for call_id, attempt in zip(CALLS, await ends, strict=True):
            there = now.scene.connections()[call_id]
            assert there in ({}, {attempt: 1}), f"{call_id}: the caller has {attempt}, the PSAP {there}"
        await asyncio.sleep(5.0)
        stories = Stories()
        for fact in now.stage.all_facts():
            stories.add(fact)
        told = books(stories.by_call.values())
        assert told.real.connected_twice.count == 0
        assert told.real.outcomes[Outcome.ANSWERED] + told.real.outcomes[Outcome.DIVERTED] == len(CALLS)

    play(story, len(CALLS), seed)


def test_a_stream_beats_quickly_while_something_rings_on_it_and_each_second_else() -> None:
    """R2: what the gateways' welcome asks, on the stream that has the ring; and no more often than that."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        network = MemoryNetwork(latency_s=NEAR_S)
        words: dict[str, list[float]] = {gateway: [] for gateway in GATEWAYS}
        streams: dict[str, Any] = {}
        answered = asyncio.Event()

        def script(gateway: str) -> Callable[[Any], Coroutine[Any, Any, None]]:
            async def hear(stream: Any) -> None:
                streams[gateway] = stream
                welcome = delivery_pb2.Welcome(gateway=gateway, heartbeat_ms=1000, ringing_heartbeat_ms=250)
                await stream.write(delivery_pb2.AttachResponse(welcome=welcome))
                while (said := await stream.read()) is not None:
                    words[gateway].append(loop.time())
                    if said.HasField("answer"):
                        answered.set()
                    await stream.write(delivery_pb2.AttachResponse(heartbeat=delivery_pb2.PsapHeartbeat()))

            return hear

        def longest_silence_s(gateway: str, since: float) -> float:
            times = [since, *(at for at in words[gateway] if at > since), loop.time()]
            return max(b - a for a, b in pairwise(times))

        for gateway in GATEWAYS:
            await network.serve(gateway, [Converses(ATTACH, script(gateway))])
        point = AnsweringPoint("P1", 1, Humans(SEED, 1.0), MemoryDiary("far-end", virtual_wall_ms))
        lines = [Attachment(point, each, NetworkWire(network), "", random.Random(SEED), silent) for each in GATEWAYS]
        keeping = [asyncio.ensure_future(each) for each in (*(line.keep() for line in lines), keep_alive(lines))]
        await asyncio.sleep(3.0)
        began = loop.time()
        offer = delivery_pb2.RingOffer(attempt="c/1/1", call_id="c", leg=1, psap_id="P1", ring_ms=60_000)
        await streams["gateway:1"].write(delivery_pb2.AttachResponse(offer=offer))
        await asyncio.sleep(2.0)
        assert longest_silence_s("gateway:1", began) <= 0.25 + 2 * NEAR_S
        assert sum(at > began for at in words["gateway:1"]) <= 2.0 / 0.2 + 1
        assert sum(at > began for at in words["gateway:2"]) <= 3
        await answered.wait()
        connect = delivery_pb2.Connect(attempt="c/1/1")
        await streams["gateway:1"].write(delivery_pb2.AttachResponse(connect=connect))
        await asyncio.sleep(0.1)
        began = loop.time()
        await asyncio.sleep(3.0)
        assert sum(at > began for at in words["gateway:1"]) <= 4
        assert longest_silence_s("gateway:1", began) <= 1.0 + 2 * NEAR_S
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
        await network.close()

    run_virtual(scene(), limit_s=60)


class Written:
    """One of a PSAP's streams, with what it says on it."""

    def __init__(self, gateway: str) -> None:
        self.gateway = gateway
        self.said: list[str] = []
        self.answered = asyncio.Event()

    def say(self, message: delivery_pb2.AttachRequest) -> None:
        self.said.append(str(message.WhichOneof("said")))
        if message.HasField("answer"):
            self.answered.set()

    def say_bytes(self, message: bytes) -> None:
        raise AssertionError("an honest PSAP says messages")

    def drop(self) -> None:
        raise AssertionError("nobody cuts it here")


def test_who_was_told_of_a_talk_is_told_that_it_was_released_and_nobody_else() -> None:
    """R5: by a hello, by `connected` or by `have`. One that was not would end the stream for a word out of turn."""

    async def scene() -> None:
        point = AnsweringPoint("P1", 1, Humans(SEED, 1.0), MemoryDiary("far-end", virtual_wall_ms))
        before, connects, hears, after, offers = (Written(f"gateway:{n}") for n in range(1, 6))
        for line in (before, connects, hears, offers):
            point.welcomed(line, point.hello(""))
        offer = delivery_pb2.AttachResponse(
            offer=delivery_pb2.RingOffer(attempt="c/1/1", call_id="c", leg=1, psap_id="P1", ring_ms=60_000)
        )
        point.hear(connects, offer)
        await asyncio.wait_for(connects.answered.wait(), 50)
        point.hear(connects, delivery_pb2.AttachResponse(connect=delivery_pb2.Connect(attempt="c/1/1")))
        point.hear(hears, offer)
        point.welcomed(after, point.hello(""))
        point.hear(offers, offer)
        release = delivery_pb2.Release(attempt="c/1/1", reason="caller_hung_up")
        point.hear(offers, delivery_pb2.AttachResponse(release=release))
        assert (before.said, after.said) == ([], ["reject"])
        assert connects.said == ["ringing", "answer", "connected", "reject"]
        assert (hears.said, offers.said) == (["have", "reject"], ["have"])

    run_virtual(scene(), limit_s=60)


async def keep_alive(lines: list[Attachment]) -> None:
    """The one timer of all streams."""
    while True:
        await asyncio.sleep(BEAT_S)
        for line in lines:
            line.beat(asyncio.get_running_loop().time())
