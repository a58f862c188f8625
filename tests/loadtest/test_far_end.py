"""The far end: PSAPs attach, ring, answer and fail as told; a trunk is finite (protocol.md R2, R3, R5, R7)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from throughline.v1 import delivery_pb2, holding_pb2, place_pb2, trunk_pb2

from loadtest.answering_point import AnsweringPoint, Fault
from loadtest.attachment import Switchboard
from loadtest.channels import GrpcWire
from loadtest.diary import Diary, read_diary
from loadtest.far_end import obey
from loadtest.humans import TALK, Delay, Humans
from loadtest.region_tables import AdminLine, RegionTables
from loadtest.trunk import Dialled, Trunk
from loadtest.trunk_server import TrunkServer

_aio: Any = grpc.aio  # its type stubs lack what is used here
Down = delivery_pb2.AttachResponse
WELCOME = Down(welcome=delivery_pb2.Welcome(gateway="gateway-1", heartbeat_ms=1000))
FAST = Humans(seed=1, speed=50.0)
HURRIED = Humans(seed=1, speed=1e9)
SLOW = Humans(seed=1, speed=0.001)


class FarEnd:
    """One PSAP under test, its diary, and the scripted gateway's end of each of its streams."""

    def __init__(self, folder: Path, humans: Humans, positions: int = 2) -> None:
        self.path = folder / "far-end.jsonl"
        self.diary = Diary(self.path, "far-end")
        self.point = AnsweringPoint("3175", positions, humans, self.diary)
        self.switchboard = Switchboard([self.point], GrpcWire(), random.Random(1))
        self.hellos: list[delivery_pb2.Hello] = []
        self._streams: asyncio.Queue[Any] = asyncio.Queue()

    async def welcome(self, heard: Any) -> None:
        """The gateway's script: welcomes, and leaves the rest to the test."""
        self.hellos.append(await heard.expect("hello"))
        await heard.say(WELCOME)
        self._streams.put_nowait(heard)
        await heard.over.wait()

    def attach(self, gateway: str) -> None:
        self.switchboard.attach([gateway], {"3175": "secret"})

    async def stream(self) -> Any:
        """The next stream that the PSAP has attached."""
        return await asyncio.wait_for(self._streams.get(), 10)

    def seen(self) -> list[str]:
        return [entry["event"] for entry in read_diary(self.path)]


def offer(call_id: str = "c", leg: int = 1, n: int = 1, ring_ms: int = 60_000) -> delivery_pb2.AttachResponse:
    attempt = f"{call_id}/{leg}/{n}"
    return Down(
        offer=delivery_pb2.RingOffer(attempt=attempt, call_id=call_id, leg=leg, psap_id="3175", ring_ms=ring_ms)
    )


@pytest.fixture
async def far_end(tmp_path: Path) -> AsyncIterator[Callable[..., FarEnd]]:
    made: list[FarEnd] = []

    def make(humans: Humans, positions: int = 2) -> FarEnd:
        made.append(FarEnd(tmp_path, humans, positions))
        return made[-1]

    yield make
    for each in made:
        await each.switchboard.close()
        each.diary.close()


async def test_a_psap_shows_its_credential_rings_answers_and_acknowledges(
    gateway: Callable[..., Any], far_end: Callable[..., FarEnd]
) -> None:
    """R2: hello, offer, ringing, answer, connect, connected, ended."""
    end = far_end(FAST)
    async with gateway(end.welcome) as address:
        end.attach(address)
        stream = await end.stream()
        assert end.hellos[0].psap_id == "3175" and end.hellos[0].credential == "secret"
        await stream.say(offer())
        assert (await stream.expect("ringing")).where.psap_id == "3175"
        assert (await stream.expect("answer")).attempt == "c/1/1"
        await stream.say(Down(connect=delivery_pb2.Connect(attempt="c/1/1")))
        assert (await stream.expect("connected")).attempt == "c/1/1"
        assert (await stream.expect("ended")).attempt == "c/1/1"
        await end.switchboard.close()
    assert end.seen() == ["offered", "ringing", "answered", "connected", "ended"]


