"""The bare chain whose figures stand in architecture.md, measured on this machine: is the floor slow, or the machine?

A caller's unary question to an ingress, which asks three others in turn; each of the four appends one record, of which
the ingress awaits its own. Two quiet cores carried 870 to 900 of these calls a second.
`python -m bench.yardstick question|ingress|callers JSON` is one of its processes.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from throughline.v1 import call_pb2, screening_pb2

from bench.child import commands, run, say
from bench.floor.wire import Publisher, answering, serve, stub
from bench.programs import Crew

KNOWN_CALLS_PER_SECOND = (870, 900)
SERVICE = "throughline.v1.FirewallService"
PATH = f"/{SERVICE}/Screen"
Asks, Answers = screening_pb2.ScreenRequest, screening_pb2.ScreenResponse


async def question(kafka: str) -> None:
    """Answers at once and appends one record."""
    publisher = Publisher(kafka)
    await publisher.start()

    async def screen(request: screening_pb2.ScreenRequest, _: Any) -> screening_pb2.ScreenResponse:
        await publisher.publish("floor-screenings", request.offer.call_id, request)
        return Answers()

    await serve(SERVICE, {"Screen": answering(screen, Asks, Answers)})


async def ingress(kafka: str, questions: list[str]) -> None:
    """Asks each in turn while its own append is under way."""
    publisher = Publisher(kafka)
    await publisher.start()
    neighbours = [stub(address, "unary_unary", PATH, Asks, Answers) for address in questions]

    async def screen(request: screening_pb2.ScreenRequest, _: Any) -> screening_pb2.ScreenResponse:
        kept = await publisher.publish("floor-calls", request.offer.call_id, request)
        for ask in neighbours:
            await ask(request, timeout=5)
        await kept
        return Answers()

    await serve(SERVICE, {"Screen": answering(screen, Asks, Answers)})


async def callers(address: str) -> None:
    """Closed loop: commands `{"in_hand": n, "seconds": s}`."""
    place = stub(address, "unary_unary", PATH, Asks, Answers)
    loop = asyncio.get_running_loop()
    say({"ready": True})
    async for wanted in commands():
        ends = loop.time() + wanted["seconds"]
        done = 0

        async def one_after_another(name: int, ends: float) -> None:
            nonlocal done
            while loop.time() < ends:
                offer = call_pb2.Offer(call_id=f"yardstick-{name}-{done}", leg=1, service_urn="urn:service:test.sos")
                await place(Asks(offer=offer), timeout=20)
                done += 1

        await asyncio.gather(*(one_after_another(name, ends) for name in range(wanted["in_hand"])))
        say({"calls_per_second": done / wanted["seconds"]})


async def measure(crew: Crew, kafka: str, in_hand: int, seconds: float) -> float:
    """Calls a second of the bare chain, here and now."""

    async def start(role: str, **known: object) -> Any:
        return await crew.start(f"yardstick's {role}", "bench.yardstick", role, json.dumps(known))

    questions = await asyncio.gather(*(start("question", kafka=kafka) for _ in range(3)))
    asked = await start("ingress", kafka=kafka, questions=[each.address for each in questions])
    calling = await start("callers", address=asked.address)
    await calling.ask({"in_hand": in_hand, "seconds": 1.0}, 30)
    found = await calling.ask({"in_hand": in_hand, "seconds": seconds}, seconds + 30)
    await asyncio.gather(*(program.kill() for program in (*questions, asked, calling)))
    return float(found["calls_per_second"])


if __name__ == "__main__":
    known = json.loads(sys.argv[2])
    match sys.argv[1]:
        case "question":
            run(question(**known))
        case "ingress":
            run(ingress(**known))
        case _:
            run(callers(**known))
