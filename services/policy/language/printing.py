"""A tree as text again: for people, for comparing what two rules say, and for the library.

Only parentheses that are needed are written, so the text is nested no deeper than what its author wrote.
"""

from __future__ import annotations

from collections.abc import Callable

from services.policy.attributes import Value
from services.policy.language.tree import (
    Asked,
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

_CHOICE, _OR, _AND, _COMPARE, _SUM, _PRODUCT, _SIGN, _PRIMARY = range(8)
_STRENGTH = {
    Op.PLUS: _SUM,
    Op.MINUS: _SUM,
    Op.TIMES: _PRODUCT,
    Op.OVER: _PRODUCT,
    Op.MODULO: _PRODUCT,
}

Asking = Callable[[Asked], str]
"""How a question that is answered outside the library is written."""


def asked(node: Asked) -> str:
    """As in the language."""
    match node:
        case Member():
            items = f"lists.{node.list_name}" if node.list_name else f"[{', '.join(map(value, node.items))}]"
            return f"{node.name} in {items}"
        case Matches():
            return f"{node.name}.matches({value(node.written)})"
        case Size():
            return f"{node.name}.size()"


def text(node: Node, asking: Asking = asked) -> str:
    """The whole tree."""
    return _within(node, _CHOICE, asking)


def value(literal: Value) -> str:
    """A literal."""
    match literal:
        case bool():
            return "true" if literal else "false"
        case str():
            return f'"{"".join(map(_character, literal))}"'
        case _:
            return repr(literal)


def _character(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    if letter.isprintable():
        return letter
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else letter


def _within(node: Node, strength: int, asking: Asking) -> str:
    written, own = _written(node, asking)
    return written if own >= strength else f"({written})"


def _written(node: Node, asking: Asking) -> tuple[str, int]:
    """The text and how strongly it holds together."""
    match node:
        case Literal():
            negative = isinstance(node.value, int | float) and value(node.value).startswith("-")
            return value(node.value), _SIGN if negative else _PRIMARY
        case Name():
            return node.name, _PRIMARY
        case Member():
            return asking(node), _COMPARE
        case Matches() | Size():
            return asking(node), _PRIMARY
        case Text():
            return f"{_within(node.text, _PRIMARY, asking)}.{node.asks}({text(node.other, asking)})", _PRIMARY
        case Not():
            return f"!{_within(node.operand, _PRIMARY, asking)}", _SIGN
        case Negative():
            return f"-{_operand(node, asking)}", _SIGN
        case Junction():
            own = _AND if node.word is Word.AND else _OR
            return f" {node.word} ".join(_within(part, own + 1, asking) for part in node.parts), own
        case Binary():
            own = _STRENGTH.get(node.op, _COMPARE)
            left = _within(node.left, own + (own == _COMPARE), asking)
            return f"{left} {node.op} {_within(node.right, own + 1, asking)}", own
        case Choice():
            condition = _within(node.condition, _OR, asking)
            then = _within(node.then, _OR, asking)
            return f"{condition} ? {then} : {text(node.otherwise, asking)}", _CHOICE


def _operand(node: Negative, asking: Asking) -> str:
    """Minus a written number is another number than the number's negative: one is read as a literal."""
    inner = _within(node.operand, _PRIMARY, asking)
    return f"({inner})" if isinstance(node.operand, Literal) and not inner.startswith("(") else inner
