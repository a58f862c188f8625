"""A bundle of rules, as it stands after reading: everything a policy can say.

There is no field in which a rule could name a drop, a block, a number to rewrite or a URN to change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from services.domain.policy import Divert, Flag, Pass, Verdict
from services.policy.attributes import Listed

BUILT_IN: Final = "built-in"
"""The name of the bundle that needs no file, no disk and no log."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. The first of a bundle, in the order of the file, that is true speaks; none true is a pass.

    `line` is where it stands in the file, from 1; 0 where it came from none.
    """

    rule_id: str
    reason: str
    """Why, in a word that travels with the call: `repeat_caller`."""
    when: str
    """CEL over `attributes.ATTRIBUTES` and the bundle's lists."""
    verdict: Verdict
    owner: str
    """Who answers for the rule: a person or a desk, never empty."""
    forecast_share: float
    """The share of all calls, 0 to 1, for which its author expects it to speak; the breakers hold it to that."""
    expires_ms: int
    """From this instant on, in milliseconds since 1970, it is not true any more."""
    line: int = 0

    @property
    def diverts(self) -> bool:
        """Whether it can take a call away from its PSAP."""
        return isinstance(self.verdict, Divert)


@dataclass(frozen=True, slots=True)
class NamedList:
    """Values of one kind, for `in`: `number in lists.nuisance`. Held as a set, so that its length costs no time."""

    name: str
    kind: Listed
    items: frozenset[str]
    line: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """Absolute caps, whatever the rules forecast; see `breakers.py`. Shares are of screened calls, 0 to 1."""

    diverted_share: float = 0.05
    """Of the whole state."""
    psap_diverted_share: float = 0.20
    """Of one PSAP's calls, or of one area's."""


@dataclass(frozen=True, slots=True)
class CanaryStep:
    """One step on the way to live: this share of calls, or these areas; all of both is `share=1.0`.

    The next step comes after `calls_min` screened calls in it and `minutes_min` minutes, both.
    """

    share: float
    areas: frozenset[str] = frozenset()
    calls_min: int = 100
    minutes_min: float = 15.0


DEFAULT_CANARY: Final = (CanaryStep(0.01), CanaryStep(0.10), CanaryStep(1.0))


@dataclass(frozen=True, slots=True)
class Bundle:
    """One policy, whole. `digest` is the SHA-256, in hex, of the bytes it was read from."""

    name: str
    version: int
    author: str
    rules: tuple[Rule, ...] = ()
    lists: Mapping[str, NamedList] = field(default_factory=dict)
    limits: Limits = Limits()
    canary: tuple[CanaryStep, ...] = DEFAULT_CANARY
    digest: str = ""

    @property
    def label(self) -> str:
        """As verdicts and people name it: `nuisance-7-3fa9c1d2`."""
        return f"{self.name}-{self.version}-{self.digest[:8]}" if self.digest else f"{self.name}-{self.version}"

    def rule(self, rule_id: str) -> Rule | None:
        """The rule of that name."""
        return next((rule for rule in self.rules if rule.rule_id == rule_id), None)


PASSES_ALL: Final = Bundle(BUILT_IN, 0, "throughline")
"""The built-in bundle: no rules, so every call passes."""

__all__ = [
    "BUILT_IN",
    "DEFAULT_CANARY",
    "PASSES_ALL",
    "Bundle",
    "CanaryStep",
    "Divert",
    "Flag",
    "Limits",
    "NamedList",
    "Pass",
    "Rule",
]
