"""The machine of one call and leg: what decides over a caller lives here, in `transitions.py` and in `ladder.py`.

Inputs go in with `now`, effects come out; nothing is awaited and nothing is looked up. What may follow what is the
table in `transitions.py`; an input that has no row there changes nothing.

An answer is a proposal (P4): it becomes a connection only when the caller's side confirms it, and a second answer is
released. At ring time-out the next rung is offered while the first rings on (R6).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.domain.events import FactKind, Failure, Where
from services.domain.exchange import (
    AttemptFailed,
    CallerConfirmed,
    CallerHungUp,
    Connect,
    Effect,
    FindRoute,
    Input,
    PersonAnswered,
    PersonConnected,
    Rang,
    Release,
    Remember,
    Ring,
    Routed,
    SayConnected,
    SayConnecting,
    SayDiverting,
    SayRinging,
    SayWaiting,
    Screen,
    Screened,
    StreamBroke,
    TimePassed,
)
from services.domain.ladder import AskRoute, DialLines, Ladder, Pause, RingPsap, Rung
from services.domain.policy import Divert
from services.domain.transitions import FINAL, TABLE, State

RINGS_MAX: Final = 2
HOLD_S: Final = 2.0
"""How long rings are held after the caller's stream broke, so that leg n+1 finds them (P7)."""
SLACK_MS: Final = 1_000
"""Added to a budget before a fact is called overdue (J1)."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """Seconds. Human times (`ring_s`) may be scaled in a demonstration; the others are the protocol's own."""

    reach_s: float = 0.300
    line_reach_s: float = 3.0
    """Failover walks an owner's lines one by one, each within its own bound."""
    ring_s: float = 15.0
    confirm_s: float = 1.5
    """The gateway's own second is the authority (P4); this is for a gateway that is gone."""
    connect_s: float = 1.0
    pause_s: float = 2.0


class _Attempt:
    """One rung being tried."""

    __slots__ = ("due", "given_up", "rung", "where")

    def __init__(self, rung: Rung, due: float) -> None:
        self.rung = rung
        self.where: Where | None = None  # set once it rings
        self.due: float | None = due
        self.given_up = False  # its ring time is over: it rings on, but the ladder has moved


