r"""Patterns for `matches`: a part of RE2 whose cost is known before anything is compiled.

The library compiles a pattern again at each evaluation, and fifty of its `\w` take a tenth of a second. So a pattern
is a literal, is read here, counted, and compiled once by the same linear-time engine. `\d \w \s` mean ASCII. A match
costs at most the text's length times `STATES_MAX`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pydantic_core import SchemaValidator, core_schema

from services.policy.language.tree import At, NotInLanguage

PATTERN_MAX: Final = 200
"""Characters of one pattern."""
STATES_MAX: Final = 250
"""What one pattern may need of the engine, by the count that is made here."""
PATTERNS_MAX: Final = 100
"""Different ones of one bundle: each may come to hold two megabytes once it is used."""
REPEAT_MAX: Final = 64
DEPTH_MAX: Final = 6
WIDE_STATES: Final = 12
"""What `.` and a class that is turned round need: all of Unicode, in bytes."""
FOLDED: Final = 3
"""What ignoring case multiplies."""

_CLASSES: Final = {
    "d": "0-9",
    "w": "0-9A-Za-z_",
    "s": r"\t\n\x0b\x0c\r ",
}
_SPECIAL: Final = set(r"\.+*?()|[]{}^$-/")
_CONTROLS: Final = {"n": r"\n", "t": r"\t", "r": r"\r"}


@dataclass(frozen=True, slots=True)
class Pattern:
    """`engine` is what is compiled; `states` what it was counted to need."""

    engine: str
    states: int


def read(written: str, at: At) -> Pattern:
    """Raises `NotInLanguage` at `at`, the place of the string; the words tell the character within it."""
    if len(written) > PATTERN_MAX:
        raise NotInLanguage(at, f"a pattern of {len(written)} characters", f"write {PATTERN_MAX} at most")
    reader = _Reader(written, at)
    folds = written.startswith("(?i)")
    reader.offset = 4 if folds else 0
    engine, states = reader.branches(0)
    if reader.offset < len(written):
        raise reader.refuse(f"{written[reader.offset]} closes nothing", "write a backslash before it")
    states *= FOLDED if folds else 1
    reader.bound(states)
    return Pattern(("(?i)" if folds else "") + engine, states)


class _Reader:
    """Descends once through a pattern, and writes it again for the engine."""

    def __init__(self, written: str, at: At) -> None:
        self._written = written
        self._at = at
        self.offset = 0

    def refuse(self, what: str, instead: str) -> NotInLanguage:
        return NotInLanguage(self._at, f"in the pattern, character {self.offset + 1}: {what}", instead)

    def bound(self, states: int) -> None:
        if states > STATES_MAX:
            raise self.refuse(f"too costly ({states} states)", f"use fewer repeats and dots: {STATES_MAX} at most")

    def branches(self, depth: int) -> tuple[str, int]:
        engine, states = self._branch(depth)
        while self._next() == "|":
            self.offset += 1
            other, more = self._branch(depth)
            engine, states = f"{engine}|{other}", states + more
        return engine, states

    def _next(self) -> str:
        return self._written[self.offset : self.offset + 1]

    def _branch(self, depth: int) -> tuple[str, int]:
        written: list[str] = []
        states = 0
        while self._next() not in ("", "|", ")"):
            engine, needed = self._repeated(*self._one(depth))
            written.append(engine)
            states += needed
            self.bound(states)
        if not written:
            raise self.refuse("an empty pattern or branch matches everything", "write what it should match")
        return "".join(written), states

    def _one(self, depth: int) -> tuple[str, int]:
        letter = self._next()
        if letter == "(":
            return self._group(depth)
        if letter == "[":
            return self._class()
        self.offset += 1
        if letter == "\\":
            return self._escape()
        if letter in "^$":
            return (r"\A" if letter == "^" else r"\z"), 0
        if letter == ".":
            return ".", WIDE_STATES
        if letter in "*+?{}]":
            self.offset -= 1
            raise self.refuse(f"{letter} with nothing to repeat", f"write \\{letter} for the character itself")
        return letter, len(letter.encode())

    def _group(self, depth: int) -> tuple[str, int]:
        if depth == DEPTH_MAX:
            raise self.refuse("groups in groups, too deep", f"{DEPTH_MAX} at most")
        self.offset += 1
        if self._written.startswith("?", self.offset):
            if not self._written.startswith("?:", self.offset):
                raise self.refuse("a group with an option", "write (...), (?:...), or (?i) at the very beginning")
            self.offset += 2
        engine, states = self.branches(depth + 1)
        if self._next() != ")":
            raise self.refuse("a group that does not end", "close it with )")
        self.offset += 1
        return f"(?:{engine})", states

    def _escape(self) -> tuple[str, int]:
        letter = self._next()
        self.offset += 1
        if letter.lower() in _CLASSES and letter:
            turned = letter.isupper()
            return f"[{'^' if turned else ''}{_CLASSES[letter.lower()]}]", WIDE_STATES if turned else 1
        if letter in _SPECIAL:
            return f"\\{letter}", 1
        if letter in _CONTROLS:
            return _CONTROLS[letter], 1
        self.offset -= 1
        raise self.refuse(f"the escape \\{letter}", r"there are \d \w \s \D \W \S \n \t \r and the special characters")

    def _class(self) -> tuple[str, int]:
        self.offset += 1
        turned = self._next() == "^"
        self.offset += turned
        written: list[str] = []
        while self._next() != "]":
            first = self._in_class()
            if self._next() == "-" and self._written[self.offset + 1 : self.offset + 2] not in ("]", ""):
                self.offset += 1
                last = self._in_class()
                if len(first) > 1 or len(last) > 1 or first > last:
                    raise self.refuse("a range from a later to an earlier character", "write it as a-z")
                written.append(f"{_literal(first)}-{_literal(last)}")
            else:
                written.append(first if len(first) > 1 else _literal(first))
        if not written:
            raise self.refuse("an empty class", r"write \] for the character itself")
        self.offset += 1
        return f"[{'^' if turned else ''}{''.join(written)}]", WIDE_STATES if turned else 1

    def _in_class(self) -> str:
        """One character, or more of them: what an escape stands for."""
        letter = self._next()
        if letter == "":
            raise self.refuse("a class that does not end", "close it with ]")
        if letter == "[" or letter > "~":
            raise self.refuse(f"{letter} in a class", r"write ASCII in classes, and \[ for a bracket")
        self.offset += 1
        if letter != "\\":
            return letter
        escaped = self._next()
        self.offset += 1
        if escaped in _CLASSES:
            return _CLASSES[escaped]
        if escaped in _SPECIAL:
            return escaped
        self.offset -= 1
        raise self.refuse(f"the escape \\{escaped} in a class", r"there are \d \w \s and the special characters")

    def _repeated(self, engine: str, states: int) -> tuple[str, int]:
        letter = self._next()
        if letter == "" or letter not in "*+?{":
            return engine, states
        if states == 0:
            raise self.refuse("an anchor, or nothing, repeated", "repeat what has a length")
        if letter != "{":
            self.offset += 1
            mark, needed = letter, states + 1
        else:
            mark, needed = self._counted(states)
        following = self._next()
        if following and following in "*+?{":
            raise self.refuse("a repeat of a repeat", "write one; whether it is lazy or not makes no difference here")
        return engine + mark, needed

    def _counted(self, states: int) -> tuple[str, int]:
        end = self._written.find("}", self.offset)
        low, comma, high = self._written[self.offset + 1 : max(end, self.offset)].partition(",")
        counts = [int(each) for each in (low, high) if each.isascii() and each.isdigit() and len(each) <= 2]
        if end < 0 or len(counts) != (2 if high else 1) or not low or counts[-1] < counts[0]:
            raise self.refuse("a count that cannot be read", "write {3}, {2,} or {2,5}, or \\{ for the character")
        if not 1 <= counts[-1] <= REPEAT_MAX:
            raise self.refuse(f"{counts[-1]} repeats", f"from 1 to {REPEAT_MAX}")
        self.offset = end + 1
        return f"{{{low}{comma}{high}}}", states * counts[-1] + 1


def _literal(letter: str) -> str:
    return f"\\{letter}" if letter in _SPECIAL or letter in "&~" else letter


@lru_cache(maxsize=4 * PATTERNS_MAX)
def compiled(engine: str) -> SchemaValidator:
    """The pattern, compiled once; `isinstance_python(text)` says whether it is found anywhere in a text."""
    return SchemaValidator(core_schema.str_schema(pattern=engine, regex_engine="rust-regex"))
