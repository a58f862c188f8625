"""An originating network that was held up itself: it reads what has waited before it calls an ingress silent (P2)."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from throughline.v1 import call_pb2, place_pb2

from loadtest.carrier import Carrier, Outcome
from loadtest.diary import MemoryDiary
from loadtest.leg import Call
from services.host.network import Converses
from services.host.network.memory import MemoryNetwork
from services.wire.methods import PLACE_CALL
from simulator.virtual_loop import VirtualLoop, run_virtual, virtual_wall_ms
from simulator.wire import NetworkWire

INGRESS = "ingress:1"
CALL = Call("call-1", "+16175550100", "urn:service:test.sos", place_pb2.Place(), "test")
Say = call_pb2.PlaceCallResponse


async def beat_then_connect(stream: Any) -> None:
    """A heartbeat each half second; connected after five of them."""
    offer = (await stream.read()).offer
    for _ in range(5):
        await asyncio.sleep(0.5)
        await stream.write(Say(heartbeat=call_pb2.Heartbeat()))
    await stream.write(Say(connected=call_pb2.Connected(attempt=f"{offer.call_id}/{offer.leg}/1")))


def carried(held_up_s: float) -> tuple[Outcome, list[str]]:
    """One call, with a loop that does nothing for so long while it is carried: the outcome, and what was seen."""

    async def scene() -> tuple[Outcome, list[str]]:
        network = MemoryNetwork(latency_s=0.02)
        await network.serve(INGRESS, [Converses(PLACE_CALL, beat_then_connect)])
        diary = MemoryDiary("caller", virtual_wall_ms)
        carrier = Carrier([INGRESS], diary, random.Random(1), NetworkWire(network))
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.call_later(0.7, loop.jump, held_up_s)
        outcome = await carrier.carry(CALL, patience_s=30.0)
        await network.close()
        return outcome, [entry["event"] for entry in diary.entries]

    return run_virtual(scene(), limit_s=60)


@pytest.mark.parametrize("held_up_s", [0.0, 1.5, 5.0])
def test_a_network_that_was_held_up_itself_keeps_its_leg(held_up_s: float) -> None:
    """P2: nothing was heard for a second, and that was nobody's silence."""
    assert carried(held_up_s) == (Outcome.CONNECTED, ["offered", "connected"])
