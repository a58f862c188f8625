"""What a bundle proposes for one call: its rules compiled once, then asked in the order of the file.

The evaluator is the library `cel`; nothing reaches it that our reader did not accept. Rules are found by their guards,
so that of a thousand only those are asked that this call can make true, and a few that have no guard. Lists and
patterns are answered here, once a call, by sets and compiled patterns. A rule that fails to evaluate counts as not true
and is told; nothing that a rule does can raise out of `decide`. What is costly is refused when a bundle is loaded, by
the same bounds that `checking.py` tells of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import cel

from services.policy.attributes import ATTRIBUTES, Listed, Value
from services.policy.bundle import Bundle, Rule
from services.policy.language import plain, printing
from services.policy.language.patterns import PATTERNS_MAX, compiled
from services.policy.language.read import read
from services.policy.language.tokens import LENGTH_TOGETHER_MAX
from services.policy.language.tree import Asked, Matches, Name, Node, NotInLanguage, walk
from services.policy.verdicts.indexing import ASKED_ALWAYS_MAX, WORK_MAX, Index

WHY_MAX: Final = 200
"""Characters of what is told of a rule that failed."""


TOO_LONG: Final = f"its conditions have more than {LENGTH_TOGETHER_MAX} characters together"


class BundleUnfit(Exception):
    """A bundle that cannot be evaluated: what is wrong with which rule. It is refused whole."""

    def __init__(self, rule_id: str, why: str) -> None:
        super().__init__(f"rule {rule_id}: {why}" if rule_id else why)
        self.rule_id = rule_id
        self.why = why


@dataclass(frozen=True, slots=True)
class Decision:
    """The first true rule, None where none is; and which of the rules asked on the way failed, each with why."""

    rule_id: str | None
    errors: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Slot:
    """A question that is answered outside the library: the name of its answer in there, and how to find it."""

    name: str
    asks: Asked


@dataclass(frozen=True, slots=True)
class _Compiled:
    rule: Rule
    execute: Callable[[cel.Context], object]
    slots: tuple[_Slot, ...]


class Evaluation:
    """One bundle, ready to be asked. Raises `BundleUnfit` where a rule cannot be read, or all cost too much."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._lists = {name: each.items for name, each in bundle.lists.items()}
        self._slots: dict[Asked, _Slot] = {}
        self._names: set[str] = set()
        kinds = kinds_of(bundle)
        if too_long(bundle):
            raise BundleUnfit("", TOO_LONG)
        trees = [self._read(rule, kinds) for rule in bundle.rules]
        engines = patterns_of(trees)
        if len(engines) > PATTERNS_MAX:
            raise BundleUnfit("", too_many_patterns(len(engines)))
        self._engines = [compiled(engine) for engine in engines]  # now, not at the first call that meets one
        self._rules = [self._compile(rule, tree) for rule, tree in zip(bundle.rules, trees, strict=True)]
        self.index = Index(trees, self._lists)
        if len(self.index.always) > ASKED_ALWAYS_MAX:
            raise BundleUnfit("", unguarded(len(self.index.always)))
        if self.index.work > WORK_MAX:
            raise BundleUnfit("", too_much_work(self.index.work))

    def decide(self, inputs: Mapping[str, Value], wall_ms: int) -> Decision:
        """What the bundle says of a call whose attributes are `inputs`, at that instant in milliseconds since 1970.

        A name that `inputs` lacks has its unknown value.
        """
        errors: list[tuple[str, str]] = []
        for rule_id, holds, why in self._asked(inputs, wall_ms):
            if holds:
                return Decision(rule_id, tuple(errors))
            if why:
                errors.append((rule_id, why))
        return Decision(None, tuple(errors))

    def all_true(self, inputs: Mapping[str, Value], wall_ms: int) -> tuple[str, ...]:
        """Every rule that is true of a call, though only the first speaks."""
        return tuple(rule_id for rule_id, holds, _ in self._asked(inputs, wall_ms) if holds)

    def _asked(self, inputs: Mapping[str, Value], wall_ms: int) -> Iterator[tuple[str, bool, str]]:
        """Each rule that may be true, in the order of the file: its id, whether it is, and why it failed if it did."""
        known = _Known(inputs)
        context: cel.Context | None = None
        answered: set[_Slot] = set()
        for number in self.index.met_by(known):
            asked = self._rules[number]
            if asked.rule.expires_ms <= wall_ms:
                continue
            try:
                if context is None:
                    context = cel.Context({name: known[name] for name in self._names})
                for slot in asked.slots:
                    if slot not in answered:
                        context.add_variable(slot.name, plain.answer(slot.asks, known, self._lists))
                        answered.add(slot)
                found = asked.execute(context)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as failure:  # a panic of the library is no Exception
                yield asked.rule.rule_id, False, f"{type(failure).__name__}: {failure}"[:WHY_MAX]
                continue
            why = "" if isinstance(found, bool) else f"it is neither true nor false: {found!r}"[:WHY_MAX]
            yield asked.rule.rule_id, found is True, why

    def _read(self, rule: Rule, kinds: Mapping[str, Listed]) -> Node:
        try:
            return read(rule.when, kinds)
        except NotInLanguage as trouble:
            raise BundleUnfit(rule.rule_id, str(trouble)) from trouble

    def _compile(self, rule: Rule, tree: Node) -> _Compiled:
        asked: list[_Slot] = []

        def asking(node: Asked) -> str:
            slot = self._slots.setdefault(node, _Slot(f"_{len(self._slots)}", node))
            asked.append(slot)
            return slot.name

        written = printing.text(tree, asking)
        try:
            program = cel.compile(written)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as trouble:
            raise BundleUnfit(rule.rule_id, f"the evaluator refuses it: {trouble}"[:WHY_MAX]) from trouble
        self._names.update(each.name for each in walk(tree) if isinstance(each, Name))
        return _Compiled(rule, program.execute, tuple(dict.fromkeys(asked)))


