"""The callers: places calls at an ingress and measures what each feels. One program for both sides.

Open loop: calls come at seeded Poisson instants, whether or not earlier ones are through. A call's clock starts when
its offer is made; how late that was is the generator's own lag, told beside the delays and not hidden in them. Closed
loop: so many calls are always in hand, and what counts is how many reach a person.

Commands: `{"ingress": "host:port", "rate": calls a second, "seconds": s, "seed": n}`, or `"in_hand": n` for `rate`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

import grpc
from throughline.v1 import call_pb2, place_pb2

from bench.child import commands, run, say

EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]
PLACE_CALL = "/throughline.v1.IngressService/PlaceCall"
CALL_S_MAX = 20.0
"""After this a call counts as failed."""
WARM_SHARE = 0.2
"""Of a closed loop's time, the part at the start that is not counted."""


@dataclass(slots=True)
class Felt:
    """What the callers of one round saw. Delays in milliseconds, each from the call's own offer; `lag_ms` is how much
    later than due the offer was made."""

    ringing_ms: list[float] = field(default_factory=list)
    connected_ms: list[float] = field(default_factory=list)
    connected_at_s: list[float] = field(default_factory=list)
    """When each call was offered, in seconds since the round began; in the order of `connected_ms`."""
    lag_ms: list[float] = field(default_factory=list)
    not_first: int = 0
    """Connected, but not by the first attempt at a PSAP."""
    failed: int = 0
    why: str = ""
    """How the last of those failed."""
    seconds: float = 0.0
    """How long was counted."""
    counted: int = 0
    """Calls connected within that time; the others were connected later, or not at all."""


class Callers:
    """Places calls at one ingress."""

    def __init__(self, address: str, places: list[tuple[float, float]], seed: int) -> None:
        self._channel = grpc.aio.insecure_channel(
            address, options=[("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
        )
        self._place_call: Callable[..., Any] = self._channel.stream_stream(
            PLACE_CALL,
            request_serializer=call_pb2.PlaceCallRequest.SerializeToString,
            response_deserializer=call_pb2.PlaceCallResponse.FromString,
        )
        self._places = places
        self._random = random.Random(seed)
        self._run = f"{time.time_ns():x}"  # the seed says when calls come; no two rounds share a call
        self._number = 0
        self.felt = Felt()

    async def close(self) -> None:
        """Lets go of the connection."""
        await self._channel.close(None)

    async def open_loop(self, rate: float, seconds: float) -> None:
        """`rate` calls a second for `seconds`, then waits for the last."""
        await self._call()  # the connection is there before the clock starts
        self.felt = Felt(seconds=seconds)
        began = due = perf_counter()
        calls = []
        while (due := due + self._random.expovariate(rate)) < began + seconds:
            await asyncio.sleep(due - perf_counter())
            self.felt.lag_ms.append((perf_counter() - due) * 1000)
            calls.append(asyncio.create_task(self._call(began)))
        await asyncio.gather(*calls)
        ends = zip(self.felt.connected_at_s, self.felt.connected_ms, strict=True)
        self.felt.counted = sum(at_s + ms / 1000 <= seconds for at_s, ms in ends)

    async def closed_loop(self, in_hand: int, seconds: float) -> None:
        """`in_hand` calls at every moment; counts those that end after the warm-up and before `seconds`."""
        await self._call()
        self.felt = Felt(seconds=seconds * (1 - WARM_SHARE))
        began = perf_counter()
        counted_from, ends = began + seconds * WARM_SHARE, began + seconds

        async def one_after_another() -> None:
            while perf_counter() < ends:
                if await self._call(began) and counted_from <= perf_counter() < ends:
                    self.felt.counted += 1

        await asyncio.gather(*(one_after_another() for _ in range(in_hand)))

    async def _call(self, round_began: float = 0.0) -> bool:
        offer = self._offer()
        began = perf_counter()
        try:
            async with asyncio.timeout(CALL_S_MAX):
                rang, attempt = await self._converse(offer, began)
        except (grpc.RpcError, TimeoutError, EOFError) as error:
            self.felt.failed += 1
            self.felt.why = repr(error)[:300]
            return False
        self.felt.ringing_ms.append(rang * 1000)
        self.felt.connected_ms.append((perf_counter() - began) * 1000)
        self.felt.connected_at_s.append(began - round_began)
        if attempt != f"{offer.call_id}/1/1":
            self.felt.not_first += 1
        return True

    async def _converse(self, offer: call_pb2.Offer, began: float) -> tuple[float, str]:
        """One call: seconds to the first ringing, and the attempt that was connected."""
        stream = self._place_call()
        await stream.write(call_pb2.PlaceCallRequest(offer=offer))
        rang: float | None = None
        while (heard := await stream.read()) is not EOF:
            said = heard.WhichOneof("said")
            if said == "ringing" and rang is None:
                rang = perf_counter() - began
            elif said == "connecting":
                confirm = call_pb2.Confirm(attempt=heard.connecting.attempt)
                await stream.write(call_pb2.PlaceCallRequest(confirm=confirm))
            elif said == "connected" and rang is not None:
                return rang, heard.connected.attempt
        raise EOFError(f"the stream of {offer.call_id} ended before a connection: {await stream.code()}")

    def _offer(self) -> call_pb2.Offer:
        """A test call from a number of its own, for a while: 80,000 numbers, all of them reserved for fiction."""
        self._number += 1
        latitude, longitude = self._places[self._number % len(self._places)]
        number = self._number + self._random.getrandbits(16)
        return call_pb2.Offer(
            call_id=f"bench-{self._run}-{self._number}",
            leg=1,
            caller=f"+1{200 + number // 100 % 800}55501{number % 100:02d}",
            service_urn="urn:service:test.sos",
            place=place_pb2.Place(
                circle=place_pb2.Circle(
                    centre=place_pb2.Point(latitude=latitude, longitude=longitude),
                    radius_m=25,
                )
            ),
            attestation=call_pb2.ATTESTATION_A,
            source="bench",
        )


async def main(places: list[tuple[float, float]]) -> None:
    """Serves commands."""
    say({"ready": True})
    async for wanted in commands():
        callers = Callers(wanted["ingress"], places, wanted["seed"])
        gc.collect()
        gc.disable()  # a collection here would be measured as a delay there
        try:
            if "rate" in wanted:
                await callers.open_loop(wanted["rate"], wanted["seconds"])
            else:
                await callers.closed_loop(wanted["in_hand"], wanted["seconds"])
        finally:
            gc.enable()
        await callers.close()
        say(asdict(callers.felt))


if __name__ == "__main__":
    run(main([(lat, lon) for lat, lon in json.loads(sys.argv[1])]))
