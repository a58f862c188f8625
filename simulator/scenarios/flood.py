"""Ten times the load from fifty sources, with ordinary callers between."""

from __future__ import annotations

from typing import Final

from loadtest.callers import Planned
from simulator.scenarios.bundles import REPEATS, bundle, diverting
from simulator.scenarios.callers import callers, flooding, together
from simulator.scenarios.plain_filter import PlainFilter
from simulator.scenarios.scenario import Scenario
from simulator.scenarios.stage import Stage

ORDINARY: Final = 60
TIMES: Final = 10
SOURCES: Final = 50
BEGINS_S: Final = 20.0
LASTS_S: Final = 400.0
QUOTA: Final = 5
"""Calls of one telephone that reach their PSAP within ten minutes, before the next ones go to the desk."""
AGAINST: Final = bundle(1, [diverting("floods", f"number_calls_600s >= {QUOTA + 1}"), REPEATS])


def plan() -> tuple[Planned, ...]:
    """Ordinary callers all the while, each once; the flood from the twentieth second on."""
    flood = flooding(ORDINARY * TIMES, BEGINS_S, LASTS_S - BEGINS_S, SOURCES)
    return together(callers(ORDINARY, LASTS_S, ORDINARY), flood)


async def before(stage: Stage, plain: PlainFilter) -> None:
    """The same rule."""
    plain.take(AGAINST)


async def after(stage: Stage) -> None:
    """A bundle that knows floods is live from the start."""
    await stage.force_live(AGAINST)


SCENARIO: Final = Scenario(
    "flood",
    "Floods of calls from few telephones have kept ordinary callers from 911, and filters have kept both away.",
    "Ten times the load from 50 sources, from the sixth call of each on diverted, with ordinary callers between.",
    plan,
    before,
    after,
    desk_channels=60,
    floods=True,
)
