"""A firewall's evaluators, which hang, become slow, die, and cannot be started."""

from __future__ import annotations

import random
from dataclasses import fields

from services.host.children import Ailment
from simulator.injuries.kind import LONG_S, SHORT_S, Drawn, Injury, Kind, Scene, nothing, seconds
from simulator.installation import names_of
from simulator.replicas import Replica

SLOW_S = (0.01, 0.3)
"""Beside a deadline of 100 ms."""


def _one(by: random.Random) -> Drawn:
    return (by.choice(names_of("firewall")),), seconds(by, *LONG_S), 0.0


def _all(by: random.Random) -> Drawn:
    return names_of("firewall"), seconds(by, *SHORT_S), 0.0


def _slowly(by: random.Random) -> Drawn:
    return names_of("firewall"), seconds(by, *LONG_S), seconds(by, *SLOW_S)


def _replicas(scene: Scene, injury: Injury) -> list[Replica]:
    return [scene.installation.replicas[name] for name in injury.targets]


def _hang(scene: Scene, injury: Injury) -> None:
    for replica in _replicas(scene, injury):
        replica.ailment.hangs = True


def _slow(scene: Scene, injury: Injury) -> None:
    for replica in _replicas(scene, injury):
        replica.ailment.slow_s = injury.amount


def _kill(scene: Scene, injury: Injury) -> None:
    for replica in _replicas(scene, injury):
        if replica.children is not None:
            replica.children.kill_all()


def _kill_for_good(scene: Scene, injury: Injury) -> None:
    for replica in _replicas(scene, injury):
        replica.ailment.cannot_start = True
    _kill(scene, injury)


def _mend(scene: Scene, injury: Injury) -> None:
    for replica in _replicas(scene, injury):
        for field in fields(Ailment):
            setattr(replica.ailment, field.name, field.default)


KINDS = (
    Kind("evaluator_hangs", "a firewall's evaluator answers nothing", _one, _hang, _mend, 0.0),
    Kind("evaluators_hang", "those of all firewalls answer nothing for a moment", _all, _hang, _mend, 0.0),
    Kind("evaluators_slow", "those of all firewalls take their time", _slowly, _slow, _mend, 0.0),
    Kind("evaluator_killed", "a firewall's evaluator is killed", _one, _kill, nothing, 0.0),
    Kind("evaluators_gone", "those of all firewalls are killed, and none can be started", _all, _kill_for_good, _mend,
         0.0),
)  # fmt: skip
