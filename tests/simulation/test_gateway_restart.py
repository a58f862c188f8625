"""A gateway dies and comes back while its PSAPs ring and talk: two real gateways, the far end's PSAP, virtual time.

The conductor is a script: what it does when a stream breaks, and when its caller comes back by a newer leg, follows
protocol.md (R5, P5). Whatever breaks when, each call ends with one call-taker, and everybody agrees which attempt.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from throughline.v1 import delivery_pb2, holding_pb2, place_pb2

from loadtest.answering_point import AnsweringPoint
from loadtest.attachment import Attachment
from loadtest.diary import MemoryDiary, silent
from loadtest.humans import Humans
from services.domain.holding import Standing, furthest
from services.host.network import Broken, OpenedStream
from services.host.network.memory import MemoryNetwork
from services.wire import holding
from services.wire.methods import DELIVER, RESUME, WHO_HAS
from simulator.virtual_loop import run_virtual, virtual_wall_ms
from simulator.wire import NetworkWire
from tests.services.gateway_stage import GatewayStage

GATEWAYS = ("gateway:1", "gateway:2")
CALLS = ("call-0", "call-1", "call-2", "call-3")
REOFFERED_AFTER_S = 0.05
BACK_AFTER_S = 0.3
OVER_BY_S = 12.0
NEAR_S = 0.001


class Uneven:
    """Each gateway is as far away as it is said to be: so that the words of one that was left behind come late."""

    def __init__(self, far_s: Sequence[float]) -> None:
        self._far_s = dict(zip(GATEWAYS, far_s, strict=True))

    def delay_s(self, sender: str, receiver: str) -> float:
        return self._far_s.get(receiver) or self._far_s.get(sender) or NEAR_S


@dataclass(frozen=True)
class When:
    """A little after the PSAP has written down the nth such event; or, where that never comes, after two seconds."""

    event: str
    nth: int
    after_ms: float


class WatchedDiary(MemoryDiary):
    """One that a test can wait on, so that trouble comes in the very moments that matter."""

    def __init__(self) -> None:
        super().__init__("far-end", virtual_wall_ms)
        self._seen: Counter[str] = Counter()
        self._moments: dict[tuple[str, int], asyncio.Event] = {}

    def write(self, event: str, **seen: Any) -> None:
        super().write(event, **seen)
        self._seen[event] += 1
        self._moment(event, self._seen[event]).set()

    async def wait(self, when: When) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                await self._moment(when.event, when.nth).wait()
        await asyncio.sleep(when.after_ms / 1000)

    def _moment(self, event: str, nth: int) -> asyncio.Event:
        return self._moments.setdefault((event, nth), asyncio.Event())


class Dead(Exception):
    """This conductor does nothing any more."""


class Conductor:
    """Carries calls by the rules, from a script. `die` is kill -9: every stream of its breaks."""

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network
        self._dead = False
        self._streams: dict[OpenedStream[Any, Any], str] = {}
        self.confirmed: dict[str, str] = {}
        """What the callers' side has confirmed, by call."""

    def die(self) -> None:
        self._dead = True
        for stream in list(self._streams):
            stream.cancel()

    def lose(self, address: str) -> None:
        """Its streams to that gateway break, and both live on."""
        for stream, to in list(self._streams.items()):
            if to == address:
                stream.cancel()

    async def carry(self, call_id: str, leg: int = 1, confirmed: str = "") -> str:
        """Until the call is connected; returns the attempt. Raises Dead."""
        if confirmed and (attempt := await self._resumed(call_id, confirmed)):
            return attempt
        for n in range(1, 200):
            attempt = f"{call_id}/{leg}/{n}"
            for address in GATEWAYS if n % 2 else reversed(GATEWAYS):
                try:
                    if connected := await self._ring(address, attempt):
                        return connected
                    break  # rejected: the next attempt
                except Broken:
                    continue  # the same attempt through the other gateway (R5)
            await asyncio.sleep(0.02)
        raise AssertionError(f"{call_id} was never connected")

    async def _resumed(self, call_id: str, attempt: str) -> str:
        asked = holding_pb2.ResumeRequest(call_id=call_id, attempt=attempt, where=place_pb2.Where(psap_id="P1"))
        answers = await asyncio.gather(
            *[self._network.ask(each, RESUME, asked, within_s=0.3) for each in GATEWAYS], return_exceptions=True
        )
        held = furthest(
            holding.to_domain(each if isinstance(each, holding_pb2.ResumeResponse) else holding_pb2.ResumeResponse())
            for each in answers
        )
        return held.attempt if held.standing is Standing.CONNECTED else ""

    async def _ring(self, address: str, attempt: str) -> str:
        """The attempt that is connected, or nothing where this one was rejected."""
        if self._dead:
            raise Dead
        call_id, leg, _ = attempt.rsplit("/", 2)
        stream = self._network.open(address, DELIVER)
        self._streams[stream] = address
        offer = delivery_pb2.RingOffer(attempt=attempt, call_id=call_id, leg=int(leg), psap_id="P1", ring_ms=15_000)
        try:
            await stream.write(delivery_pb2.DeliverRequest(offer=offer))
            while (message := await stream.read()) is not None and not self._dead:
                match message.WhichOneof("said"):
                    case "answer":
                        self.confirmed[call_id] = attempt
                        await stream.write(delivery_pb2.DeliverRequest(connect=delivery_pb2.Connect(attempt=attempt)))
                    case "connected":
                        assert self.confirmed.get(call_id) == attempt, "connected without this conductor's word"
                        return attempt
                    case "rejected" if message.rejected.rejection == delivery_pb2.REJECTION_SUPERSEDED:
                        held = message.rejected.reason
                        return held if held.startswith(f"{call_id}/") else ""
                    case "rejected":
                        return ""
        except Broken:
            if not self._dead:
                raise
        finally:
            del self._streams[stream]
            stream.cancel()
        raise Dead if self._dead else AssertionError(f"{attempt}: the gateway ended the stream without a word")


