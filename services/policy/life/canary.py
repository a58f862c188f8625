"""A candidate among real calls: which calls it is asked about, when more of them, and when it must go back. Pure.

Which call is under the candidate follows from the call alone, so that every replica says the same and every leg of a
call meets the same policy. What it did is counted from screenings, by distinct calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from services.policy.bundle import Bundle, CanaryStep

CALLS_REMEMBERED_MAX: Final = 100_000
SLACK_CALLS: Final = 5
"""So many calls may any rule speak for before its share says anything."""
SLACK_FACTOR: Final = 3.0
"""And so many times its forecast: one area, or one hour, is not the state's mean."""


def under(steps: Sequence[CanaryStep], step: int, digest: str, call_id: str, area: str) -> bool:
    """Whether a call is one for the candidate at this step; a call that is stays so at later ones."""
    reached = steps[: step + 1]
    if area and any(area in each.areas for each in reached):
        return True
    word = blake2b(f"{digest}:{call_id}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(word, "big") < max((each.share for each in reached), default=0.0) * 2**64


def reached(steps: Sequence[CanaryStep], ordered_ms: int, now_ms: int) -> int:
    """The furthest step that a canary may be on, by its plan's times and what was ordered when: whoever says on the
    topic that it is further has not waited."""
    step, at_ms = 0, float(ordered_ms)
    for each in steps[:-1]:
        at_ms += each.minutes_min * 60_000
        if now_ms < at_ms:
            break
        step += 1
    return step


def ran(steps: Sequence[CanaryStep], ordered_ms: int, now_ms: int) -> bool:
    """Whether the plan's whole time has passed since it was ordered: so long it takes, however full its steps were."""
    return now_ms - ordered_ms >= sum(each.minutes_min for each in steps) * 60_000


class Tally:
    """What the candidate said of distinct calls; past a bound further ones are not counted, which only waits longer."""

    def __init__(self) -> None:
        self.diverted = 0
        self.by_rule: Counter[str] = Counter()
        self._calls: set[str] = set()

    @property
    def calls(self) -> int:
        """How many distinct calls it was asked about."""
        return len(self._calls)

    def add(self, call_id: str, rule_id: str, diverts: bool) -> None:
        """One call, and the rule that spoke for it, "" where none did."""
        if call_id in self._calls or len(self._calls) >= CALLS_REMEMBERED_MAX:
            return
        self._calls.add(call_id)
        self.diverted += diverts
        if rule_id:
            self.by_rule[rule_id] += 1


def waits_for(step: CanaryStep, since_ms: int, now_ms: int, calls: int) -> str:
    """What this step waits for before the next may come; empty where it may."""
    if calls < step.calls_min:
        return f"{calls} of {step.calls_min} calls"
    minutes = (now_ms - since_ms) / 60_000
    return f"{max(0.0, minutes):.1f} of {step.minutes_min:g} minutes" if minutes < step.minutes_min else ""


def diverges(bundle: Bundle, tally: Tally) -> str:
    """How what it did differs from what its author forecast, where that is past what chance and place explain."""
    for rule in bundle.rules:
        spoke = tally.by_rule[rule.rule_id]
        if spoke > _allowed(rule.forecast_share, tally.calls):
            return (
                f"rule {rule.rule_id} spoke for {spoke} of {tally.calls} calls, "
                f"where its forecast is {rule.forecast_share:g} of them"
            )
    if tally.diverted > _allowed(bundle.limits.diverted_share, tally.calls):
        return f"{tally.diverted} of {tally.calls} calls were to be diverted, over its limit"
    return ""


def _allowed(share: float, calls: int) -> float:
    return SLACK_CALLS + min(1.0, SLACK_FACTOR * share) * calls
