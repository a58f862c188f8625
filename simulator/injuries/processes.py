"""Processes: killed, with and without their disk; paused and continued; held up; stopped in order; all in turn; one
more, of a new name, that comes and goes."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from simulator.injuries.kind import LONG_S, Drawn, Injury, Kind, Scene, seconds
from simulator.installation import ALL_NAMES, SERVICE_OF, SPARE, addresses_of, names_of, somebody
from simulator.replicas import SEGMENT, Replica
from simulator.virtual_loop import running_loop

DRAIN_S = 2.0
HELD_UP_S = (0.03, 0.6)
AT_ONCE_S = (0.05, 0.3)
BETWEEN_S = 1.5
"""From one replica's stop to the next one's, in a rolling restart; each is up again by then."""
UP_S = 1.5
"""A new replica serves after so long; then its neighbours are told."""
LISTED_BY: Final[Mapping[str, Sequence[str]]] = {
    "firewall": ("ingress",),
    "router": ("ingress",),
    "failover": ("ingress",),
    "psap_gateway": ("router", "failover", "ingress"),
    "ingress": (),
}
"""Whose settings list the replicas of a service. Such a list is read at the start: a neighbour learns by a restart."""


def _anybody(least_s: float, most_s: float) -> Callable[[random.Random], Drawn]:
    def draw(by: random.Random) -> Drawn:
        return (by.choice(names_of(somebody(by))),), seconds(by, least_s, most_s), 0.0

    return draw


def _replica(scene: Scene, injury: Injury) -> Replica:
    return scene.installation.replicas[injury.targets[0]]


def _kill(scene: Scene, injury: Injury) -> None:
    _replica(scene, injury).kill(scene.by)


def _lose_power(scene: Scene, injury: Injury) -> None:
    _replica(scene, injury).kill(scene.by, power=True)


def _lose_disk(scene: Scene, injury: Injury) -> None:
    _replica(scene, injury).kill(scene.by, keeps_disk=False)


def _start(scene: Scene, injury: Injury) -> None:
    _replica(scene, injury).start()


def _pause(scene: Scene, injury: Injury) -> None:
    _replica(scene, injury).pause()


def _go_on(scene: Scene, injury: Injury) -> None:
    _replica(scene, injury).go_on()


def _stop(scene: Scene, injury: Injury) -> None:
    _replica(scene, injury).stop(DRAIN_S)


def _draw_roll(by: random.Random) -> Drawn:
    service = somebody(by)
    return names_of(service), len(names_of(service)) * (DRAIN_S + BETWEEN_S), 0.0


def _roll(scene: Scene, injury: Injury) -> None:
    if scene.deployed is None:
        scene.deployed = injury
        _in_turn(scene, injury.targets)


def _rolled(scene: Scene, injury: Injury) -> None:
    if scene.deployed is injury:
        scene.deployed = None
        _all_up(scene, injury)


def _in_turn(scene: Scene, names: Sequence[str]) -> None:
    """One after the other, as a deployment does: stopped, started when it has ended, then the next."""
    loop = running_loop()
    for n, name in enumerate(names):
        replica = scene.installation.replicas[name]
        at_s = n * (DRAIN_S + BETWEEN_S)
        loop.call_later(at_s, replica.stop, DRAIN_S, context=scene.network.context)
        loop.call_later(at_s + DRAIN_S, replica.start, context=scene.network.context)


def _all_up(scene: Scene, injury: Injury) -> None:
    for name in injury.targets:
        scene.installation.replicas[name].start()


def _everybody(by: random.Random) -> Drawn:
    return names_of(somebody(by)), seconds(by, *LONG_S), 0.0


def _kill_all(scene: Scene, injury: Injury) -> None:
    for name in injury.targets:
        scene.installation.replicas[name].kill(scene.by)


def _draw_scale(by: random.Random) -> Drawn:
    name = by.choice([each for each in ALL_NAMES if not each.endswith("-1")])
    return (name,), seconds(by, 4.0, 15.0), 0.0


def _told_s(service: str) -> float:
    """How long it takes until every neighbour was restarted; those of each service one after the other."""
    return max((len(names_of(each)) for each in LISTED_BY[service]), default=0) * (DRAIN_S + BETWEEN_S)


def _draw_joins(by: random.Random) -> Drawn:
    service = by.choice(tuple(SPARE))
    neighbours = [name for each in LISTED_BY[service] for name in names_of(each)]
    stays_s = seconds(by, 1.0, 12.0)
    return (SPARE[service], *neighbours), UP_S + 2 * _told_s(service) + stays_s + DRAIN_S, 0.0


def _join(scene: Scene, injury: Injury) -> None:
    """A new replica starts and its neighbours learn of it; before its end they unlearn it, and it drains."""
    if scene.deployed is not None:
        return
    scene.deployed = injury
    name, loop = injury.targets[0], running_loop()
    service, replica = SERVICE_OF[name], scene.installation.replicas[injury.targets[0]]
    replica.start()
    loop.call_later(UP_S, _tell, scene, service, (*addresses_of(service), f"{name}:1"), context=scene.network.context)
    leaves_s = injury.lasts_s - DRAIN_S
    leaves = partial(_tell, scene, service, addresses_of(service))
    loop.call_later(leaves_s - _told_s(service), leaves, context=scene.network.context)
    loop.call_later(leaves_s, replica.stop, DRAIN_S, context=scene.network.context)


def _tell(scene: Scene, service: str, known: tuple[str, ...]) -> None:
    """Whoever has a list of this service's replicas gets this one."""
    scene.installation.known[service] = known
    scene.outside.told_of(scene.installation.known["ingress"], scene.installation.known["psap_gateway"])
    for neighbour in LISTED_BY[service]:
        _in_turn(scene, names_of(neighbour))


def _gone(scene: Scene, injury: Injury) -> None:
    """What it had not brought to the log by then lies on its disk: nobody takes such a replica away."""
    if scene.deployed is not injury:
        return
    scene.deployed = None
    name, *neighbours = injury.targets
    replica = scene.installation.replicas[name]
    if any(data for path, data in replica.disk.files.items() if str(path).endswith(SEGMENT)):
        replica.start()
    for neighbour in neighbours:
        scene.installation.replicas[neighbour].start()


KINDS = (
    Kind("kill", "a process is killed and started again", _anybody(*LONG_S), _kill, _start, 5.0),
    Kind("crash", "it is killed, and a supervisor starts it again at once", _anybody(*AT_ONCE_S), _kill, _start, 0.5),
    Kind("kill_all", "all replicas of a service are killed at once", _everybody, _kill_all, _all_up, 0.0),
    Kind("power", "its machine loses power; its disk may be torn", _anybody(*LONG_S), _lose_power, _start,
         1.5),
    Kind("disk_lost", "it is killed, and comes back on another machine, without its disk", _anybody(*LONG_S),
         _lose_disk, _start, 1.0),
    Kind("pause", "it is stopped as by SIGSTOP, and goes on", _anybody(*LONG_S), _pause, _go_on, 2.0),
    Kind("held_up", "it does nothing for a moment, as in a collection", _anybody(*HELD_UP_S), _pause, _go_on, 2.0),
    Kind("restart", "it is stopped in order, and started again", _anybody(DRAIN_S, 8.0), _stop, _start),
    Kind("roll", "all replicas of a service, one after the other", _draw_roll, _roll, _rolled),
    Kind("scale", "one replica less for a while", _draw_scale, _stop, _start, 0.5),
    Kind("joins", "one more replica, of a new name, for a while: who lists it is restarted in turn", _draw_joins, _join,
         _gone, 0.7),
)  # fmt: skip