async def test_a_higher_leg_replaces_the_ring_in_place(
    gateway: Callable[..., Any], far_end: Callable[..., FarEnd]
) -> None:
    """R3: over all its streams; the older attempt is superseded, and a lower leg is refused as that."""
    end = far_end(SLOW)
    async with gateway(end.welcome) as one, gateway(end.welcome) as two:
        end.attach(one)
        first = await end.stream()
        end.attach(two)
        second = await end.stream()
        await first.say(offer(leg=1))
        await first.expect("ringing")
        await second.say(offer(leg=2))
        assert (await second.expect("ringing")).attempt == "c/2/1"
        superseded = await first.expect("reject")
        assert superseded.attempt == "c/1/1" and superseded.rejection == delivery_pb2.REJECTION_SUPERSEDED
        await first.say(offer(leg=1, n=2))
        assert (await first.expect("reject")).rejection == delivery_pb2.REJECTION_SUPERSEDED
        await end.switchboard.close()


async def test_a_ring_without_a_stream_that_is_replaced_is_written_down_as_over(
    gateway: Callable[..., Any], far_end: Callable[..., FarEnd]
) -> None:
    """R3, R5: its gateway died and the call comes again through the other; else the diary has it ringing for ever."""
    end = far_end(SLOW)
    async with gateway(end.welcome) as two:
        async with gateway(end.welcome) as one:
            end.attach(one)
            first = await end.stream()
            end.attach(two)
            second = await end.stream()
            await first.say(offer(n=1))
            await first.expect("ringing")
        async with asyncio.timeout(10):
            while len(end.point.lines) > 1:  # noqa: ASYNC110 - a point has no event for this
                await asyncio.sleep(0.01)
        await second.say(offer(n=2))
        assert (await second.expect("ringing")).attempt == "c/1/2"
        over = [entry["attempt"] for entry in read_diary(end.path) if entry["event"] == "rejected"]
        assert over == ["c/1/1"]
        await end.switchboard.close()


async def test_a_connected_call_answers_any_offer_of_it_with_have(
    gateway: Callable[..., Any], far_end: Callable[..., FarEnd]
) -> None:
    """R3: one call, one answer, whoever offers it again."""
    end = far_end(FAST)
    end.point._humans = Humans(1, 20.0)
    async with gateway(end.welcome) as address:
        end.attach(address)
        stream = await end.stream()
        await stream.say(offer())
        await stream.expect("ringing")
        await stream.expect("answer")
        await stream.say(Down(connect=delivery_pb2.Connect(attempt="c/1/1")))
        await stream.expect("connected")
        await stream.say(offer(leg=2))
        have = await stream.expect("have")
        assert (have.call_id, have.attempt) == ("c", "c/1/1")
        await end.switchboard.close()


async def test_a_psap_says_how_a_call_stands_on_the_stream_that_asks(
    gateway: Callable[..., Any], far_end: Callable[..., FarEnd]
) -> None:
    """T3: nothing of it, ringing, answered, connected; each with the attempt, whichever stream has the call."""
    end = far_end(SLOW)
    async with gateway(end.welcome) as one, gateway(end.welcome) as two:
        end.attach(one)
        first = await end.stream()
        end.attach(two)
        second = await end.stream()

        async def has() -> tuple[int, str]:
            await second.say(Down(who_has=delivery_pb2.WhoHas(call_id="c")))
            said = await second.expect("has")
            assert said.call_id == "c"
            return said.standing, said.attempt

        assert await has() == (holding_pb2.STANDING_NONE, "")
        await first.say(offer())
        await first.expect("ringing")
        assert await has() == (holding_pb2.STANDING_RINGING, "c/1/1")
        end.point._answer(end.point._rings["c"])
        await first.expect("answer")
        assert await has() == (holding_pb2.STANDING_ANSWERED, "c/1/1")
        await first.say(Down(connect=delivery_pb2.Connect(attempt="c/1/1")))
        await first.expect("connected")
        assert await has() == (holding_pb2.STANDING_CONNECTED, "c/1/1")
        await end.switchboard.close()


