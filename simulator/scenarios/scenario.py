"""What a scenario is made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from loadtest.callers import Planned
from simulator.scenarios.figures import Figures
from simulator.scenarios.plain_filter import PlainFilter
from simulator.scenarios.stage import Stage

DESK_CHANNELS = 12


@dataclass(frozen=True, slots=True)
class Scenario:
    """One outage. `before` befalls the plain filter, `after` befalls Throughline, at the same second."""

    name: str
    then: str
    """What happened in the world."""
    here: str
    """What is played."""
    plan: Callable[[], tuple[Planned, ...]]
    before: Callable[[Stage, PlainFilter], Awaitable[None]]
    after: Callable[[Stage], Awaitable[None]]
    desk_channels: int = DESK_CHANNELS
    floods: bool = False
    """Calls whose id begins with f are the flood's; they are counted apart, and a run without them stands beside."""


@dataclass(frozen=True, slots=True)
class Told:
    """What both runs came to."""

    scenario: Scenario
    filtered: Figures
    throughline: Figures
    notes: Mapping[str, Any]
    quiet: Figures | None = None
    """Throughline's, of the same callers without the flood."""
    filtered_flood: Figures | None = None
    flood: Figures | None = None
