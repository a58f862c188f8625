"""From tokens to a tree, by descent. Bounds in depth, size and chains hold while it reads, not afterwards.

The precedences are CEL's. Two things that CEL allows are refused because people misread them: comparisons in a chain
(`1 < hour < 5`) and a sign before a sign.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Final

from services.policy.attributes import ATTRIBUTES, Value
from services.policy.language import patterns
from services.policy.language.tokens import INT_MAX, Kind, Token, tokens
from services.policy.language.tree import (
    COMPARES,
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
    NotInLanguage,
    Op,
    Size,
    Text,
    Word,
)

DEPTH_MAX: Final = 16
"""Of parentheses, signs, choices and arguments within each other. The library's parser dies of a hundred."""
NODES_MAX: Final = 256
CHAIN_MAX: Final = 16
"""Terms of one sum or product: these nest, one for each."""
ITEMS_MAX: Final = 64
"""Of a list that is written in the rule; a longer one is a named list."""

_COMPREHENSIONS: Final = ("all", "exists", "exists_one", "filter", "map", "has")
_METHODS: Final = ("startsWith", "endsWith", "contains", "matches", "size")


def parse(text: str) -> Node:
    """The tree of a whole `when`, untyped. Raises `NotInLanguage`."""
    reader = _Reader(tokens(text))
    found = reader.choice()
    reader.end()
    return found


