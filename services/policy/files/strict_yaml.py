"""YAML as a stream of events, each met by what may stand there; for files that strangers wrote.

Nothing is built before it is counted, so no text can grow in here: size first, then UTF-8, then events (PyYAML, libyaml
beneath). Aliases, anchors, tags, merge keys, directives, duplicate keys and second documents are refused where they
appear, and nesting is as deep as the reader asks, no deeper. Values are taken as they are written: a plain
`+15085550101` stays a number with its plus, `no` stays a word.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final, TypeVar

import yaml

TEXT_BYTES_MAX: Final = 4 * 1024
NAME_CHARS_MAX: Final = 64
LINE_CHARS_MAX: Final = 256

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLAIN_NOTHING: Final = frozenset({"", "~", "null", "Null", "NULL"})
_DIRECTIVE: Final = re.compile("(?:^|[\n\r\x85\u2028\u2029])%")
_INTEGER: Final = re.compile(r"0|[1-9][0-9]{0,15}")
_DECIMAL: Final = re.compile(r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,18})?([eE]-?[0-9]{1,2})?")
_INSTANT: Final = re.compile(r"2[0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z")

T = TypeVar("T")


class FileRefused(Exception):
    """A file that is not what it should be. `line` is from 1; 0 where none is to blame, such as for its size."""

    def __init__(self, line: int, what: str, instead: str) -> None:
        super().__init__(f"line {line}: {what}; {instead}" if line else f"{what}; {instead}")
        self.line = line
        self.what = what
        self.instead = instead


def text_of(content: bytes, bytes_max: int) -> str:
    """The file's text; raises FileRefused past `bytes_max`, where it is not UTF-8, and for directives."""
    if len(content) > bytes_max:
        raise FileRefused(0, f"more than {bytes_max} bytes", "split it, or keep fewer items")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FileRefused(line, f"byte {error.start} is not UTF-8", "save the file as UTF-8") from None
    directive = _DIRECTIVE.search(text)
    if directive is not None:
        # Not left to the parser: its time goes with the square of the directives' number.
        line = text.count("\n", 0, directive.end()) + 1
        raise FileRefused(line, "a line begins with %, a YAML directive", "remove it: none is needed")
    return text