class Call:
    """One call and leg. `begin` and `on` return effects to carry out, in order; `deadline` says when to come back."""

    def __init__(self, call_id: str, leg: int, budgets: Budgets) -> None:
        self.state = State.SCREENING
        self.call_id = call_id
        self.leg = leg
        self._budgets = budgets
        self._ladder = Ladder()
        self._attempts: dict[str, _Attempt] = {}
        self._attempts_begun = 0
        self._asking_route = False
        self._proposed = ""
        self._proposed_due: float | None = None
        self._resume_at: float | None = None
        self._effects: list[Effect] = []

    @property
    def over(self) -> bool:
        return self.state in FINAL

    def deadline(self) -> float | None:
        """When `TimePassed` is wanted next; None for never."""
        dues = [a.due for a in self._attempts.values() if a.due is not None]
        dues += [due for due in (self._proposed_due, self._resume_at) if due is not None]
        return min(dues, default=None)

    def begin(self, now: float) -> list[Effect]:
        """The first effects: the debt is written down, and screened meanwhile."""
        return [Remember(FactKind.OFFERED, due_in_ms=SLACK_MS), Screen()]

    def on(self, happened: Input, now: float) -> list[Effect]:
        """Takes an input; one that means nothing in this state changes nothing and returns no effects."""
        allowed = TABLE[self.state].get(type(happened))
        if allowed is None:
            return []
        before = self.state
        self._decide(happened, now)
        assert self.state is before or self.state in allowed, (
            f"{before} may not go to {self.state} on {type(happened).__name__}; see TABLE"
        )
        effects, self._effects = self._effects, []
        return effects

    def _decide(self, happened: Input, now: float) -> None:
        match happened:
            case Screened():
                self._screened(happened, now)
            case Routed():
                self._routed(happened, now)
            case Rang():
                self._rang(happened, now)
            case PersonAnswered():
                self._answered(happened, now)
            case PersonConnected():
                self._connected(happened)
            case AttemptFailed():
                self._failed(happened, now)
            case CallerConfirmed():
                self._confirmed(happened, now)
            case CallerHungUp():
                self._end(State.ABANDONED, "caller_hung_up")
                self._do(Remember(FactKind.ABANDONED, "caller_hung_up"))
            case StreamBroke():
                self.state = State.HELD
                self._resume_at = now + HOLD_S
                self._proposed_due = None
                for attempt in self._attempts.values():
                    attempt.due = None
                self._do(Remember(FactKind.CALLER_LOST, happened.reason, int(HOLD_S * 1000) + SLACK_MS))
            case TimePassed():
                self._time_passed(now)

    # The way up.

    def _screened(self, happened: Screened, now: float) -> None:
        verdict = happened.verdict
        self._do(Remember(FactKind.SCREENED, happened.reason, SLACK_MS, verdict=verdict))
        if isinstance(verdict, Divert):
            self._ladder = Ladder(verdict.desk, "policy")
        self._climb(now)

    def _routed(self, happened: Routed, now: float) -> None:
        if not self._asking_route:
            return
        self._asking_route = False
        found = happened.destination
        where = None if found is None else Where(found.psap_id)
        self._do(Remember(FactKind.ROUTED, happened.reason, SLACK_MS, where=where))
        self._ladder.found(found)
        self._climb(now)

    def _climb(self, now: float) -> None:
        """Takes the ladder's next step, unless somebody has answered."""
        if self.state in (State.PROPOSED, State.CONNECTING):
            return
        if self._asking_route:
            self._stand(now)
            return
        step = self._ladder.climb()
        while isinstance(step, RingPsap | DialLines) and self._rings_at(step):
            self._ladder.failed(step, Failure.NO_ANSWER)  # it rings there still, from the round before
            step = self._ladder.climb()
        match step:
            case AskRoute(excluded):
                self._asking_route = True
                self._do(FindRoute(excluded))
            case RingPsap() | DialLines():
                self._attempt(step, now)
            case Pause():
                self._pause(now)
        self._stand(now)

    def _attempt(self, rung: Rung, now: float) -> None:
        ringing = [name for name, attempt in self._attempts.items() if attempt.where is not None]
        if len(ringing) >= RINGS_MAX and not (isinstance(rung, DialLines) and rung.last):
            self._release(ringing[0], "third_ring")
        self._attempts_begun += 1
        name = f"{self.call_id}/{self.leg}/{self._attempts_begun}"
        if isinstance(rung, RingPsap):
            where, budget_s = Where(rung.psap_id), self._budgets.reach_s
        else:
            where, budget_s = Where(rung.owner), self._budgets.line_reach_s
            self._do(Remember(FactKind.DIVERTING, rung.reason, self._due_ms(budget_s), attempt=name, where=where))
            self._do(SayDiverting(rung.reason))
        self._attempts[name] = _Attempt(rung, now + budget_s)
        self._do(Remember(FactKind.ATTEMPTING, rung.reason, self._due_ms(budget_s), attempt=name, where=where))
        self._do(Ring(name, rung))

    def _pause(self, now: float) -> None:
        """Every rung has failed. What still rings is left ringing; else the caller is told, and all begins again."""
        self._resume_at = now + self._budgets.pause_s
        if not self._attempts:
            due_ms = self._due_ms(self._budgets.pause_s)
            self._do(Remember(FactKind.WAITING, "every_rung_failed", due_ms))
            self._do(SayWaiting("every_rung_failed"))

    def _stand(self, now: float) -> None:
        """Says where the call stands, from what is under way."""
        if any(attempt.where is not None for attempt in self._attempts.values()):
            self.state = State.RINGING
        elif self._attempts:
            self.state = State.ATTEMPTING
        elif self._asking_route:
            self.state = State.ROUTING
        else:
            self.state = State.WAITING

    # What became of an attempt.

    def _rang(self, happened: Rang, now: float) -> None:
        attempt = self._attempts.get(happened.attempt)
        if attempt is None:
            self._do(Release(happened.attempt, "not_wanted"))
            self._stay(now)
            return
        if attempt.where is None:
            attempt.due = now + self._budgets.ring_s
        attempt.where = happened.where
        due_ms = self._due_ms(self._budgets.ring_s)
        self._do(Remember(FactKind.RINGING, "", due_ms, attempt=happened.attempt, where=happened.where))
        self._do(SayRinging(happened.attempt, happened.where))
        self._stay(now)

    def _answered(self, happened: PersonAnswered, now: float) -> None:
        if self._proposed or happened.attempt not in self._attempts:
            self._release(happened.attempt, "answered_elsewhere")
            self._stay(now)
            return
        self.state = State.PROPOSED
        self._proposed = happened.attempt
        self._proposed_due = now + self._budgets.confirm_s
        self._attempts[happened.attempt].due = None
        self._do(SayConnecting(happened.attempt))

    def _confirmed(self, happened: CallerConfirmed, now: float) -> None:
        if happened.attempt != self._proposed:
            return  # an older proposal, withdrawn since
        self.state = State.CONNECTING
        self._proposed_due = now + self._budgets.connect_s
        self._do(Connect(happened.attempt))

    def _connected(self, happened: PersonConnected) -> None:
        if happened.attempt != self._proposed:
            return
        kind = FactKind.DIVERTED if happened.where.is_line else FactKind.ANSWERED
        del self._attempts[happened.attempt]
        self._end(State.CONNECTED, "answered_elsewhere")
        self._do(Remember(kind, "", settled=True, attempt=happened.attempt, where=happened.where))
        self._do(SayConnected(happened.attempt, happened.where))

    def _failed(self, happened: AttemptFailed, now: float) -> None:
        attempt = self._attempts.pop(happened.attempt, None)
        if attempt is None:
            self._stay(now)
            return
        kind = FactKind.DELIVERY_FAILED
        reason = happened.reason or happened.failure
        where = attempt.where or Where(_owner(attempt.rung))
        self._do(Remember(kind, reason, SLACK_MS, attempt=happened.attempt, where=where))
        if not attempt.given_up:
            self._ladder.failed(attempt.rung, happened.failure)
        if happened.attempt == self._proposed:
            self._withdraw(now)
        elif attempt.given_up and self._attempts:
            self._stay(now)  # the ladder has moved on from it already
        else:
            self._climb(now)

    def _withdraw(self, now: float) -> None:
        """The proposal has come to nothing: back to the ladder."""
        self._proposed = ""
        self._proposed_due = None
        self._stand(now)
        self._climb(now)

    def _time_passed(self, now: float) -> None:
        if self.state is State.HELD:
            if self._resume_at is not None and now >= self._resume_at:
                self._end(State.LOST, "caller_lost")
                self._do(Remember(FactKind.CALLBACK_DUE, "stream_lost"))
            return
        if self._proposed_due is not None and now >= self._proposed_due:
            failure = Failure.EXPIRED if self.state is State.PROPOSED else Failure.UNREACHABLE
            self._do(Release(self._proposed, failure))
            self._failed(AttemptFailed(self._proposed, failure, f"no_word_while_{self.state}"), now)
        if self._resume_at is not None and now >= self._resume_at:
            self._resume_at = None
            self._ladder.again()
            self._climb(now)
        for name, attempt in list(self._attempts.items()):
            if attempt.due is None or now < attempt.due or name not in self._attempts:
                continue
            attempt.due = None
            if attempt.where is None:
                self._do(Release(name, Failure.UNREACHABLE))
                self._failed(AttemptFailed(name, Failure.UNREACHABLE, "no_ringing_in_time"), now)
            else:
                attempt.given_up = True
                self._ladder.failed(attempt.rung, Failure.NO_ANSWER)
                self._climb(now)

    # Small words.

    def _rings_at(self, rung: Rung) -> bool:
        return any(type(a.rung) is type(rung) and _owner(a.rung) == _owner(rung) for a in self._attempts.values())

    def _release(self, name: str, reason: str) -> None:
        self._attempts.pop(name, None)
        self._do(Release(name, reason))

    def _end(self, state: State, reason: str) -> None:
        for name in list(self._attempts):
            self._release(name, reason)
        self.state = state
        self._proposed_due = self._resume_at = None

    def _stay(self, now: float) -> None:
        """Re-reads the state, unless an answer holds it."""
        if self.state not in (State.PROPOSED, State.CONNECTING):
            self._stand(now)

    def _do(self, effect: Effect) -> None:
        self._effects.append(effect)

    def _due_ms(self, budget_s: float) -> int:
        return int(budget_s * 1000) + SLACK_MS


def _owner(rung: Rung) -> str:
    return rung.psap_id if isinstance(rung, RingPsap) else rung.owner
