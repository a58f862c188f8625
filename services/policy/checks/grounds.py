"""On what a divert rests. A call is never diverted merely for what its caller cannot help.

No number, one that cannot be dialled, a phone without service, failed attestation, the hour, the device: each may be
one condition among others. But every way in which a divert rule can be true needs a ground of its own: how often
somebody called, from where, over which trunk, or which numbers, one by one, that a person could ring back.
"""

from __future__ import annotations

import re
from string import printable
from typing import Final

from services.domain.offer import can_be_rung_back
from services.policy.attributes import ATTRIBUTES, Type, Value
from services.policy.checks.reasoning import Condition, Room, Way, meets
from services.policy.language.patterns import compiled
from services.policy.language.tree import Asks, Binary, Literal, Matches, Member, Op, Text

INSTEAD: Final = (
    "join it by && with how often (number_calls_60s >= 3), from where (source, trunk, cell), or with numbers in a list"
)
_PREFIX: Final = re.compile(r"\+(?!1911)[1-9][0-9]{6,14}")
"""What numbers may begin with: an area code and an exchange at least, and not a phone without service."""
_NOTHING_MUCH: Final = ("", *printable)
"""A pattern that is found in one of these is found in the names of most."""


def groundless(ways: list[Way], room: Room) -> str | None:
    """The first way that rests on nothing, in words; None where there is none."""
    for way in ways:
        if not any(_ground(condition, room) for condition in way):
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
    unlike: tuple[Value, ...] = (ATTRIBUTES[name].unknown,)
    if ATTRIBUTES[name].type is Type.INT:
        unlike = (0, 1)  # a first call is nobody's repeat
    elif isinstance(condition.node, Binary) and condition.node.op is Op.EQUAL and not condition.holds:
        return False  # anywhere but at one point
    return not any(meets(condition, name, value, room) for value in unlike)


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
        case Text(other=Literal(value=str() as text)):
            return text != ""
        case Matches() as matches:
            pattern = compiled(matches.pattern)
            return not any(map(pattern.isinstance_python, _NOTHING_MUCH))
        case _:
            return False