async def test_the_same_attempt_through_another_gateway_goes_on_there(
    gateway: Callable[..., Any], far_end: Callable[..., FarEnd]
) -> None:
    """R5: ringing, and answered if it was; the stream that had it is told, and neither stops nor connects it."""
    end = far_end(SLOW)
    async with gateway(end.welcome) as one, gateway(end.welcome) as two:
        end.attach(one)
        first = await end.stream()
        end.attach(two)
        second = await end.stream()
        await first.say(offer())
        await first.expect("ringing")
        end.point._answer(end.point._rings["c"])
        await first.expect("answer")
        await second.say(offer())
        assert (await second.expect("ringing")).attempt == "c/1/1"
        assert (await second.expect("answer")).attempt == "c/1/1"
        assert (await first.expect("reject")).rejection == delivery_pb2.REJECTION_SUPERSEDED
        await first.say(Down(connect=delivery_pb2.Connect(attempt="c/1/1")))
        assert (await first.expect("reject")).rejection == delivery_pb2.REJECTION_EXPIRED
        await first.say(Down(release=delivery_pb2.Release(attempt="c/1/1", reason="stream_broken")))
        await first.say(Down(who_has=delivery_pb2.WhoHas(call_id="c")))
        assert (await first.expect("has")).standing == holding_pb2.STANDING_ANSWERED
        await second.say(Down(connect=delivery_pb2.Connect(attempt="c/1/1")))
        await second.expect("connected")
        await first.say(offer())
        assert (await first.expect("have")).attempt == "c/1/1"
        await end.switchboard.close()
    assert end.seen().count("connected") == 1
    assert "cancelled" not in end.seen()


async def test_a_gateway_that_asks_for_an_attempt_has_it_and_may_stop_it(
    gateway: Callable[..., Any], far_end: Callable[..., FarEnd]
) -> None:
    """P5: `resume` moves the ring to the stream that asks, so that its release is heard, and `has` says so."""
    end = far_end(SLOW)
    async with gateway(end.welcome) as one, gateway(end.welcome) as two:
        end.attach(one)
        first = await end.stream()
        end.attach(two)
        second = await end.stream()
        await first.say(offer())
        await first.expect("ringing")
        await second.say(Down(release=delivery_pb2.Release(attempt="c/1/1")))  # it does not have it
        await second.say(Down(resume=delivery_pb2.Resume(attempt="c/1/1")))
        assert (await second.expect("ringing")).attempt == "c/1/1"
        await second.say(Down(release=delivery_pb2.Release(attempt="c/1/1", reason="a_newer_leg_has_come")))
        await second.say(Down(who_has=delivery_pb2.WhoHas(call_id="c")))
        assert (await second.expect("has")).standing == holding_pb2.STANDING_NONE
        await end.switchboard.close()
    assert end.seen() == ["offered", "ringing", "ringing", "cancelled"]