class _Known(dict[str, Value]):
    """The inputs of one call as the library can hold them; what is missing has its unknown value."""

    def __init__(self, inputs: Mapping[str, Value]) -> None:
        super().__init__(inputs)
        for name, value in inputs.items():
            if type(value) is str and value.isascii():
                continue
            if isinstance(value, str):  # an enumeration's word too, and half of a character
                self[name] = str(value).encode("utf-8", "replace").decode("utf-8")
            elif not isinstance(value, int | float):  # a caller's mistake, and no reason to fail
                del self[name]

    def __missing__(self, name: str) -> Value:
        return ATTRIBUTES[name].unknown


def kinds_of(bundle: Bundle) -> Mapping[str, Listed]:
    """What the bundle's lists hold, by name."""
    return {name: each.kind for name, each in bundle.lists.items()}


def too_long(bundle: Bundle) -> bool:
    """Whether its conditions are too long together to be read at all."""
    return sum(len(rule.when) for rule in bundle.rules) > LENGTH_TOGETHER_MAX


def patterns_of(trees: Iterable[Node]) -> frozenset[str]:
    """All different patterns."""
    return frozenset(each.pattern for tree in trees for each in walk(tree) if isinstance(each, Matches))


def too_many_patterns(patterns: int) -> str:
    """Why a bundle with so many patterns is refused."""
    return (
        f"{patterns} different patterns; at most {PATTERNS_MAX}: ask with ==, startsWith, contains, or in lists.NAME "
        "where that says the same"
    )


def unguarded(rules: int) -> str:
    """Why a bundle with so many rules without a guard is refused."""
    return (
        f"{rules} rules are asked for every call; at most {ASKED_ALWAYS_MAX} may be: give the others a condition such "
        'as number in lists.NAME or source == "..."'
    )


def too_much_work(work: int) -> str:
    """Why a bundle of which one call can meet so much is refused."""
    return (
        f"one call can meet rules of {work} parts together; at most {WORK_MAX}: ask for what fewer calls have in "
        "common, such as a number or a cell"
    )
