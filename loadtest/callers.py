"""The callers of a plan: each dials at their instant, waits, loses patience, hangs up, and mostly dials again.

The load is open: a caller dials at the planned instant whatever has become of the others. By how much this process
itself was late is measured, since it would look like the backbone's own delay.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from throughline.v1 import place_pb2

from loadtest.carrier import Carrier, Outcome
from loadtest.humans import BEFORE_REDIAL, TRIES_MAX, Humans
from loadtest.leg import Call, NetworkMischief
from loadtest.tries import named

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
    town: str = ""
    mischief: NetworkMischief = NetworkMischief.NONE
    """Of the first try; who dials again does so as is right."""

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
            NetworkMischief(read.get("mischief", "none")),
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
        mischief = planned.mischief
        lag_ms = (loop.time() - due) * 1000
        self._lateness.offer_ms_max = max(self._lateness.offer_ms_max, lag_ms)
        about: dict[str, Any] = {"lag_ms": round(lag_ms, 1), "town": planned.town}
        for tries in range(1, TRIES_MAX + 1):
            who = named(planned.call_id, tries)
            call = Call(who, planned.caller, planned.service_urn, planned.place, planned.source, mischief)
            outcome = await self._carrier.carry(call, self._humans.patience(who), **about)
            if outcome in (Outcome.CONNECTED, Outcome.REFUSED) or not self._humans.redials(who):
                return
            await asyncio.sleep(self._humans.waits(BEFORE_REDIAL, who))
            about, mischief = {"redial_of": who, "town": planned.town}, NetworkMischief.NONE
