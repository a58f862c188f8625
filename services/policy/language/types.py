"""Which type a tree has, or where it has none: CEL's own rules and stricter, so that nothing is compared in vain.

CEL finds `1 == "a"` false and `2 > 1.5` true. Here the first is a mistake that is told, and the second is written with
two doubles: what a rule means must not hang on a conversion.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from services.domain.offer import Attestation, Device, Verification
from services.policy.attributes import ATTRIBUTES, Listed, Type, Value
from services.policy.language.tree import (
    Asked,
    At,
    Binary,
    Choice,
    Junction,
    Literal,
    Matches,
    Member,
    Name,
    Negative,
    Node,
    Not,
    NotInLanguage,
    Op,
    Size,
    Text,
)

NUMERIC: Final = frozenset({Type.INT, Type.DOUBLE})
_EQUATES: Final = frozenset({Op.EQUAL, Op.UNEQUAL})
_COMPUTES: Final = frozenset({Op.PLUS, Op.MINUS, Op.TIMES, Op.OVER, Op.MODULO})

CLOSED: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "attestation": frozenset(each.value for each in Attestation),
        "verification": frozenset(each.value for each in Verification),
        "device": frozenset(each.value for each in Device),
    }
)
"""Attributes that have a few values and no other."""


def check(node: Node, lists: Mapping[str, Listed]) -> None:
    """Raises `NotInLanguage` unless the tree is a condition; `lists` are the bundle's, by name, with their kinds."""
    found = _of(node, lists)
    if found is not Type.BOOL:
        raise NotInLanguage(node.at, f"a rule that is {found}, not true or false", f"compare it: {_example(found)}")


def type_of(value: Value) -> Type:
    """CEL's type of a value of ours."""
    match value:
        case bool():
            return Type.BOOL
        case int():
            return Type.INT
        case float():
            return Type.DOUBLE
        case str():
            return Type.STRING


def _example(found: Type) -> str:
    return {Type.STRING: '... == "text"', Type.INT: "... >= 3", Type.DOUBLE: "... >= 3.0"}.get(found, "... == ...")


def _of(node: Node, lists: Mapping[str, Listed]) -> Type:
    match node:
        case Literal():
            return type_of(node.value)
        case Name():
            return ATTRIBUTES[node.name].type
        case Member() | Matches() | Size():
            return _asked(node, lists)
        case Text():
            _want(node.text, Type.STRING, lists, f"{node.asks} asks a string")
            _want(node.other, Type.STRING, lists, f"{node.asks} takes a string")
            return Type.BOOL
        case Not():
            _want(node.operand, Type.BOOL, lists, "! turns a condition round")
            return Type.BOOL
        case Negative():
            return _numeric(node.operand, lists, "- turns a number round")
        case Junction():
            for part in node.parts:
                _want(part, Type.BOOL, lists, f"{node.word} joins conditions")
            return Type.BOOL
        case Choice():
            _want(node.condition, Type.BOOL, lists, "before ? stands a condition")
            then, otherwise = _of(node.then, lists), _of(node.otherwise, lists)
            if then is not otherwise:
                raise NotInLanguage(node.at, f"a choice between {then} and {otherwise}", "give both the same type")
            return then
        case Binary():
            return _binary(node, lists)


def _want(node: Node, wanted: Type, lists: Mapping[str, Listed], why: str) -> None:
    found = _of(node, lists)
    if found is not wanted:
        example = _example(found) if wanted is Type.BOOL else '"text"'
        raise NotInLanguage(node.at, f"{why}, and this is {found}", f"write a {wanted} here: {example}")


def _numeric(node: Node, lists: Mapping[str, Listed], why: str) -> Type:
    found = _of(node, lists)
    if found not in NUMERIC:
        raise NotInLanguage(node.at, f"{why}, and this is {found}", "write a number, such as number_calls_60s")
    return found


def _binary(node: Binary, lists: Mapping[str, Listed]) -> Type:
    left, right = _of(node.left, lists), _of(node.right, lists)
    if left is not right:
        raise NotInLanguage(node.at, f"{left} {node.op} {right}", _same(node, left, right))
    if node.op in _EQUATES:
        _closed(node)
        return Type.BOOL
    if left not in NUMERIC:
        instead = "a string is asked with ==, in, startsWith, endsWith, contains, matches"
        raise NotInLanguage(node.at, f"{left} {node.op} {right}", instead if left is Type.STRING else "write && or ||")
    if node.op not in _COMPUTES:
        return Type.BOOL
    if node.op is Op.MODULO and left is Type.DOUBLE:
        raise NotInLanguage(node.at, "double % double", "% takes ints")
    return left


def _same(node: Binary, left: Type, right: Type) -> str:
    for side, wanted in ((node.right, left), (node.left, right)):
        if not isinstance(side, Literal):
            continue
        if wanted is Type.DOUBLE and isinstance(side.value, int) and not isinstance(side.value, bool):
            return f"write {side.value}.0"
        if wanted is Type.STRING:
            return f'write "{side.value}"' if not isinstance(side.value, bool) else "write a string"
        if wanted is Type.INT:
            return "write whole digits without quotes or a point, such as 3"
        if wanted is Type.BOOL:
            return "write true or false"
    return "compare two of the same type"


def _closed(node: Binary) -> None:
    for one, other in ((node.left, node.right), (node.right, node.left)):
        if isinstance(one, Name) and isinstance(other, Literal):
            _one_of(one.name, other.value, other.at)


def _one_of(name: str, value: Value, at: At) -> None:
    values = CLOSED.get(name)
    if values is not None and value not in values:
        raise NotInLanguage(at, f'{name} is never "{str(value)[:40]}"', f"it is one of {', '.join(sorted(values))}")


def _asked(node: Asked, lists: Mapping[str, Listed]) -> Type:
    attribute = ATTRIBUTES[node.name]
    if not isinstance(node, Member):
        if attribute.type is not Type.STRING:
            raise NotInLanguage(node.at, f"{node.name} is {attribute.type}, not a string", "compare it with ==, <, >")
        return Type.INT if isinstance(node, Size) else Type.BOOL
    if node.list_name:
        _listed(node, attribute.listed, lists)
        return Type.BOOL
    for item in node.items:
        if type_of(item) is not attribute.type:
            raise NotInLanguage(
                node.at, f"{node.name} is {attribute.type}, and {str(item)[:40]!r} is not", "list values of its type"
            )
        _one_of(node.name, item, node.at)
    return Type.BOOL


def _listed(node: Member, wanted: Listed | None, lists: Mapping[str, Listed]) -> None:
    kind = lists.get(node.list_name)
    if kind is None:
        known = ", ".join(sorted(lists)[:8]) or "none at all"
        raise NotInLanguage(node.at, f"no list is called {node.list_name}", f"the bundle's lists: {known}")
    if wanted is None:
        raise NotInLanguage(node.at, f"{node.name} is in no list", "compare it with ==")
    if kind is not wanted:
        raise NotInLanguage(
            node.at, f"lists.{node.list_name} holds values of {kind}, not of {wanted}", f"ask {kind} in it"
        )
