"""When a rule can be true, found without evaluating it on calls: the ways through its && and ||, and which are open.

A way is a set of conditions that all hold. It is closed where the conditions on one attribute exclude each other, and
then no call takes it. What cannot be seen through (calculations, two attributes compared) is taken as open, so "never
true" is always right, and "not found to be never true" says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from services.policy.attributes import ATTRIBUTES, Type, Value
from services.policy.language import plain, printing
from services.policy.language.tree import (
    COMPARES,
    Asks,
    Binary,
    Choice,
    Junction,
    Literal,
    Matches,
    Member,
    Name,
    Node,
    Not,
    Op,
    Text,
    Word,
    attributes_of,
    walk,
)
from services.policy.language.types import CLOSED

WAYS_MAX: Final = 64
"""Ways of one rule that are looked at; a rule of more is taken as one that may always be true."""
LOOKS_MAX: Final = 600_000
"""Values that are tried for one bundle: a second or two."""
SETS_QUICKER: Final = 20
"""Than trying the values one by one."""
_FRESH: Final = "\ue000"
"""A character that no rule writes: for texts that are like no other."""
_RANGES: Final = {"hour": range(24), "minute": range(60), "weekday": range(1, 8)}


@dataclass(slots=True)
class Room:
    """The bundle's lists, and how much may still be looked at. Once nothing is left, every way is taken as open."""

    lists: plain.Lists
    left: int = LOOKS_MAX
    dialled: dict[str, bool] = field(default_factory=dict)
    """Lists of numbers that were looked through: whether a person could ring back every one."""
    of_most: dict[str, bool] = field(default_factory=dict)
    """Patterns that were tried: whether most names have what they look for."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison or question, which must have this answer. `!=` is `==` with the answer no."""

    node: Node
    holds: bool
    name: str
    """The one attribute that it is about, where it can be seen through; else empty."""
    unclear: str
    """What it says, where it cannot."""

    @staticmethod
    def of(node: Node, holds: bool) -> Condition:
        name = _seen_through(node)
        return Condition(node, holds, name, "" if name else printing.text(node))

    @property
    def text(self) -> str:
        """As it would be written."""
        return printing.text(self.node if self.holds else Not(self.node, self.node.at))


def _seen_through(node: Node) -> str:
    match node:
        case Name() | Member() | Matches():
            return node.name
        case Text(text=Name() as asked, other=Literal()):
            return asked.name
        case Binary(left=Name() as asked, right=Literal()) if node.op in COMPARES:
            return asked.name
        case _:
            return ""


Way = tuple[Condition, ...]

_TURNED: Final = {Op.LESS: Op.MORE, Op.MORE: Op.LESS, Op.AT_MOST: Op.AT_LEAST, Op.AT_LEAST: Op.AT_MOST}


def ways(node: Node, room: Room, *, holds: bool = True) -> list[Way] | None:
    """All open ways in which a condition is true, or false; None where there are more than are looked at."""
    if room.left <= 0:
        return None
    match node:
        case Literal():
            return [()] if node.value is holds else []
        case Not():
            return ways(node.operand, room, holds=not holds)
        case Choice():
            no = Not(node.condition, node.at)
            either = [Junction(Word.AND, (node.condition, node.then), node.at),
                      Junction(Word.AND, (no, node.otherwise), node.at)]  # fmt: skip
            return _any(ways(part, room) for part in either) if holds else _any(
                _all([ways(first, room), ways(then, room, holds=False)], room)
                for first, then in ((node.condition, node.then), (no, node.otherwise))
            )  # fmt: skip
        case Junction():
            found = [ways(part, room, holds=holds) for part in node.parts]
            return _all(found, room) if (node.word is Word.AND) == holds else _any(found)
        case _:
            if not attributes_of(node):
                return [()] if _constantly(node, holds) else []
            condition = _condition(node, holds)
            return [(condition,)] if open_way((condition,), room) else []


def _constantly(node: Node, holds: bool) -> bool:
    try:
        return plain.holds(node, {}, {}) is holds
    except (ArithmeticError, TypeError):
        return False


def _condition(node: Node, holds: bool) -> Condition:
    if isinstance(node, Binary) and node.op in COMPARES:
        if isinstance(node.left, Literal) and not isinstance(node.right, Literal):
            node = Binary(_TURNED.get(node.op, node.op), node.right, node.left, node.at)
        if node.op is Op.UNEQUAL:
            return Condition.of(Binary(Op.EQUAL, node.left, node.right, node.at), not holds)
    return Condition.of(node, holds)


def _any(found: Iterable[list[Way] | None]) -> list[Way] | None:
    ways_of_all: list[Way] = []
    for each in found:
        if each is None or len(ways_of_all) + len(each) > WAYS_MAX:
            return None
        ways_of_all += each
    return ways_of_all


def _all(found: Iterable[list[Way] | None], room: Room) -> list[Way] | None:
    parts = list(found)
    # What has one way alone is put together first, and looked at once.
    certain = tuple(condition for each in parts if each is not None and len(each) == 1 for condition in each[0])
    room.left -= len(certain)
    joined: list[Way] = [certain] if open_way(certain, room) else []
    for each in parts:
        if each is None or len(joined) * len(each) > WAYS_MAX * WAYS_MAX:
            return None
        if len(each) != 1:
            joined = [both for one in joined for other in each if (both := join(one, other, room)) is not None]
        if len(joined) > WAYS_MAX or room.left <= 0:
            return None
    return joined


