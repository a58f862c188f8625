"""A second evaluator, as plain as can be: what a tree means, in Python, without the library.

Tests hold the library against it, and the checker asks it where it needs many answers about few names. It raises what
the library raises: OverflowError, ZeroDivisionError, TypeError (a number that is none, in an order).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from services.policy.attributes import Value
from services.policy.language.patterns import compiled
from services.policy.language.tokens import INT_MAX, INT_MIN
from services.policy.language.tree import (
    Asked,
    Asks,
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

Lists = Mapping[str, frozenset[str]]


def holds(node: Node, inputs: Mapping[str, Value], lists: Lists) -> bool:
    """Whether a condition is true."""
    found = evaluate(node, inputs, lists)
    assert isinstance(found, bool), f"expected a condition; got {found!r}"
    return found


def answer(node: Asked, inputs: Mapping[str, Value], lists: Lists) -> Value:
    """What a question about one attribute has for an answer."""
    found = inputs[node.name]
    match node:
        case Member():
            return found in (lists[node.list_name] if node.list_name else node.items)
        case Matches():
            return compiled(node.pattern).isinstance_python(found)
        case Size():
            return len(str(found))


def evaluate(node: Node, inputs: Mapping[str, Value], lists: Lists) -> Value:
    """The value of a tree that has a type."""
    match node:
        case Literal():
            return node.value
        case Name():
            return inputs[node.name]
        case Member() | Matches() | Size():
            return answer(node, inputs, lists)
        case Text():
            return _text(node.asks, evaluate(node.text, inputs, lists), evaluate(node.other, inputs, lists))
        case Not():
            return not evaluate(node.operand, inputs, lists)
        case Negative():
            found = evaluate(node.operand, inputs, lists)
            assert not isinstance(found, str)
            # CEL would have the negative of the least int fail; the library, which screens, gives that int again.
            return found if found == INT_MIN and not isinstance(found, float) else -found
        case Junction():
            return _junction(node, inputs, lists)
        case Choice():
            chosen = node.then if evaluate(node.condition, inputs, lists) else node.otherwise
            return evaluate(chosen, inputs, lists)
        case Binary():
            return _binary(node.op, evaluate(node.left, inputs, lists), evaluate(node.right, inputs, lists))


def _junction(node: Junction, inputs: Mapping[str, Value], lists: Lists) -> bool:
    """A part that fails does not matter where another part decides (CEL, logical operators)."""
    decides = node.word is Word.OR
    failed: ArithmeticError | TypeError | None = None
    for part in node.parts:
        try:
            if evaluate(part, inputs, lists) is decides:
                return decides
        except (ArithmeticError, TypeError) as failure:
            failed = failed or failure
    if failed is not None:
        raise failed
    return not decides


def _text(asks: Asks, text: Value, other: Value) -> bool:
    assert isinstance(text, str) and isinstance(other, str)
    match asks:
        case Asks.STARTS:
            return text.startswith(other)
        case Asks.ENDS:
            return text.endswith(other)
        case Asks.CONTAINS:
            return other in text


def _bounded(found: int) -> int:
    if not INT_MIN <= found <= INT_MAX:
        raise OverflowError(f"{found} is no 64-bit int")
    return found


def _binary(op: Op, left: Value, right: Value) -> Value:
    if op is Op.EQUAL:
        return left == right
    if op is Op.UNEQUAL:
        return left != right
    if isinstance(left, float) and isinstance(right, float):
        return _doubles(op, left, right)
    assert isinstance(left, int) and isinstance(right, int)
    match op:
        case Op.PLUS:
            return _bounded(left + right)
        case Op.MINUS:
            return _bounded(left - right)
        case Op.TIMES:
            return _bounded(left * right)
        case Op.OVER | Op.MODULO:
            towards_zero = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
            _bounded(towards_zero)
            return towards_zero if op is Op.OVER else left - towards_zero * right
        case _:
            return _ordered(op, left, right)


def _doubles(op: Op, left: float, right: float) -> Value:
    match op:
        case Op.PLUS:
            return left + right
        case Op.MINUS:
            return left - right
        case Op.TIMES:
            return left * right
        case Op.OVER:
            if right == 0.0:
                return math.nan if left == 0.0 or math.isnan(left) else left * math.copysign(math.inf, right)
            return left / right
        case _:
            if math.isnan(left) or math.isnan(right):
                raise TypeError("not a number has no order")
            return _ordered(op, left, right)


def _ordered(op: Op, left: float, right: float) -> bool:
    match op:
        case Op.LESS:
            return left < right
        case Op.AT_MOST:
            return left <= right
        case Op.MORE:
            return left > right
        case Op.AT_LEAST:
            return left >= right
        case _:
            raise AssertionError(f"expected a comparison; got {op}")
