"""The machine of one call and leg: what decides over a caller lives here, in `transitions.py` and in `ladder.py`.

Inputs go in with `now`, effects come out; nothing is awaited and nothing is looked up. What may follow what is the
table in `transitions.py`; an input that has no row there changes nothing.

An answer is a proposal (P4): it becomes a connection only when the caller's side confirms it, and a second answer is
released. At ring time-out the next rung is offered while the first rings on (R6). Each attempt has one end and is told
of it once; what comes of an attempt that is over says nothing new.
"""

from __future__ import annotations

import math
from typing import Final

from services.domain.attempts import Attempts
from services.domain.budgets import HOLD_S, Budgets
from services.domain.events import FactKind, Failure
from services.domain.exchange import (
    Admitted,
    AttemptFailed,
    CallerConfirmed,
    CallerHungUp,
    Connect,
    Effect,
    Enter,
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
from services.domain.promise import Promise
from services.domain.transitions import FINAL, TABLE, State
from services.domain.where import Where

_ANSWERED: Final = frozenset({State.PROPOSED, State.CONNECTING})


class Call:
    """One call and leg. `begin` and `on` return effects to carry out, in order; `deadline` says when to come back."""

    def __init__(self, call_id: str, leg: int, budgets: Budgets) -> None:
        self.state = State.QUEUED
        self.call_id = call_id
        self.leg = leg
        self._budgets = budgets
        self._ladder = Ladder()
        self._attempts = Attempts(call_id, leg)
        self._asked: State | None = State.QUEUED  # the open question, by the state of a call that waits for it alone
        self._asked_due: float | None = None
        self._proposed = ""
        self._proposed_due: float | None = None
        self._resume_at: float | None = None  # the end of a pause, or of a hold
        self._promise = Promise()
        self._effects: list[Effect] = []

    @property
    def over(self) -> bool:
        return self.state in FINAL

    def deadline(self) -> float | None:
        """When `TimePassed` is wanted next; None for never."""
        return None if self.over else min(self._next_at(), self._promise.renew_at)

    def _next_at(self) -> float:
        """When the call next does something by itself."""
        dues = (self._attempts.deadline(), self._asked_due, self._proposed_due, self._resume_at)
        return min((due for due in dues if due is not None), default=math.inf)

    def begin(self, now: float) -> list[Effect]:
        """The first effects: the debt is written down, and the call waits for its turn meanwhile."""
        self._do(Remember(FactKind.OFFERED))
        self._do(Enter())
        return self._step(now)

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
        return self._step(now)

    def _decide(self, happened: Input, now: float) -> None:
        match happened:
            case Admitted():
                self._ask(State.SCREENING, Screen(), now)
                self._stand()
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
                self._hold(happened.reason, now)
            case TimePassed():
                self._time_passed(now)

    # The way up.

    def _ask(self, question: State, effect: Effect, now: float) -> None:
        self._asked = question
        self._asked_due = now + self._budgets.question_s
        self._do(effect)

    def _answer(self) -> None:
        """The open question is one no more."""
        self._asked = self._asked_due = None

    def _screened(self, happened: Screened, now: float) -> None:
        verdict = happened.verdict
        self._answer()
        self._do(Remember(FactKind.SCREENED, happened.reason, verdict=verdict))
        if isinstance(verdict, Divert):
            self._ladder = Ladder(verdict.desk, "policy")
        self._climb(now)

    def _routed(self, happened: Routed, now: float) -> None:
        if self._asked is not State.ROUTING:
            return
        self._answer()
        found = happened.destination
        where = None if found is None else Where(found.psap_id)
        self._do(Remember(FactKind.ROUTED, happened.reason, where=where))
        self._ladder.found(found)
        self._climb(now)

    def _climb(self, now: float) -> None:
        """Takes the ladder's next step, unless somebody has answered or the last step is still under way."""
        if self.state in _ANSWERED:
            return
        if self._asked is None and not self._attempts.step_under_way:
            step = self._ladder.climb()
            while isinstance(step, RingPsap | DialLines) and self._attempts.at(step):
                self._ladder.failed(step, Failure.NO_ANSWER)  # it rings there still
                step = self._ladder.climb()
            match step:
                case AskRoute(excluded):
                    self._ask(State.ROUTING, FindRoute(excluded), now)
                case RingPsap() | DialLines():
                    self._attempt(step, now)
                case Pause():
                    self._pause(now)
        self._stand()

    def _attempt(self, rung: Rung, now: float) -> None:
        budget_s = self._budgets.reach_s if isinstance(rung, RingPsap) else self._budgets.line_reach_s
        name, attempt = self._attempts.begin(rung, now + budget_s)
        if isinstance(rung, DialLines):
            self._do(Remember(FactKind.DIVERTING, rung.reason, attempt=name, where=attempt.place))
            self._do(SayDiverting(rung.reason))
        self._do(Remember(FactKind.ATTEMPTING, rung.reason, attempt=name, where=attempt.place))
        self._do(Ring(name, rung))

    def _pause(self, now: float) -> None:
        """Every rung has failed. What still rings is left ringing; else the caller is told; then all begins again."""
        if self._resume_at is None:
            self._resume_at = now + self._budgets.pause_s
        if not self._attempts:
            self._do(Remember(FactKind.WAITING, "every_rung_failed"))
            self._do(SayWaiting("every_rung_failed"))

    def _stand(self) -> None:
        """Says where the call stands, from what is under way."""
        if self._attempts.ring:
            self.state = State.RINGING
        elif self._attempts:
            self.state = State.ATTEMPTING
        else:
            self.state = self._asked or State.WAITING

    # What became of an attempt.

    def _rang(self, happened: Rang, now: float) -> None:
        attempt = self._attempts.get(happened.attempt)
        if attempt is None or happened.attempt == self._proposed or attempt.where == happened.where:
            return
        first = attempt.where is None
        attempt.where = happened.where
        self._do(Remember(FactKind.RINGING, attempt=happened.attempt, where=happened.where))
        self._do(SayRinging(happened.attempt, happened.where))
        if first:
            attempt.due = now + self._budgets.ring_s
            if not (isinstance(attempt.rung, DialLines) and attempt.rung.last):
                for name in self._attempts.too_many(self._proposed):  # only now that this one rings: make before break
                    self._release(name, "third_ring")
        if self.state not in _ANSWERED:
            self._stand()

    def _answered(self, happened: PersonAnswered, now: float) -> None:
        attempt = self._attempts.get(happened.attempt)
        if attempt is None or happened.attempt == self._proposed:
            return
        if self._proposed:
            self._release(happened.attempt, "answered_elsewhere")
            return
        self.state = State.PROPOSED
        self._proposed = happened.attempt
        self._proposed_due = now + self._budgets.confirm_s
        attempt.due = None
        self._do(SayConnecting(happened.attempt))

    def _confirmed(self, happened: CallerConfirmed, now: float) -> None:
        if happened.attempt != self._proposed:
            return  # an older proposal, withdrawn since
        self.state = State.CONNECTING
        self._proposed_due = now + self._budgets.connect_s
        self._do(Connect(happened.attempt))

    def _connected(self, happened: PersonConnected) -> None:
        attempt = self._attempts.get(happened.attempt)
        if attempt is None or happened.attempt != self._proposed:
            return
        self._attempts.end(happened.attempt)
        kind = FactKind.DIVERTED if isinstance(attempt.rung, DialLines) else FactKind.ANSWERED
        self._end(State.CONNECTED, "answered_elsewhere")
        self._do(Remember(kind, settled=True, attempt=happened.attempt, where=happened.where))
        self._do(SayConnected(happened.attempt, happened.where))

    def _failed(self, happened: AttemptFailed, now: float) -> None:
        attempt = self._attempts.end(happened.attempt)
        if attempt is None:
            return
        reason = happened.reason or happened.failure
        self._do(Remember(FactKind.DELIVERY_FAILED, reason, attempt=happened.attempt, where=attempt.place))
        if self.state is State.HELD:
            return
        if not attempt.given_up:
            self._ladder.failed(attempt.rung, happened.failure)
        if happened.attempt == self._proposed:  # the proposal has come to nothing: back to the ladder
            self._proposed = ""
            self._proposed_due = None
            self._stand()
        self._climb(now)

    def _hold(self, reason: str, now: float) -> None:
        """The caller's stream is gone: what rings is kept for leg n+1, and nothing new is begun (P7)."""
        self.state = State.HELD
        self._resume_at = now + HOLD_S
        self._proposed_due = None
        self._answer()
        self._attempts.stop_clocks()
        self._do(Remember(FactKind.CALLER_LOST, reason))

    def _time_passed(self, now: float) -> None:
        if self.state is State.HELD:
            if self._resume_at is not None and now >= self._resume_at:
                self._end(State.LOST, "caller_lost")
                self._do(Remember(FactKind.CALLBACK_DUE, "stream_lost"))
            return
        if self._asked_due is not None and now >= self._asked_due:
            if self._asked is State.SCREENING:
                self._screened(Screened(None, "unscreened_no_word"), now)
            else:
                self._routed(Routed(None, "no_word"), now)
        if self._proposed_due is not None and now >= self._proposed_due:
            failure = Failure.EXPIRED if self.state is State.PROPOSED else Failure.UNREACHABLE
            self._do(Release(self._proposed, failure))
            self._failed(AttemptFailed(self._proposed, failure, f"no_word_while_{self.state}"), now)
        if self._resume_at is not None and now >= self._resume_at:
            self._resume_at = None
            self._ladder.again()
            self._climb(now)
        for name, attempt in self._attempts:
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

    def _release(self, name: str, reason: str) -> None:
        self._attempts.end(name)
        self._do(Release(name, reason))

    def _end(self, state: State, reason: str) -> None:
        for name, _ in self._attempts:
            self._release(name, reason)
        self.state = state

    def _do(self, effect: Effect) -> None:
        self._effects.append(effect)

    def _step(self, now: float) -> list[Effect]:
        """This step's effects, with what they promise the journal (J1)."""
        effects, self._effects = self._effects, []
        if self.over:
            return effects
        return self._promise.kept(effects, self._next_at(), self._still(), now)

    def _still(self) -> Remember:
        """The fact that things are as they were."""
        for name, attempt in self._attempts:
            if name == self._proposed or (attempt.where is not None and not self._proposed):
                return Remember(FactKind.RINGING, f"still_{self.state}", attempt=name, where=attempt.place)
        return Remember(FactKind.WAITING, f"still_{self.state}")
