"""What a caller feels when the process that screens is killed, in the chain of consumer groups and in Throughline."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from typing import Any

from bench import chain
from bench.arithmetic import percentile
from bench.programs import Crew, Program
from bench.records import create_topics
from bench.rounds import GRACE_S
from bench.sides import Side

RATE = 50
SECONDS = 12.0
KILL_AFTER_S = 3.0
LATE_MS = 1_000
STEADY_RATE = 100


async def kill_meanwhile(callers: Program, command: dict[str, Any], kill: Callable[[], None]) -> dict[str, Any]:
    """Runs an open loop and kills in the middle of it; returns what callers felt before and after."""
    asking = asyncio.create_task(
        callers.ask({**command, "rate": RATE, "seconds": SECONDS, "seed": 7}, SECONDS + GRACE_S)
    )
    await asyncio.sleep(KILL_AFTER_S)
    kill()
    felt = await asking
    delays = list(zip(felt["connected_at_s"], felt["connected_ms"], strict=True))
    steady = [ms for at, ms in delays if at < KILL_AFTER_S - 0.5]
    return {
        "rate": RATE,
        "p50_ms_before": round(percentile(steady, 50), 2),
        "worst_ms": round(max(ms for _, ms in delays), 1),
        f"later_than_{LATE_MS}_ms": sum(ms > LATE_MS for _, ms in delays),
        "never": felt["failed"],
        "calls": len(delays) + felt["failed"],
    }


async def of_the_chain(crew: Crew, kafka: str, seconds: float) -> dict[str, Any]:
    """Starts the chain, measures it undisturbed, then with a member of its first stage killed."""
    await create_topics(kafka, [chain.topic(number) for number in range(len(chain.STAGES) + 1)])
    members = await asyncio.gather(
        *(
            crew.start(f"chain's {stage}", "bench.chain", "stage", _known(kafka, number=number))
            for number, stage in enumerate(chain.STAGES)
            for _ in range(chain.MEMBERS)
        )
    )
    callers = await crew.start("chain's callers", "bench.chain", "callers", _known(kafka))
    await callers.ask({"rate": STEADY_RATE, "seconds": 2.0, "seed": 1}, GRACE_S)
    steady = await callers.ask({"rate": STEADY_RATE, "seconds": seconds, "seed": 2}, seconds + GRACE_S)
    found = {
        "rate": STEADY_RATE,
        "connected_ms": {f"p{percent}": round(percentile(steady["connected_ms"], percent), 2) for percent in (50, 99)},
        "killed": await kill_meanwhile(callers, {}, lambda: os.kill(members[0].pid, signal.SIGKILL)),
        "session_timeout_ms": chain.SESSION_TIMEOUT_MS,
    }
    await asyncio.gather(*(program.kill() for program in (*members, callers)))
    return found


async def of_throughline(callers: Program, side: Side) -> dict[str, Any]:
    """Kills the only firewall, as the last thing that is measured."""
    return await kill_meanwhile(
        callers, {"ingress": side.ingress}, lambda: os.kill(side.services["firewall"], signal.SIGKILL)
    )


def _known(kafka: str, **more: object) -> str:
    return json.dumps({"kafka": kafka, **more})
