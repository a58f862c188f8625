"""An originating network and its callers as their own process.

    python -m loadtest originating --plan FILE --witness FILE [--seed N] [--human-speed X] [--legs-max N]

The plan (workload.py) says when each caller first dials, and from where; what callers do is callers.py's. By how much
this process itself was late is told at the end.

It prints `{"event": "ready"}` and begins on `{"do": "start", "ingresses": ["127.0.0.1:1234"]}` from standard input,
whose end is its own end; when every caller is done it prints `finished`. What it saw goes to the witness's file:
offered, accepted, ringing, diverting, waiting, confirmed, connected, hung_up, gave_up, leg_broken, turned_away and
refused. It imports nothing of `services`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import uvloop

from loadtest.callers import Callers, Lateness, Planned
from loadtest.carrier import Carrier
from loadtest.channels import GrpcWire
from loadtest.control import Leader
from loadtest.diary import Diary, tell
from loadtest.humans import Humans


async def run(arguments: argparse.Namespace, leader: Leader) -> None:
    """Obeys until told to stop, or until standard input ends."""
    plan = [Planned.from_json(line) for line in arguments.plan.read_text().splitlines()]
    lateness = Lateness()
    with Diary(arguments.witness, "caller", tell=arguments.tell) as diary:
        carrier: Carrier | None = None
        probing = asyncio.ensure_future(lateness.probe())
        running: asyncio.Task[None] | None = None
        tell("ready", callers=len(plan))
        try:
            async for command in leader.commands():
                if command.get("do") != "start" or not command.get("ingresses") or running is not None:
                    raise ValueError(f"expected one start with ingresses, and then stop; got {command}")
                by = random.Random(arguments.seed)
                carrier = Carrier(command["ingresses"], diary, by, GrpcWire(), legs_max=arguments.legs_max)
                callers = Callers(carrier, Humans(arguments.seed, arguments.human_speed), lateness)
                running = asyncio.ensure_future(callers.run(plan))
                running.add_done_callback(lambda done: _told_finished(done, lateness))
        finally:
            probing.cancel()
            if running is not None:
                running.cancel()
                await asyncio.wait({running})
            if carrier is not None:
                await carrier.close()


def _told_finished(done: asyncio.Future[None], lateness: Lateness) -> None:
    if done.cancelled():
        return
    error = done.exception()
    tell(
        "finished" if error is None else "failed",
        error="" if error is None else repr(error),
        offer_lag_ms_max=round(lateness.offer_ms_max, 1),
        loop_lag_ms_max=round(lateness.loop_ms_max, 1),
    )


def main(words: Sequence[str], leader: Leader) -> None:
    """Reads its words, and runs until the leader ends."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtest originating", description="An originating network's callers."
    )
    parser.add_argument("--plan", type=Path, required=True, help="who dials when, JSON lines (see workload.py)")
    parser.add_argument("--witness", type=Path, required=True, help="file for what is seen here, JSON lines")
    parser.add_argument("--seed", type=int, default=1, help="of people's delays")
    parser.add_argument("--human-speed", type=float, default=1.0, help="people are this many times faster")
    parser.add_argument("--legs-max", type=int, help="offer no more legs of a call than this (no part of P2)")
    parser.add_argument("--tell", action="store_true", help="print the witness's lines too")
    uvloop.run(run(parser.parse_args(words), leader))
