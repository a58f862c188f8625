"""A process that serves and asks over gRPC without a pause, starts children meanwhile, and prints how they ended.

Its own process: the variables that gRPC reads are set where `services.host.network.grpc` is imported first.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from contextlib import suppress

import uvloop
from throughline.v1 import policy_pb2

from services.host.network import Answers
from services.host.network.grpc import GrpcNetwork
from services.wire.methods import POLICY_STATUS

ASKERS = 4


async def answer(asked: policy_pb2.PolicyServiceStatusRequest) -> policy_pb2.PolicyServiceStatusResponse:
    """Something."""
    return policy_pb2.PolicyServiceStatusResponse()


async def ask_on(address: str, network: GrpcNetwork) -> None:
    """Until it is cancelled."""
    while True:
        await network.ask(address, POLICY_STATUS, policy_pb2.PolicyServiceStatusRequest(), within_s=10.0)


async def main(children: int) -> None:
    """Prints each exit code and how often it came."""
    serving, asking = GrpcNetwork(), GrpcNetwork()
    server = await serving.serve("127.0.0.1:0", [Answers(POLICY_STATUS, answer)])
    askers = [asyncio.ensure_future(ask_on(server.address, asking)) for _ in range(ASKERS)]
    codes: Counter[int] = Counter()
    for _ in range(children):
        child = await asyncio.create_subprocess_exec("true", start_new_session=True)
        codes[await child.wait()] += 1
    print(dict(codes))
    for each in askers:
        each.cancel()
        with suppress(asyncio.CancelledError):
            await each
    await asking.close()
    await server.stop(0)
    await serving.close()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