async def test_a_cancel_stops_what_rings_or_is_answered_and_ends_no_talk(
    gateway: Callable[..., Any], far_end: Callable[..., FarEnd]
) -> None:
    """R5: whoever says it had not heard yet that the two are connected. A release ends the talk."""
    end = far_end(SLOW)
    async with gateway(end.welcome) as one, gateway(end.welcome) as two:
        end.attach(one)
        first = await end.stream()
        end.attach(two)
        second = await end.stream()
        cancel = Down(cancel=delivery_pb2.Cancel(attempt="c/1/1", reason="stream_broken"))

        async def standing() -> int:
            await second.say(Down(who_has=delivery_pb2.WhoHas(call_id="c")))
            return int((await second.expect("has")).standing)

        for answered in (False, True):
            await second.say(offer())
            await second.expect("ringing")
            if answered:
                end.point._answer(end.point._rings["c"])
                await second.expect("answer")
            await second.say(cancel)
            assert await standing() == holding_pb2.STANDING_NONE
        await first.say(offer())
        await first.expect("ringing")
        end.point._answer(end.point._rings["c"])
        await first.expect("answer")
        await first.say(Down(connect=delivery_pb2.Connect(attempt="c/1/1")))
        await first.expect("connected")
        await second.say(offer())
        await second.say(cancel)
        assert (await second.expect("have")).attempt == "c/1/1"
        assert await standing() == holding_pb2.STANDING_CONNECTED
        await second.say(Down(release=delivery_pb2.Release(attempt="c/1/1")))
        assert await standing() == holding_pb2.STANDING_NONE
        await end.switchboard.close()
    assert end.seen().count("cancelled") == 3


async def test_an_unknown_attempt_cannot_be_connected(
    gateway: Callable[..., Any], far_end: Callable[..., FarEnd]
) -> None:
    """P4: nobody is connected who has not answered."""
    end = far_end(SLOW)
    async with gateway(end.welcome) as address:
        end.attach(address)
        stream = await end.stream()
        await stream.say(offer())
        await stream.expect("ringing")
        for attempt in ("c/1/1", "nothing like it"):
            await stream.say(Down(connect=delivery_pb2.Connect(attempt=attempt)))
            assert (await stream.expect("reject")).rejection == delivery_pb2.REJECTION_EXPIRED
        await end.switchboard.close()
    assert "connected" not in end.seen()


async def test_a_psap_with_all_call_takers_and_its_queue_taken_is_full(
    gateway: Callable[..., Any], far_end: Callable[..., FarEnd]
) -> None:
    """Call-takers are finite: as many calls again wait, and the next is refused; a cancel makes room."""
    end = far_end(SLOW, positions=2)
    async with gateway(end.welcome) as address:
        end.attach(address)
        stream = await end.stream()
        for n in range(4):
            await stream.say(offer(f"c{n}"))
            await stream.expect("ringing")
        await stream.say(offer("c4"))
        assert (await stream.expect("reject")).rejection == delivery_pb2.REJECTION_FULL
        await stream.say(Down(cancel=delivery_pb2.Cancel(attempt="c0/1/1", reason="caller_hung_up")))
        await stream.say(offer("c5"))
        await stream.expect("ringing")
        await end.switchboard.close()


class Talkative(Humans):
    """Quick to pick up, and never done."""

    def waits(self, delay: Delay, *who: object) -> float:
        return 3600.0 if delay is TALK else 0.01


async def test_whoever_talks_hangs_up_when_told_and_the_next_in_the_queue_is_answered(
    gateway: Callable[..., Any], far_end: Callable[..., FarEnd]
) -> None:
    """A rig that serves many tests begins each with free call-takers; what rings is nobody's talk and rings on."""
    end = far_end(Talkative(1), positions=1)
    trunk = Trunk([], Humans(1), end.diary)
    async with gateway(end.welcome) as address:
        end.attach(address)
        stream = await end.stream()
        await stream.say(offer("talks"))
        await stream.expect("ringing")
        await stream.expect("answer")
        await stream.say(Down(connect=delivery_pb2.Connect(attempt="talks/1/1")))
        await stream.expect("connected")
        await stream.say(offer("waits"))
        await stream.expect("ringing")
        obey(end.switchboard, trunk, end.path, {"do": "hang_up"})
        assert (await stream.expect("ended")).attempt == "talks/1/1"
        assert (await stream.expect("answer")).attempt == "waits/1/1"
        await end.switchboard.close()


