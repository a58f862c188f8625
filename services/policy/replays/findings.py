"""What speaks against a candidate after its replay: limits it would pass, forecasts it would miss, rules that fail.

A grave finding is one for which the breakers would stop the bundle on live calls. It is told before a live call meets
it, and `throughline policy replay` ends with exit code 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.policy.bundle import Bundle
from services.policy.replays.difference import Difference
from services.policy.verdicts.breakers import FORECAST_FACTOR

DIVERTS_MIN: Final = 5
"""Fewer diverts than this say nothing of a share: one call of three is a third."""
SCOPES_TOLD_MAX: Final = 5
SLOW_NS: Final = 1_000_000
"""A bundle of any size decides within 1 ms at the 99th percentile."""


class Weight(StrEnum):
    """How much a finding weighs."""

    GRAVE = "grave"
    NOTE = "note"


class Kind(StrEnum):
    """What was found."""

    NO_CALLS = "no_calls"
    OVER_LIMIT = "over_limit"
    BREAKER = "breaker"
    OVER_FORECAST = "over_forecast"
    SILENT = "silent"
    FAILS = "fails"
    GUARDED = "guarded"
    SLOW = "slow"


@dataclass(frozen=True, slots=True)
class Finding:
    """One of them, about a rule, a place, a PSAP or the whole bundle (`about` is empty)."""

    kind: Kind
    weight: Weight
    about: str
    text: str


def percentile_ns(took_ns: Sequence[int], percent: float) -> int:
    """The smallest measure that so many per cent do not exceed; 0 of none."""
    ordered = sorted(took_ns)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0


def findings(difference: Difference, candidate: Bundle) -> tuple[Finding, ...]:
    """Everything found, the grave first; in each weight the bundle before its breakers, these before rules."""
    if not difference.calls:
        return (
            Finding(
                Kind.NO_CALLS,
                Weight.GRAVE,
                "",
                "no call was replayed (test calls never are), so nothing is known of it",
            ),
        )
    found = [*_whole(difference, candidate), *_breakers(difference), *_rules(difference, candidate)]
    return tuple(sorted(found, key=lambda each: each.weight is not Weight.GRAVE))


def _whole(difference: Difference, candidate: Bundle) -> Iterator[Finding]:
    side, limit = difference.candidate, candidate.limits.diverted_share
    if side.ordinary >= DIVERTS_MIN and difference.ordinary_share(side.ordinary) > limit:
        share = difference.ordinary_share(side.ordinary)
        text = f"would divert {share:.1%} of the calls of callers who do not repeat; its limit is {limit:.1%}"
        yield Finding(Kind.OVER_LIMIT, Weight.GRAVE, "", text)
    for guard, calls in sorted(side.kept.items()):
        text = f"{calls:,} {_calls(calls)} kept from a divert by the guard {guard}"
        yield Finding(Kind.GUARDED, Weight.NOTE, guard, text)
    slowest_ns = percentile_ns(side.took_ns, 99)
    if slowest_ns > SLOW_NS:
        text = f"takes {slowest_ns / 1e6:.1f} ms for a decision at the 99th percentile; expected at most 1 ms"
        yield Finding(Kind.SLOW, Weight.NOTE, "", text)


def _breakers(difference: Difference) -> Iterator[Finding]:
    """The first time that a scope trips, of the first few scopes; then each holds what it is for."""
    first = {each.trip.scope: each for each in reversed(difference.candidate.trips)}
    in_order = [each for each in difference.candidate.trips if first[each.trip.scope] is each]
    for each in in_order[:SCOPES_TOLD_MAX]:
        text = (
            f"the breaker {each.trip.scope} would trip at {each.call_id} ({each.trip.why.value}: {each.trip.told} of "
            f"{each.trip.calls} calls in its window), after {each.diverted} {_diverts(each.diverted)} in all"
        )
        yield Finding(Kind.BREAKER, Weight.GRAVE, each.trip.scope, text)
    more = len(in_order) - SCOPES_TOLD_MAX
    if more > 0:
        yield Finding(Kind.BREAKER, Weight.GRAVE, "", f"{more} breakers of other scopes would trip later")


def _rules(difference: Difference, candidate: Bundle) -> Iterator[Finding]:
    for rule in candidate.rules:
        tally = difference.candidate.rules.get(rule.rule_id)
        calls, ordinary = (tally.calls, tally.ordinary) if tally is not None else (0, 0)
        share = difference.share(calls)
        if calls >= DIVERTS_MIN and share > rule.forecast_share:
            grave = rule.diverts and difference.share(ordinary) > FORECAST_FACTOR * rule.forecast_share
            text = f"{rule.rule_id} spoke for {share:.2%} of all calls; its author expects {rule.forecast_share:.2%}"
            yield Finding(Kind.OVER_FORECAST, Weight.GRAVE if grave else Weight.NOTE, rule.rule_id, text)
        elif not calls and rule.forecast_share * difference.calls >= DIVERTS_MIN:
            text = f"{rule.rule_id} never spoke; its author expects {rule.forecast_share:.2%} of all calls"
            yield Finding(Kind.SILENT, Weight.NOTE, rule.rule_id, text)
    for (rule_id, why), calls in sorted(difference.candidate.errors.items()):
        text = f"{rule_id} could not be evaluated for {calls:,} {'call' if calls == 1 else 'calls'}: {why}"
        yield Finding(Kind.FAILS, Weight.GRAVE, rule_id, text)


def _calls(count: int) -> str:
    return "call was" if count == 1 else "calls were"


def _diverts(count: int) -> str:
    return "divert" if count == 1 else "diverts"
