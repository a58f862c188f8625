"""The wire of the world outside: gRPC between processes and the services' memory network keep one contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from loadtest.channels import GrpcWire
from loadtest.wire import CANCELLED, Ended, Refusal, Served, Stream, Wire
from services.host.network.memory import MemoryNetwork
from simulator.wire import NetworkWire

TALK = "/throughline.test.Service/Talk"
ASK = "/throughline.test.Service/Ask"
BOUND_S = 5.0
NO_MESSAGE = b"\xff\xff\xff\xff"


@pytest.fixture(params=["grpc", "memory"])
async def wire(request: pytest.FixtureRequest) -> AsyncIterator[Wire]:
    """One of the two, and nothing left of it afterwards."""
    network = MemoryNetwork(latency_s=0.001)
    made: Wire = GrpcWire() if request.param == "grpc" else NetworkWire(network)
    yield made
    await made.close()
    await network.close()


class Serving:
    """A server whose conversation follows a script; `over` when the script's handler has ended in any way."""

    def __init__(self, wire: Wire, script: Callable[[Served], Awaitable[object]]) -> None:
        self._wire = wire
        self._script = script
        self.over = asyncio.Event()
        self.address = ""

    async def __aenter__(self) -> Serving:
        self._server = await self._wire.serve("127.0.0.1:0", {TALK: self._lead}, {})
        self.address = self._server.address
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop()

    async def stop(self) -> None:
        await self._server.stop()

    async def _lead(self, stream: Served) -> None:
        try:
            await self._script(stream)
        finally:
            self.over.set()


async def heard(stream: Stream) -> bytes | None:
    return await asyncio.wait_for(stream.read(), BOUND_S)


async def ended(stream: Stream) -> str:
    """The status by which it ends; OK for an orderly end."""
    try:
        while await heard(stream) is not None:
            pass
    except Ended as end:
        return end.status
    return "OK"


async def echo(stream: Served) -> None:
    while (raw := await stream.read()) is not None:
        await stream.write(raw)


async def test_bytes_cross_in_order_whatever_they_are(wire: Wire) -> None:
    """What is said without waiting arrives as it was said; a half-close lets the other side end in order."""
    async with Serving(wire, echo) as server:
        stream = wire.open(server.address, TALK)
        said = [b"one", NO_MESSAGE, b"", b"three"]
        for message in said:
            stream.say(message)
        stream.finish()
        assert [await heard(stream) for _ in said] == said
        assert await ended(stream) == "OK"


async def test_a_refusal_comes_as_its_status_and_words(wire: Wire) -> None:
    """Who serves ends with a status of its own."""

    async def refuse(stream: Served) -> None:
        raise Refusal("PERMISSION_DENIED", "not you")

    async with Serving(wire, refuse) as server:
        with pytest.raises(Ended) as end:
            await heard(wire.open(server.address, TALK))
    assert (end.value.status, end.value.details) == ("PERMISSION_DENIED", "not you")


async def test_a_timer_beside_the_reader_walks_away(wire: Wire) -> None:
    """A read that waits ends as cancelled from this side, and the other side's handler is over."""
    async with Serving(wire, echo) as server:
        stream = wire.open(server.address, TALK)
        stream.say(b"there?")
        assert await heard(stream) == b"there?"
        asyncio.get_running_loop().call_later(0.05, stream.cancel)
        assert await ended(stream) == CANCELLED
        stream.say(b"to nobody")
        await asyncio.wait_for(server.over.wait(), BOUND_S)


async def test_who_gives_a_read_up_is_cancelled_itself(wire: Wire) -> None:
    """The cancelling of the reading task is not taken for the end of the stream."""
    async with Serving(wire, echo) as server:
        reading = asyncio.ensure_future(wire.open(server.address, TALK).read())
        await asyncio.sleep(0.05)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading


async def test_a_server_that_stops_cuts_what_it_has_in_hand(wire: Wire) -> None:
    """It is unavailable, at once and afterwards."""
    async with Serving(wire, echo) as server:
        stream = wire.open(server.address, TALK)
        stream.say(b"there?")
        assert await heard(stream) == b"there?"
        await server.stop()
        assert await ended(stream) in ("UNAVAILABLE", "CANCELLED")
        assert await ended(wire.open(server.address, TALK)) == "UNAVAILABLE"
