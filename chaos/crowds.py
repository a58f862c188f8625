"""Callers of one instant, and when to strike so as to find them.

A firewall or a router has a call in its hands for some milliseconds, so that a strike at any odd moment finds nobody
there. Whoever sees the same crash dials together: in rounds of kills and pauses some of the load comes as such crowds,
one at each instant that the schedule has for a strike, and a strike that is late waits for the next. Pure.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from chaos.schedule import CALM_S, KILL_EVERY_S
from loadtest.workload import PlannedCall

CROWD: Final = 10
"""At most; what two cores set up within some hundred milliseconds."""
IN_THE_MIDST_S: Final = 0.05
"""A strike comes within so long after a crowd's instant: while its calls are being set up."""


def gathered(calls: Iterable[PlannedCall]) -> list[PlannedCall]:
    """The same callers, where those who would dial within the second after a crowd's instant dial at that instant, at
    most CROWD of them. As many call in every second as before."""
    tally: Counter[float] = Counter()
    moved = []
    for call in calls:
        if (instant := _latest(call.at_s)) is not None and call.at_s < instant + 1 and tally[instant] < CROWD:
            tally[instant] += 1
            call = replace(call, at_s=instant)
        moved.append(call)
    return sorted(moved, key=lambda call: call.at_s)


def next_crowd(elapsed_s: float) -> float:
    """The instant of the crowd that is dialling at this second, or of the next; in seconds since the callers began."""
    behind = elapsed_s - IN_THE_MIDST_S - CALM_S
    return CALM_S + max(0, math.ceil(behind / KILL_EVERY_S)) * KILL_EVERY_S


def _latest(at_s: float) -> float | None:
    """The last crowd's instant until then."""
    return CALM_S + (at_s - CALM_S) // KILL_EVERY_S * KILL_EVERY_S if at_s >= CALM_S else None
