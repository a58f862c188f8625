"""A call's way up: from its turn to be set up to somebody whose phone rings. `call.py` goes on from there.

One question is open at a time: whose turn it is, what the firewall says, where to. Its answer leads to the ladder's
next step, each step to an attempt, and an attempt that fails to the next step. Nothing here ends a call.
"""

from __future__ import annotations

from typing import Final

from services.domain.calls.attempts import Attempt, Attempts
from services.domain.calls.budgets import Budgets
from services.domain.calls.exchange import (
    AttemptFailed,
    Doubted,
    Effect,
    Enter,
    FindRoute,
    Rang,
    Release,
    Remember,
    Resume,
    Ring,
    Routed,
    SayDiverting,
    SayRinging,
    SayWaiting,
    Screen,
    Screened,
)
from services.domain.calls.ladder import NOT_THERE, AskRoute, DialLines, Ladder, Park, Pause, RingPsap, Rung
from services.domain.calls.overflow import OVERFLOW, Overflow
from services.domain.calls.transitions import State
from services.domain.events import FactKind, Failure
from services.domain.policy import Divert
from services.domain.where import Where

MAYBE_CONNECTED: Final = "maybe_connected"


class Ascent:
    """The part of `Call` that brings it to a ring."""

    def __init__(self, call_id: str, leg: int, budgets: Budgets) -> None:
        self.state = State.QUEUED
        self.call_id = call_id
        self.leg = leg
        self._budgets = budgets
        self._ladder: Ladder | Overflow = Ladder()
        self._attempts = Attempts(call_id, leg)
        self._asked: State | None = None  # the open question, by the state of a call that waits for it alone
        self._asked_due: float | None = None
        self._parked = False
        self._maybe_connected = False  # an earlier leg may have connected the caller: nobody could say (P5)
        self._proposed = ""  # the attempt that a person has answered: nothing is climbed meanwhile
        self._unsure: Resume | None = None  # the question whether the caller is connected: nor while that is open
        self._unsure_due: float | None = None
        self._resume_at: float | None = None  # the end of a pause, or of a hold
        self._effects: list[Effect] = []

    @property
    def sets_up(self) -> bool:
        """Whether somebody is to be asked or reached for it yet: what a place is held for (L1)."""
        return self.state is State.ATTEMPTING or self._asked in (State.SCREENING, State.ROUTING)

    def offered_again(self, name: str) -> bool:
        """Whether this attempt goes on through another gateway than it began with (R5)."""
        attempt = self._attempts.get(name)
        return attempt is not None and attempt.offered_again

    # The open question.

    def _ask(self, question: State, due: float | None, effect: Effect) -> None:
        assert self._asked is None, f"{self._asked} is open, and {question} is asked"
        self._asked, self._asked_due = question, due
        self._do(effect)

    def _answer(self) -> None:
        """The open question is one no more."""
        self._asked = self._asked_due = None

    def _no_answer(self, now: float) -> None:
        """The open question has had its time."""
        match self._asked:
            case State.QUEUED:
                self._overflow(now)
            case State.SCREENING:
                self._screened(Screened(None, "unscreened_no_word"), now)
            case State.ROUTING:
                self._routed(Routed(None, "no_word"), now)

    def _queue(self, now: float) -> None:
        self._ask(State.QUEUED, now + self._budgets.wait_s, Enter())
        self._stand()

    def _admitted(self, now: float) -> None:
        """Its turn has come. What rings since it overflowed rings on; the ladder begins."""
        if self._asked is not State.QUEUED:
            return
        self._answer()
        self._ladder = Ladder()
        self._ask(State.SCREENING, now + self._budgets.question_s, Screen())
        self._stand()

    def _overflow(self, now: float) -> None:
        """No place among those that are set up, or none in time: to lines at once (L1)."""
        if isinstance(self._ladder, Overflow):
            return  # it has been there
        self._answer()
        self._ladder = Overflow()
        self._climb(now)

    def _screened(self, happened: Screened, now: float) -> None:
        if self._asked is not State.SCREENING:
            return
        verdict = happened.verdict
        self._answer()
        self._do(Remember(FactKind.SCREENED, happened.reason, verdict=verdict))
        if isinstance(verdict, Divert) and not happened.ignored:
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

    # The ladder.

    def _climb(self, now: float) -> None:
        """Takes the ladder's next step, unless somebody has answered, perhaps, or the last step is still under way."""
        if self._proposed:
            return
        if self._unsure is not None:
            self._stand()
            return
        parked = self._asked is State.QUEUED
        if (self._asked is None or parked) and not self._attempts.step_under_way:
            step = self._ladder.climb()
            while isinstance(step, RingPsap | DialLines) and self._attempts.at(step):
                self._ladder.failed(step, Failure.NO_ANSWER)  # it rings there still
                step = self._ladder.climb()
            match step:
                case AskRoute(excluded, own_atlas):
                    self._ask(State.ROUTING, now + self._budgets.question_s, FindRoute(excluded, own_atlas))
                case RingPsap() | DialLines():
                    self._attempt(step, now)
                case Pause():
                    self._pause(now)
                case Park():
                    self._park()
        self._stand()

    def _attempt(self, rung: Rung, now: float) -> None:
        budget_s = self._budgets.reach_s if isinstance(rung, RingPsap) else self._budgets.line_reach_s
        name, attempt = self._attempts.begin(rung, now + budget_s)
        if isinstance(rung, DialLines):
            self._do(Remember(FactKind.DIVERTING, rung.reason, attempt=name, where=attempt.place))
            self._do(SayDiverting(rung.reason))
        why = MAYBE_CONNECTED if self._maybe_connected else rung.reason
        self._do(Remember(FactKind.ATTEMPTING, why, attempt=name, where=attempt.place))
        self._do(Ring(name, rung, self._maybe_connected))

    def _pause(self, now: float) -> None:
        """Every rung has failed. What still rings is left ringing; else the caller is told; then all begins again."""
        if self._resume_at is None:
            self._resume_at = now + self._budgets.pause_s
        if not self._attempts:
            self._do(Remember(FactKind.WAITING, "every_rung_failed"))
            self._do(SayWaiting("every_rung_failed"))

    def _park(self) -> None:
        """The lines have brought nothing. When nothing rings any more the caller is told, and a person may ring back
        before a place is free: being connected closes that entry (J2)."""
        if not self._attempts and not self._parked:
            self._parked = True
            self._do(Remember(FactKind.CALLBACK_DUE, OVERFLOW))
            self._do(SayWaiting("parked"))
        if self._asked is None:
            self._ask(State.QUEUED, None, Enter(parked=True))

    def _stand(self) -> None:
        """Says where the call stands, from what is under way; where somebody has answered, it stands there."""
        if self._proposed:
            return
        if self._unsure is not None:
            self.state = State.RESUMING
        elif self._attempts.ring:
            self.state = State.RINGING
        elif self._attempts:
            self.state = State.ATTEMPTING
        else:
            self.state = self._asked or State.WAITING

    # What became of an attempt.

    def _rang(self, happened: Rang, now: float) -> None:
        attempt = self._attempts.get(happened.attempt)
        if attempt is None:
            return
        if attempt.resume_due is not None:
            attempt.resume_due = None
            self._do(stands(happened.attempt, attempt, "through_another_gateway"))
        if happened.attempt == self._proposed or attempt.answered or attempt.where == happened.where:
            return
        first = attempt.where is None
        attempt.where = happened.where
        self._do(stands(happened.attempt, attempt))
        on_the_line = self.state is not State.HELD
        if on_the_line:
            self._do(SayRinging(happened.attempt, happened.where))
        if first:
            attempt.due = now + self._budgets.ring_s if on_the_line else None
            if not (isinstance(attempt.rung, DialLines) and attempt.rung.last):
                for name in self._attempts.too_many(self._proposed):  # only now that this one rings: make before break
                    self._release(name, "third_ring")
        if on_the_line:
            self._stand()

    def _doubted(self, happened: Doubted, now: float) -> None:
        """Where it rings nobody is heard any more. It rings on, as past its ring time, and the next rung is rung (R6).

        The caller may go before anything comes of that: the next leg begins with the next rung.
        """
        name = happened.attempt
        attempt = self._attempts.get(name)
        if attempt is None or attempt.where is None or attempt.given_up or name == self._proposed:
            return
        attempt.given_up = True
        attempt.due = None
        self._do(stands(name, attempt, "psap_doubted"))
        for rung in attempt.by_any_gateway():
            self._ladder.failed(rung, Failure.UNREACHABLE)
        if self.state is not State.HELD:
            self._climb(now)

    def _offered_again(self, name: str, attempt: Attempt, why: str, now: float) -> bool:
        """The gateway of a ring is lost: the PSAP may ring on, and is asked so through its others, each once (R5)."""
        rung = attempt.through_another(now + self._budgets.reach_s)
        if rung is None:
            return False
        self._do(Remember(FactKind.ATTEMPTING, f"gateway_lost_{why}", attempt=name, where=attempt.place))
        self._do(Ring(name, rung, self._maybe_connected))
        return True

    def _failed(self, happened: AttemptFailed, now: float) -> None:
        name = happened.attempt
        attempt = self._attempts.get(name)
        if attempt is None:
            return
        lost = happened.broke if attempt.resume_due is None else happened.failure in NOT_THERE
        on_the_line = self.state is not State.HELD
        if lost and on_the_line and attempt.where and self._offered_again(name, attempt, happened.reason, now):
            return
        self._attempts.end(name)
        reason = happened.reason or happened.failure
        failure = happened.failure
        self._do(Remember(FactKind.DELIVERY_FAILED, reason, attempt=name, where=attempt.place, failure=failure))
        if name == self._proposed:  # the proposal has come to nothing
            self._withdraw(attempt, happened.failure, now)
        if not on_the_line:
            return
        if not attempt.given_up:
            for rung in attempt.tried():
                self._ladder.failed(rung, happened.failure)
        self._climb(now)

    def _withdraw(self, attempt: Attempt, failure: Failure, now: float) -> None:
        self._proposed = ""

    def _attempts_due(self, now: float) -> None:
        """Attempts of which something must have become by now."""
        for name, attempt in self._attempts:
            if name not in self._attempts:
                continue
            if attempt.resume_due is not None and now >= attempt.resume_due:
                if not self._offered_again(name, attempt, "silent", now):
                    self._give_up(name, Failure.UNREACHABLE, "no_word_through_another_gateway", now)
            elif attempt.due is not None and now >= attempt.due:
                attempt.due = None
                if attempt.where is None:
                    self._give_up(name, Failure.UNREACHABLE, "no_ringing_in_time", now)
                else:
                    attempt.given_up = True
                    self._ladder.failed(attempt.rung, Failure.NO_ANSWER)
                    self._climb(now)

    def _give_up(self, name: str, failure: Failure, reason: str, now: float) -> None:
        """Releases an attempt of which nothing has come, which is another way to fail."""
        attempt = self._attempts.get(name)
        assert attempt is not None, f"{name} is over"
        attempt.resume_due = None
        self._do(Release(name, failure))
        self._failed(AttemptFailed(name, failure, reason), now)

    def _release(self, name: str, reason: str) -> None:
        self._attempts.end(name)
        self._do(Release(name, reason))

    def _do(self, effect: Effect) -> None:
        self._effects.append(effect)


def stands(name: str, attempt: Attempt, reason: str = "") -> Remember:
    """The fact of how an attempt stands: it rings where it was heard to ring; else it is tried, whatever else came.

    Nobody but who rings knows where that is: one of an owner's lines, or the place that stands in for a PSAP.
    """
    kind = FactKind.ATTEMPTING if attempt.where is None else FactKind.RINGING
    return Remember(kind, reason, attempt=name, where=attempt.place)
