"""A machine that is gone says nothing to anybody: pings find it, dials hang, and the next one of its address resets."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from throughline.v1 import call_pb2

from services.host.network import Broken, Converses, Stream
from services.host.network.keepalive import KEEPALIVE_ANSWER_MS, KEEPALIVE_MS
from services.host.network.memory import MemoryHost, MemoryNetwork
from services.wire.methods import PLACE_CALL
from simulator.cables import Cables
from simulator.virtual_loop import run_virtual

ADDRESS = "ingress-1:1"
Offer = call_pb2.PlaceCallRequest
Heard = list[str]
Story = Callable[[MemoryNetwork, Cables, MemoryHost, Heard], Awaitable[None]]


def play(story: Story) -> None:
    """One machine that serves, and one that calls it, which pings nobody."""

    async def main() -> None:
        cables = Cables(random.Random(1), lambda server: server == "ingress-1")
        network = cables.network = MemoryNetwork(links=cables)
        heard: Heard = []
        await serve(network, heard)
        await story(network, cables, network.host("caller"), heard)
        await network.close()

    run_virtual(main(), limit_s=60)


async def serve(network: MemoryNetwork, heard: Heard) -> MemoryHost:
    host = network.host("ingress-1")

    async def handle(stream: Stream[Offer, call_pb2.PlaceCallResponse]) -> None:
        while (said := await stream.read()) is not None:
            heard.append(said.offer.call_id)

    await host.serve(ADDRESS, [Converses(PLACE_CALL, handle)])
    return host


def the_machine(network: MemoryNetwork) -> MemoryHost:
    return next(each for each in network.hosts if each.name == "ingress-1")


def an_offer(call_id: str) -> Offer:
    return Offer(offer=call_pb2.Offer(call_id=call_id))


def test_who_does_not_ping_hears_nothing_until_the_address_is_taken_again() -> None:
    """Decision record 0021: no reset comes from a machine without power; the next one knows of no such connection."""

    async def story(network: MemoryNetwork, cables: Cables, caller: MemoryHost, heard: Heard) -> None:
        stream = caller.open(ADDRESS, PLACE_CALL)
        await stream.write(an_offer("a"))
        await asyncio.sleep(0.1)
        cables.vanish(the_machine(network))
        reading = asyncio.ensure_future(stream.read())
        await asyncio.sleep(10.0)
        assert not reading.done()
        cables.appear("ingress-1")
        await asyncio.sleep(0.01)
        with pytest.raises(Broken):
            reading.result()
        assert heard == ["a"]

    play(story)


def test_a_server_finds_by_its_pings_that_a_caller_has_vanished() -> None:
    """Three seconds after the last word at most."""

    async def story(network: MemoryNetwork, cables: Cables, caller: MemoryHost, heard: Heard) -> None:
        stream = caller.open(ADDRESS, PLACE_CALL)
        await stream.write(an_offer("a"))
        await asyncio.sleep(0.1)
        assert the_machine(network).streams
        cables.vanish(caller)
        await asyncio.sleep((KEEPALIVE_MS + KEEPALIVE_ANSWER_MS) / 1000)
        assert not the_machine(network).streams

    play(story)


@pytest.mark.parametrize("gives_up", [True, False])
def test_a_dial_hangs_and_reaches_the_next_machine_unless_it_was_given_up(gives_up: bool) -> None:
    """What was said into a dial is sent when it is answered, however old it is; and never where nobody dials now."""

    async def story(network: MemoryNetwork, cables: Cables, caller: MemoryHost, heard: Heard) -> None:
        cables.vanish(the_machine(network))
        stream = caller.open(ADDRESS, PLACE_CALL)
        await stream.write(an_offer("a"))
        reading = asyncio.ensure_future(stream.read())
        await asyncio.sleep(2.0)
        assert not reading.done()
        if gives_up:
            stream.cancel()
        cables.appear("ingress-1")
        await serve(network, heard)
        await asyncio.sleep(0.1)
        assert heard == ([] if gives_up else ["a"])
        reading.cancel()

    play(story)
