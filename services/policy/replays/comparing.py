"""How two bundles differ, rule by rule and list by list: what a second person looks at before signing. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import zip_longest
from typing import Final

from services.domain.policy import Divert, Flag, Verdict
from services.policy.bundle import Bundle, CanaryStep, Rule

ITEMS_TOLD_MAX: Final = 3


class Sign(StrEnum):
    """What became of a thing."""

    ADDED = "+"
    REMOVED = "-"
    CHANGED = "~"


@dataclass(frozen=True, slots=True)
class Line:
    """One difference."""

    sign: Sign
    text: str


def lines(old: Bundle, new: Bundle) -> list[Line]:
    """Every difference that can change a verdict, a limit or a rollout, and whose rule it is; none: they say the same.

    A comment or an order of lists is none: the bytes may differ where this is empty.
    """
    return [*_rules(old, new), *_lists(old, new), *_limits(old, new), *_canary(old, new)]


def said(verdict: Verdict) -> str:
    """A verdict as a bundle's file writes it."""
    match verdict:
        case Divert(desk, _, _):
            return f"divert: {desk}"
        case Flag(score, _, _):
            return f"flag: {score}"
    return "pass"


def _rules(old: Bundle, new: Bundle) -> Iterator[Line]:
    before = {rule.rule_id: rule for rule in old.rules}
    after = {rule.rule_id: rule for rule in new.rules}
    for rule in old.rules:
        if rule.rule_id not in after:
            yield Line(Sign.REMOVED, f"rule {rule.rule_id}: {rule.when} -> {said(rule.verdict)}")
    for rule in new.rules:
        known = before.get(rule.rule_id)
        if known is None:
            yield Line(Sign.ADDED, f"rule {rule.rule_id}: {rule.when} -> {said(rule.verdict)}")
        else:
            yield from _rule(known, rule)
    kept = [rule.rule_id for rule in old.rules if rule.rule_id in after]
    moved = [rule.rule_id for rule in new.rules if rule.rule_id in before]
    if kept != moved:
        yield Line(Sign.CHANGED, f"the order of rules: {', '.join(kept)} -> {', '.join(moved)}")


def _rule(old: Rule, new: Rule) -> Iterator[Line]:
    fields = (
        ("when", old.when, new.when),
        ("verdict", said(old.verdict), said(new.verdict)),
        ("reason", old.reason, new.reason),
        ("forecast_share", f"{old.forecast_share:g}", f"{new.forecast_share:g}"),
        ("expires", _instant(old.expires_ms), _instant(new.expires_ms)),
        ("owner", old.owner, new.owner),
    )
    for name, before, after in fields:
        if before != after:
            yield Line(Sign.CHANGED, f"rule {new.rule_id}, {name}: {before} -> {after}")


def _lists(old: Bundle, new: Bundle) -> Iterator[Line]:
    nothing: frozenset[str] = frozenset()
    for name in sorted({*old.lists, *new.lists}):
        before, after = old.lists.get(name), new.lists.get(name)
        if before is not None and after is not None and before.kind is not after.kind:
            yield Line(Sign.CHANGED, f"list {name}, kind: {before.kind} -> {after.kind}")
        yield from _set(f"list {name}", before.items if before else nothing, after.items if after else nothing)


def _set(what: str, before: frozenset[str], after: frozenset[str]) -> Iterator[Line]:
    """How many went and came, with a few of them."""
    for sign, items in ((Sign.REMOVED, before - after), (Sign.ADDED, after - before)):
        if items:
            few = sorted(items)[:ITEMS_TOLD_MAX]
            more = ", ..." if len(items) > ITEMS_TOLD_MAX else ""
            noun = "item" if len(items) == 1 else "items"
            yield Line(sign, f"{what}: {len(items):,} {noun} ({', '.join(few)}{more})")


def _limits(old: Bundle, new: Bundle) -> Iterator[Line]:
    for name in ("diverted_share", "psap_diverted_share"):
        before, after = getattr(old.limits, name), getattr(new.limits, name)
        if before != after:
            yield Line(Sign.CHANGED, f"limit {name}: {before:g} -> {after:g}")


def _canary(old: Bundle, new: Bundle) -> Iterator[Line]:
    """Step by step: one that asks for fewer calls, or that gained a share beside its towns, is another."""
    for number, (before, after) in enumerate(zip_longest(old.canary, new.canary), 1):
        step = f"canary step {number}"
        if before is None or after is None:
            only, sign = (before, Sign.REMOVED) if before is not None else (after, Sign.ADDED)
            yield Line(sign, f"{step}: {_step(only)}")
            continue
        if before != after:
            yield Line(Sign.CHANGED, f"{step}: {_step(before)} -> {_step(after)}")
        if max(len(before.areas), len(after.areas)) > ITEMS_TOLD_MAX:
            yield from _set(f"{step}, areas", before.areas, after.areas)


def _step(step: CanaryStep | None) -> str:
    """What a step is of, and what it waits for."""
    assert step is not None, "one of two is there"
    of = [f"{step.share * 100:g}%"] if step.share else []
    if len(step.areas) > ITEMS_TOLD_MAX:
        of.append(f"{len(step.areas):,} areas")
    else:
        of += sorted(step.areas)
    calls = "1 call" if step.calls_min == 1 else f"{step.calls_min:,} calls"
    return f"{' and '.join(of)}, {calls}, {step.minutes_min:g} min"


def _instant(at_ms: int) -> str:
    """As a bundle's file writes it."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
