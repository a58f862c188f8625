"""On what a divert rests. A call is never diverted merely for what its caller cannot help.

No number, one that cannot be dialled, a phone without service, failed attestation, the hour, the device: each may be
one condition among others. But every way in which a divert rule can be true needs a ground.

A ground of its own speaks of this caller: how often they called, or their number, named as one that a person could ring
back. It stands beside whatever else is asked. A shared ground speaks of a way that many come: a network, a trunk, a
cell, a narrow place, what a network gives as a name, numbers by their beginning, and counts of these that no ordinary
day has. All who come that way are meant, so beside it nothing may be asked of a caller that an ordinary one would not
meet: of those on a flooded trunk, the ones without a number would else be diverted merely for that. To live in a town,
or to belong to a PSAP, is nothing that anybody did, and is no ground.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from itertools import product
from math import inf
from string import ascii_lowercase, digits, printable
from types import MappingProxyType
from typing import Final

from services.domain.offer import SOS_URN, can_be_rung_back
from services.policy.attributes import ATTRIBUTES, WINDOWS_S, Counted, Ground, Type, Value, counter
from services.policy.checks.reasoning import Condition, Room, Way, meets, numbers
from services.policy.language.patterns import compiled
from services.policy.language.tree import Asks, Binary, Literal, Matches, Member, Op, Text, attributes_of

INSTEAD: Final = (
    "join it by && with how often this caller called (number_calls_60s >= 3), or with numbers in a list; or name the "
    "way that all meant come by (source, trunk, cell); a part of a text has three characters at least, a place both "
    "sides of lat and of lon within 0.2 degrees"
)
_SINGLES_OUT: Final = (
    "leave out {what}: it singles out some of all who come that way; or join it by && with how often this caller "
    "called (number_calls_3600s >= 3), or with numbers in a list"
)
_ORDINARY: Final = (
    "{name} counts the calls of many, and on an ordinary day too: ask how often this caller called "
    "({own} >= 3); or, where all who come that way are meant, write {name} >= {least} or more{without}"
)
COUNTS_MIN: Final[Mapping[str, int]] = MappingProxyType(
    {
        counter(by, window_s): calls_min
        for by, each in {
            Counted.NUMBER: (2, 2, 2, 2),
            Counted.SOURCE: (8, 15, 80, 300),
            Counted.TRUNK: (8, 12, 40, 150),
            Counted.CELL: (4, 6, 10, 16),
        }.items()
        for window_s, calls_min in zip(WINDOWS_S, each, strict=True)
    }
)
"""From how many calls on a count is a ground: of a number the second; of what many share, more than any call of an
ordinary day or of the recorded storm was met by (loadtest/corpora.py)."""
ORDINARY: Final[Mapping[str, tuple[Value, ...]]] = MappingProxyType(
    {
        "number": ("+13125550142",),
        "number_dials": (True,),
        "without_service": (False,),
        "attestation": ("A",),
        "verification": ("passed",),
        "service": (SOS_URN,),
        "place_known": (True,),
        "radius_m": (10.0, 300.0),
        "device": ("wireless", "wireline"),
        **{counter(Counted.NUMBER, window_s): (1,) for window_s in WINDOWS_S},
    }
)
"""What is known of callers who are like most; a condition that all of these meet singles out nobody, and spares."""
_LIKE_NO_OTHER: Final = "\ue000"
"""A town, a cell or a name that no rule writes."""
_OF_ALL_ALIKE: Final = frozenset({"hour", "minute", "weekday", "psap_load", "state_load"})
_PREFIX: Final = re.compile(r"\+(?!1911)[1-9][0-9]{6,14}")
"""What numbers may begin with: an area code and an exchange at least, and not a phone without service."""
PART_CHARS_MIN: Final = 3
"""Of a text of which only a part is named: most names have an `a`."""
BOX_DEGREES_MAX: Final = 0.2
"""Ten cells, some twenty kilometres: a place and not a region. Half of the world is where lon < 0."""
_COORDINATES: Final = ("lat", "lon")
_ROUNDED: Final = 1e-9
_FEW: Final = ascii_lowercase + digits
_NOTHING_MUCH: Final = ("", *printable, *map("".join, product(_FEW, repeat=PART_CHARS_MIN - 1)))
"""A pattern that is found in one of these is found in the names of most."""
_NAMELESS: Final = tuple(
    write(words)
    for words in ("anonymous", "unavailable", "unknown", "private", "restricted", "out of area", "wireless caller")
    for write in (str.lower, str.upper, str.title, str.capitalize)
)
"""What networks give as a name where they have none, or no number."""


class _Weight(Enum):
    """What one condition is for a divert."""

    OWN = auto()
    SHARED = auto()
    ALIKE = auto()
    """Met by ordinary callers too, or the same for all at that instant."""
    PLACE = auto()
    """Of lat or lon: what it is depends on the others."""
    SINGLES_OUT = auto()


@dataclass(frozen=True, slots=True)
class Groundless:
    """A way that rests on nothing, and what to write instead."""

    way: str
    instead: str


def groundless(ways: list[Way], room: Room) -> Groundless | None:
    """The first such way; None where there is none."""
    weighed: dict[int, _Weight] = {}  # ways have their conditions in common
    for way in ways:
        for condition in way:
            if id(condition) not in weighed:
                weighed[id(condition)] = _weight(condition, room)
        weights = [weighed[id(condition)] for condition in way]
        if _Weight.OWN in weights:
            continue
        narrow = _narrow_place(way, room)
        shared = narrow or _Weight.SHARED in weights
        singling = {_Weight.SINGLES_OUT} if narrow else {_Weight.SINGLES_OUT, _Weight.PLACE}
        if shared and singling.isdisjoint(weights):
            continue
        odd = [each for each, weight in zip(way, weights, strict=True) if weight in singling]
        words = " && ".join(condition.text for condition in way) or "always"
        return Groundless(words, _instead(way, odd, shared=shared))
    return None


def _instead(way: Way, odd: list[Condition], *, shared: bool) -> str:
    if shared:
        return _SINGLES_OUT.format(what=odd[0].text[:200])
    for condition in way:
        name = condition.name
        if name in COUNTS_MIN and ATTRIBUTES[name].ground is Ground.SHARED:
            own = counter(Counted.NUMBER, int(name.rpartition("_")[2][:-1]))
            without = f", without {odd[0].text[:200]}" if odd else ""
            return _ORDINARY.format(name=name, own=own, least=COUNTS_MIN[name], without=without)
    return INSTEAD


def _weight(condition: Condition, room: Room) -> _Weight:
    name = condition.name
    if not name:
        return _Weight.ALIKE if attributes_of(condition.node) <= _NOT_OF_THE_CALLER else _Weight.SINGLES_OUT
    if _ground(condition, room):
        own = ATTRIBUTES[name].ground is Ground.OWN and not isinstance(condition.node, Text)
        return _Weight.OWN if own else _Weight.SHARED
    if name in _COORDINATES:
        return _Weight.PLACE
    if name in _OF_ALL_ALIKE or _spares(condition, room):
        return _Weight.ALIKE
    return _Weight.SINGLES_OUT


def _spares(condition: Condition, room: Room) -> bool:
    """Whether all ordinary callers on that way meet it."""
    name = condition.name
    if name in ORDINARY:
        return all(meets(condition, name, value, room) for value in ORDINARY[name])
    if name in COUNTS_MIN:
        return any(meets(condition, name, calls, room) for calls in (1, COUNTS_MIN[name]))
    return meets(condition, name, _LIKE_NO_OTHER, room)


def _ground(condition: Condition, room: Room) -> bool:
    name = condition.name
    if name == "number":
        return condition.holds and _of_numbers(condition, room)
    if ATTRIBUTES[name].ground is Ground.NONE:
        return False
    if ATTRIBUTES[name].type is Type.STRING:
        return condition.holds and _of_texts(condition, room)
    return name in COUNTS_MIN and not _met_below(condition, COUNTS_MIN[name], room)


def _met_below(condition: Condition, calls_min: int, room: Room) -> bool:
    """Whether fewer calls meet it: none, as many as just do not do, or one of those that it names or is next to."""
    fewer = {calls for calls in (0, calls_min - 1, *numbers(Type.INT, [condition])) if int(calls) < calls_min}
    return any(meets(condition, condition.name, calls, room) for calls in fewer)


def _narrow_place(way: Way, room: Room) -> bool:
    """Whether both coordinates are held within a box, and the box is not where calls are of which no place is known."""
    for name in _COORDINATES:
        low, high = -inf, inf
        for condition in way:
            if condition.name == name:
                low, high = _between(condition, low, high)
        if high - low > BOX_DEGREES_MAX + _ROUNDED:
            return False
    return not all(
        meets(condition, condition.name, ATTRIBUTES[condition.name].unknown, room)
        for condition in way
        if condition.name in _COORDINATES
    )


def _between(condition: Condition, low: float, high: float) -> tuple[float, float]:
    match condition.node:
        case Binary(op=Op.EQUAL, right=Literal(value=float() as value)) if condition.holds:
            return max(low, value), min(high, value)
        case Binary(op=op, right=Literal(value=float() as value)) if op is not Op.EQUAL:
            below = (op in (Op.LESS, Op.AT_MOST)) is condition.holds
            return (low, min(high, value)) if below else (max(low, value), high)
        case _:
            return low, high


def _of_numbers(condition: Condition, room: Room) -> bool:
    match condition.node:
        case Binary(op=Op.EQUAL, right=Literal(value=str() as number)):
            return can_be_rung_back(number)
        case Member(list_name="") as member:
            return all(can_be_rung_back(str(item)) for item in member.items)
        case Member(list_name=name):
            if name not in room.dialled:
                room.dialled[name] = all(map(can_be_rung_back, room.lists[name]))
            return room.dialled[name]
        case Text(asks=Asks.STARTS, other=Literal(value=str() as prefix)):
            return bool(_PREFIX.fullmatch(prefix))
        case _:
            return False


def _of_texts(condition: Condition, room: Room) -> bool:
    """A text that is something: not one that is missing, nor one that stands for a missing one."""
    if condition.name == "display_name" and any(meets(condition, condition.name, each, room) for each in _NAMELESS):
        return False
    match condition.node:
        case Binary(op=Op.EQUAL, right=Literal(value=str() as text)):
            return text != ""
        case Member() as member:
            return "" not in (room.lists[member.list_name] if member.list_name else member.items)
        case _ if condition.name == "cell":
            return False  # a part of it is a strip around the world
        case Text(other=Literal(value=str() as text)):
            return len(text) >= PART_CHARS_MIN
        case Matches(pattern=pattern):
            if pattern not in room.of_most:
                room.of_most[pattern] = any(map(compiled(pattern).isinstance_python, _NOTHING_MUCH))
            return not room.of_most[pattern]
        case _:
            return False


_NOT_OF_THE_CALLER: Final = _OF_ALL_ALIKE | {
    name
    for name, each in ATTRIBUTES.items()
    if each.ground is Ground.SHARED and name not in ("display_name", *_COORDINATES)
}