class Scene:
    """Two gateways, one PSAP with as many call-takers as there are calls, and who goes when."""

    def __init__(
        self,
        seed: int,
        far_s: Sequence[float],
        point: type[AnsweringPoint] = AnsweringPoint,
        speed: float = 10.0,
        humans: type[Humans] = Humans,
    ) -> None:
        self.network = MemoryNetwork(links=Uneven(far_s))
        self.stages: dict[str, GatewayStage] = {}
        self.diary = WatchedDiary()
        self._random = random.Random(seed)
        self.point = point("P1", len(CALLS), humans(seed, speed), self.diary)
        self._tasks: list[asyncio.Task[Any]] = []

    async def open(self, address: str) -> None:
        stage = self.stages[address] = GatewayStage(virtual_wall_ms, self.network, address, address.replace(":", "-"))
        await stage.gateway.start()

    async def attach(self) -> None:
        """The PSAP holds a stream to each gateway, and takes it up again whenever it breaks."""
        lines = [
            Attachment(self.point, each, NetworkWire(self.network), "token-of-P1", self._random, silent)
            for each in GATEWAYS
        ]
        self._tasks += [asyncio.ensure_future(line.keep()) for line in lines]
        self._tasks.append(asyncio.ensure_future(self._beat(lines)))
        await asyncio.sleep(0.1)
        assert all(line.attached for line in lines)

    async def _beat(self, lines: list[Attachment]) -> None:
        while True:
            await asyncio.sleep(0.1)
            for line in lines:
                line.beat(asyncio.get_running_loop().time())

    async def restart(self, address: str, when: When) -> None:
        """It is gone at that moment, and back a little later."""
        await self.diary.wait(when)
        await self.stages[address].gateway.stop(0.0)
        await asyncio.sleep(BACK_AFTER_S)
        await self.open(address)

    async def kill(self, conductor: Conductor, when: When) -> None:
        await self.diary.wait(when)
        conductor.die()

    async def part(self, conductor: Conductor, address: str, when: When) -> None:
        await self.diary.wait(when)
        conductor.lose(address)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for stage in self.stages.values():
            await stage.gateway.stop(0.0)
        await self.network.close()

    def connections(self) -> dict[str, Counter[str]]:
        """What the far end says was connected and not taken back: attempts by call."""
        entries = self.diary.entries
        taken_back = {entry["attempt"] for entry in entries if entry.get("stage") == "connected"}
        found: dict[str, Counter[str]] = {call_id: Counter() for call_id in CALLS}
        for entry in entries:
            if entry["event"] == "connected" and entry["attempt"] not in taken_back:
                found[entry["call_id"]][entry["attempt"]] += 1
        return found


async def one_call(conductor: Conductor, successor: Conductor, call_id: str) -> str:
    """A caller whose side offers the next leg to another conductor when its own is gone (P2)."""
    try:
        return await conductor.carry(call_id)
    except Dead:
        await asyncio.sleep(REOFFERED_AFTER_S)
        return await successor.carry(call_id, 2, conductor.confirmed.get(call_id, ""))


