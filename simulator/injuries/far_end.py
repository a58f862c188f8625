"""PSAPs and trunks: all that the far end can do wrong. What originating networks do wrong belongs to the calls, unless
a whole network does it for a while, which is drawn by name alone.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Final

from loadtest.answering_point import Fault
from loadtest.leg import NetworkMischief
from loadtest.mischief import FLOOD_MESSAGES, SHOUT_CHARS, Mischief
from loadtest.trunk import TrunkFault
from simulator.injuries.kind import LONG_S, Drawn, Injury, Kind, Scene, seconds
from simulator.installation import TRUNKS
from simulator.outside import SOURCES
from simulator.region import PSAPS


def _psap(by: random.Random) -> Drawn:
    return (by.choice(PSAPS),), seconds(by, *LONG_S), 0.0


def _trunk(by: random.Random) -> Drawn:
    return (by.choice(TRUNKS),), seconds(by, *LONG_S), 0.0


def _network(by: random.Random) -> Drawn:
    return (by.choice(SOURCES),), seconds(by, *LONG_S), 0.0


def _carries(mischief: NetworkMischief) -> Callable[[Scene, Injury], None]:
    return lambda scene, injury: scene.outside.network_mischief(injury.targets[0], mischief)


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


PSAP_FAILS: Final[Mapping[Fault, str]] = {
    Fault.CUT: "a PSAP's streams break, and it cannot attach",
    Fault.SILENT: "a PSAP's streams stand, and it says nothing on them",
    Fault.REJECT: "a PSAP rejects every call",
    Fault.FULL: "a PSAP says of every call that it is full",
    Fault.LATE: "a PSAP connects at once, and says so half a second later",
}
PSAP_SINS: Final[Mapping[Mischief, str]] = {
    Mischief.ANSWERS_TWICE: "a PSAP says twice that a person answers",
    Mischief.ANSWERS_AFTER_CANCEL: "a PSAP answers what has been cancelled",
    Mischief.CONNECTS_LATE: "a PSAP says `connected` when nobody waits for that any more",
    Mischief.ANSWERS_FOR_ANOTHER: "a PSAP answers the attempt that rings at another",
    Mischief.REJECTS_FOR_ANOTHER: "a PSAP rejects the attempt that rings at another",
    Mischief.ENDS_FOR_ANOTHER: "a PSAP says that the attempt at another has ended",
    Mischief.CLAIMS_TO_HAVE: "a PSAP says of a call that rings there that it has the caller",
    Mischief.CONNECTS_UNASKED: "a PSAP says `connected` of a call that only rings there",
    Mischief.SAYS_HELLO_AGAIN: "a PSAP says hello again, as if nothing rang there",
    Mischief.FLOODS: f"a PSAP sends {FLOOD_MESSAGES:,} messages for each call that rings there",
    Mischief.SHOUTS: f"a PSAP sends a message of {SHOUT_CHARS:,} characters for each call that rings there",
    Mischief.GARBAGE: "a PSAP sends bytes that are no message",
}
TRUNK_FAILS: Final[Mapping[TrunkFault, str]] = {
    TrunkFault.GONE: "a trunk is not there; what it was dialling is cut",
    TrunkFault.HUNG: "a trunk answers nothing that it is asked",
    TrunkFault.FULL: "a trunk has no free channel",
    TrunkFault.LATE: "a trunk connects at once, and says so half a second later",
    TrunkFault.MUTE: "a trunk dials, and says to nobody who has a call",
}
NETWORK_SINS: Final[Mapping[NetworkMischief, str]] = {
    NetworkMischief.BREAKS_RINGING: "a network breaks each stream when the caller hears it ring, and offers again",
    NetworkMischief.BREAKS_CONFIRMED: "a network breaks each stream a moment after it has confirmed, and offers again",
    NetworkMischief.OFFERS_TWICE: "a network offers the same leg at two ingresses, and hears but one",
    NetworkMischief.NEVER_CONFIRMS: "a network confirms nobody who answers",
    NetworkMischief.CONFIRMS_ANOTHER: "a network confirms an attempt that is not the one proposed",
    NetworkMischief.HANGS_UP_CONFIRMED: "a network's callers hang up as it confirms",
    NetworkMischief.HANGS_UP_UNCONNECTED: "a network's callers confirm, hear nobody, and hang up",
    NetworkMischief.WALKS_AWAY: "a network closes each stream without a word when the caller hears it ring",
    NetworkMischief.OFFERS_ONCE: "a network offers one leg of a call and no other",
    NetworkMischief.GARBAGE: "a network's offers are bytes that are no message",
    NetworkMischief.READS_NOTHING: "a network reads the first word after five seconds",
}
KINDS = (
    *(Kind(f"psap_{fault.value}", says, _psap, _fails(fault), _heals) for fault, says in PSAP_FAILS.items()),
    *(Kind(f"psap_{sin.value}", says, _psap, _sins(sin), _heals, 0.5) for sin, says in PSAP_SINS.items()),
    *(
        Kind(f"trunk_{fault.value}", says, _trunk, _trunk_fails(fault), _trunk_fails(TrunkFault.NONE),
             0.0 if fault is TrunkFault.MUTE else 0.5)
        for fault, says in TRUNK_FAILS.items()
    ),
    *(
        Kind(f"network_{sin.value}", says, _network, _carries(sin), _carries(NetworkMischief.NONE), 0.0)
        for sin, says in NETWORK_SINS.items()
    ),
)  # fmt: skip