class _Reader:
    def __init__(self, words: list[Token]) -> None:
        self._words = words
        self._here = 0
        self._depth = 0
        self._nodes = 0

    # The words

    @property
    def _next(self) -> Token:
        return self._words[self._here]

    def _sees(self, operator: str) -> bool:
        return self._next.kind is Kind.OPERATOR and self._next.text == operator

    def _sees_in(self) -> bool:
        return self._next.kind is Kind.NAME and self._next.text == "in"

    def _take(self) -> Token:
        taken = self._next
        self._here += 1
        return taken

    def _accept(self, operator: str) -> Token | None:
        return self._take() if self._sees(operator) else None

    def _expect(self, operator: str, what_for: str) -> Token:
        if not self._sees(operator):
            raise NotInLanguage(self._next.at, f"{self._told()} where {operator} should stand", what_for)
        return self._take()

    def _told(self) -> str:
        word = self._next
        return word.kind.value if word.kind in (Kind.END, Kind.STRING) else word.text[:40]

    def end(self) -> None:
        if self._next.kind is not Kind.END:
            raise NotInLanguage(
                self._next.at, f"{self._told()} after the end of the condition", "join conditions with && or ||"
            )

    # Bounds

    def _count(self, at: At) -> None:
        self._nodes += 1
        if self._nodes > NODES_MAX:
            raise NotInLanguage(at, f"more than {NODES_MAX} parts", "split the rule in two, or use a named list")

    def _below(self, at: At, read: Callable[[], Node]) -> Node:
        if self._depth == DEPTH_MAX:
            raise NotInLanguage(at, "nested too deeply", f"{DEPTH_MAX} levels at most; split the rule in two")
        self._depth += 1
        found = read()
        self._depth -= 1
        return found

    # Choices, && and ||

    def choice(self) -> Node:
        condition = self._or()
        mark = self._accept("?")
        if mark is None:
            return condition
        self._count(mark.at)
        then = self._below(mark.at, self._or)
        self._expect(":", "write condition ? one : other, a choice within it in parentheses")
        return Choice(condition, then, self._below(mark.at, self.choice), mark.at)

    def _or(self) -> Node:
        return self._junction(Word.OR, lambda: self._junction(Word.AND, self._comparison))

    def _junction(self, word: Word, read: Callable[[], Node]) -> Node:
        first = read()
        if not self._sees(word.value):
            return first
        at = self._next.at
        self._count(at)
        found = [first]
        while self._accept(word.value):
            found.append(read())
        flat: list[Node] = []
        for part in found:
            flat += part.parts if isinstance(part, Junction) and part.word is word else (part,)
        return Junction(word, tuple(flat), at)

    # Comparisons and calculations

    def _comparison(self) -> Node:
        left = self._sum()
        if self._sees_in():
            return self._member(left)
        operator = self._next
        if operator.kind is not Kind.OPERATOR or operator.text not in COMPARES:
            return left
        self._count(self._take().at)
        found = Binary(Op(operator.text), left, self._sum(), operator.at)
        if self._sees_in() or (self._next.kind is Kind.OPERATOR and self._next.text in COMPARES):
            raise NotInLanguage(self._next.at, "comparisons in a chain", "write a < b && b < c, or parentheses")
        return found

    def _sum(self) -> Node:
        return self._chain((Op.PLUS, Op.MINUS), lambda: self._chain((Op.TIMES, Op.OVER, Op.MODULO), self._signed))

    def _chain(self, operators: tuple[Op, ...], read: Callable[[], Node]) -> Node:
        found = read()
        length = 1
        while self._next.kind is Kind.OPERATOR and self._next.text in operators:
            operator = self._take()
            self._count(operator.at)
            length += 1
            if length > CHAIN_MAX:
                raise NotInLanguage(operator.at, "a long calculation", f"{CHAIN_MAX} terms at most")
            found = Binary(Op(operator.text), found, read(), operator.at)
        return found

    def _signed(self) -> Node:
        sign = self._accept("!") or self._accept("-")
        if sign is None:
            return self._primary()
        if self._sees("!") or self._sees("-"):
            raise NotInLanguage(self._next.at, f"{self._next.text} after {sign.text}", "write one sign, or parentheses")
        self._count(sign.at)
        if sign.text == "!":
            return Not(self._below(sign.at, self._primary), sign.at)
        if self._next.kind is Kind.NUMBER:
            return Literal(-self._take().value, sign.at)
        return Negative(self._below(sign.at, self._primary), sign.at)

    # Values

    def _primary(self) -> Node:
        word = self._next
        self._count(word.at)
        if word.kind is Kind.OPERATOR and word.text == "(":
            self._take()
            found = self._below(word.at, self.choice)
            self._expect(")", "close the parenthesis")
        elif word.kind is Kind.NAME and word.text not in ("true", "false"):
            found = self._name()
        else:
            found = Literal(self._literal(), word.at)
        return self._method(found) if self._sees(".") else found

    def _literal(self) -> Value:
        word = self._next
        if word.kind is Kind.NAME and word.text in ("true", "false"):
            return self._take().text == "true"
        if word.kind is Kind.STRING:
            return self._take().text
        if word.kind is Kind.NUMBER:
            if isinstance(word.value, int) and word.value > INT_MAX:
                raise NotInLanguage(word.at, f"{word.value} is too large", f"an int is {INT_MAX} at most")
            return self._take().value
        if word.kind is Kind.OPERATOR and word.text in "[{":
            raise NotInLanguage(word.at, "a list or map as a value", "a list stands on the right of `in` alone")
        raise NotInLanguage(word.at, f"{self._told()} where a value should stand", "write a name, number or string")

    def _name(self) -> Node:
        word = self._take()
        if word.text in ATTRIBUTES:
            return Name(word.text, word.at)
        if word.text == "lists":
            raise NotInLanguage(word.at, "a list as a value", "write NAME in lists.LIST")
        if word.text in _COMPREHENSIONS:
            raise NotInLanguage(word.at, f"{word.text} walks through a list", "write NAME in lists.LIST")
        if self._sees("("):
            methods = ", ".join(f".{method}()" for method in _METHODS)
            raise NotInLanguage(word.at, f"the function {word.text}", f"there are {methods}, after a name")
        near = get_close_matches(word.text, ATTRIBUTES, 1, 0.6)
        raise NotInLanguage(
            word.at,
            f"no attribute is called {word.text}",
            f"did you mean {near[0]}?" if near else "docs/policy-language.md lists them",
        )

    def _method(self, text: Node) -> Node:
        dot = self._take()
        self._count(dot.at)
        method = self._next
        if method.kind is not Kind.NAME or method.text not in _METHODS:
            if method.text in _COMPREHENSIONS:
                raise NotInLanguage(method.at, f"{method.text} walks through a list", "write NAME in lists.LIST")
            raise NotInLanguage(method.at, f"no method is called {self._told()}", f"there are {', '.join(_METHODS)}")
        self._take()
        self._expect("(", f"write .{method.text}(...)")
        if method.text == "size":
            self._expect(")", "write .size()")
            return Size(self._asked(text, "size()"), method.at)
        if method.text == "matches":
            return self._matches(text, method.at)
        other = self._below(method.at, self.choice)
        self._expect(")", "close the parenthesis")
        return Text(Asks(method.text), text, other, method.at)

    def _matches(self, text: Node, at: At) -> Node:
        name = self._asked(text, "matches()")
        if self._next.kind is not Kind.STRING:
            raise NotInLanguage(self._next.at, "a pattern that is not written here", 'write .matches("...")')
        written = self._take()
        self._expect(")", "close the parenthesis")
        return Matches(name, written.text, patterns.read(written.text, written.at).engine, at)

    def _asked(self, node: Node, what: str) -> str:
        if not isinstance(node, Name):
            raise NotInLanguage(node.at, f"{what} of something calculated", f"{what} follows an attribute's name")
        return node.name

    # in

    def _member(self, left: Node) -> Node:
        at = self._take().at
        self._count(at)
        name = self._asked(left, "`in`")
        if self._accept("["):
            return Member(name, "", self._items(at), at)
        word = self._take()
        if word.kind is not Kind.NAME or word.text != "lists":
            raise NotInLanguage(word.at, "`in` something that is no list", 'write in lists.LIST or in ["a", "b"]')
        self._expect(".", "write lists.LIST")
        chosen = self._take()
        if chosen.kind is not Kind.NAME:
            raise NotInLanguage(chosen.at, "a list without a name", "write lists.LIST")
        return Member(name, chosen.text, (), at)

    def _items(self, at: At) -> tuple[Value, ...]:
        items: list[Value] = []
        while True:
            self._count(self._next.at)
            sign = self._accept("-")
            if sign is not None and self._next.kind is Kind.NUMBER:
                items.append(-self._take().value)
            else:
                items.append(self._literal())
            if len(items) > ITEMS_MAX:
                raise NotInLanguage(at, f"a list of more than {ITEMS_MAX} items", "name it under `lists`")
            if self._accept("]"):
                return tuple(items)
            self._expect(",", 'write ["a", "b"]')