async def play(
    seed: int,
    restarts: list[tuple[str, When]],
    conductor_dies: When | None = None,
    parts: Sequence[tuple[str, When]] = (),
    far_s: Sequence[float] = (NEAR_S, NEAR_S),
) -> Scene:
    scene = Scene(seed, far_s)
    for each in GATEWAYS:
        await scene.open(each)
    await scene.attach()
    conductor, successor = Conductor(scene.network), Conductor(scene.network)
    troubles = [asyncio.ensure_future(scene.restart(*each)) for each in restarts]
    troubles += [asyncio.ensure_future(scene.part(conductor, *each)) for each in parts]
    if conductor_dies is not None:
        troubles.append(asyncio.ensure_future(scene.kill(conductor, conductor_dies)))
    calls = [asyncio.ensure_future(one_call(conductor, successor, call_id)) for call_id in CALLS]
    async with asyncio.timeout(OVER_BY_S):
        ends = await asyncio.gather(*calls)
    await asyncio.gather(*troubles)
    for call_id, attempt in zip(CALLS, ends, strict=True):
        assert scene.connections()[call_id] == {attempt: 1}, "one call-taker, and the caller's side knows which"
    for address in GATEWAYS:
        for call_id, attempt in zip(CALLS, ends, strict=True):
            asked = holding_pb2.WhoHasRequest(call_id=call_id, psap_ids=["P1"])
            has = await scene.network.ask(address, WHO_HAS, asked, within_s=0.5)
            talks_still = any(ring.call_id == call_id for ring in scene.point._rings.values())
            if talks_still and all(line.gateway in GATEWAYS for line in scene.point.lines):
                assert (has.standing, has.attempt) in (
                    (holding_pb2.STANDING_CONNECTED, attempt),
                    (holding_pb2.STANDING_UNSPECIFIED, ""),  # it is not attached here at this moment
                )
    await scene.close()
    return scene


def run(
    seed: int,
    restarts: list[tuple[str, When]],
    conductor_dies: When | None = None,
    parts: Sequence[tuple[str, When]] = (),
    far_s: Sequence[float] = (NEAR_S, NEAR_S),
) -> None:
    run_virtual(play(seed, restarts, conductor_dies, parts, far_s), limit_s=60)


MOMENTS = st.builds(
    When,
    st.sampled_from(("offered", "ringing", "answered", "answered", "connected")),
    st.integers(1, 5),
    st.integers(0, 24).map(lambda halves: halves / 2),
)
FAR = st.tuples(*[st.sampled_from((NEAR_S, 0.004, 0.015)) for _ in GATEWAYS])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(1, 50), address=st.sampled_from(GATEWAYS), when=MOMENTS)
def test_a_gateway_restarted_at_any_moment_costs_no_call_its_call_taker(seed: int, address: str, when: When) -> None:
    """R5: what rang goes on ringing through the other gateway, and each call has one call-taker."""
    run(seed, [(address, when)])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(1, 50), when=MOMENTS)
def test_a_conductor_that_dies_at_any_moment_leaves_one_call_taker(seed: int, when: When) -> None:
    """P5: the newer leg asks first; connected stays connected, and the rest is released before it rings."""
    run(seed, [], when)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(1, 50), one=MOMENTS, two=MOMENTS, far_s=FAR)
@example(seed=1, one=When("answered", 1, 2.5), two=When("answered", 1, 3.0), far_s=(NEAR_S, 0.015)).via(
    "the second gateway's cancel crosses `have`, and the attempt after it finds a talk that is over"
)
@example(seed=1, one=When("answered", 1, 2.5), two=When("answered", 1, 3.0), far_s=(NEAR_S, NEAR_S)).via(
    "the same, and the first gateway attests from its own memory what the second one's cancel ended"
)
def test_streams_that_break_between_the_living_cost_no_call_its_call_taker(
    seed: int, one: When, two: When, far_s: tuple[float, ...]
) -> None:
    """R5: the gateway that was left behind still has a stream to the PSAP, and stops nothing that went on elsewhere."""
    run(seed, [], None, [("gateway:1", one), ("gateway:2", two)], far_s)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(1, 50), one=MOMENTS, two=MOMENTS, dies=MOMENTS, far_s=FAR)
def test_both_gateways_and_the_conductor_may_go(
    seed: int, one: When, two: When, dies: When, far_s: tuple[float, ...]
) -> None:
    """R5, P5: all at once or one after the other."""
    run(seed, [("gateway:1", one), ("gateway:2", two)], dies, (), far_s)


@pytest.mark.parametrize("after_ms", [0.0, 0.5, 1.5, 100.0])
def test_what_rings_is_not_rung_anew(after_ms: float) -> None:
    """R5: it goes on under the same attempt, without a moment of silence: no ring is cancelled."""
    when = When("ringing", len(CALLS), after_ms)
    entries = run_virtual(play(7, [("gateway:1", when)]), limit_s=60).diary.entries
    assert {entry["attempt"] for entry in entries} == {f"{call_id}/1/1" for call_id in CALLS}
    assert "cancelled" not in {entry["event"] for entry in entries}
