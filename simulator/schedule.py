"""What happens in one run, drawn from a seed: who calls when, and what goes wrong meanwhile.

A schedule is data. The same seed gives the same one on any machine; any part of it can be left out, which is how a
failure is shrunk.
"""

from __future__ import annotations

import difflib
import random
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from throughline.v1 import place_pb2

from loadtest.callers import Planned
from loadtest.leg import NetworkMischief
from services.domain.offer import SOS_URN, TEST_URN
from simulator.injuries import FAMILIES, KINDS, Injury, Kind
from simulator.injuries.kind import Drawn, seconds
from simulator.injuries.steps import STORIES as STEPS
from simulator.injuries.steps import can_be_told
from simulator.installation import names_of
from simulator.outside import SOURCES
from simulator.region import LINES, TOWNS, centre_of

CALLS_S: Final = 20.0
"""Within which everybody dials."""
INJURIES: Final = (1, 6)
BEFORE_S: Final = 3.0
"""So long before another injury its company begins, at most."""
LONG_S: Final = {"kafka_gone": (15.0, 60.0), "pause": (12.0, 30.0)}
"""How long some last once in a while: longer than budgets, deadlines and talks."""
LONG_SHARE: Final = 0.12
DEATHS: Final = frozenset({"kill", "crash", "power", "disk_lost"})
INGRESSES: Final = names_of("ingress")
WITHOUT_KAFKA_SHARE: Final = 0.4
"""Of the deaths of an ingress: Kafka is gone when it dies; what it said last lies on its disk and at others (J4)."""
BOTH_SHARE: Final = 0.15
"""The other ingress dies while it is gone, so that nobody takes the next leg."""
MISCHIEF_SHARE: Final = 0.08
NOT_OF_A_CALL: Final = frozenset(
    {NetworkMischief.NONE, NetworkMischief.OFFERS_ONCE, NetworkMischief.HANGS_UP_UNCONNECTED}
)
"""What no single call is drawn to do: whole networks do the others."""
TARGETS_DRAWN: Final = 2_000
ONE_LEGGED_SHARE: Final = 0.25
"""Of the schedules: in these one of the networks offers a single leg of each call (P2), so that its callers are gone
when a conductor dies, and whoever takes the call over has them rung back."""
CALLERS_SHARE: Final = 0.9
"""Callers whose number nobody else has; the others share one, as a household does."""
CALLS_OF_A_NUMBER: Final = 3
OFTEN_SHARE: Final = 0.25
TEST_SHARE: Final = 0.1
"""Of the calls, where policies go wrong: nobody is diverted who calls once."""
_POLICIES: Final = frozenset(kind.name for kind in FAMILIES["policy"])
_RESERVED: Final = frozenset(line.number for line in LINES)
_NUMBERS: Final = tuple(
    number
    for area in ("508", "617", "774", "781", "857", "978")
    for number in (f"+1{area}55501{n:02d}" for n in range(100))
    if number not in _RESERVED
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """One run."""

    seed: int
    calls: tuple[Planned, ...]
    injuries: tuple[Injury, ...]

    @property
    def size(self) -> str:
        """In words."""
        calls, injuries = len(self.calls), len(self.injuries)
        return f"{calls} call{'s' * (calls != 1)} and {injuries} injur{'y' if injuries == 1 else 'ies'}"

    def only(self, injuries: Collection[int] | None = None, calls: Collection[int] | None = None) -> Schedule:
        """What is left when the others are left out; by their numbers, from 0."""
        return replace(
            self,
            injuries=tuple(each for n, each in enumerate(self.injuries) if injuries is None or n in injuries),
            calls=tuple(each for n, each in enumerate(self.calls) if calls is None or n in calls),
        )


def draw(seed: int, calls: int = 100, only: Sequence[str] = ()) -> Schedule:
    """The schedule of a seed. `only`: kinds or families of injuries, no others; raises ValueError for unknown ones.

    Each part is drawn by a generator of its own: another kind of injury takes the place of a few, and changes nothing
    else.
    """
    kinds = [replace(kind, weight=kind.weight or float(bool(only))) for kind in kinds_named(only)]
    injuries: list[Injury] = []
    for number in range(_by(seed, "injuries").randint(*INJURIES)):
        injuries += _injuries(seed, number, [kind for kind in kinds if kind.weight], worse=not only)
    injuries.sort(key=lambda each: each.at_s)
    return Schedule(seed, calls_of(seed, calls, injuries), tuple(injuries))


def calls_of(seed: int, count: int, injuries: Sequence[Injury]) -> tuple[Planned, ...]:
    """Who calls: the same, whatever is hurt; where policies are, callers call again and again."""
    planned = _calls(_by(seed, "calls"), count)
    if any(injury.kind in _POLICIES for injury in injuries):
        planned = _as_policies_meet_them(_by(seed, "policies"), planned)
    return tuple(_as_they_offer(_by(seed, "networks"), planned))


def _by(*whose: object) -> random.Random:
    return random.Random(repr(whose))


def _injuries(seed: int, number: int, kinds: Sequence[Kind], *, worse: bool) -> Iterator[Injury]:
    """One, and its company: the kind whose chance comes first, at the rate of its weight. So each is drawn as often as
    its weight says, and one more kind wins its own share of the draws and leaves the others as they were."""
    chances = {kind.name: _by(seed, "injury", number, kind.name) for kind in kinds}
    kind = min(kinds, key=lambda each: chances[each.name].expovariate(each.weight))
    by = chances[kind.name]
    drawn = _injury(by, kind, by.uniform(0.0, CALLS_S))
    yield drawn
    if kind.company:
        begins_s = drawn.at_s + by.uniform(-BEFORE_S, drawn.lasts_s)
        yield _injury(by, KINDS[by.choice(kind.company)], max(0.0, begins_s))
    if worse and drawn.kind in DEATHS and drawn.targets[0] in INGRESSES:
        yield from _beside_a_death(by, drawn)


def _beside_a_death(by: random.Random, death: Injury) -> Iterator[Injury]:
    """What makes the death of an ingress hard to bear: where nothing else goes wrong it is the easy case."""
    if by.random() < WITHOUT_KAFKA_SHARE:
        yield _injury(by, KINDS["kafka_gone"], max(0.0, death.at_s - by.uniform(0.0, BEFORE_S)))
    if by.random() < BOTH_SHARE:
        (other,) = (name for name in INGRESSES if name != death.targets[0])
        at_s = round(death.at_s + by.uniform(0.0, min(death.lasts_s, BEFORE_S)), 3)
        yield replace(death, at_s=at_s, targets=(other,))


def _as_policies_meet_them(by: random.Random, calls: Sequence[Planned]) -> list[Planned]:
    """Three callers call again and again, the others once or a few times; some calls are tests."""
    numbers = sorted({call.caller for call in calls})[: max(4, len(calls) // CALLS_OF_A_NUMBER)]
    again = []
    for call in calls:
        caller = by.choice(numbers[:3]) if by.random() < OFTEN_SHARE else by.choice(numbers)
        urn = TEST_URN if by.random() < TEST_SHARE else call.service_urn
        again.append(replace(call, caller=caller, service_urn=urn))
    return again


def _as_they_offer(by: random.Random, calls: Sequence[Planned]) -> Iterator[Planned]:
    """In some schedules one of the networks offers once."""
    once = by.choice(SOURCES) if by.random() < ONE_LEGGED_SHARE else ""
    for call in calls:
        well = call.mischief is NetworkMischief.NONE
        yield replace(call, mischief=NetworkMischief.OFFERS_ONCE) if well and call.source == once else call


def _injury(by: random.Random, kind: Kind, at_s: float) -> Injury:
    targets, lasts_s, amount = kind.draw(by)
    if kind.name in LONG_S and by.random() < LONG_SHARE:
        lasts_s = seconds(by, *LONG_S[kind.name])
    return Injury(kind.name, round(at_s, 3), lasts_s, targets, amount)


def kinds_named(only: Sequence[str]) -> tuple[Kind, ...]:
    """All kinds of these names, a family's name standing for all of its own; every kind where none is named.

    `kill@ingress` is the kind `kill` where it hits an ingress: somebody whose name begins so. `kill=ingress-1` hits
    that one, and a kind of several targets has a comma between them. Raises ValueError for a name that there is not,
    and for whom none of its kinds hits.
    """
    if not only:
        return tuple(KINDS.values())
    aims: dict[str, list[str]] = {}
    for each in only:
        name, sign, aim = each.partition("=") if "=" in each else each.partition("@")
        aims.setdefault(name, []).append(sign + aim)
    unknown = [name for name in aims if name not in KINDS and name not in FAMILIES]
    if unknown:
        near = difflib.get_close_matches(unknown[0], (*FAMILIES, *KINDS))
        meant = f"did you mean {' or '.join(near)}?" if near else f"families are {', '.join(FAMILIES)};"
        raise ValueError(f"no such fault: {', '.join(unknown)}; {meant} throughline simulate --faults lists all")
    named, vain = [], set(only)
    for family, kinds in FAMILIES.items():
        none_is_drawn = not any(kind.weight for kind in kinds)
        for kind in kinds:
            by_family = [(family, aim) for aim in aims.get(family, ()) if kind.weight or none_is_drawn]
            for name, aim in (*by_family, *((kind.name, aim) for aim in aims.get(kind.name, ()))):
                if not aim or _can_hit(kind, aim):
                    named.append(_aimed(kind, aim))
                    vain.discard(name + aim)
    if vain:
        raise ValueError(_never_hits(min(vain)))
    return tuple(named)


def _can_hit(kind: Kind, aim: str) -> bool:
    if aim.startswith("="):
        return all(told in _whom(kind) or (kind.name == STEPS and can_be_told(told, KINDS)) for told in _told(aim))
    return any(target.startswith(aim[1:]) for target in _whom(kind))


def _told(aim: str) -> tuple[str, ...]:
    return tuple(aim[1:].split(", "))


@cache
def _whom(kind: Kind) -> frozenset[str]:
    """Whom it can hit."""
    by = random.Random(0)
    return frozenset(target for _ in range(TARGETS_DRAWN) for target in kind.draw(by)[0])


def _never_hits(aimed: str) -> str:
    name, aim = re.split("[=@]", aimed, maxsplit=1)
    if name == STEPS:
        return f"no such story: {aim}; each step is MOMENT WHOM DEED, as simulator/injuries/steps.py has them"
    kinds = FAMILIES[name] if name in FAMILIES else (KINDS[name],)
    hit = sorted({target for kind in kinds for target in _whom(kind)})
    return f"{name} never hits {aim}; it hits {', '.join(hit) or 'nobody in particular'}"


def _aimed(kind: Kind, aim: str) -> Kind:
    """The kind, hitting whom it is told to, or drawn until it hits somebody whose name begins so."""

    def draw_aimed(by: random.Random) -> Drawn:
        if aim.startswith("="):
            return (_told(aim), *kind.draw(by)[1:])
        while True:
            drawn = kind.draw(by)
            if any(target.startswith(aim[1:]) for target in drawn[0]):
                return drawn

    return replace(kind, draw=draw_aimed) if aim else kind


def _calls(by: random.Random, count: int) -> list[Planned]:
    bunched = by.random() < 0.3  # a storm comes in bursts
    bursts_s = [by.uniform(0.0, CALLS_S) for _ in range(3)]
    numbers = by.sample(_NUMBERS, min(count, len(_NUMBERS)))
    mischiefs = [each for each in NetworkMischief if each not in NOT_OF_A_CALL]
    planned = []
    for n in range(count):
        at_s = by.choice(bursts_s) + by.expovariate(2.0) if bunched else by.uniform(0.0, CALLS_S)
        caller = numbers[n % len(numbers)] if by.random() < CALLERS_SHARE else numbers[0]
        mischief = by.choice(mischiefs) if by.random() < MISCHIEF_SHARE else NetworkMischief.NONE
        town = by.choice(TOWNS)
        latitude, longitude = centre_of(town)
        circle = place_pb2.Circle(centre=place_pb2.Point(latitude=latitude, longitude=longitude), radius_m=50.0)
        planned.append(
            Planned(
                round(at_s, 3), f"c{n}", caller, SOS_URN, by.choice(SOURCES), place_pb2.Place(circle=circle), town,
                mischief,
            )
        )  # fmt: skip
    return sorted(planned, key=lambda each: each.at_s)
