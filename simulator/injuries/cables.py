"""What lies between processes: far, lossy, cut one way and both, reset at one side and both."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

from services.journal.memory_faults import Faults
from simulator.cables import between
from simulator.injuries.kind import LONG_S, SHORT_S, Drawn, Injury, Kind, Scene, nothing, seconds
from simulator.installation import ALL_NAMES, COUNTS, SERVICE_OF, TRUNKS, names_of
from simulator.outside import SOURCES
from simulator.region import PSAPS

OUTSIDE = (*PSAPS, *SOURCES, *(address.rpartition(":")[0] for address in TRUNKS))
Ways = list[tuple[str, str]]


def _two(by: random.Random) -> tuple[str, str]:
    """Two hosts that have to do with each other: services mostly."""
    ours = by.choice(names_of(by.choice(tuple(COUNTS))))
    others = [each for each in (*ALL_NAMES, *ALL_NAMES, *OUTSIDE) if each != ours]
    pair = (ours, by.choice(others))
    return pair if by.random() < 0.5 else (pair[1], pair[0])


def _pair(least_s: float, most_s: float, amounts: tuple[float, float] = (0.0, 0.0)) -> Callable[[random.Random], Drawn]:
    def draw(by: random.Random) -> Drawn:
        return _two(by), seconds(by, least_s, most_s), round(by.uniform(*amounts), 3)

    return draw


def _alone(by: random.Random) -> Drawn:
    """One host, cut off from everybody."""
    return (by.choice(names_of(by.choice(tuple(COUNTS)))),), seconds(by, *LONG_S), 0.0


def _ways(injury: Injury) -> Ways:
    if len(injury.targets) == 1:
        return between(injury.targets, (*SERVICE_OF, *OUTSIDE))
    return between(injury.targets[:1], injury.targets[1:])


def _one_way(injury: Injury) -> Ways:
    return between(injury.targets[:1], injury.targets[1:], both=False)


def _cut(scene: Scene, injury: Injury) -> None:
    scene.cables.cut(_ways(injury))


def _mend(scene: Scene, injury: Injury) -> None:
    scene.cables.mend(_ways(injury))


def _isolate(scene: Scene, injury: Injury) -> None:
    _cut(scene, injury)
    scene.installation.replicas[injury.targets[0]].suffer(Faults(absent=True))


def _rejoin(scene: Scene, injury: Injury) -> None:
    """What it did is told as both of what it was."""
    _mend(scene, injury)
    scene.installation.replicas[injury.targets[0]].suffer(Faults())
    began_s = asyncio.get_running_loop().time() - injury.lasts_s
    scene.done += [replace(injury, kind=kind, at_s=began_s) for kind in ("cut_off", "kafka_absent")]


def _cut_one_way(scene: Scene, injury: Injury) -> None:
    scene.cables.cut(_one_way(injury))


def _mend_one_way(scene: Scene, injury: Injury) -> None:
    scene.cables.mend(_one_way(injury))


def _far(scene: Scene, injury: Injury) -> None:
    scene.cables.far(_ways(injury), injury.amount)


def _near(scene: Scene, injury: Injury) -> None:
    scene.cables.far(_ways(injury), 0.0)


def _lossy(scene: Scene, injury: Injury) -> None:
    scene.cables.lossy(_ways(injury), injury.amount)


def _clean(scene: Scene, injury: Injury) -> None:
    scene.cables.lossy(_ways(injury), 0.0)


def _reset(scene: Scene, injury: Injury) -> None:
    scene.cables.reset(*injury.targets)


def _half_open(scene: Scene, injury: Injury) -> None:
    at_opener = injury.amount < 0.5
    scene.cables.reset(*injury.targets, at_opener=at_opener, at_server=not at_opener)


KINDS = (
    Kind("cut", "nothing passes between two", _pair(*LONG_S), _cut, _mend),
    Kind("cut_one_way", "nothing passes from one to another", _pair(*LONG_S), _cut_one_way, _mend_one_way),
    Kind("cut_off", "one process reaches nobody but Kafka", _alone, _cut, _mend),
    Kind("isolated", "one process reaches nobody, and no Kafka", _alone, _isolate, _rejoin),
    Kind("far", "messages between two take longer, by so many seconds", _pair(*LONG_S, (0.02, 0.5)), _far, _near),
    Kind("lossy", "this share of the messages between two must be sent again", _pair(*LONG_S, (0.05, 0.6)), _lossy,
         _clean),
    Kind("reset", "the connections between two break", _pair(*SHORT_S), _reset, nothing),
    Kind("half_open", "they break, and one side does not hear of it yet", _pair(*SHORT_S, (0.0, 1.0)), _half_open,
         nothing),
)  # fmt: skip
