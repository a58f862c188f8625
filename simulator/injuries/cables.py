"""What lies between processes: far, lossy, cut one way and both, reset at one side and both; and between two sites."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

from services.journal.memory_faults import Faults
from simulator.cables import between
from simulator.injuries.kind import LONG_S, SHORT_S, Drawn, Injury, Kind, Scene, nothing, seconds
from simulator.installation import ALL_NAMES, SERVICE_OF, TRUNKS, names_of, somebody
from simulator.outside import SOURCES
from simulator.region import PSAPS

OUTSIDE = (*PSAPS, *SOURCES, *(address.rpartition(":")[0] for address in TRUNKS))
Ways = list[tuple[str, str]]
SEA = "|"
"""Between the hosts of two sites, among the targets."""


def _two(by: random.Random) -> tuple[str, str]:
    """Two hosts that have to do with each other: services mostly."""
    ours = by.choice(names_of(somebody(by)))
    others = [each for each in (*ALL_NAMES, *ALL_NAMES, *OUTSIDE) if each != ours]
    pair = (ours, by.choice(others))
    return pair if by.random() < 0.5 else (pair[1], pair[0])


def _pair(least_s: float, most_s: float, amounts: tuple[float, float] = (0.0, 0.0)) -> Callable[[random.Random], Drawn]:
    def draw(by: random.Random) -> Drawn:
        return _two(by), seconds(by, least_s, most_s), round(by.uniform(*amounts), 3)

    return draw


def _alone(by: random.Random) -> Drawn:
    """One host, cut off from everybody."""
    return (by.choice(names_of(somebody(by))),), seconds(by, *LONG_S), 0.0


def _sites(by: random.Random) -> Drawn:
    """Replicas in turn, or each host as it comes."""
    in_turn = by.random() < 0.5
    here: list[str] = []
    there: list[str] = []
    for n, host in enumerate((*SERVICE_OF, *OUTSIDE)):
        one = host.endswith("-1") if in_turn and host in SERVICE_OF else (n % 2 == 0 if in_turn else by.random() < 0.5)
        (here if one else there).append(host)
    return (*here, SEA, *there), seconds(by, *LONG_S), 0.0


def _ways(injury: Injury) -> Ways:
    if SEA in injury.targets:
        at = injury.targets.index(SEA)
        return between(injury.targets[:at], injury.targets[at + 1 :])
    if len(injury.targets) == 1:
        return between(injury.targets, (*SERVICE_OF, *OUTSIDE))
    return between(injury.targets[:1], injury.targets[1:])


def _to(injury: Injury) -> Ways:
    return between((*SERVICE_OF, *OUTSIDE), injury.targets, both=False)


def _from(injury: Injury) -> Ways:
    return between(injury.targets, (*SERVICE_OF, *OUTSIDE), both=False)


def _cuts(ways: Callable[[Injury], Ways]) -> Callable[[Scene, Injury], None]:
    return lambda scene, injury: scene.cables.cut(ways(injury))


def _mends(ways: Callable[[Injury], Ways]) -> Callable[[Scene, Injury], None]:
    return lambda scene, injury: scene.cables.mend(ways(injury))


def _one_way(injury: Injury) -> Ways:
    return between(injury.targets[:1], injury.targets[1:], both=False)


_cut, _mend = _cuts(_ways), _mends(_ways)


def _isolate(scene: Scene, injury: Injury) -> None:
    _cut(scene, injury)
    scene.installation.replicas[injury.targets[0]].suffer(Faults(absent=True))


def _rejoin(scene: Scene, injury: Injury) -> None:
    """What it did is told as both of what it was."""
    _mend(scene, injury)
    scene.installation.replicas[injury.targets[0]].suffer(Faults())
    began_s = asyncio.get_running_loop().time() - injury.lasts_s
    scene.done += [replace(injury, kind=kind, at_s=began_s) for kind in ("cut_off", "kafka_absent")]


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
    Kind("cut_one_way", "nothing passes from one to another", _pair(*LONG_S), _cuts(_one_way),
         _mends(_one_way)),
    Kind("cut_off", "one process reaches nobody but Kafka", _alone, _cut, _mend),
    Kind("hears_nobody", "nothing comes to one process but what Kafka has; what it says is heard", _alone, _cuts(_to),
         _mends(_to), 0.0),
    Kind("heard_by_nobody", "nothing that one process says is heard but by Kafka; it hears everybody", _alone,
         _cuts(_from), _mends(_from), 0.0),
    Kind("split", f"two sites, told with `{SEA}` between them, reach nobody of each other; both reach Kafka", _sites,
         _cut, _mend, 0.0),
    Kind("isolated", "one process reaches nobody, and no Kafka", _alone, _isolate, _rejoin),
    Kind("far", "messages between two take longer, by so many seconds", _pair(*LONG_S, (0.02, 0.5)), _far, _near),
    Kind("lossy", "this share of the messages between two must be sent again", _pair(*LONG_S, (0.05, 0.6)), _lossy,
         _clean),
    Kind("reset", "the connections between two break", _pair(*SHORT_S), _reset, nothing),
    Kind("half_open", "they break, and one side does not hear of it yet", _pair(*SHORT_S, (0.0, 1.0)), _half_open,
         nothing),
)  # fmt: skip
