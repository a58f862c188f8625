"""What becomes of a proposal: guards, breakers and credit, between what a bundle says of a call and what is answered.

They are joined here and nowhere else. Screening asks, and so do a replay and the tests' replicas: what was replayed is
what screens, to the last breaker. Pure; `now` is seconds of the clock that the breakers run by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from services.domain.policy import Divert, Pass, Verdict
from services.policy.attributes import Value
from services.policy.bundle import Bundle
from services.policy.verdicts.breakers import Breakers
from services.policy.verdicts.guards import BREAKER, Grounds, kept_from, repeats
from services.policy.verdicts.inputs import identity_in
from services.policy.verdicts.scopes import Heard

_one = lru_cache(maxsize=256)(str)
"""One text for all that are alike."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was proposed of a call, and what keeps the call from it."""

    proposed: Verdict
    guard: str = ""
    """The guard's word (`guards.Kept`); empty where none keeps it."""
    scope: str = ""
    """The breaker's, such as `psap:P1`, or that the bundle is unproven; empty where none was asked or keeps it."""

    @property
    def kept_from(self) -> str:
        """As a record of a screening has it; empty where the proposal is answered."""
        return self.guard or (BREAKER + self.scope if self.scope else "")

    @property
    def verdict(self) -> Verdict:
        """What is answered."""
        return Pass() if self.guard or self.scope else self.proposed


@dataclass(frozen=True, slots=True)
class Known:
    """What was answered for a call, by whom, and as whom the breakers know it."""

    verdict: Verdict
    policy: str
    bundle: str
    """Its digest; empty where none was asked."""
    heard: Heard | None
    """None but of a divert: nothing else is ever kept back."""

    @classmethod
    def of(cls, verdict: Verdict, policy: str, bundle: str, heard: Heard) -> Known:
        """One of very many: what they have in common is kept once."""
        return cls(verdict, _one(policy), _one(bundle), heard if isinstance(verdict, Divert) else None)


def proposed_by(bundle: Bundle, rule_id: str | None) -> Verdict:
    """What the bundle says where this rule spoke; where none did, the call passes."""
    rule = bundle.rule(rule_id) if rule_id is not None else None
    return Pass() if rule is None else rule.verdict


def heard_of(
    call_id: str, inputs: Mapping[str, Value], proposed: Verdict | None, bundle: Bundle | None, digest: str = ""
) -> Heard:
    """The call as breakers see it. A rule that the bundle does not have was forecast to be silent. What was forecast in
    a bundle that is not here, of which only the `digest` is known, nobody can say: it is held to the limits alone."""
    share = 0.0
    if isinstance(proposed, Divert):
        rule = bundle.rule(proposed.rule) if bundle is not None else None
        share = rule.forecast_share if rule is not None else float(bundle is None)
    return Heard(
        call_id,
        identity_in(inputs),
        repeats(inputs),
        str(inputs.get("area", "")),
        str(inputs.get("psap", "")),
        proposed.rule if isinstance(proposed, Divert) else "",
        share,
        bundle.digest if bundle is not None else digest,
    )


def judged(
    proposed: Verdict, heard: Heard, grounds: Grounds, breakers: Breakers, now: float, *, test: bool = False
) -> Judgement:
    """A call that nobody has judged. Breakers hear each real one, whatever becomes of it; a test call moves none."""
    guard = kept_from(proposed, grounds)
    scope = ""
    if test:
        scope = breakers.keeps(heard, now) if heard.rule else ""
    elif guard or not heard.rule:
        breakers.heard(heard, False, now)
    else:
        scope = breakers.judge(heard, now)
    return Judgement(proposed, guard, scope)


def judged_again(
    known: Known, standing: Iterable[Bundle], grounds: Grounds, breakers: Breakers, now: float
) -> Judgement:
    """A call that was answered before, perhaps by another: the same (L3), save that a divert is not said again where
    none is made now, nor where no bundle that stands says it. A record is no bundle, and who went back to the one
    before wants the callers back."""
    if not isinstance(known.verdict, Divert):
        return Judgement(known.verdict, kept_from(known.verdict, grounds))
    assert known.heard is not None, "a divert is remembered with whom the breakers know"
    guard = kept_from(known.verdict, replace(grounds, stands=_is_said(known.verdict, known.bundle, standing)))
    return Judgement(known.verdict, guard, "" if guard else breakers.keeps(known.heard, now))


def _is_said(divert: Divert, digest: str, standing: Iterable[Bundle]) -> bool:
    for bundle in standing:
        rule = bundle.rule(divert.rule) if bundle.digest == digest else None
        if rule is not None and isinstance(rule.verdict, Divert) and rule.verdict.desk == divert.desk:
            return True
    return False
