"""Rounds: each measures both sides under the same load, one right after the other, in turns."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench import meter
from bench.arithmetic import percentile
from bench.programs import Program
from bench.records import Tally
from bench.sides import TOPICS, Side

SETTLE_S = 0.4
"""After a measurement, for appends that nobody waits for."""
GRACE_S = 40.0
"""How much longer than its load a measurement may take."""


@dataclass(frozen=True, slots=True)
class Load:
    """Open loop at `rate` calls a second, or, where that is None, closed loop with `in_hand` calls at every moment."""

    rate: int | None
    seconds: float
    in_hand: int = 0

    @property
    def name(self) -> str:
        """As in the tables and the file."""
        return f"{self.rate}/s" if self.rate is not None else "saturation"

    def command(self) -> dict[str, Any]:
        """As the callers want it."""
        how = {"rate": self.rate} if self.rate is not None else {"in_hand": self.in_hand}
        return {**how, "seconds": self.seconds}


@dataclass(slots=True)
class Stand:
    """What measures: the callers, and the processes whose cost is told apart."""

    callers: Program
    tally: Tally
    kafka: list[int]
    generators: list[int]


def order(sides: Sequence[Side], rounds: int) -> Iterator[tuple[int, Sequence[Side]]]:
    """Each round's number, and its sides with another one first each time."""
    for number in range(rounds):
        yield number, sides if number % 2 == 0 else list(reversed(sides))


async def measure(stand: Stand, side: Side, load: Load, number: int) -> dict[str, Any]:
    """One load on one side; what comes back is what the file holds. Delays in ms, processor time in ms a call."""
    topics = [side.topic_prefix + topic for topic in TOPICS]
    services = list(side.services.values())
    pids = {*services, *stand.kafka, *stand.generators}
    written = await stand.tally.count(topics)
    before = meter.look(pids)
    began = asyncio.get_running_loop().time()
    felt: dict[str, Any] = await stand.callers.ask(
        {"ingress": side.ingress, "seed": number, **load.command()}, load.seconds + GRACE_S
    )
    took_s = asyncio.get_running_loop().time() - began
    await asyncio.sleep(SETTLE_S)
    cost = meter.Cost.between(before, meter.look(pids))
    written = {topic: count - written[topic] for topic, count in (await stand.tally.count(topics)).items()}
    connected = felt["connected_ms"]
    # One call before the clock starts opens the connection; it costs and writes as the others do.
    calls: int = len(connected) + felt["failed"] + 1

    def a_call(pids: Sequence[int]) -> float:
        return float(round(cost.of(pids) * 1000 / calls, 3))

    return {
        "side": side.name,
        "round": number,
        "load": load.name,
        "seconds": felt["seconds"],
        "calls": calls - 1,
        "failed": felt["failed"],
        "last_failure": felt["why"],
        "not_first_attempt": felt["not_first"],
        "calls_per_second": round(felt["counted"] / felt["seconds"], 1),
        "ringing_ms": _delays(felt["ringing_ms"]),
        "connected_ms": _delays(connected),
        "generator_lag_ms": _delays(felt["lag_ms"]),
        "cpu_ms_per_call": {
            "services": a_call(services),
            **{name: a_call([pid]) for name, pid in side.services.items()},
            "kafka": a_call(stand.kafka),
            "callers_and_far_end": a_call(stand.generators),
        },
        "others_cores": round(cost.others_s / (took_s + SETTLE_S), 2),
        "records_per_call": {topic: round(count / calls, 3) for topic, count in written.items()},
    }


def _delays(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    return {f"p{percent:g}": round(percentile(values, percent), 3) for percent in (50, 90, 99, 100)}


async def run(
    stand: Stand, sides: Sequence[Side], loads: Sequence[Load], rounds: int, tell: Callable[[dict[str, Any]], None]
) -> list[dict[str, Any]]:
    """All rounds. A first pass at a quarter of the time warms both sides and is not kept."""
    for side in sides:
        for load in loads:
            await measure(stand, side, Load(load.rate, max(1.0, load.seconds / 4), load.in_hand), -1)
    found = []
    for number, in_turn in order(sides, rounds):
        for load in loads:
            for side in in_turn:
                measured = await measure(stand, side, load, number)
                found.append(measured)
                tell(measured)
    return found


def dump(word: Any) -> str:
    """JSON for people and programs."""
    return json.dumps(word, indent=1)
