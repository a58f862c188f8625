"""Wall clocks: ahead or behind from the start, and jumping. Timers never look at them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from simulator.injuries.kind import LONG_S, Drawn, Injury, Kind, Scene, seconds
from simulator.installation import COUNTS, names_of

SKEW_MS: Final = 2_000
JUMP_MS: Final = 3_600_000
"""An hour: summer time done wrong, or a machine without its time server."""


def _one(most_ms: int, least_s: float, most_s: float) -> Callable[[random.Random], Drawn]:
    def draw(by: random.Random) -> Drawn:
        name = by.choice(names_of(by.choice(tuple(COUNTS))))
        return (name,), seconds(by, least_s, most_s), float(by.randint(-most_ms, most_ms))

    return draw


def _set(scene: Scene, injury: Injury) -> None:
    scene.installation.replicas[injury.targets[0]].set_clock(int(injury.amount))


def _set_right(scene: Scene, injury: Injury) -> None:
    scene.installation.replicas[injury.targets[0]].set_clock(0)


KINDS = (
    Kind("clock_skew", "a wall clock is ahead by so many ms", _one(SKEW_MS, 5.0, 30.0), _set, _set_right),
    Kind("clock_jump", "a wall clock jumps by so many ms, and back", _one(JUMP_MS, *LONG_S), _set, _set_right),
)
