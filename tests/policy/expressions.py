"""Trees, texts, calls and bundles for the tests of policies, drawn by Hypothesis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from hypothesis import strategies as st

from services.domain.policy import Divert, Flag, Pass, Verdict
from services.policy.attributes import ATTRIBUTES, Listed, Type, Value
from services.policy.bundle import Bundle, NamedList, Rule
from services.policy.language import patterns
from services.policy.language.tree import (
    Asks,
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
    Op,
    Size,
    Text,
    Word,
)
from services.policy.language.types import CLOSED

HERE = At(1, 1)
FAR_MS = 4_000_000_000_000
"""An expiry that no test reaches."""
LISTS: Mapping[str, NamedList] = {
    "nuisance": NamedList("nuisance", Listed.NUMBER, frozenset({"+16175550101", "+16175550102"})),
    "known": NamedList("known", Listed.NUMBER, frozenset({"+16175550102", "+16175550103"})),
    "carriers": NamedList("carriers", Listed.SOURCE, frozenset({"carrier-a"})),
    "empty": NamedList("empty", Listed.AREA, frozenset()),
}
KINDS = {name: each.kind for name, each in LISTS.items()}
ITEMS = {name: each.items for name, each in LISTS.items()}

# Few values, so that equalities come true.
WORDS = ["", "+16175550101", "+16175550103", "carrier-a", "a", "é\"'\\", "\n漢😀"]
INTS = [0, 1, 2, 3, 23, -1, 2**63 - 1, -(2**63)]
DOUBLES = [0.0, -0.0, 1.0, 42.36, -71.06, 1e300, 5e-324, float("inf"), float("nan")]
PATTERNS = ["^a", "a|b", "(?i)CARRIER-[a-z]$", r"^\+1617555\d{4}$", ".", "[^a-c]+x?", "漢", r"\\"]

values: Mapping[Type, st.SearchStrategy[Value]] = {
    Type.STRING: st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=4),
    Type.INT: st.sampled_from(INTS) | st.integers(-(2**63), 2**63 - 1),
    Type.DOUBLE: st.sampled_from(DOUBLES) | st.floats(),
    Type.BOOL: st.booleans(),
}


def attribute_values(name: str) -> st.SearchStrategy[Value]:
    """What a call may have there."""
    return st.sampled_from(sorted(CLOSED[name])) if name in CLOSED else values[ATTRIBUTES[name].type]


inputs: st.SearchStrategy[dict[str, Value]] = st.fixed_dictionaries(
    {name: attribute_values(name) for name in ATTRIBUTES}
)


@cache
def names(kind: Type, *, closed: bool = True) -> st.SearchStrategy[str]:
    """Attributes of a type."""
    found = [name for name, each in ATTRIBUTES.items() if each.type is kind and (closed or name not in CLOSED)]
    return st.sampled_from(sorted(found))


@cache
def literals(kind: Type) -> st.SearchStrategy[Node]:
    """Finite ones: no other can be written."""
    if kind is Type.DOUBLE:
        found = values[kind].filter(lambda value: abs(float(value)) < float("inf"))
    elif kind is Type.STRING:
        found = values[kind].filter(lambda value: "\0" not in str(value))
    else:
        found = values[kind]
    return found.map(lambda value: Literal(value, HERE))


@st.composite
def members(draw: st.DrawFn) -> Node:
    """`in`, either way."""
    if draw(st.booleans()):
        chosen = LISTS[draw(st.sampled_from(sorted(LISTS)))]
        name = next(each.name for each in ATTRIBUTES.values() if each.listed is chosen.kind)
        return Member(name, chosen.name, (), HERE)
    kind = draw(st.sampled_from(list(Type)))
    items = draw(st.lists(literals(kind), min_size=1, max_size=4))
    return Member(
        draw(names(kind, closed=False)), "", tuple(each.value for each in items if isinstance(each, Literal)), HERE
    )


@st.composite
def matching(draw: st.DrawFn) -> Node:
    written = draw(st.sampled_from(PATTERNS))
    return Matches(draw(names(Type.STRING)), written, patterns.read(written, HERE).engine, HERE)


@cache
def trees(kind: Type = Type.BOOL, depth: int = 3) -> st.SearchStrategy[Node]:
    """Trees that the types allow."""
    leaves = literals(kind) | names(kind).map(lambda name: Name(name, HERE))
    if kind is Type.BOOL:
        leaves |= members() | matching()
    if kind is Type.INT:
        leaves |= names(Type.STRING).map(lambda name: Size(name, HERE))
    if depth == 0:
        return leaves
    return leaves | st.deferred(lambda: _inner(kind, depth - 1))


def _inner(kind: Type, depth: int) -> st.SearchStrategy[Node]:
    below = trees(kind, depth)
    found: st.SearchStrategy[Node] = st.builds(Choice, trees(Type.BOOL, depth), below, below, st.just(HERE))
    if kind is Type.BOOL:
        found |= st.builds(Not, below, st.just(HERE))
        found |= st.builds(_junction, st.sampled_from(list(Word)), st.lists(below, min_size=2, max_size=4))
        found |= _pairs([Op.EQUAL, Op.UNEQUAL], [Type.BOOL, Type.STRING, Type.INT, Type.DOUBLE], depth)
        found |= _pairs([Op.LESS, Op.AT_MOST, Op.MORE, Op.AT_LEAST], [Type.INT, Type.DOUBLE], depth)
        text = trees(Type.STRING, depth)
        found |= st.builds(Text, st.sampled_from(list(Asks)), text, text, st.just(HERE))
    if kind in (Type.INT, Type.DOUBLE):
        found |= st.builds(_negative, below)
        operators = [Op.PLUS, Op.MINUS, Op.TIMES, Op.OVER] + ([Op.MODULO] if kind is Type.INT else [])
        found |= st.builds(Binary, st.sampled_from(operators), below, below, st.just(HERE))
    return found


def _pairs(operators: Sequence[Op], kinds: Sequence[Type], depth: int) -> st.SearchStrategy[Node]:
    return st.sampled_from(kinds).flatmap(
        lambda kind: st.builds(
            Binary, st.sampled_from(operators), trees(kind, depth), trees(kind, depth), st.just(HERE)
        ).filter(lambda node: not _closed(node))
    )


def _closed(node: Binary) -> bool:
    """Whether it compares an attribute of few values with a literal, of which most are refused."""
    return any(isinstance(side, Name) and side.name in CLOSED for side in (node.left, node.right))


def _junction(word: Word, parts: list[Node]) -> Node:
    flat = [
        each for part in parts for each in (part.parts if isinstance(part, Junction) and part.word is word else (part,))
    ]
    return Junction(word, tuple(flat), HERE)


def _negative(node: Node) -> Node:
    return Negative(node, HERE)


def rule(when: str, rule_id: str = "rule", verdict: Verdict | None = None, **known: Any) -> Rule:
    """A rule that flags, unless another verdict is given."""
    settled = {"owner": "desk", "forecast_share": 0.01, "expires_ms": FAR_MS, "line": 7, **known}
    return Rule(rule_id, "reason", when, verdict or Flag(40, rule_id, "reason"), **settled)


def bundle(*rules: Rule | str, lists: Mapping[str, NamedList] = LISTS, **known: Any) -> Bundle:
    """Rules in their order; a text is a rule that flags."""
    made = [each if isinstance(each, Rule) else rule(each, f"rule-{number}") for number, each in enumerate(rules)]
    return Bundle("test", 1, "tester", tuple(made), lists, **known)


def diverting(when: str, rule_id: str = "rule", **known: Any) -> Rule:
    """A rule that diverts."""
    return rule(when, rule_id, Divert("nuisance-desk", rule_id, "reason"), **known)


def passing(when: str, rule_id: str = "rule", **known: Any) -> Rule:
    """A rule that lets through, before others."""
    return rule(when, rule_id, Pass(), **known)


def call(**known: Value) -> dict[str, Value]:
    """A call of which this is known."""
    return {**{name: each.unknown for name, each in ATTRIBUTES.items()}, **known}
