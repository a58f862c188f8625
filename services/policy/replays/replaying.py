"""Replay: a candidate beside the live bundle over the same calls, in their order. Pure and deterministic.

Each call comes with its inputs, as recorded by the firewall that screened it or as made from a trace with windows of
its own (`retelling.py`), so both bundles are asked what a firewall asks them, and what becomes of their word is judged
as there (`verdicts/judging.py`). The replay tells where each breaker would trip; but it goes on showing what the bundle
wants, or a fault would look small for having been stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from typing import Final, Protocol

from services.policy.attributes import Value
from services.policy.bundle import Bundle
from services.policy.replays.difference import Call, Difference, Judged, Tally
from services.policy.verdicts.breakers import Breakers, Trip
from services.policy.verdicts.evaluating import Decision
from services.policy.verdicts.guards import Grounds
from services.policy.verdicts.judging import heard_of, judged, proposed_by

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
        self._breakers = Breakers(bundle.limits)

    def judge(self, call: Call) -> Judged:
        """Its word on one call, which its breakers hear."""
        decided, took_ns = self._timed(call)
        proposed = proposed_by(self.bundle, decided.rule_id)
        heard = heard_of(call.call_id, call.inputs, proposed, self.bundle)
        grounds = Grounds(bypass=False, history=True, first=call.first, desks=self._desks)
        found = judged(proposed, heard, grounds, self._breakers, call.at_ms / 1000)
        return Judged(proposed, found.guard, found.scope, decided.errors, took_ns)

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