@pytest.mark.parametrize(
    ("fault", "rejection"),
    [(Fault.REJECT, delivery_pb2.REJECTION_REFUSED), (Fault.FULL, delivery_pb2.REJECTION_FULL)],
)
async def test_a_psap_that_refuses_gives_back_what_rings_and_refuses_what_comes(
    gateway: Callable[..., Any], far_end: Callable[..., FarEnd], fault: Fault, rejection: int
) -> None:
    """A fault that is armed strikes a call in hand, then every new one, until healed."""
    end = far_end(SLOW)
    async with gateway(end.welcome) as address:
        end.attach(address)
        stream = await end.stream()
        end.point.arm(fault)
        await stream.say(offer("in-hand"))
        await stream.expect("ringing")
        given_back = await stream.expect("reject")
        assert (given_back.attempt, given_back.rejection) == ("in-hand/1/1", rejection)
        await stream.say(offer("new"))
        assert (await stream.expect("reject")).rejection == rejection
        end.point.heal()
        await stream.say(offer("later"))
        await stream.expect("ringing")
        await end.switchboard.close()


async def test_a_psap_that_is_cut_loses_its_streams_and_comes_back_when_healed(
    gateway: Callable[..., Any], far_end: Callable[..., FarEnd]
) -> None:
    """R5: what rang says so again in the next hello, within two seconds."""
    end = far_end(SLOW)
    async with gateway(end.welcome) as address:
        end.attach(address)
        stream = await end.stream()
        await stream.say(offer())
        await stream.expect("ringing")
        end.point.strike(Fault.CUT)
        await asyncio.wait_for(stream.over.wait(), 10)
        end.point.heal()
        again = await end.stream()
        assert list(end.hellos[1].ringing) == ["c/1/1"]
        assert (await again.expect("ringing")).attempt == "c/1/1"
        await end.switchboard.close()


async def test_a_silent_psap_says_nothing_on_a_stream_that_stands(
    gateway: Callable[..., Any], far_end: Callable[..., FarEnd]
) -> None:
    """No heartbeat, no ringing, no answer: only time can find it; when healed it attaches anew."""
    end = far_end(HURRIED)
    keeping = asyncio.ensure_future(end.switchboard.keep_alive())
    async with gateway(end.welcome) as address:
        end.attach(address)
        stream = await end.stream()
        assert (await stream.read()).WhichOneof("said") == "heartbeat"
        end.point.strike(Fault.SILENT)
        await stream.say(offer())
        said = asyncio.ensure_future(stream.read())
        done, _ = await asyncio.wait({said}, timeout=2.5)
        assert not done, f"a silent PSAP said {said}"
        end.point.heal()
        await end.stream()
        keeping.cancel()
        await end.switchboard.close()
    assert end.seen() == []


async def dial(
    channel: Any, call_id: str, number: str, keep_free: int = 0, ring_ms: int = 60_000, *, callback: bool = False
) -> tuple[Any, trunk_pb2.DialResponse]:
    """Dials; gives the stream and the first word on it."""
    stream = channel.stream_stream("/throughline.v1.TrunkService/Dial")()
    where = place_pb2.Where(psap_id="3175", line=number)
    number_dialled = trunk_pb2.DialNumber(
        attempt=f"{call_id}/1/1",
        call_id=call_id,
        leg=1,
        where=where,
        keep_free=keep_free,
        ring_ms=ring_ms,
        callback=callback,
    )
    await stream.write(trunk_pb2.DialRequest(dial=number_dialled).SerializeToString())
    return stream, await hear(stream)


async def hear(stream: Any) -> trunk_pb2.DialResponse:
    raw = await asyncio.wait_for(stream.read(), 10)
    assert raw is not _aio.EOF
    return trunk_pb2.DialResponse.FromString(raw)


