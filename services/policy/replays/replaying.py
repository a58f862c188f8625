"""Replay: a candidate beside the live bundle over the same calls, in their order. Pure and deterministic.

Each call comes with its inputs, as recorded by the firewall that screened it or as made from a trace with windows of
its own (`retelling.py`), so both bundles are asked what a firewall asks them. The guards stand between what a bundle
proposes and what the caller meets, as they do there. Breakers hear every call too, and the replay tells where each
would trip; but it goes on showing what the bundle wants, or a fault would look small for having been stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import replace
from typing import Final, Protocol

from services.domain.policy import Divert, Pass, Verdict
from services.policy.attributes import Value
from services.policy.bundle import Bundle, Rule
from services.policy.replays.difference import Call, Difference, Judged, Tally
from services.policy.verdicts.breakers import Breakers, Heard, Trip
from services.policy.verdicts.evaluating import Decision
from services.policy.verdicts.guards import Grounds, kept_from

SLOWER_TIMES: Final = 3
SLOWER_NS_MIN: Final = 200_000
"""A candidate is slower on a call where it takes three times as long and 0.2 ms more, twice in a row."""


class Decides(Protocol):
    """A compiled bundle; `Evaluation` plays the part."""

    def decide(self, inputs: Mapping[str, Value], wall_ms: int) -> Decision:
        """Which rule speaks for a call with these inputs at that instant."""
        ...


class Judging:
    """One bundle, compiled, with the guards and breakers that stand behind it in a firewall.

    `desks` are those that somebody staffs: a divert to another is a pass.
    """

    def __init__(
        self, bundle: Bundle, evaluation: Decides, desks: Container[str], stopwatch_ns: Callable[[], int]
    ) -> None:
        self.bundle = bundle
        self._evaluation = evaluation
        self._desks = desks
        self._stopwatch_ns = stopwatch_ns
        self._rules = {rule.rule_id: rule for rule in bundle.rules}
        self._breakers = Breakers(bundle.limits)

    def judge(self, call: Call) -> Judged:
        """Its word on one call, which its breakers hear."""
        decided, took_ns = self._timed(call)
        rule = self._rules.get(decided.rule_id) if decided.rule_id is not None else None
        proposed: Verdict = Pass() if rule is None else rule.verdict
        staffed = isinstance(proposed, Divert) and proposed.desk in self._desks
        guard = kept_from(proposed, Grounds(False, True, call.first, staffed))
        breaker = self._hear(call, rule if rule is not None and rule.diverts else None, bool(guard))
        return Judged(proposed, guard, breaker, decided.errors, took_ns)

    def _hear(self, call: Call, rule: Rule | None, kept: bool) -> str:
        """Which breaker would keep the call, too; they hear each call, whatever became of it, as in a firewall."""
        now = call.at_ms / 1000
        area, psap = call.text("area"), call.text("psap")
        told = Heard(call.call_id, call.caller, not call.ordinary, area, psap, bundle=self.bundle.digest)
        if rule is None or kept:
            self._breakers.heard(told if rule is None else _would(told, rule), False, now)
            return ""
        scope = self._breakers.judge(_would(told, rule), now)
        self._breakers.ended(call.call_id, True, now)  # whether the desk would have answered, nobody knows
        return scope

    def trips(self) -> list[Trip]:
        """The breakers that tripped since this was asked."""
        return self._breakers.trips()

    def took_ns(self, call: Call) -> int:
        """How long a decision takes, once more."""
        return self._timed(call)[1]

    def _timed(self, call: Call) -> tuple[Decision, int]:
        began = self._stopwatch_ns()
        decided = self._evaluation.decide(call.inputs, call.at_ms)
        return decided, self._stopwatch_ns() - began


def _would(told: Heard, rule: Rule) -> Heard:
    return replace(told, rule=rule.rule_id, forecast_share=rule.forecast_share)


def no_stopwatch() -> int:
    """For who does not ask how long it takes."""
    return 0


def replay(live: Judging, candidate: Judging, calls: Iterable[Call]) -> Difference:
    """What changes with the candidate over these calls. A call_id that comes again is not counted again."""
    tally = Tally()
    seen: set[str] = set()
    for call in calls:
        if call.call_id in seen:
            continue
        seen.add(call.call_id)
        old, new = live.judge(call), candidate.judge(call)
        tally.heard(call, old, new)
        tally.tripped(False, call, live.trips())
        tally.tripped(True, call, candidate.trips())
        if _slower(old.took_ns, new.took_ns):  # once more: a pause of the machine is no fault of a rule
            again_old, again_new = live.took_ns(call), candidate.took_ns(call)
            if _slower(again_old, again_new):
                tally.took_longer(call, min(old.took_ns, again_old), min(new.took_ns, again_new))
    return tally.difference()


def _slower(live_ns: int, candidate_ns: int) -> bool:
    return candidate_ns > SLOWER_TIMES * live_ns and candidate_ns - live_ns > SLOWER_NS_MIN
