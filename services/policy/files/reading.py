"""A bundle's file, read as hostile input: whatever the bytes are, a Bundle or one refusal.

A policy file comes from generators, editors and worse (Cloudflare's list of November 2025 had doubled). What YAML can
do to a reader is `strict_yaml.py`'s to refuse; here stands what a bundle may say, and how much of it. A refusal says
its line, what was wrong, and what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

import yaml

from services.domain.policy import Divert, Flag, Pass, Verdict
from services.policy.attributes import Listed
from services.policy.bundle import DEFAULT_CANARY, Bundle, CanaryStep, Limits, NamedList, Rule
from services.policy.files.strict_yaml import NAME_CHARS_MAX, Cursor, FileRefused, line_of, text_of

BYTES_MAX: Final = 4 * 1024 * 1024
RULES_MAX: Final = 1_000
LISTS_MAX: Final = 100
LIST_ITEMS_MAX: Final = 100_000
ITEMS_MAX: Final = 500_000
"""Of all lists together."""
ITEM_CHARS_MAX: Final = 128
STEPS_MAX: Final = 20
VERSION_MAX: Final = 2**53
CALLS_MIN_MAX: Final = 1_000_000
MINUTES_MIN_MAX: Final = 7 * 24 * 60.0

_NEVER: Final = frozenset(
    "abort ban block busy cut deny discard drop forbid hangup ignore kill none reject release silence throttle".split()  # noqa: SIM905
)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")
_WORD: Final = re.compile(r"[a-z][a-z0-9_]*")
_SHAPES: Final[Mapping[Listed, tuple[re.Pattern[str], str]]] = {
    Listed.NUMBER: (re.compile(r"\+?[0-9]{1,15}"), "a number, best in E.164: +15085550101"),
    Listed.CELL: (re.compile(r"-?[0-9]{1,2}\.[0-9]{2},-?[0-9]{1,3}\.[0-9]{2}"), 'a cell in quotes: "42.36,-71.06"'),
    Listed.DEVICE: (re.compile("wireless|wireline|voip|text|alarm|unknown"), "wireless, wireline, voip, text or alarm"),
}
_ITEM: Final = f"for each item write 1 to {ITEM_CHARS_MAX} printable characters"

BundleRefused = FileRefused


def read_bundle(content: bytes) -> Bundle:
    """The bundle of a file's bytes; raises BundleRefused. `digest` is the SHA-256 of these very bytes."""
    return _Reading(text_of(content, BYTES_MAX)).bundle(sha256(content).hexdigest())


