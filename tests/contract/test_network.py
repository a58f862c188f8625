"""What the network port promises, kept by both backends: in memory and over gRPC.

Services rely on each sentence here: how a question ends, how each side sees the other's end, and what an oversized or
unreadable message does (protocol.md P6).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from google.protobuf import wrappers_pb2
from throughline.v1 import call_pb2, delivery_pb2

from services.host.network import Answers, Broken, Converses, Network, PortTaken, Refuse, Server, Status, Stream
from services.host.network.grpc import GrpcNetwork
from services.host.network.memory import MemoryNetwork
from services.wire.methods import (
    ATTACH,
    INGRESS_STATUS,
    PARSE_BYTES_MAX,
    PLACE_CALL,
    TRANSPORT_BYTES_MAX,
    Conversation,
    Unreadable,
)

LIMIT_S = 10.0
UP, DOWN = call_pb2.PlaceCallRequest, call_pb2.PlaceCallResponse
Called = Stream[call_pb2.PlaceCallRequest, call_pb2.PlaceCallResponse]
HANGUP = UP(hangup=call_pb2.Hangup())
Serve = Callable[..., Awaitable[Server]]


@pytest.fixture(params=["memory", "memory with latency", "grpc"])
async def network(request: pytest.FixtureRequest) -> AsyncIterator[Network]:
    """Each backend in turn."""
    made: Network
    if request.param == "grpc":
        made = GrpcNetwork()
    else:
        made = MemoryNetwork(latency_s=0.002 if "latency" in request.param else 0)
    yield made
    await made.close()


@pytest.fixture
async def serve(network: Network) -> AsyncIterator[Serve]:
    """Serves on a free port, and stops it at the end."""
    servers: list[Server] = []

    async def start(*served: Any) -> Server:
        servers.append(await network.serve("127.0.0.1:0", served))
        return servers[-1]

    yield start
    for server in servers:
        await server.stop(0)


def ringing(attempt: str) -> call_pb2.PlaceCallResponse:
    """A message down."""
    return DOWN(ringing=call_pb2.Ringing(attempt=attempt))


def confirm(attempt: str) -> call_pb2.PlaceCallRequest:
    """A message up."""
    return UP(confirm=call_pb2.Confirm(attempt=attempt))


async def refused(awaited: Awaitable[Any]) -> Broken:
    """The break that ends this wait."""
    with pytest.raises(Broken) as broken:
        async with asyncio.timeout(LIMIT_S):
            await awaited
    return broken.value


# Questions.


async def test_a_question_is_answered(network: Network, serve: Serve) -> None:
    """The answer comes back whole."""

    async def status(_: call_pb2.StatusRequest) -> call_pb2.StatusResponse:
        return call_pb2.StatusResponse(incarnation="i-1", calls_in_hand=3)

    server = await serve(Answers(INGRESS_STATUS, status))
    answer = await network.ask(server.address, INGRESS_STATUS, call_pb2.StatusRequest(), within_s=LIMIT_S)
    assert (answer.incarnation, answer.calls_in_hand) == ("i-1", 3)


async def test_a_question_ends_at_its_deadline_and_its_handler_is_cancelled(network: Network, serve: Serve) -> None:
    """A neighbour that hangs costs the budget and no more, and does not go on for nobody."""
    ended = asyncio.Event()

    async def hang(_: call_pb2.StatusRequest) -> call_pb2.StatusResponse:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    server = await serve(Answers(INGRESS_STATUS, hang))
    began = asyncio.get_running_loop().time()
    broken = await refused(network.ask(server.address, INGRESS_STATUS, call_pb2.StatusRequest(), within_s=0.1))
    assert broken.status is Status.DEADLINE_EXCEEDED
    assert 0.09 <= asyncio.get_running_loop().time() - began < 2
    async with asyncio.timeout(LIMIT_S):
        await ended.wait()


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.UNKNOWN])
async def test_a_refused_question_breaks_with_the_same_status_and_words(
    network: Network, serve: Serve, status: Status
) -> None:
    """What a handler refuses with is what the asker handles."""

    async def refuse(_: call_pb2.StatusRequest) -> call_pb2.StatusResponse:
        raise Refuse(status, "draining, né")

    server = await serve(Answers(INGRESS_STATUS, refuse))
    broken = await refused(network.ask(server.address, INGRESS_STATUS, call_pb2.StatusRequest(), within_s=LIMIT_S))
    assert (broken.status, broken.detail) == (status, "draining, né")


async def test_a_question_to_nobody_is_unavailable_at_once(network: Network, serve: Serve) -> None:
    """A dead neighbour is an error in milliseconds, not at the deadline."""
    server = await serve()
    await server.stop(0)
    began = asyncio.get_running_loop().time()
    broken = await refused(network.ask(server.address, INGRESS_STATUS, call_pb2.StatusRequest(), within_s=LIMIT_S))
    assert broken.status is Status.UNAVAILABLE
    assert asyncio.get_running_loop().time() - began < 2


async def test_an_unknown_method_is_unimplemented(network: Network, serve: Serve) -> None:
    """A service that was put at the wrong address says so."""
    server = await serve()
    broken = await refused(network.ask(server.address, INGRESS_STATUS, call_pb2.StatusRequest(), within_s=LIMIT_S))
    assert broken.status is Status.UNIMPLEMENTED
    assert (await refused(network.open(server.address, PLACE_CALL).read())).status is Status.UNIMPLEMENTED


async def test_a_handlers_mistake_is_unknown_to_the_asker(network: Network, serve: Serve) -> None:
    """A defect in one service is an operating failure in the next."""

    async def fail(_: call_pb2.StatusRequest) -> call_pb2.StatusResponse:
        raise ZeroDivisionError("mine")

    server = await serve(Answers(INGRESS_STATUS, fail))
    seen: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))
    broken = await refused(network.ask(server.address, INGRESS_STATUS, call_pb2.StatusRequest(), within_s=LIMIT_S))
    assert broken.status is Status.UNKNOWN


async def test_cancelling_an_asker_raises_cancelled_and_cancels_the_handler(network: Network, serve: Serve) -> None:
    """Cancellation stays what it is: it is never turned into a break."""
    began, ended = asyncio.Event(), asyncio.Event()

    async def hang(_: call_pb2.StatusRequest) -> call_pb2.StatusResponse:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    server = await serve(Answers(INGRESS_STATUS, hang))
    asking = asyncio.ensure_future(
        network.ask(server.address, INGRESS_STATUS, call_pb2.StatusRequest(), within_s=LIMIT_S)
    )
    async with asyncio.timeout(LIMIT_S):
        await began.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await ended.wait()


# Conversations, while both sides are there.


async def echo(stream: Called) -> None:
    """Rings for each confirmed attempt until the other side half-closes."""
    while (said := await stream.read()) is not None:
        await stream.write(ringing(said.confirm.attempt))


async def test_a_conversation_goes_both_ways_and_ends_after_the_half_close(network: Network, serve: Serve) -> None:
    """Each word is answered in order; None is the orderly end, however often it is read."""
    server = await serve(Converses(PLACE_CALL, echo))
    stream = network.open(server.address, PLACE_CALL)
    async with asyncio.timeout(LIMIT_S):
        for number in range(3):
            await stream.write(confirm(str(number)))
            said = await stream.read()
            assert said is not None
            assert said.ringing.attempt == str(number)
        await stream.done_writing()
        assert await stream.read() is None
        assert await stream.read() is None


async def test_the_serving_side_can_speak_first(network: Network, serve: Serve) -> None:
    """A stream is open before anything was said up."""

    async def greet(stream: Called) -> None:
        await stream.write(ringing("first"))

    server = await serve(Converses(PLACE_CALL, greet))
    async with asyncio.timeout(LIMIT_S):
        stream = network.open(server.address, PLACE_CALL)
        assert (await stream.read()) == ringing("first")
        assert await stream.read() is None


async def test_what_two_tasks_write_comes_whole_and_each_in_its_order(network: Network, serve: Serve) -> None:
    """A heartbeat and an answer may be written at the same moment, on both sides."""
    each = 50

    async def two_writers(stream: Called) -> None:
        async def write(name: str) -> None:
            for number in range(each):
                await stream.write(ringing(f"{name} {number} {'x' * 1000}"))

        await asyncio.gather(write("a"), write("b"))
        heard = [said async for said in words(stream)]
        await stream.write(ringing(str(len(heard))))
        for name in "cd":
            mine = [said.confirm.attempt for said in heard if said.confirm.attempt.startswith(name)]
            assert mine == [f"{name} {number}" for number in range(each)]

    async def words(stream: Called) -> AsyncIterator[call_pb2.PlaceCallRequest]:
        while (said := await stream.read()) is not None:
            yield said

    server = await serve(Converses(PLACE_CALL, two_writers))
    stream = network.open(server.address, PLACE_CALL)

    async def write(name: str) -> None:
        for number in range(each):
            await stream.write(confirm(f"{name} {number}"))

    async with asyncio.timeout(LIMIT_S):
        await asyncio.gather(write("c"), write("d"))
        await stream.done_writing()
        heard = []
        while (said := await stream.read()) is not None:
            heard.append(said.ringing.attempt)
    assert heard.pop() == str(2 * each)
    for name in "ab":
        assert [h.split()[1] for h in heard if h.startswith(name)] == [str(number) for number in range(each)]


# How a conversation ends, for the side that opened it.


async def test_a_refused_conversation_breaks_with_the_same_status_and_words(network: Network, serve: Serve) -> None:
    """P8: the leg that is here already is refused by name; it stays so however often it is read."""

    async def refuse(_: Called) -> None:
        raise Refuse(Status.ALREADY_EXISTS, "leg 1 was offered here")

    server = await serve(Converses(PLACE_CALL, refuse))
    stream = network.open(server.address, PLACE_CALL)
    for _ in range(2):
        broken = await refused(stream.read())
        assert (broken.status, broken.detail) == (Status.ALREADY_EXISTS, "leg 1 was offered here")


async def test_what_was_said_before_the_end_is_read_before_the_end(network: Network, serve: Serve) -> None:
    """`Rejected` then an orderly end: the word is not lost where the reader comes late, nor where it still writes."""

    async def reject(stream: Called) -> None:
        await stream.read()
        for number in range(3):
            await stream.write(ringing(str(number)))

    server = await serve(Converses(PLACE_CALL, reject))
    stream = network.open(server.address, PLACE_CALL)
    await stream.write(HANGUP)
    await wait_until_over(stream)
    async with asyncio.timeout(LIMIT_S):
        assert [await stream.read() for _ in range(4)] == [ringing("0"), ringing("1"), ringing("2"), None]


async def test_the_status_of_a_refusal_is_not_hidden_by_writes_that_fail(network: Network, serve: Serve) -> None:
    """A side that floods is told why it was cut off."""

    async def cut_off(stream: Called) -> None:
        await stream.read()
        raise Refuse(Status.RESOURCE_EXHAUSTED, "flood")

    server = await serve(Converses(PLACE_CALL, cut_off))
    for _ in range(5):
        stream = network.open(server.address, PLACE_CALL)
        await wait_until_over(stream)
        assert (await refused(stream.read())).detail == "flood"


async def wait_until_over(stream: Any) -> None:
    """Writes until the conversation is over, if that shows to a writer, and for a bounded time."""
    loop = asyncio.get_running_loop()
    until = loop.time() + 0.3
    try:
        while loop.time() < until:
            await stream.write(HANGUP)
            await asyncio.sleep(0.0005)
    except Broken:
        return


async def test_a_handlers_mistake_breaks_the_conversation_as_unknown(network: Network, serve: Serve) -> None:
    """As with a question."""

    async def fail(_: Called) -> None:
        raise ZeroDivisionError("mine")

    server = await serve(Converses(PLACE_CALL, fail))
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    assert (await refused(network.open(server.address, PLACE_CALL).read())).status is Status.UNKNOWN


async def test_a_neighbours_break_that_a_handler_lets_through_is_its_own_internal_failure(
    network: Network, serve: Serve
) -> None:
    """UNAVAILABLE means this server, never one behind it: whoever hears it may re-offer at once (P2)."""

    async def ask_further(_: Called) -> None:
        raise Broken(Status.UNAVAILABLE, "the one behind")

    server = await serve(Converses(PLACE_CALL, ask_further))
    assert (await refused(network.open(server.address, PLACE_CALL).read())).status is Status.INTERNAL


async def test_a_conversation_with_nobody_is_unavailable_at_the_first_word(network: Network, serve: Serve) -> None:
    """`open` never blocks or raises; the first read or write does."""
    server = await serve()
    await server.stop(0)
    assert (await refused(network.open(server.address, PLACE_CALL).read())).status is Status.UNAVAILABLE
    stream = network.open(server.address, PLACE_CALL)

    async def write_on() -> None:
        while True:
            await stream.write(HANGUP)
            await asyncio.sleep(0.001)

    assert (await refused(write_on())).status is Status.UNAVAILABLE


async def test_walking_away_breaks_a_pending_read_and_all_after_it(network: Network, serve: Serve) -> None:
    """`cancel` from another task: the reader hears CANCELLED and is not cancelled itself."""
    server = await serve(Converses(PLACE_CALL, echo))
    stream = network.open(server.address, PLACE_CALL)
    await stream.write(HANGUP)
    reading = asyncio.ensure_future(read_on(stream))
    await asyncio.sleep(0.01)
    stream.cancel()
    assert (await refused(reading)).status is Status.CANCELLED
    assert not reading.cancelled()
    assert (await refused(stream.read())).status is Status.CANCELLED
    await refused(stream.write(HANGUP))
    stream.cancel()


async def read_on(stream: Any) -> None:
    """Reads for ever."""
    while True:
        await stream.read()


async def test_walking_away_before_anything_was_said_breaks_the_read(network: Network, serve: Serve) -> None:
    """A stream can be given up in the same moment in which it was opened."""
    server = await serve(Converses(PLACE_CALL, echo))
    stream = network.open(server.address, PLACE_CALL)
    stream.cancel()
    assert (await refused(stream.read())).status is Status.CANCELLED


async def test_cancelling_a_task_that_reads_cancels_it_and_gives_the_conversation_up(
    network: Network, serve: Serve
) -> None:
    """Cancellation stays what it is, a time-out around a read stays a TimeoutError, and the other side sees us go."""
    gone = asyncio.Event()

    async def listen(stream: Called) -> None:
        try:
            await read_until_none(stream)
            await asyncio.Event().wait()
        finally:
            gone.set()

    server = await serve(Converses(PLACE_CALL, listen))
    stream = network.open(server.address, PLACE_CALL)
    await stream.write(HANGUP)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await stream.read()
    async with asyncio.timeout(LIMIT_S):
        await gone.wait()
    assert (await refused(stream.read())).status is Status.CANCELLED


async def test_after_the_half_close_the_other_side_can_speak_on(network: Network, serve: Serve) -> None:
    """A half-close ends one direction."""

    async def answer_late(stream: Called) -> None:
        await read_until_none(stream)
        await asyncio.sleep(0.05)
        await stream.write(ringing("late"))

    server = await serve(Converses(PLACE_CALL, answer_late))
    stream = network.open(server.address, PLACE_CALL)
    await stream.write(HANGUP)
    await stream.done_writing()
    async with asyncio.timeout(LIMIT_S):
        assert await stream.read() == ringing("late")
        assert await stream.read() is None


async def read_until_none(stream: Called) -> None:
    """Reads to the end of what comes."""
    while await stream.read() is not None:
        pass


# How a conversation ends, for the side that serves it.


@pytest.mark.parametrize("while_it", ["reads", "does something else"])
async def test_the_handler_is_cancelled_when_the_other_side_walks_away(
    network: Network, serve: Serve, while_it: str
) -> None:
    """P6: a break is no end of stream: after a pending read has returned None, the handler is cancelled."""
    events: list[object] = []
    over = asyncio.Event()

    async def listen(stream: Called) -> None:
        try:
            await stream.read()
            if while_it == "reads":
                events.append(await stream.read())
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            events.append("cancelled")
            raise
        finally:
            over.set()

    server = await serve(Converses(PLACE_CALL, listen))
    stream = network.open(server.address, PLACE_CALL)
    await stream.write(HANGUP)
    await asyncio.sleep(0.05)
    stream.cancel()
    async with asyncio.timeout(LIMIT_S):
        await over.wait()
    assert events == ([None, "cancelled"] if while_it == "reads" else ["cancelled"])


async def test_a_write_to_a_side_that_is_gone_breaks(network: Network, serve: Serve) -> None:
    """A task beside the handler, such as heartbeats, hears Broken or is cancelled with it; it never hangs."""
    outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def beat(stream: Called) -> None:
        async def beating() -> None:
            try:
                while True:
                    await stream.write(ringing("beat"))
                    await asyncio.sleep(0.001)
            except Broken as broken:
                outcome.set_result(broken.status)

        task = asyncio.ensure_future(beating())
        try:
            await read_until_none(stream)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            if task.cancel():
                outcome.set_result("still writing")

    server = await serve(Converses(PLACE_CALL, beat))
    stream = network.open(server.address, PLACE_CALL)
    await stream.read()
    stream.cancel()
    async with asyncio.timeout(LIMIT_S):
        assert await outcome == Status.CANCELLED


async def test_two_readers_of_one_stream_are_a_mistake(network: Network, serve: Serve) -> None:
    """gRPC would tell the second one "end of stream"; here it is an assertion, on either side."""
    raised: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def read_twice(stream: Called) -> None:
        first = asyncio.ensure_future(stream.read())
        await asyncio.sleep(0)
        try:
            await stream.read()
        except AssertionError:
            raised.set_result(True)
        finally:
            first.cancel()

    server = await serve(Converses(PLACE_CALL, read_twice))
    stream = network.open(server.address, PLACE_CALL)
    reading = asyncio.ensure_future(stream.read())
    await asyncio.sleep(0)
    with pytest.raises(AssertionError):
        await stream.read()
    async with asyncio.timeout(LIMIT_S):
        assert await raised
        assert await reading is None


# Stopping.


async def test_a_stop_lets_what_is_in_hand_finish_and_refuses_what_is_new(network: Network, serve: Serve) -> None:
    """L4: no new calls, those in hand end well within the grace."""
    server = await serve(Converses(PLACE_CALL, echo))
    stream = network.open(server.address, PLACE_CALL)
    await stream.write(confirm("1"))
    await stream.read()
    stopping = asyncio.ensure_future(server.stop(LIMIT_S))
    await asyncio.sleep(0.05)
    assert not stopping.done()
    assert (await refused(network.open(server.address, PLACE_CALL).read())).status is Status.UNAVAILABLE
    async with asyncio.timeout(LIMIT_S / 2):
        await stream.write(confirm("2"))
        assert await stream.read() == ringing("2")
        await stream.done_writing()
        assert await stream.read() is None
        await stopping


async def test_a_stop_cuts_what_overruns_its_grace_and_waits_for_its_last_words(network: Network, serve: Serve) -> None:
    """The opener sees UNAVAILABLE; when `stop` returns, the handlers have ended."""
    ended: list[bool] = []

    async def overrun(stream: Called) -> None:
        try:
            await stream.write(ringing("1"))
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            ended.append(True)

    server = await serve(Converses(PLACE_CALL, overrun))
    stream = network.open(server.address, PLACE_CALL)
    await stream.read()
    reading = asyncio.ensure_future(refused(stream.read()))
    async with asyncio.timeout(LIMIT_S):
        await server.stop(0.1)
        assert ended == [True]
        assert (await reading).status is Status.UNAVAILABLE


async def test_a_question_in_hand_is_answered_though_the_server_stops(network: Network, serve: Serve) -> None:
    """The last answer is not cut off by the stop that waited for it."""

    async def slow(_: call_pb2.StatusRequest) -> call_pb2.StatusResponse:
        await asyncio.sleep(0.05)
        return call_pb2.StatusResponse(incarnation="slow")

    server = await serve(Answers(INGRESS_STATUS, slow))
    asking = asyncio.ensure_future(
        network.ask(server.address, INGRESS_STATUS, call_pb2.StatusRequest(), within_s=LIMIT_S)
    )
    await asyncio.sleep(0.02)
    await server.stop(LIMIT_S)
    assert (await asking).incarnation == "slow"


# Messages that are too large or cannot be read (P6).


async def raw_words(stream: Called, heard: list[bytes | str | None]) -> None:
    """Reads to the end, and keeps what could not be read."""
    while True:
        try:
            said = await stream.read()
        except Unreadable as unreadable:
            heard.append(unreadable.raw)
            continue
        if said is None:
            return
        heard.append(said.confirm.attempt)


async def test_what_cannot_be_parsed_reaches_the_handler_as_its_bytes_and_the_conversation_goes_on(
    network: Network, serve: Serve
) -> None:
    """P6: nothing is lost before our code has seen it."""
    heard: list[bytes | str | None] = []
    server = await serve(Converses(PLACE_CALL, lambda stream: raw_words(stream, heard)))
    garbage = wrappers_pb2.BytesValue(value=b"\xff\xff\xff")
    other_words = Conversation(PLACE_CALL.path, wrappers_pb2.BytesValue, DOWN)
    stream = network.open(server.address, other_words)
    await stream.write(garbage)
    await stream.write(wrappers_pb2.BytesValue.FromString(confirm("next").SerializeToString()))
    await stream.done_writing()
    async with asyncio.timeout(LIMIT_S):
        assert await stream.read() is None
    assert heard == [garbage.SerializeToString(), "next"]


async def test_a_message_over_the_parse_limit_reaches_the_handler_as_its_bytes(network: Network, serve: Serve) -> None:
    """P6: 64 KiB are parsed, the rest is kept."""
    heard: list[bytes | str | None] = []
    server = await serve(Converses(PLACE_CALL, lambda stream: raw_words(stream, heard)))
    large = confirm("x" * PARSE_BYTES_MAX)
    stream = network.open(server.address, PLACE_CALL)
    await stream.write(large)
    await stream.write(confirm("next"))
    await stream.done_writing()
    async with asyncio.timeout(LIMIT_S):
        assert await stream.read() is None
    assert heard == [large.SerializeToString(), "next"]


async def test_unreadable_words_that_a_handler_lets_through_are_an_invalid_argument(
    network: Network, serve: Serve
) -> None:
    """A handler that does not keep the bytes refuses them."""
    server = await serve(Converses(PLACE_CALL, read_until_none))
    stream = network.open(server.address, PLACE_CALL)
    await stream.write(confirm("x" * PARSE_BYTES_MAX))
    assert (await refused(stream.read())).status is Status.INVALID_ARGUMENT


async def test_a_message_over_the_transport_limit_is_not_sent_and_looks_like_the_end(
    network: Network, serve: Serve
) -> None:
    """P6: the handler sees the end of the stream, the writer why."""
    heard: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    async def listen(stream: Called) -> None:
        heard.set_result(await stream.read())

    server = await serve(Converses(PLACE_CALL, listen))
    stream = network.open(server.address, PLACE_CALL)
    await asyncio.sleep(0.05)
    assert (await refused(stream.write(confirm("x" * TRANSPORT_BYTES_MAX)))).status is Status.RESOURCE_EXHAUSTED
    async with asyncio.timeout(LIMIT_S):
        assert await heard is None


async def test_the_opening_side_breaks_off_where_it_cannot_read_what_comes(network: Network, serve: Serve) -> None:
    """Another version's words, or worse: a break like any other."""
    attach = Conversation(ATTACH.path, delivery_pb2.AttachRequest, DOWN)

    async def garbage(stream: Stream[Any, Any]) -> None:
        await stream.write(wrappers_pb2.BytesValue(value=b"\xff\xff\xff"))
        await asyncio.Event().wait()

    server = await serve(Converses(ATTACH, garbage))
    assert (await refused(network.open(server.address, attach).read())).status is Status.INTERNAL


# Ports.


async def test_a_port_is_real_where_any_was_asked_for_and_taken_once_bound(network: Network, serve: Serve) -> None:
    """Two servers on one port are refused, by name."""
    server = await serve()
    host, _, port = server.address.rpartition(":")
    assert host == "127.0.0.1"
    assert 0 < int(port) < 65536
    with pytest.raises(PortTaken, match=server.address):
        await network.serve(server.address, [])


async def test_a_port_can_be_bound_again_after_a_stop(network: Network, serve: Serve) -> None:
    """A service restarts at its address."""
    first = await serve(Converses(PLACE_CALL, echo))
    await first.stop(0)
    again = await network.serve(first.address, [Converses(PLACE_CALL, echo)])
    try:
        async with asyncio.timeout(LIMIT_S):
            # Who was refused a moment ago tries again after a pause.
            while not await rings_at(network, again.address):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    finally:
        await again.stop(0)


async def rings_at(network: Network, address: str) -> bool:
    """Whether a conversation works there; False where nobody answers."""
    stream = network.open(address, PLACE_CALL)
    try:
        await stream.write(confirm("1"))
        return await stream.read() == ringing("1")
    except Broken:
        return False
    finally:
        stream.cancel()
