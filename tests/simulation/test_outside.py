"""The world outside beside the real services under virtual time: what three witnesses say of the same calls agrees."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from loadtest.books import Kept, Reading
from loadtest.callers import Planned
from loadtest.leg import NetworkMischief
from loadtest.region_tables import RegionTables
from loadtest.witness import compare
from services.journal import Topic
from simulator.outside import Outside, Surroundings
from simulator.virtual_loop import run_virtual, virtual_wall_ms
from tests.services.ingress_stage import WORCESTER
from tests.simulation.backbone import REGION, Backbone, token_of
from tests.simulation.test_one_call import worcester

HOME = worcester()[0]
ALTERNATE = REGION.directory.alternates_of(HOME)[0] if hasattr(REGION.directory, "alternates_of") else ""
SOURCES = ("wireless", "wireline")
TABLES = RegionTables()
SETTLES_S = 90.0


def planned(calls: int, mischief: NetworkMischief = NetworkMischief.NONE, each_s: float = 0.5) -> list[Planned]:
    """Callers of one town, by both networks in turn."""
    return [
        Planned(
            n * each_s, f"call-{n}", f"+150855501{n % 100:02d}", "urn:service:sos", SOURCES[n % 2], WORCESTER,
            "Worcester", mischief,
        )
        for n in range(calls)
    ]  # fmt: skip


class Told:
    """What the three witnesses said."""

    def __init__(self, outside: Outside, kept: Kept) -> None:
        self.outside = outside
        self.kept = kept
        self.callers = Counter(entry["event"] for entry in outside.callers)
        self.far_end = Counter(entry["event"] for entry in outside.far_end)
        self.verdict = compare(outside.callers, outside.far_end, kept.entries)


def play(
    plan: Sequence[Planned],
    positions: int = 4,
    trouble: Callable[[Outside], Awaitable[None] | None] = lambda outside: None,
    seed: int = 7,
) -> Told:
    """The plan's calls with one PSAP, its alternates' absence, two trunks and two ingresses' addresses of one."""

    async def scene() -> Told:
        trunks = ("trunk:1", "trunk:2")
        async with Backbone([], trunks) as backbone:
            around = Surroundings(
                {HOME: positions}, {HOME: token_of(HOME)}, TABLES.lines, ("gateway:1", "gateway:2"),
                ("ingress:1",), trunks, SOURCES,
            )  # fmt: skip
            outside = Outside(around, lambda _: backbone.network, seed=seed, wall_ms=virtual_wall_ms)
            await outside.start()
            await asyncio.sleep(1.0)
            struck = trouble(outside)
            if struck is not None:
                await struck
            await outside.run(plan)
            await asyncio.sleep(SETTLES_S)
            reading = Reading()
            reading.take(backbone.broker.records(Topic.CALLS))
            await outside.stop()
            return Told(outside, reading.kept())

    return run_virtual(scene(), limit_s=3600)


def test_three_witnesses_agree_about_twenty_calls() -> None:
    """P1 to P4, R1 to R7, J2: everybody who waited long enough talks to somebody, and the books say the same."""
    told = play(planned(20))
    assert told.verdict.disagreements == ()
    assert told.verdict.calls >= 20
    assert told.callers["connected"] >= 15
    assert told.kept.books.sound