class _Reading(Cursor):
    """A bundle from its events."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._items = 0

    def bundle(self, digest: str) -> Bundle:
        first = self.begin()
        name = author = ""
        version = 0
        rules: tuple[Rule, ...] = ()
        lists: dict[str, NamedList] = {}
        limits = Limits()
        canary: tuple[CanaryStep, ...] = DEFAULT_CANARY
        known = ("name", "version", "author", "lists", "limits", "canary", "rules")
        for key in self.fields(first, known, ("name", "version", "author")):
            match key:
                case "name":
                    name = self.named(_NAME, "small letters, digits, - and _: nuisance-callers")
                case "version":
                    version = self.integer(1, VERSION_MAX)
                case "author":
                    author = self.line_of_text()
                case "lists":
                    lists = self._lists()
                case "limits":
                    limits = self._limits()
                case "canary":
                    canary = tuple(self.sequence(self._step, STEPS_MAX, "steps"))
                case _:
                    rules = self._rules()
        self.end()
        if not canary:
            raise self.refuse(first, "canary has no step", "write a step, or leave canary out")
        return Bundle(name, version, author, rules, lists, limits, canary, digest)

    # The parts of a bundle.

    def _lists(self) -> dict[str, NamedList]:
        found: dict[str, NamedList] = {}
        for name, line in self.entries(self.next(), LISTS_MAX, "lists"):
            if _WORD.fullmatch(name) is None or len(name) > NAME_CHARS_MAX:
                raise BundleRefused(line, f"a list is named {name[:80]!r}", "use small letters, digits and _")
            found[name] = self._list(name, line)
        return found

    def _list(self, name: str, line: int) -> NamedList:
        kind: Listed | None = None
        items: list[tuple[int, str]] = []
        for key in self.fields(self.next(), ("kind", "items"), ("kind", "items")):
            if key == "kind":
                kind = Listed(self.one_of([each.value for each in Listed]))
            else:
                items = list(self.sequence(self._item, LIST_ITEMS_MAX, "items"))
        assert kind is not None, "it is required"
        shape, example = _SHAPES.get(kind, (None, ""))
        for at, item in items:
            if shape is not None and shape.fullmatch(item) is None:
                raise BundleRefused(at, f"{item[:40]!r} is no item of a list of {kind}s", f"write {example}")
        return NamedList(name, kind, frozenset(item for _, item in items), line)

    def _item(self, event: yaml.Event) -> tuple[int, str]:
        self._items += 1
        if self._items > ITEMS_MAX:
            raise self.refuse(event, f"more than {ITEMS_MAX} items in all lists", "keep fewer")
        if not isinstance(event, yaml.ScalarEvent):
            raise self.refuse(event, "an item is no text", _ITEM)
        item = self.text_of(event)
        if not item or len(item) > ITEM_CHARS_MAX or not item.isprintable():
            raise self.refuse(event, f"an item of {len(item)} characters", _ITEM)
        return line_of(event), item

    def _limits(self) -> Limits:
        caps = Limits()
        diverted, of_psap = caps.diverted_share, caps.psap_diverted_share
        for key in self.fields(self.next(), ("diverted_share", "psap_diverted_share"), ()):
            if key == "diverted_share":
                diverted = self.decimal(0.0, caps.diverted_share)
            else:
                of_psap = self.decimal(0.0, caps.psap_diverted_share)
        return Limits(diverted, of_psap)

    def _step(self, event: yaml.Event) -> CanaryStep:
        share: float | None = None
        areas: frozenset[str] = frozenset()
        unset = CanaryStep(1.0)
        calls_min, minutes_min = unset.calls_min, unset.minutes_min
        for key in self.fields(event, ("share", "areas", "calls_min", "minutes_min"), ()):
            match key:
                case "share":
                    share = self.decimal(0.0, 1.0)
                case "areas":
                    areas = frozenset(item for _, item in self.sequence(self._item, LIST_ITEMS_MAX, "areas"))
                case "calls_min":
                    calls_min = self.integer(1, CALLS_MIN_MAX)
                case _:
                    minutes_min = self.decimal(0.0, MINUTES_MIN_MAX)
        if not share and not areas:
            raise self.refuse(event, "a step of no calls", "write share: 0.01, or areas: [Worcester]")
        return CanaryStep(share or 0.0, areas, calls_min, minutes_min)

    def _rules(self) -> tuple[Rule, ...]:
        lines: dict[str, int] = {}
        rules = []
        for rule in self.sequence(self._rule, RULES_MAX, "rules"):
            if rule.rule_id in lines:
                what = f"rule {rule.rule_id} is there twice, first at line {lines[rule.rule_id]}"
                raise BundleRefused(rule.line, what, "give each rule an id of its own")
            lines[rule.rule_id] = rule.line
            rules.append(rule)
        return tuple(rules)

    def _rule(self, event: yaml.Event) -> Rule:
        rule_id = reason = when = owner = ""
        said: tuple[str, str | int] = ("pass", "")
        share = 0.0
        expires_ms = 0
        fields = ("id", "reason", "when", "verdict", "forecast_share", "expires", "owner")
        for key in self.fields(event, fields, fields):
            match key:
                case "id":
                    rule_id = self.named(_NAME, "small letters, digits, - and _: repeat-caller")
                case "reason":
                    reason = self.named(_WORD, "a word of small letters, digits and _: repeat_caller")
                case "when":
                    when = self.string()
                case "verdict":
                    said = self._said()
                case "forecast_share":
                    share = self.decimal(0.0, 1.0)
                case "expires":
                    expires_ms = self.instant()
                case _:
                    owner = self.line_of_text()
        return Rule(rule_id, reason, when, _verdict(said, rule_id, reason), owner, share, expires_ms, line_of(event))

    def _said(self) -> tuple[str, str | int]:
        event = self.next()
        instead = "write verdict: pass, verdict: {flag: 40} or verdict: {divert: nuisance-desk}"
        if isinstance(event, yaml.ScalarEvent):
            word = self.text_of(event)
            if word == "pass":
                return "pass", ""
            raise self.refuse(event, *_no_verdict(word, instead))
        said: list[tuple[str, str | int]] = []
        for word, line in self.entries(event, 3, "words"):
            self._key = f"verdict: {word[:NAME_CHARS_MAX]}"
            if word == "flag":
                said.append((word, self.integer(0, 100)))
            elif word == "divert":
                said.append((word, self.named(_NAME, "the name of a staffed desk: nuisance-desk")))
            else:
                raise BundleRefused(line, *_no_verdict(word, instead))
        if len(said) != 1:
            raise self.refuse(event, f"a verdict says {len(said)} things", instead)
        return said[0]


def _no_verdict(word: str, instead: str) -> tuple[str, str]:
    if word.lower().replace("-", "").replace("_", "") in _NEVER:
        return (
            f"a policy cannot {word[:40]}: every call reaches a person",
            "write verdict: {divert: nuisance-desk}, where people answer it, or {flag: 40}",
        )
    return f"no verdict: {word[:80]!r}", instead


def _verdict(said: tuple[str, str | int], rule_id: str, reason: str) -> Verdict:
    word, value = said
    if word == "flag":
        return Flag(int(value), rule_id, reason)
    return Divert(str(value), rule_id, reason) if word == "divert" else Pass()
