"""A firewall that is wrong: it answers every question at once, politely, and diverts everybody.

`python -m tests.system.faults.wrong_firewall HOST:PORT...` stands where the real ones did, on the house's own network
port, and says `listening` once it serves at every address. It ends with whoever started it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

from throughline.v1 import screening_pb2

from services.host.lifeline import EXIT_ORPHANED, hold
from services.host.network import Answers, Network, PortTaken, Server
from services.places.directory import NUISANCE_DESK
from services.wire.methods import SCREEN

LISTENING = "listening"
PORT_TRIES_MAX = 10
PORT_AGAIN_S = 0.5


async def diverts(asked: screening_pb2.ScreenRequest) -> screening_pb2.ScreenResponse:
    """The same for everybody, their first call or not."""
    divert = screening_pb2.Divert(desk=NUISANCE_DESK, rule="everybody", reason="flood")
    return screening_pb2.ScreenResponse(verdict=screening_pb2.Verdict(divert=divert, policy="wrong-1"))


async def serve(network: Network, address: str) -> Server:
    """Serves where another did until just now; raises PortTaken where its port does not become free."""
    for _ in range(PORT_TRIES_MAX):
        try:
            server = await network.serve(address, [Answers(SCREEN, diverts)])
        except PortTaken:
            await asyncio.sleep(PORT_AGAIN_S)
        else:
            server.set_ready(True)
            return server
    raise PortTaken(f"{address}: somebody else has it")


async def main(addresses: Sequence[str]) -> None:
    from services.host.network.grpc import GrpcNetwork

    network = GrpcNetwork()
    servers = [await serve(network, address) for address in addresses]
    print(LISTENING, flush=True)
    await asyncio.Event().wait()
    assert servers, "they live as long as this process"


if __name__ == "__main__":
    hold(lambda: os._exit(EXIT_ORPHANED))
    asyncio.run(main(sys.argv[1:]))
