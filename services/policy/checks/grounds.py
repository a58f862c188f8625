"""On what a divert rests. A call is never diverted merely for what its caller cannot help.

No number, one that cannot be dialled, a phone without service, failed attestation, the hour, the device: each may be
one condition among others. But every way in which a divert rule can be true needs a ground of its own: how often
somebody called, from which narrow place, by which network or trunk, or which numbers, one by one, that a person could
ring back. To live in a town, or to belong to a PSAP, is nothing that anybody did: all who call there would be diverted
for the other conditions alone, and the breakers of that scope would trip. So these may only narrow a rule further.
"""

from __future__ import annotations

import re
from itertools import product
from math import inf
from string import ascii_lowercase, digits, printable
from typing import Final

from services.domain.offer import can_be_rung_back
from services.policy.attributes import ATTRIBUTES, Type, Value
from services.policy.checks.reasoning import Condition, Room, Way, meets
from services.policy.language.patterns import compiled
from services.policy.language.tree import Asks, Binary, Literal, Matches, Member, Op, Text

INSTEAD: Final = (
    "join it by && with how often (number_calls_60s >= 3), from where (source, trunk, cell), or with numbers in a "
    "list; a part of a text has three characters at least, a place both sides of lat and of lon within 0.2 degrees"
)
_PREFIX: Final = re.compile(r"\+(?!1911)[1-9][0-9]{6,14}")
"""What numbers may begin with: an area code and an exchange at least, and not a phone without service."""
PART_CHARS_MIN: Final = 3
"""Of a text of which only a part is named: most names have an `a`."""
BOX_DEGREES_MAX: Final = 0.2
"""Ten cells, some twenty kilometres: a place and not a region. Half of the world is where lon < 0."""
_COORDINATES: Final = ("lat", "lon")
_ROUNDED: Final = 1e-9
_NO_REPEAT: Final[tuple[Value, ...]] = (0, 1)
"""Counts of a call before which nobody has called, or nobody is known to have."""
_FEW: Final = ascii_lowercase + digits
_NOTHING_MUCH: Final = ("", *printable, *map("".join, product(_FEW, repeat=PART_CHARS_MIN - 1)))
"""A pattern that is found in one of these is found in the names of most."""


def groundless(ways: list[Way], room: Room) -> str | None:
    """The first way that rests on nothing, in words; None where there is none."""
    for way in ways:
        if not any(_ground(condition, room) for condition in way) and not _narrow_place(way, room):
            return " && ".join(condition.text for condition in way) or "always"
    return None


def _ground(condition: Condition, room: Room) -> bool:
    name = condition.name
    if name == "number":
        return condition.holds and _of_numbers(condition, room)
    if not name or not ATTRIBUTES[name].grounds:
        return False
    if ATTRIBUTES[name].type is Type.STRING:
        return condition.holds and _of_texts(condition, room)
    if ATTRIBUTES[name].type is not Type.INT:
        return False  # one coordinate is no place
    return not any(meets(condition, name, calls, room) for calls in _NO_REPEAT)


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
    """A text that is something: not one that is missing."""
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
