"""Faults in the very moment that hurts: a conductor that dies between an answer and its connection, a keeper in the
middle of its take-over, both gateways of a ring at once.

A step is told in three words, `MOMENT WHOM DEED`, and a story has up to three of them: each step after the first waits
for a moment of the same call. Whoever is meant is found when the moment comes. What was done is undone when the
injury's time is over. A story that is told (`steps=MOMENT WHOM DEED, ...`) may have any kind of injury as its deed,
which lasts as long as such a one does.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Container, Mapping
from typing import Any, Final

from services.domain.routing import rendezvous
from simulator.cables import between
from simulator.injuries.cables import OUTSIDE
from simulator.injuries.kind import Drawn, Injury, Kind, Scene, seconds
from simulator.injuries.processes import HELD_UP_S
from simulator.installation import SERVICE_OF, addresses_of, names_of
from simulator.region import PSAPS

FIRST: Final = (
    *("caller offered", "caller accepted", "caller ringing", "caller confirmed", "caller connected", "caller hung_up"),
    *("far-end offered", "far-end ringing", "far-end answered", "far-end connected", "far-end rejected"),
    *("journal offered", "journal ringing", "journal caller_lost", "journal abandoned", "journal callback_due"),
)
NEXT: Final = (
    *("caller leg_broken", "caller offered", "caller accepted", "caller ringing", "caller confirmed"),
    *("far-end offered", "far-end ringing", "far-end answered", "far-end connected", "far-end cancelled"),
    *("journal taken_over", "journal callback_due", "journal callback_attempted", "far-end rings_caller"),
    *("journal taken_over", "journal callback_due", "far-end rung_back"),
)
WHOM: Final = (
    *("conductor", "conductor", "conductors", "gateway", "gateway", "gateways"),
    *("keeper", "taker", "dialler", "failovers", "psap", "ledger"),
)
DEEDS: Final = (*("kills", "kills", "kills", "unplugs", "wipes", "pauses", "pauses", "holds_up", "cuts_off", "resets"),)
STEPS: Final = ((1, 0.5), (2, 0.35), (3, 0.15))
LASTS_MOST_S: Final = {"held_up": HELD_UP_S[1], "reset": 0.0}
"""What ends by itself, before all that was done is undone."""
LATER_S: Final = (0.0, 0.0, 0.001, 0.005, 0.05, 0.3)
"""How long after its moment a step strikes."""


def _draw(by: random.Random) -> Drawn:
    count = by.choices([n for n, _ in STEPS], [share for _, share in STEPS])[0]
    moments = [by.choice(FIRST), *(by.choice(NEXT) for _ in range(count - 1))]
    steps = tuple(f"{moment} {by.choice(WHOM)} {by.choice(DEEDS)}" for moment in moments)
    return steps, seconds(by, 1.0, 12.0), by.choice(LATER_S)


def can_be_told(step: str, kinds: Container[str]) -> bool:
    """Whether a story may have this step: a witness and what it sees, whom, and a deed or a kind of injury."""
    words = step.split()
    return (
        len(words) == 4
        and words[0] in {moment.split()[0] for moment in FIRST}
        and (words[3] in _DEEDS or words[3] in kinds)
    )


class _Story:
    """What goes wrong with one call, step after step."""

    def __init__(self, scene: Scene, injury: Injury) -> None:
        self._scene = scene
        self._left = list(injury.targets)
        self._later_s = injury.amount
        self._undo: list[Callable[[], None]] = []
        self._done: list[tuple[str, str, float, float]] = []
        """Kinds, whom they hit, since when, and for how long at most."""
        self._over = False
        self._wait("")

    def end(self) -> None:
        """Nothing more is done, and all is undone."""
        self._over = True
        for undo in reversed(self._undo):
            undo()
        now_s = asyncio.get_running_loop().time()
        for kind, host, at_s, most_s in self._done:
            lasts_s = min(now_s - at_s, most_s, LASTS_MOST_S.get(kind, math.inf))
            self._scene.done.append(Injury(kind, at_s, lasts_s, (host,)))

    def _wait(self, call_id: str) -> None:
        if self._left:
            witness, event, _, _ = self._left[0].split()
            self._undo.append(self._scene.moments.wait(f"{witness} {event}", call_id, self._come))

    def _come(self, seen: Mapping[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(self._later_s, self._strike, seen, context=self._scene.network.context)

    def _strike(self, seen: Mapping[str, Any]) -> None:
        if self._over:
            return
        _, _, whom, deed = self._left.pop(0).split()
        hosts, now_s = whom_it_is(self._scene, whom, seen), asyncio.get_running_loop().time()
        for host in hosts:
            if deed in _DEEDS:
                kind, do = _DEEDS[deed]
                self._undo.append(do(self._scene, host))
                self._done.append((kind if host not in PSAPS else "cut_off", host, now_s, math.inf))
            else:
                self._hurt(self._scene.kinds[deed], host, now_s)
        self._wait(seen["call_id"])

    def _hurt(self, kind: Kind, host: str, now_s: float) -> None:
        """An injury of that kind, which is over by itself, or with the story."""
        _, lasts_s, amount = kind.draw(self._scene.by)
        injury = Injury(kind.name, now_s, lasts_s, (host,), amount)
        kind.strike(self._scene, injury)
        heals = [injury]

        def heal() -> None:
            while heals:
                kind.heal(self._scene, heals.pop())

        asyncio.get_running_loop().call_later(lasts_s, heal, context=self._scene.network.context)
        self._undo.append(heal)
        self._done.append((kind.name, host, now_s, lasts_s))


def whom_it_is(scene: Scene, whom: str, seen: Mapping[str, Any]) -> tuple[str, ...]:
    """The hosts that are meant by a word, in this moment; none where the moment has no such one."""
    call_id = seen["call_id"]
    match whom:
        case "conductor":
            return _last(scene.outside.callers, call_id, "ingress")
        case "conductors":
            return names_of("ingress")
        case "firewalls":
            return names_of("firewall")
        case "other_conductor":
            return _but(names_of("ingress"), _last(scene.outside.callers, call_id, "ingress"))
        case "other_gateway":
            return _but(names_of("psap_gateway"), _last(scene.outside.far_end, call_id, "gateway"))
        case "gateway":
            return _last(scene.outside.far_end, call_id, "gateway")
        case "gateways":
            return names_of("psap_gateway")
        case "keeper":
            return (_in_order(call_id)[0],)
        case "dialler":
            return (scene.by.choice(names_of("failover")),)
        case "taker":
            named = str(seen.get("reason", "")).rpartition(" by ")[2]
            return (named if named in names_of("failover") else _in_order(call_id)[0],)
        case "failovers":
            return names_of("failover")
        case "psap":
            return _last(scene.outside.far_end, call_id, "psap_id")
        case _:
            return names_of("ledger")


def _last(entries: list[dict[str, Any]], call_id: str, field: str) -> tuple[str, ...]:
    for entry in reversed(entries):
        if entry.get("call_id") == call_id and field in entry:
            host = str(entry[field]).partition(":")[0]
            return (host,) if host in SERVICE_OF or host in PSAPS else ()
    return ()


def _but(names: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if others and name not in others)


def _in_order(call_id: str) -> list[str]:
    addresses = sorted(addresses_of("failover"), key=lambda address: rendezvous(call_id, address))
    return [address.partition(":")[0] for address in addresses]


def _kills(scene: Scene, host: str) -> Callable[[], None]:
    return _killed(scene, host)


def _unplugs(scene: Scene, host: str) -> Callable[[], None]:
    return _killed(scene, host, power=True)


def _wipes(scene: Scene, host: str) -> Callable[[], None]:
    return _killed(scene, host, keeps_disk=False)


def _killed(scene: Scene, host: str, **how: bool) -> Callable[[], None]:
    if host in PSAPS:
        return _cuts_off(scene, host)
    replica = scene.installation.replicas[host]
    replica.kill(scene.by, **how)
    return replica.start


def _pauses(scene: Scene, host: str) -> Callable[[], None]:
    if host in PSAPS:
        return _cuts_off(scene, host)
    replica = scene.installation.replicas[host]
    replica.pause()
    return replica.go_on


def _holds_up(scene: Scene, host: str) -> Callable[[], None]:
    go_on = _pauses(scene, host)
    for_s = seconds(scene.by, *HELD_UP_S)
    asyncio.get_running_loop().call_later(for_s, go_on, context=scene.network.context)
    return go_on


def _cuts_off(scene: Scene, host: str) -> Callable[[], None]:
    ways = between((host,), (*SERVICE_OF, *OUTSIDE))
    scene.cables.cut(ways)
    return lambda: scene.cables.mend(ways)


def _resets(scene: Scene, host: str) -> Callable[[], None]:
    for other in (*SERVICE_OF, *OUTSIDE):
        scene.cables.reset(host, other)
    return lambda: None


_DEEDS: Final[Mapping[str, tuple[str, Callable[[Scene, str], Callable[[], None]]]]] = {
    "kills": ("kill", _kills),
    "unplugs": ("power", _unplugs),
    "wipes": ("disk_lost", _wipes),
    "pauses": ("pause", _pauses),
    "holds_up": ("held_up", _holds_up),
    "cuts_off": ("cut_off", _cuts_off),
    "resets": ("reset", _resets),
}
"""What each is, as a kind of injury, and how it is done; that returns how it is undone."""


def _begin(scene: Scene, injury: Injury) -> None:
    if injury not in scene.stories:  # it goes on where another of its kind is over
        scene.stories[injury] = _Story(scene, injury).end


def _end(scene: Scene, injury: Injury) -> None:
    scene.stories.pop(injury)()


STORIES: Final = "steps"
KINDS = (Kind(STORIES, "in a moment of a call, those who have to do with it", _draw, _begin, _end, 3.0),)