@pytest.fixture
async def trunk(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """A trunk with one line of two channels; call it with its people's delays to get a channel to it."""
    open_now: list[Any] = []

    async def make(humans: Humans) -> Any:
        diary = Diary(tmp_path / "trunk.jsonl", "far-end")
        made = TrunkServer(Trunk([AdminLine("3175", "+16175550100", 2)], humans, diary), GrpcWire())
        channel = grpc.aio.insecure_channel(await made.serve("127.0.0.1:0"))
        open_now.extend([channel.close, made.stop])
        return channel

    yield make
    for close in open_now:
        await close()


async def test_a_line_answers_and_is_taken_while_its_people_talk(
    trunk: Callable[..., Any], tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    """R7: dial, ringing, answer, connect, connected, the stream's end; the channel is free again after the talk."""
    channel = await trunk(FAST)
    stream, first = await dial(channel, "c", "+16175550100")
    assert first.ringing.where.line == "+16175550100"
    assert (await hear(stream)).WhichOneof("said") == "answer"
    await stream.write(trunk_pb2.DialRequest(connect=delivery_pb2.Connect(attempt="c/1/1")).SerializeToString())
    assert (await hear(stream)).connected.where.psap_id == "3175"
    assert await stream.read() is _aio.EOF
    await eventually(lambda: read_diary(tmp_path / "trunk.jsonl")[-1]["event"] == "ended")


async def test_a_line_that_talks_with_a_caller_says_so_to_whoever_dials_it(trunk: Callable[..., Any]) -> None:
    """R3, P5: refused as superseded, with the attempt that is connected there as the reason; not while it rings."""
    channel = await trunk(Humans(1, speed=20.0))
    stream, _ = await dial(channel, "c", "+16175550100")
    _, refused = await dial(channel, "c", "+16175550100")
    assert refused.rejected.reason == "with us already as c/1/1", "it rings there, and nobody talks"
    assert (await hear(stream)).WhichOneof("said") == "answer"
    await stream.write(trunk_pb2.DialRequest(connect=delivery_pb2.Connect(attempt="c/1/1")).SerializeToString())
    assert (await hear(stream)).WhichOneof("said") == "connected"
    _, refused = await dial(channel, "c", "+16175550100")
    assert refused.rejected.rejection == delivery_pb2.REJECTION_SUPERSEDED
    assert refused.rejected.reason == "c/1/1"


async def test_whoever_talks_at_a_line_hangs_up_when_told(tmp_path: Path) -> None:
    """And its channel is free again; who rings there rings on."""

    def dials(call_id: str) -> Dialled:
        where = place_pb2.Where(psap_id="3175", line="+16175550100")
        return made.dial(trunk_pb2.DialNumber(attempt=f"{call_id}/1/1", call_id=call_id, where=where))

    with Diary(tmp_path / "trunk.jsonl", "far-end") as diary:
        made = Trunk([AdminLine("3175", "+16175550100", 2)], Talkative(1), diary)
        talks = dials("talks")
        for word in ("ringing", "answer"):
            said = await talks.unsaid.get()
            assert said is not None and said.WhichOneof("said") == word
        made.connect(talks)
        dials("rings")
        made.hang_up_all()
        dials("second")
        dials("third")
    events = [(entry["event"], entry["call_id"]) for entry in read_diary(tmp_path / "trunk.jsonl")]
    assert [each for each in events if each[0] != "offered"] == [
        ("ringing", "talks"),
        ("answered", "talks"),
        ("connected", "talks"),
        ("ringing", "rings"),
        ("ended", "talks"),
        ("ringing", "second"),
        ("rejected", "third"),
    ]


async def test_channels_are_finite_and_kept_free_for_other_reasons(trunk: Callable[..., Any]) -> None:
    """R7: refused as full when it would take the last channels that others are to have; a release frees one."""
    channel = await trunk(SLOW)
    number = "+16175550100"
    one, first = await dial(channel, "a", number, keep_free=1)
    assert first.HasField("ringing")
    _, refused = await dial(channel, "b", number, keep_free=1)
    assert refused.rejected.rejection == delivery_pb2.REJECTION_FULL
    _, second = await dial(channel, "c", number)
    assert second.HasField("ringing")
    _, third = await dial(channel, "d", number)
    assert third.rejected.rejection == delivery_pb2.REJECTION_FULL
    await one.write(trunk_pb2.DialRequest(release=delivery_pb2.Release(attempt="a/1/1")).SerializeToString())
    assert await one.read() is _aio.EOF
    _, again = await dial(channel, "d", number)
    assert again.HasField("ringing")


async def test_a_broken_stream_gives_the_channel_back(
    trunk: Callable[..., Any], tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    """R7: the trunk stops ringing when whoever dialled is gone."""
    channel = await trunk(SLOW)
    stream, _ = await dial(channel, "a", "+16175550100")
    stream.cancel()
    await eventually(lambda: read_diary(tmp_path / "trunk.jsonl")[-1]["event"] == "cancelled")


async def test_a_line_that_nobody_answers_stops_ringing_by_itself(trunk: Callable[..., Any]) -> None:
    """R1: only remaining time travels, and the ring ends a little after it."""
    channel = await trunk(SLOW)
    stream, first = await dial(channel, "a", "+16175550100", ring_ms=50)
    assert first.HasField("ringing")
    assert (await hear(stream)).rejected.rejection == delivery_pb2.REJECTION_NO_ANSWER


async def test_every_psap_of_the_region_attaches_to_two_gateways(
    gateway: Callable[..., Any], child: Callable[..., Any], tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    """R2: two streams a PSAP, with the secret of its own token file, all alive by heartbeat."""
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    psaps = sorted(RegionTables().psap_names)
    for psap_id in psaps:
        (tokens / psap_id).write_text(f"secret-{psap_id}\n")
    beats: dict[str, int] = {}

    async def welcome(heard: Any) -> None:
        hello = await heard.expect("hello")
        assert hello.credential == f"secret-{hello.psap_id}"
        await heard.say(WELCOME)
        while (message := await heard.read()) is not None:
            assert message.WhichOneof("said") == "heartbeat"
            beats[hello.psap_id] = beats.get(hello.psap_id, 0) + 1
            await heard.say(Down(heartbeat=delivery_pb2.PsapHeartbeat()))

    async with gateway(welcome) as one, gateway(welcome) as two:
        process = await child("far_end", "--tokens", tokens, "--witness", tmp_path / "w.jsonl")
        assert (await process.told("listening"))["trunk"].startswith("127.0.0.1:")
        process.do(do="attach", gateways=[one, two])
        assert (await process.told("attached", streams=2 * len(psaps)))["of"] == 2 * len(psaps)
        await eventually(lambda: len(beats) == len(psaps) and min(beats.values()) >= 6)
        process.do(do="fault", psap_id=psaps[0], fault="cut")
        assert (await process.told("fault_struck"))["psap_id"] == psaps[0]
        await process.told("attached", streams=2 * len(psaps) - 2)
        process.do(do="fault", psap_id=psaps[0], fault="heal")
        await process.told("attached", streams=2 * len(psaps))
        assert await process.end() == 0


LINE = "+16175550100"


async def ask(channel: Any, method: str, request: Any, response: Any) -> Any:
    raw = await channel.unary_unary(f"/throughline.v1.HoldingService/{method}")(request.SerializeToString(), timeout=5)
    return response.FromString(raw)


async def who_has(channel: Any, call_id: str) -> holding_pb2.WhoHasResponse:
    said = await ask(channel, "WhoHas", holding_pb2.WhoHasRequest(call_id=call_id), holding_pb2.WhoHasResponse)
    assert isinstance(said, holding_pb2.WhoHasResponse)
    return said


async def resume(channel: Any, call_id: str, attempt: str = "", *, unwanted: bool = False) -> int:
    attempt = attempt or f"{call_id}/1/1"
    request = holding_pb2.ResumeRequest(call_id=call_id, attempt=attempt, unwanted=unwanted)
    return int((await ask(channel, "Resume", request, holding_pb2.ResumeResponse)).standing)


async def test_a_trunk_says_who_it_has_and_lets_go_of_what_is_not_connected(trunk: Callable[..., Any]) -> None:
    """From its own mouth: ringing, connected, or surely not (T3); a resume releases a ring before it answers (P5)."""
    channel = await trunk(SLOW)
    stream, _ = await dial(channel, "a", LINE)
    there = await who_has(channel, "a")
    assert (there.standing, there.attempt, there.where.line) == (holding_pb2.STANDING_RINGING, "a/1/1", LINE)
    assert (await who_has(channel, "b")).standing == holding_pb2.STANDING_NONE
    assert await resume(channel, "a") == holding_pb2.STANDING_NONE
    assert await stream.read() is _aio.EOF
    assert (await who_has(channel, "a")).standing == holding_pb2.STANDING_NONE


async def test_a_connected_call_stays_connected_when_it_is_resumed(trunk: Callable[..., Any]) -> None:
    """Nobody is cut off by a question (P5)."""
    channel = await trunk(Humans(7, speed=100))
    stream, _ = await dial(channel, "a", LINE)
    await hear(stream)
    await stream.write(trunk_pb2.DialRequest(connect=delivery_pb2.Connect(attempt="a/1/1")).SerializeToString())
    await hear(stream)
    assert await resume(channel, "a") == holding_pb2.STANDING_CONNECTED
    assert (await who_has(channel, "a")).standing == holding_pb2.STANDING_CONNECTED


async def test_a_connected_call_that_is_unwanted_is_hung_up(trunk: Callable[..., Any]) -> None:
    """P5: of that attempt, and of no other."""
    channel = await trunk(Humans(7, speed=100))
    stream, _ = await dial(channel, "a", LINE)
    await hear(stream)
    await stream.write(trunk_pb2.DialRequest(connect=delivery_pb2.Connect(attempt="a/1/1")).SerializeToString())
    await hear(stream)
    assert await resume(channel, "a", "a/1/2", unwanted=True) == holding_pb2.STANDING_CONNECTED
    assert await resume(channel, "a", unwanted=True) == holding_pb2.STANDING_NONE
    assert (await who_has(channel, "a")).standing == holding_pb2.STANDING_NONE


@pytest.mark.parametrize("fate", ["reached", "busy", "no_answer"])
async def test_a_caller_is_rung_back_once_somebody_at_the_line_has_answered(
    fate: str, trunk: Callable[..., Any], tmp_path: Path
) -> None:
    """T3: connected means that the two talk; a caller who is busy or away is a rejection, and the channel is free."""
    humans = Humans(7, speed=1_000)
    call_id = next(f"c{n}" for n in range(1_000) if humans.rung_back("", f"c{n}", f"c{n}/1/1") == fate)
    channel = await trunk(humans)
    stream, _ = await dial(channel, call_id, LINE, callback=True)
    assert (await hear(stream)).WhichOneof("said") == "answer"
    connect = delivery_pb2.Connect(attempt=f"{call_id}/1/1")
    await stream.write(trunk_pb2.DialRequest(connect=connect).SerializeToString())
    said = await hear(stream)
    events = [entry["event"] for entry in read_diary(tmp_path / "trunk.jsonl")]
    assert "connected" not in events, "the caller's own side never hears of it"
    if fate == "reached":
        assert said.WhichOneof("said") == "connected"
        assert "rung_back" in events
    else:
        assert (said.rejected.rejection, said.rejected.reason) == (delivery_pb2.REJECTION_NO_ANSWER, f"caller_{fate}")
        assert (await who_has(channel, call_id)).standing == holding_pb2.STANDING_NONE
