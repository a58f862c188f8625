"""Where a rule can be true at all: the values that one attribute must have, so that an index finds its rules.

A guard is an equality or a list. Of conditions joined by && one guard is enough, and the rarest is taken; of conditions
joined by || each needs its own. A rule without one is asked for every call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.policy.attributes import ATTRIBUTES, Type, Value
from services.policy.language.tree import Binary, Choice, Junction, Literal, Member, Name, Node, Op, Word

_RAREST_FIRST: Final = (
    "number", "display_name", "cell", "area", "psap", "trunk", "source", "service", "device",
    "attestation", "verification",
)  # fmt: skip
_RANK: Final = {name: rank for rank, name in enumerate(_RAREST_FIRST)}


@dataclass(frozen=True, slots=True)
class Guard:
    """True only where attribute `name` is in the list, or is one of `values` where `list_name` is empty."""

    name: str
    list_name: str
    values: frozenset[Value]


def guards_of(node: Node) -> tuple[Guard, ...]:
    """Guards of which one holds whenever the condition is true; none where nothing is known."""
    match node:
        case Binary(op=Op.EQUAL):
            for one, other in ((node.left, node.right), (node.right, node.left)):
                if isinstance(one, Name) and isinstance(other, Literal):
                    return _guard(one.name, "", frozenset({other.value}))
            return ()
        case Member():
            return _guard(node.name, node.list_name, frozenset(node.items))
        case Junction(word=Word.AND):
            found = [guards for guards in map(guards_of, node.parts) if guards]
            return min(found, key=_cost) if found else ()
        case Junction():
            each = [guards_of(part) for part in node.parts]
            return tuple(guard for guards in each for guard in guards) if all(each) else ()
        case Choice():
            # Either way goes through one of the two.
            then, otherwise = guards_of(node.then), guards_of(node.otherwise)
            return (*then, *otherwise) if then and otherwise else ()
        case _:
            return ()


def _guard(name: str, list_name: str, values: frozenset[Value]) -> tuple[Guard, ...]:
    """Numbers and truths are no guards: half of all calls may have the same."""
    return (Guard(name, list_name, values),) if ATTRIBUTES[name].type is Type.STRING else ()


def _cost(guards: tuple[Guard, ...]) -> tuple[int, int]:
    return max(_RANK.get(guard.name, len(_RANK)) for guard in guards), len(guards)
