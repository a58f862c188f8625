"""How much a policy may divert, whatever it says: for the whole state, each PSAP, each area and each rule. Pure.

Each call that is screened is heard here, and whether a rule would divert it, kept back or not. In windows of calls and
of time the share that would be diverted is held to the scope's budget: the rule's forecast, the bundle's limits, and a
slack of five calls, without which nothing could ever be diverted at night. The call that goes over it is not diverted,
and from then on none of that scope is, until the proposals themselves are back in budget: a bundle that diverts
everybody diverts five callers and then nobody, however long it stays. A new bundle gets no new budget.

Of one caller's calls two count in a window: one person with a grudge and a small town must not stop a rule for all, nor
two, and whoever calls a third time was heard already. Callers without a number of their own may be many: each call of
theirs counts. A caller who repeats (the sixth call within ten minutes and each after it) is what rules are there for:
such callers are held to a number of callers, not to a share of calls, or one of them at night would stop the rule that
is meant for them; and to the credit of the bundle (`credit.py`), so that one that diverts everybody diverts five calls,
repeated or not. Two more signs trip: callers who call again soon after they were diverted, and diverted calls nobody
answered (`answers.py`).

Hearing what other replicas screened (`heard`) makes their diverts count here too. `now` is seconds of one clock.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from services.policy.bundle import Limits
from services.policy.verdicts.answers import Answers, Unanswered
from services.policy.verdicts.credit import Credit
from services.policy.verdicts.scopes import HEARD_MAX, WINDOWS_S, Flow, Heard, Scope, Why

FORECAST_FACTOR: Final = 2.0
"""A rule may speak twice as often as its author forecast."""
REDIAL_S: Final = 120.0
"""A caller who calls again within this time of a divert was not helped by it."""
REDIALERS_MAX: Final = 2
_SCOPES_MAX: Final = 2_000
_STATE: Final = "state"
UNPROVEN: Final = "unproven"
"""What keeps a divert back whose bundle has no credit left; nothing has tripped then."""


@dataclass(frozen=True, slots=True)
class Trip:
    """A breaker has tripped: for `told` of the `calls` of its window."""

    scope: str
    """`state`, `psap:P1`, `area:Lynn`, `rule:repeats`."""
    why: Why
    told: int
    calls: int
    rule: str
    """Of the call that did it."""
    bundle: str = ""
    """By whose rule, by its digest; empty where that is not known."""


class Breakers:
    """One replica's. `judge` its own calls, tell it of others' by `heard`; `trips` is what happened since asked."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._flows: OrderedDict[str, Flow] = OrderedDict({_STATE: Flow()})
        self._scopes: OrderedDict[str, Scope] = OrderedDict()
        self._last_divert: OrderedDict[str, tuple[Heard, float]] = OrderedDict()  # caller: of which call, and when
        self._redials: deque[tuple[float, str, str]] = deque(maxlen=HEARD_MAX)
        self._trips: list[Trip] = []
        self._credit = Credit()
        self._answers = Answers()

    def limit(self, limits: Limits) -> None:
        """Those of another bundle, from now on."""
        self._limits = limits

    def judge(self, call: Heard, now: float) -> str:
        """Hears a call of this replica, and says which scope keeps its divert back, or UNPROVEN; empty: none does."""
        self._hear(call, now, now)
        kept = self.keeps(call, now)
        if call.rule and not kept and self._credit.is_spent(call.bundle):
            return UNPROVEN
        if call.rule and not kept:
            self._note_divert(call, now)
            self._answers.diverts(call.call_id, call.bundle, now, call.caller)
        return kept

    def heard(self, call: Heard, diverted: bool, now: float, age_s: float = 0.0) -> None:
        """A call that another replica screened, or this one before it was started again."""
        at = now - max(0.0, age_s)
        self._hear(call, at, now)
        if diverted:
            self._note_divert(call, at)
            self._note_unanswered(self._answers.hears(call.call_id, call.bundle, now, age_s, call.caller), now)

    def keeps(self, call: Heard, now: float) -> str:
        """Which tripped scope keeps a divert of this call back; hears nothing."""
        for name in _names(call):
            scope = self._scopes.get(name)
            if scope is not None and scope.is_tripped(now):
                return name
        return ""

    def ended(self, call_id: str, answered: bool, now: float, gave_up: bool = False) -> None:
        """A call has ended, or a person has it; only those that were diverted matter. `gave_up`: by its caller."""
        self._note_unanswered(self._answers.ended(call_id, answered, now, gave_up), now)

    def read_calls(self, now: float) -> None:
        """All of `calls` is read up to now: a divert of which it said nothing for a while is one nobody answered."""
        self._note_unanswered(self._answers.read(now), now)

    def tripped(self, now: float) -> list[str]:
        """The scopes that divert nothing now."""
        return sorted(name for name, scope in self._scopes.items() if scope.is_tripped(now))

    def trips(self) -> list[Trip]:
        """Those since the last time it was asked."""
        trips, self._trips = self._trips, []
        return trips

    def _hear(self, call: Heard, at: float, now: float) -> None:
        for name in _flow_names(call):
            self._flow(name).hear(at, not call.repeats, now)
        self._note_redial(call, at, now)
        if not call.rule and not call.repeats:
            self._credit.passes(call.bundle)
        for name in _names(call) if call.rule else ():
            flow = self._flow(name if not name.startswith("rule:") else _STATE)
            scope = self._scope(name)
            scope.proposed(call, flow.heard, at)
            over = scope.over(self._share(name, call), flow, now)
            if over is not None and scope.trip(now):
                self._trips.append(Trip(name, over[0], over[1], over[2], call.rule, call.bundle))

    def _share(self, name: str, call: Heard) -> float:
        if name == _STATE:
            return self._limits.diverted_share
        if name.startswith("rule:"):
            return min(self._limits.diverted_share, FORECAST_FACTOR * call.forecast_share)
        return self._limits.psap_diverted_share

    def _note_divert(self, call: Heard, at: float) -> None:
        self._credit.diverts(call.bundle)
        self._last_divert[call.caller] = (call, at)
        self._last_divert.move_to_end(call.caller)
        if len(self._last_divert) > HEARD_MAX:
            self._last_divert.popitem(last=False)

    def _note_redial(self, call: Heard, at: float, now: float) -> None:
        """Somebody whom a rule diverted calls again soon: a person could not help, or was not there."""
        last = self._last_divert.get(call.caller)
        if last is None or call.repeats or not 0.0 <= at - last[1] < REDIAL_S:
            return
        rule, bundle = last[0].rule, last[0].bundle
        self._redials.append((at, call.caller, rule))
        while self._redials and self._redials[0][0] < now - WINDOWS_S[-1]:
            self._redials.popleft()
        callers = {caller for _, caller, by in self._redials if by == rule}
        if len(callers) > REDIALERS_MAX and self._scope(f"rule:{rule}").trip(now):
            self._trips.append(Trip(f"rule:{rule}", Why.REDIALS, len(callers), len(self._redials), rule, bundle))

    def _note_unanswered(self, found: Iterable[Unanswered], now: float) -> None:
        for each in found:
            if self._scope(_STATE).trip(now):
                self._trips.append(Trip(_STATE, Why.UNANSWERED, each.told, each.calls, "", each.bundle))

    def _flow(self, name: str) -> Flow:
        flow = self._flows.get(name)
        if flow is None:
            flow = self._flows[name] = Flow()
            if len(self._flows) > _SCOPES_MAX:
                self._flows.popitem(last=False)
        if name != _STATE:
            self._flows.move_to_end(name)
        self._flows.move_to_end(_STATE)
        return flow

    def _scope(self, name: str) -> Scope:
        scope = self._scopes.get(name)
        if scope is None:
            scope = self._scopes[name] = Scope()
        self._scopes.move_to_end(name)
        if _STATE in self._scopes:
            self._scopes.move_to_end(_STATE)
        if len(self._scopes) > _SCOPES_MAX:
            self._scopes.popitem(last=False)
        return scope


def _flow_names(call: Heard) -> list[str]:
    names = [_STATE]
    if call.psap:
        names.append(f"psap:{call.psap}")
    if call.area:
        names.append(f"area:{call.area}")
    return names


def _names(call: Heard) -> list[str]:
    return [*_flow_names(call), f"rule:{call.rule}"] if call.rule else _flow_names(call)
