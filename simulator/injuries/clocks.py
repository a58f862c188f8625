"""Wall clocks, of processes and of brokers: ahead or behind, and jumping. Timers never look at them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from services.journal.memory_broker import BROKERS
from simulator.injuries.kind import LONG_S, Drawn, Injury, Kind, Scene, seconds
from simulator.installation import names_of, somebody

SKEW_MS: Final = 2_000
JUMP_MS: Final = 3_600_000
"""An hour: summer time done wrong, or a machine without its time server."""


def _one(most_ms: int, least_s: float, most_s: float) -> Callable[[random.Random], Drawn]:
    def draw(by: random.Random) -> Drawn:
        name = by.choice(names_of(somebody(by)))
        return (name,), seconds(by, least_s, most_s), float(by.randint(-most_ms, most_ms))

    return draw


def _set(scene: Scene, injury: Injury) -> None:
    scene.installation.replicas[injury.targets[0]].set_clock(int(injury.amount))


def _set_right(scene: Scene, injury: Injury) -> None:
    scene.installation.replicas[injury.targets[0]].set_clock(0)


def _broker(most_ms: int) -> Callable[[random.Random], Drawn]:
    return lambda by: ((by.choice(BROKERS),), seconds(by, *LONG_S), float(by.randint(-most_ms, most_ms)))


def _set_broker(scene: Scene, injury: Injury) -> None:
    scene.broker.set_clock(injury.targets[0], int(injury.amount))


def _set_broker_right(scene: Scene, injury: Injury) -> None:
    scene.broker.set_clock(injury.targets[0], 0)


KINDS = (
    Kind("clock_skew", "a wall clock is ahead by so many ms", _one(SKEW_MS, 5.0, 30.0), _set, _set_right),
    Kind("clock_jump", "a wall clock jumps by so many ms, and back", _one(JUMP_MS, *LONG_S), _set, _set_right),
    Kind("broker_skew", "a broker stamps what it leads so many ms wrongly", _broker(SKEW_MS), _set_broker,
         _set_broker_right),
    Kind("broker_jump", "a broker's clock jumps by so many ms, and back", _broker(JUMP_MS), _set_broker,
         _set_broker_right),
)  # fmt: skip
