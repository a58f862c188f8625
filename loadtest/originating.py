"""An originating network and its callers as their own process.

    python -m loadtest originating --plan FILE --witness FILE [--seed N] [--human-speed X] [--legs-max N]

The plan (workload.py) says when each caller first dials, and from where. The load is open: a caller dials at the
planned instant whatever has become of the others, and by how much this process itself was late is measured and told.
Callers wait, lose patience and hang up; most who failed dial again, which is a new call.

It prints `{"event": "ready"}` and begins on `{"do": "start", "ingresses": ["127.0.0.1:1234"]}` from standard input,
whose end is its own end; when every caller is done it prints `finished`. What it saw goes to the witness's file:
offered, accepted, ringing, diverting, waiting, confirmed, connected, hung_up, gave_up, leg_broken, turned_away and
refused. It imports nothing of `services`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvloop
from throughline.v1 import place_pb2

from loadtest.carrier import Call, Carrier, Outcome
from loadtest.control import Leader
from loadtest.diary import Diary, tell
from loadtest.humans import BEFORE_REDIAL, TRIES_MAX, Humans

LOOP_PROBE_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Planned:
    """A caller's first try: `at_s` seconds after the start, as the plan's line says."""

    at_s: float
    call_id: str
    caller: str
    service_urn: str
    source: str
    place: place_pb2.Place
    town: str

    @classmethod
    def from_json(cls, line: str) -> Planned:
        read = json.loads(line)
        place = place_pb2.Place()
        if "lat" in read:
            centre = place_pb2.Point(latitude=read["lat"], longitude=read["lon"])
            place.circle.CopyFrom(place_pb2.Circle(centre=centre, radius_m=read["radius_m"]))
        return cls(
            read["at_s"],
            read["call_id"],
            read["caller"],
            read["service_urn"],
            read["source"],
            place,
            read.get("town", ""),
        )


class Lateness:
    """How late this process itself was: it would look like the backbone's own delay otherwise."""

    def __init__(self) -> None:
        self.offer_ms_max = 0.0
        self.loop_ms_max = 0.0

    async def probe(self) -> None:
        """Measures the event loop's lag; runs until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LOOP_PROBE_S
            await asyncio.sleep(LOOP_PROBE_S)
            self.loop_ms_max = max(self.loop_ms_max, (loop.time() - due) * 1000)


class Callers:
    """Everybody in the plan."""

    def __init__(self, carrier: Carrier, humans: Humans, lateness: Lateness) -> None:
        self._carrier = carrier
        self._humans = humans
        self._lateness = lateness

    async def run(self, plan: Sequence[Planned]) -> None:
        """Everybody dials at their instant; returns when the last one is done."""
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as callers:
            for planned in plan:
                callers.create_task(self._live(planned, began + planned.at_s))

    async def _live(self, planned: Planned, due: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, due - loop.time()))
        lag_ms = (loop.time() - due) * 1000
        self._lateness.offer_ms_max = max(self._lateness.offer_ms_max, lag_ms)
        about: dict[str, Any] = {"lag_ms": round(lag_ms, 1), "town": planned.town}
        for tries in range(1, TRIES_MAX + 1):
            who = planned.call_id if tries == 1 else f"{planned.call_id}-redial{tries - 1}"
            call = Call(who, planned.caller, planned.service_urn, planned.place, planned.source)
            outcome = await self._carrier.carry(call, self._humans.patience(who), **about)
            if outcome in (Outcome.CONNECTED, Outcome.REFUSED) or not self._humans.redials(who):
                return
            await asyncio.sleep(self._humans.waits(BEFORE_REDIAL, who))
            about = {"redial_of": who, "town": planned.town}


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
                carrier = Carrier(
                    command["ingresses"], diary, random.Random(arguments.seed), legs_max=arguments.legs_max
                )
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
