"""What a `when` is once it is read: a small tree, every node with its place in the text.

Two trees are equal when they say the same, wherever it stands. Nodes with an operand of their own kind (`Member`,
`Matches`, `Size`) ask about a plain attribute and nothing else, so that each can be answered once a call, outside the
library, by a set or by a pattern that was compiled beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from services.policy.attributes import Value


@dataclass(frozen=True, slots=True)
class At:
    """A place in the text of a `when`; both from 1, columns in characters."""

    line: int
    column: int


class NotInLanguage(Exception):
    """A text that is refused: where, what is wrong, and what to write instead."""

    def __init__(self, at: At, what: str, instead: str) -> None:
        super().__init__(f"line {at.line}, column {at.column}: {what}; {instead}")
        self.at = at
        self.what = what
        self.instead = instead


class Op(StrEnum):
    """Operators between two values, as they are written."""

    EQUAL = "=="
    UNEQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    PLUS = "+"
    MINUS = "-"
    TIMES = "*"
    OVER = "/"
    MODULO = "%"


class Word(StrEnum):
    """What joins conditions."""

    AND = "&&"
    OR = "||"


class Asks(StrEnum):
    """What a text can be asked about another."""

    STARTS = "startsWith"
    ENDS = "endsWith"
    CONTAINS = "contains"


@dataclass(frozen=True, slots=True)
class Literal:
    """A value as written. A negative number is one literal."""

    value: Value
    at: At = field(compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """An attribute."""

    name: str
    at: At = field(compare=False)


@dataclass(frozen=True, slots=True)
class Member:
    """`name in lists.NAME`, or `name in [...]` where `list_name` is empty and `items` are what is written."""

    name: str
    list_name: str
    items: tuple[Value, ...]
    at: At = field(compare=False)


@dataclass(frozen=True, slots=True)
class Matches:
    """`name.matches(written)`; `pattern` says the same in the words of the engine, without its costly classes."""

    name: str
    written: str
    pattern: str
    at: At = field(compare=False)


@dataclass(frozen=True, slots=True)
class Size:
    """`name.size()`: characters, that is code points."""

    name: str
    at: At = field(compare=False)


@dataclass(frozen=True, slots=True)
class Text:
    """`text.startsWith(other)` and its kin."""

    asks: Asks
    text: Node
    other: Node
    at: At = field(compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """`!operand`"""

    operand: Node
    at: At = field(compare=False)


@dataclass(frozen=True, slots=True)
class Negative:
    """`-operand`"""

    operand: Node
    at: At = field(compare=False)


@dataclass(frozen=True, slots=True)
class Junction:
    """Two or more conditions joined by one word. None of `parts` is joined by the same."""

    word: Word
    parts: tuple[Node, ...]
    at: At = field(compare=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """A comparison or a calculation."""

    op: Op
    left: Node
    right: Node
    at: At = field(compare=False)


@dataclass(frozen=True, slots=True)
class Choice:
    """`condition ? then : otherwise`"""

    condition: Node
    then: Node
    otherwise: Node
    at: At = field(compare=False)


Node = Literal | Name | Member | Matches | Size | Text | Not | Negative | Junction | Binary | Choice
Asked = Member | Matches | Size
"""What is answered outside the library."""

COMPARES = frozenset({Op.EQUAL, Op.UNEQUAL, Op.LESS, Op.AT_MOST, Op.MORE, Op.AT_LEAST})


def parts(node: Node) -> tuple[Node, ...]:
    """What stands directly below a node."""
    match node:
        case Text():
            return (node.text, node.other)
        case Not() | Negative():
            return (node.operand,)
        case Junction():
            return node.parts
        case Binary():
            return (node.left, node.right)
        case Choice():
            return (node.condition, node.then, node.otherwise)
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, in the order of the text."""
    yield node
    for part in parts(node):
        yield from walk(part)


def attributes_of(node: Node) -> frozenset[str]:
    """The names of all attributes that it asks about."""
    return frozenset(each.name for each in walk(node) if isinstance(each, Name | Member | Matches | Size))
