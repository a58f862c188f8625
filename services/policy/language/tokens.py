"""The words of a `when`: from characters to tokens, with a bound before the first one.

Everything outside quotes is ASCII; inside quotes stands no control character, and none that turns the direction of
writing, so that what a reviewer sees is what is evaluated. What people bring along from other languages (`and`, `=`,
`'''`) is refused with the word for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.policy.language.tree import At, NotInLanguage

LENGTH_MAX: Final = 4_096
"""Characters of one `when`."""
LENGTH_TOGETHER_MAX: Final = 400_000
"""Characters of all conditions of a bundle: what is read in a second or two."""
TOKENS_MAX: Final = 1_024
NAME_MAX: Final = 64
INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1

RESERVED: Final = frozenset({
    "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "lists",
    "loop", "namespace", "null", "package", "return", "true", "var", "void", "while", "size", "matches", "startsWith",
    "endsWith", "contains", "all", "exists", "exists_one", "filter", "has", "map", "type", "duration", "timestamp",
    "int", "uint", "double", "string", "bool", "bytes", "dyn", "list",
})  # fmt: skip
"""Words that name no list."""

OTHER_WORDS: Final = {
    "and": "&&",
    "or": "||",
    "not": "!",
    "AND": "&&",
    "OR": "||",
    "NOT": "!",
    "True": "true",
    "False": "false",
    "=": "==",
    "&": "&&",
    "|": "||",
    "<>": "!=",
    "=>": ">=",
    "=<": "<=",
}
"""Of other languages, each with ours."""

_TURNS: Final = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_SPACE: Final = re.compile(r"[ \t\r\n]+")
_NUMBER: Final = re.compile(r"(?:[0-9]+(\.[0-9]+)?|(\.[0-9]+))([eE][+-]?[0-9]+)?")
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR: Final = re.compile(r"&&|\|\||[=!<>]=|<>|=>|=<|[-!<>+*/%?:()\[\],.=&|]")
_QUOTED: Final = re.compile(r"([A-Za-z]{0,2})([\"'])")
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'"}


class Kind(StrEnum):
    NAME = "a name"
    NUMBER = "a number"
    STRING = "a string"
    OPERATOR = "an operator"
    END = "the end"


@dataclass(frozen=True, slots=True)
class Token:
    """`text` is what is written (a string's content, unescaped); `value` of a number is what it means, unsigned."""

    kind: Kind
    text: str
    at: At
    value: int | float = 0


class _Reading:
    """A position in a text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.offset = 0
        self._line = 1
        self._line_began = 0

    @property
    def at(self) -> At:
        return At(self._line, self.offset - self._line_began + 1)

    def take(self, length: int) -> str:
        taken = self.text[self.offset : self.offset + length]
        self.offset += length
        newlines = taken.count("\n")
        if newlines:
            self._line += newlines
            self._line_began = self.offset - len(taken) + taken.rindex("\n") + 1
        return taken

    def refuse(self, what: str, instead: str) -> NotInLanguage:
        return NotInLanguage(self.at, what, instead)


def tokens(text: str) -> list[Token]:
    """All tokens, and one `END` after them."""
    if len(text) > LENGTH_MAX:
        raise NotInLanguage(At(1, 1), f"{len(text)} characters", f"write {LENGTH_MAX} at most; split the rule in two")
    reading = _Reading(text)
    found: list[Token] = []
    while True:
        space = _SPACE.match(text, reading.offset)
        if space:
            reading.take(len(space[0]))
        if reading.offset == len(text):
            return [*found, Token(Kind.END, "", reading.at)]
        if len(found) == TOKENS_MAX:
            raise reading.refuse(f"more than {TOKENS_MAX} words", "split the rule in two")
        found.append(_token(reading))


def _token(reading: _Reading) -> Token:
    text, offset, at = reading.text, reading.offset, reading.at
    if text.startswith("//", offset):
        raise reading.refuse("a comment inside the expression", "write it in the YAML, after #")
    quoted = _QUOTED.match(text, offset)
    if quoted:
        if quoted[1] not in ("", "r", "R"):
            raise reading.refuse(f"the prefix {quoted[1]!r} of a string", 'write "..." or r"..."')
        reading.take(len(quoted[1]))
        return Token(Kind.STRING, _string(reading, raw=bool(quoted[1])), at)
    number = _NUMBER.match(text, offset)
    if number:
        return _number(reading, number, at)
    word = _WORD.match(text, offset)
    if word:
        if word[0] in OTHER_WORDS:
            raise reading.refuse(f"{word[0]} is of another language", f"write {OTHER_WORDS[word[0]]}")
        if len(word[0]) > NAME_MAX:
            raise reading.refuse(f"a name of {len(word[0])} characters", f"no name has more than {NAME_MAX}")
        return Token(Kind.NAME, reading.take(len(word[0])), at)
    operator = _OPERATOR.match(text, offset)
    if operator is None:
        raise reading.refuse(
            f"the character U+{ord(text[offset]):04X}", "outside quotes stand names, numbers and operators"
        )
    if operator[0] in OTHER_WORDS:
        raise reading.refuse(f"{operator[0]} is of another language", f"write {OTHER_WORDS[operator[0]]}")
    return Token(Kind.OPERATOR, reading.take(len(operator[0])), at)


def _number(reading: _Reading, number: re.Match[str], at: At) -> Token:
    after = reading.text[number.end() : number.end() + 1]
    if number[2]:
        raise reading.refuse(f"{number[0][:20]} without a digit before the point", "write 0.5, not .5")
    if after.isalnum() or after in ("_", "."):
        raise reading.refuse(
            f"{number[0][:20]}{after} is not a number here", "write decimal digits, such as 3, 0.25 or 1e3"
        )
    if number[1] is None and number[3] is None:
        if len(number[0]) > 19 or int(number[0]) > INT_MAX + 1:  # one more than the largest: it may follow a minus
            raise reading.refuse(f"{number[0][:24]} is too large", f"an int is {INT_MAX} at most")
        value: int | float = int(number[0])
    else:
        value = float(number[0])
        if value == float("inf"):
            raise reading.refuse(f"{number[0][:24]} is too large", "a double is 1.7e308 at most")
    return Token(Kind.NUMBER, reading.take(len(number[0])), at, value)


def _string(reading: _Reading, *, raw: bool) -> str:
    opened = reading.at
    quote = reading.take(1)
    if reading.text.startswith(quote * 2, reading.offset):
        raise NotInLanguage(opened, "a string in three quotes", f"write it in one: {quote}...{quote}")
    content: list[str] = []
    while True:
        at = reading.at
        letter = reading.take(1)
        if letter == "":
            raise NotInLanguage(opened, "a string that does not end", f"close it with {quote}")
        if letter == quote:
            return "".join(content)
        if letter < " " or "\x7f" <= letter < "\xa0" or "\ud800" <= letter <= "\udfff" or _TURNS.match(letter):
            raise NotInLanguage(
                at, f"the character U+{ord(letter):04X} in a string", r'write an escape: "\n", "\u00e9"'
            )
        content.append(_escaped(reading, at) if letter == "\\" and not raw else letter)


def _escaped(reading: _Reading, at: At) -> str:
    letter = reading.take(1)
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    digits = reading.take(4) if letter == "u" else ""
    if re.fullmatch(r"[0-9a-fA-F]{4}", digits):
        code = int(digits, 16)
        if code and not 0xD800 <= code <= 0xDFFF:
            return chr(code)
        raise NotInLanguage(at, f"\\u{digits} is no character", "write one that a network can send")
    raise NotInLanguage(
        at, f"the escape \\{letter[:1]}", r'write \\ for a backslash, or r"..." where none is an escape'
    )