class Cursor:
    """One pass over the events of a text. Each method expects one thing and takes it whole, or raises FileRefused."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._events = iter(yaml.parse(text, Loader=_LOADER))
        self._key = ""
        """The field that is being read, for what a refusal says."""

    def begin(self) -> yaml.Event:
        """The first event of the one document."""
        self.next()  # the stream's start
        if isinstance(self.next(), yaml.StreamEndEvent):
            raise FileRefused(1, "there is nothing in it", "write `key: value` lines")
        return self.next()

    def end(self) -> None:
        """Refuses what follows the document."""
        self.next()  # the document's end
        after = self.next()
        if not isinstance(after, yaml.StreamEndEvent):
            raise self.refuse(after, "a second document begins", "one file holds one: remove what follows ---")

    # Mappings and sequences.

    def fields(self, event: yaml.Event, known: tuple[str, ...], required: tuple[str, ...]) -> Iterator[str]:
        """The keys of a mapping that has `known` ones only; whoever iterates takes each value."""
        seen = set()
        for key, line in self.entries(event, len(known) + 1, "fields"):
            if key not in known:
                near = difflib.get_close_matches(key[:NAME_CHARS_MAX], known, n=1)
                raise FileRefused(
                    line,
                    f"unknown field {key[:80]!r}",
                    f"is {near[0]} meant?" if near else f"known: {', '.join(known)}",
                )
            seen.add(key)
            self._key = key
            yield key
        missing = [key for key in required if key not in seen]
        if missing:
            raise self.refuse(event, f"{', '.join(missing)} missing", f"write {missing[0]}: here")

    def entries(self, event: yaml.Event, entries_max: int, what: str) -> Iterator[tuple[str, int]]:
        """The keys of a mapping, with their lines."""
        if not isinstance(event, yaml.MappingStartEvent):
            raise self.refuse(event, f"no mapping{self.where()}", "write `key: value` lines")
        lines: dict[str, int] = {}
        while not isinstance(key := self.next(), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                raise self.refuse(key, "a key is no word", "write `key: value`")
            name = self.text_of(key)
            if name == "<<":
                raise self.refuse(key, "a merge key", "write the fields out")
            if name in lines:
                what_twice = f"{name[:80]!r} is there twice, first at line {lines[name]}"
                raise self.refuse(key, what_twice, "keep one of the two")
            lines[name] = line_of(key)
            if len(lines) > entries_max:
                raise self.refuse(key, f"more than {entries_max} {what}", "keep fewer")
            yield name, lines[name]

    def sequence(self, read: Callable[[yaml.Event], T], items_max: int, what: str) -> Iterator[T]:
        """Each item of a list, as `read` takes it from its first event on."""
        start = self.next()
        if not isinstance(start, yaml.SequenceStartEvent):
            raise self.refuse(start, f"no list of {what}", "write one `- ` line for each")
        count = 0
        while not isinstance(event := self.next(), yaml.SequenceEndEvent):
            count += 1
            if count > items_max:
                raise self.refuse(event, f"more than {items_max} {what}", "keep fewer")
            yield read(event)

    # Scalars.

    def scalar(self) -> tuple[yaml.ScalarEvent, str]:
        """One value, and its text."""
        event = self.next()
        if not isinstance(event, yaml.ScalarEvent):
            raise self.refuse(event, f"no plain value{self.where()}", "write a word, a number or a text")
        return event, self.text_of(event)

    def text_of(self, event: yaml.ScalarEvent) -> str:
        """A scalar's text, as it is written."""
        value = str(event.value)
        if not event.style and value in _PLAIN_NOTHING:
            raise self.refuse(event, f"nothing is said{self.where()}", "write a value, or leave the field out")
        if len(value.encode()) > TEXT_BYTES_MAX:
            raise self.refuse(event, f"a text of more than {TEXT_BYTES_MAX} bytes", "write less")
        return value

    def string(self) -> str:
        """A text that is not blank."""
        event, value = self.scalar()
        if not value.strip():
            raise self.refuse(event, f"{self._key}: an empty text", "write it, in quotes where it begins oddly")
        return value

    def line_of_text(self) -> str:
        """A text of one line, such as a person's name."""
        event, value = self.scalar()
        if not value.strip() or len(value) > LINE_CHARS_MAX or not value.isprintable():
            raise self.refuse(event, f"{self._key}: no line of 1 to {LINE_CHARS_MAX} characters", "name somebody")
        return value

    def named(self, shape: re.Pattern[str], instead: str) -> str:
        """A name of this shape."""
        event, value = self.scalar()
        if shape.fullmatch(value) is None or len(value) > NAME_CHARS_MAX:
            raise self.refuse(event, f"{self._key}: {value[:80]!r}", f"write {instead}")
        return value

    def one_of(self, words: list[str]) -> str:
        """One of these words."""
        event, value = self.scalar()
        if value not in words:
            raise self.refuse(event, f"{self._key}: {value[:80]!r}", f"write one of {', '.join(words)}")
        return value

    def integer(self, least: int, most: int) -> int:
        """A whole number, not in quotes."""
        event, value = self.scalar()
        if event.style or _INTEGER.fullmatch(value) is None or not least <= int(value) <= most:
            raise self.refuse(event, f"{self._key}: {value[:40]!r}", f"write a whole number from {least} to {most}")
        return int(value)

    def decimal(self, least: float, most: float) -> float:
        """A number, not in quotes."""
        event, value = self.scalar()
        if event.style or _DECIMAL.fullmatch(value) is None or not least <= float(value) <= most:
            raise self.refuse(event, f"{self._key}: {value[:40]!r}", f"write a number from {least:g} to {most:g}")
        return float(value)

    def instant(self) -> int:
        """An instant, in milliseconds since 1970."""
        event, value = self.scalar()
        try:
            if _INSTANT.fullmatch(value) is None:
                raise ValueError(value)
            return round(datetime.fromisoformat(value).timestamp()) * 1000
        except ValueError:
            what = f"{self._key}: {value[:40]!r}"
            raise self.refuse(event, what, "write an instant in UTC: 2027-01-01T00:00:00Z") from None

    # Events.

    def next(self) -> yaml.Event:
        """The next event, where it is one that may be at all."""
        try:
            event: yaml.Event = next(self._events)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark is not None else 0
            raise FileRefused(line, f"not YAML: {error.problem or error.context}", "mend it there") from None
        except yaml.reader.ReaderError as error:
            line = self._text.count("\n", 0, error.position) + 1
            raise FileRefused(line, f"not YAML: {error.reason}", "remove that character") from None
        except yaml.YAMLError:
            raise FileRefused(0, "not YAML", "mend it") from None
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise self.refuse(event, "an anchor or alias", "write the value out where it is meant")
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise self.refuse(event, f"a tag, {str(tag)[:80]!r}", "write the value alone")
        return event

    def where(self) -> str:
        """The field that is read, for a refusal."""
        return f" for {self._key}" if self._key else ""

    def refuse(self, event: yaml.Event, what: str, instead: str) -> FileRefused:
        """A refusal at this event."""
        return FileRefused(line_of(event), what, instead)


def line_of(event: yaml.Event) -> int:
    """Where an event begins, from 1."""
    return int(event.start_mark.line) + 1 if event.start_mark is not None else 0