def join(one: Way, other: Way, room: Room) -> Way | None:
    """Both together; None where they exclude each other. Each by itself is open."""
    both = one + other
    room.left -= len(both)
    return both if open_way(both, room, {each.name for each in other}) else None


def open_way(way: Way, room: Room, only: set[str] | None = None) -> bool:
    """Whether a call may take it; `only` are the attributes that are looked at, all where None."""
    by_name: dict[str, list[Condition]] = {}
    for condition in way:
        by_name.setdefault(condition.name, []).append(condition)
    for name, conditions in by_name.items():
        if only is not None and name not in only:
            continue
        if not name:
            unclear = {each.unclear: each.holds for each in conditions}
            if any(unclear[each.unclear] is not each.holds for each in conditions):
                return False
        elif not _possible(name, conditions, room):
            return False
    return True


def _possible(name: str, conditions: list[Condition], room: Room) -> bool:
    """Whether one value of an attribute meets all of its conditions: sought among values that stand for all others."""
    if room.left <= 0:
        return True
    for candidate in _candidates(name, conditions, room):
        room.left -= len(conditions)
        if room.left <= 0 or all(meets(each, name, candidate, room) for each in conditions):
            return True
    # A pattern can be met by texts that nobody thinks of, unless the values were all there are.
    return any(isinstance(each.node, Matches) for each in conditions) and not _finite(name, conditions)


def meets(condition: Condition, name: str, value: Value, room: Room) -> bool:
    """Whether this value of its attribute gives a condition its answer."""
    try:
        return plain.holds(condition.node, {name: value}, room.lists) is condition.holds
    except (ArithmeticError, TypeError):
        return False


def _finite(name: str, conditions: list[Condition]) -> bool:
    return name in CLOSED or any(_limits(each) for each in conditions)


def _limits(condition: Condition) -> bool:
    """Whether only the values that it names meet it."""
    node = condition.node
    return condition.holds and (isinstance(node, Member) or (isinstance(node, Binary) and node.op is Op.EQUAL))


def _candidates(name: str, conditions: list[Condition], room: Room) -> Iterator[Value]:
    attribute = ATTRIBUTES[name]
    if name in CLOSED:
        yield from sorted(CLOSED[name])
    elif name in _RANGES:
        yield from _RANGES[name]
    elif attribute.type is Type.BOOL:
        yield from (True, False)
    elif attribute.type is Type.STRING:
        yield from _texts(conditions, room)
    else:
        yield from numbers(attribute.type, conditions)


def numbers(kind: Type, conditions: list[Condition]) -> Iterator[Value]:
    """Each number that is named, and one between each two and beyond them: truth changes nowhere else."""
    named = sorted(
        {
            literal.value
            for each in conditions
            for literal in walk(each.node)
            if isinstance(literal, Literal) and isinstance(literal.value, int | float)
        }
        | {
            item
            for each in conditions
            if isinstance(each.node, Member)
            for item in each.node.items
            if isinstance(item, int | float)
        }
    )
    if kind is Type.INT:  # all of ours are counts
        yield from (value + step for value in named for step in (-1, 0, 1) if value + step >= 0)
        yield 0
        return
    yield from named
    yield from ((one + other) / 2 for one, other in pairwise(named))
    if named:
        yield named[0] - max(1.0, abs(named[0]))
        yield named[-1] + max(1.0, abs(named[-1]))
    yield 0.0


def _texts(conditions: list[Condition], room: Room) -> Iterator[Value]:
    """What lists and equalities allow where there are any; else one text that begins, goes on and ends as asked."""
    allowed = sorted((_named(each.node, room) for each in conditions if _limits(each)), key=len)
    if allowed:
        others = [_named(each.node, room) for each in conditions if not each.holds and isinstance(each.node, Member)]
        room.left -= len(allowed[0]) * len(conditions) // SETS_QUICKER
        yield from allowed[0].intersection(*allowed[1:]).difference(*others)
        return
    asked: dict[Asks, list[str]] = {Asks.STARTS: [""], Asks.CONTAINS: [""], Asks.ENDS: [""]}
    for condition in conditions:
        match condition.node:
            case Text(asks=asks, other=Literal(value=str() as written)) if condition.holds:
                asked[asks].append(written)
    within = "".join(_FRESH + each for each in asked[Asks.CONTAINS])
    yield f"{max(asked[Asks.STARTS], key=len)}{within}{_FRESH}{max(asked[Asks.ENDS], key=len)}"
    yield ""


def _named(node: Node, room: Room) -> frozenset[Value]:
    match node:
        case Member():
            return frozenset(room.lists[node.list_name]) if node.list_name else frozenset(node.items)
        case Binary(right=Literal() as literal):
            return frozenset({literal.value})
        case _:
            raise AssertionError(f"expected an equality or a list; got {node}")


def excludes(one: list[Way], other: list[Way], room: Room) -> bool:
    """Whether no call takes a way of both."""
    return not any(join(first, second, room) is not None for first in one for second in other)
