"""PSAPs and trunks: all that the far end can do wrong. What originating networks do wrong belongs to the calls."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from loadtest.answering_point import Fault
from loadtest.mischief import Mischief
from loadtest.trunk import TrunkFault
from simulator.injuries.kind import LONG_S, Drawn, Injury, Kind, Scene, seconds
from simulator.installation import TRUNKS
from simulator.region import PSAPS


def _psap(by: random.Random) -> Drawn:
    return (by.choice(PSAPS),), seconds(by, *LONG_S), 0.0


def _trunk(by: random.Random) -> Drawn:
    return (by.choice(TRUNKS),), seconds(by, *LONG_S), 0.0


def _fails(fault: Fault) -> Callable[[Scene, Injury], None]:
    return lambda scene, injury: scene.outside.fault(injury.targets[0], fault)


def _sins(mischief: Mischief) -> Callable[[Scene, Injury], None]:
    return lambda scene, injury: scene.outside.mischief(injury.targets[0], mischief)


def _heals(scene: Scene, injury: Injury) -> None:
    scene.outside.heal(injury.targets[0])


def _trunk_fails(fault: TrunkFault) -> Callable[[Scene, Injury], None]:
    def strike(scene: Scene, injury: Injury) -> None:
        scene.errands.add(asyncio.ensure_future(scene.outside.trunk_fault(injury.targets[0], fault)))

    return strike


KINDS = (
    *(
        Kind(f"psap_{fault.value}", f"a PSAP: {fault.value}", _psap, _fails(fault), _heals)
        for fault in Fault
        if fault is not Fault.NONE
    ),
    *(
        Kind(f"psap_{mischief.value}", f"a PSAP: {mischief.value}", _psap, _sins(mischief), _heals, 0.5)
        for mischief in Mischief
        if mischief is not Mischief.NONE
    ),
    *(
        Kind(f"trunk_{fault.value}", f"a trunk: {fault.value}", _trunk, _trunk_fails(fault),
             _trunk_fails(TrunkFault.NONE), 0.0 if fault is TrunkFault.MUTE else 0.5)
        for fault in TrunkFault
        if fault is not TrunkFault.NONE
    ),
)  # fmt: skip
