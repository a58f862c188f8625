"""The machine of one call and leg: what decides over a caller lives here, in `ascent.py`, `joining.py`,
`transitions.py` and `ladder.py`.

Inputs go in with `now`, effects come out; nothing is awaited and nothing is looked up. What may follow what is the
table in `transitions.py`; an input that has no row there changes nothing. `Ascent` brings the call to somebody whose
phone rings, `Joining` brings caller and person together; this sees to what is left when the caller goes.

An answer is a proposal (P4): it becomes a connection only when the caller's side confirms it, and a second answer is
released. At ring time-out the next rung is offered while the first rings on (R6). Each attempt has one end and is told
of it once; what comes of an attempt that is over says nothing new.
"""

from __future__ import annotations

import math

from services.domain.calls.ascent import stands
from services.domain.calls.budgets import HOLD_S, Budgets
from services.domain.calls.exchange import (
    Admitted,
    AttemptFailed,
    CallerConfirmed,
    CallerHungUp,
    Doubted,
    Effect,
    HigherLeg,
    Input,
    NoRoom,
    PersonAnswered,
    PersonConnected,
    Rang,
    Remember,
    Resume,
    Resumed,
    Routed,
    SayRinging,
    Screened,
    StreamBroke,
    TimePassed,
)
from services.domain.calls.joining import Joining
from services.domain.calls.ladder import Ladder
from services.domain.calls.promise import Promise
from services.domain.calls.transitions import FINAL, TABLE, State
from services.domain.events import FactKind, Failure
from services.domain.holding import UNKNOWN


class Call(Joining):
    """One call and leg. `begin` and `on` return effects to carry out, in order; `deadline` says when to come back.

    `resume` is what an earlier leg confirmed. `older` is the machine of that leg, where it was here and has ended by
    HigherLeg: what it left ringing is this call's from now on.
    """

    def __init__(
        self, call_id: str, leg: int, budgets: Budgets, *, resume: Resume | None = None, older: Call | None = None
    ) -> None:
        super().__init__(call_id, leg, budgets, resume)
        self._superseded = False
        self._promise = Promise()
        if older is not None:
            self._inherit(older)

    @property
    def over(self) -> bool:
        return self.state in FINAL

    def deadline(self) -> float | None:
        """When `TimePassed` is wanted next; None for never."""
        return None if self.over else min(self._next_at(), self._promise.renew_at)

    def _next_at(self) -> float:
        """When the call next does something by itself."""
        dues = (self._attempts.deadline(), self._asked_due, self._unsure_due, self._proposed_due, self._resume_at)
        return min((due for due in dues if due is not None), default=math.inf)

    def begin(self, now: float) -> list[Effect]:
        """The first effects: the debt is written down, and meanwhile the call waits for its turn.

        A leg whose caller may be connected already asks that first, so that nothing rings before it is known (P5).
        """
        self._do(Remember(FactKind.OFFERED))
        self._resume = self._resume or self._unsure
        if self._resume is not None and self._resume.where is not None:
            self._lost[self._resume.attempt] = self._resume.where
        if self._attempts:
            self._adopt(now)
        elif self._resume is not None:
            self._ask_after(self._resume, now)
            self._stand()
        else:
            self._queue(now)
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
            case Resumed():
                self._resumed(happened, now)
            case Admitted():
                self._admitted(now)
            case NoRoom():
                self._overflow(now)
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
            case Doubted():
                self._doubted(happened, now)
            case AttemptFailed():
                under_way = self._attempts.get(happened.attempt)
                if under_way is not None and self._has_it_already(happened):
                    self._connected_already(happened, under_way.place)
                    return
                self._failed(happened, now)
                if under_way is not None and self.state is State.HELD:
                    self._perhaps_superseded(happened)
            case CallerConfirmed():
                self._confirmed(happened, now)
            case CallerHungUp():
                confirmed = self._attempts.get(self._proposed) if self._confirmed_it else None
                if confirmed is not None:  # its release may be lost with the stream that it is said on
                    self._may_talk[self._proposed] = confirmed.place
                self._end(State.ABANDONED, "caller_hung_up")
                self._let_go_of_all_but("")
                self._do(Remember(FactKind.ABANDONED, "caller_hung_up"))
            case StreamBroke():
                self._hold(happened.reason, now)
            case HigherLeg():
                self._answer()
                self.state = State.SUPERSEDED  # and nothing is released: see `older`
                self._do(Remember(FactKind.ENDED, "higher_leg"))
            case TimePassed():
                self._time_passed(now)

    # What an older leg has left.

    def _inherit(self, older: Call) -> None:
        assert older.state is State.SUPERSEDED, f"the older leg is {older.state}: two would go on with its rings"
        older._attempts.hand_over_to(self._attempts)
        self._ladder = older._ladder
        self._maybe_connected = older._maybe_connected
        self._unsure = older._unsure
        self._lost |= older._lost
        self._may_talk |= older._may_talk
        self._proposals |= older._proposals
        self._proposed = older._proposed
        self._confirmed_it = older._confirmed_it

    def _adopt(self, now: float) -> None:
        """Goes on with what the older leg left: the caller hears the same rings, or the same answer, again (P7)."""
        answered = [name for name, attempt in self._attempts if attempt.answered]
        self._proposed = self._proposed or next(iter(answered), "")
        for name, attempt in self._attempts:
            if attempt.where is not None and name != self._proposed:
                self._do(stands(name, attempt, "adopted"))
                self._do(SayRinging(name, attempt.where))
            if attempt.due is None and not attempt.given_up and name != self._proposed:
                attempt.due = now + (self._budgets.reach_s if attempt.where is None else self._budgets.ring_s)
        if self._unsure is not None:
            self._proposed = ""
            self._ask_after(self._unsure, now)
        if not self._proposed:
            self._climb(now)
        elif self._confirmed_it:
            self.state = State.CONNECTING
            self._proposed_due = now + self._budgets.connect_s
        else:
            self._propose(self._proposed, now)

    # When the caller goes.

    def _hold(self, reason: str, now: float) -> None:
        """The caller's stream is gone: what rings is kept for leg n+1, and nothing new is begun (P7).

        Whether the caller is connected already is worth knowing as much as before: that question stays open (P5).
        """
        self.state = State.HELD
        self._resume_at = now + HOLD_S
        self._proposed_due = self._unsure_due = None
        self._answer()
        self._attempts.stop_clocks()
        self._do(Remember(FactKind.CALLER_LOST, reason))

    def _perhaps_superseded(self, happened: AttemptFailed) -> None:
        """In the hold, `superseded` means that leg n+1 rings there, from elsewhere: no callback is owed by this one."""
        self._superseded |= happened.failure is Failure.SUPERSEDED
        if self._superseded and not self._attempts:
            self._hold_ends()

    def _hold_ends(self) -> None:
        if self._superseded:
            self._end(State.SUPERSEDED, "higher_leg")
            self._do(Remember(FactKind.ENDED, "higher_leg"))
        else:
            self._end(State.LOST, "caller_lost")
            self._do(Remember(FactKind.CALLBACK_DUE, "stream_lost"))

    # Time, and the journal.

    def _time_passed(self, now: float) -> None:
        if self.state is State.HELD:
            if self._resume_at is not None and now >= self._resume_at:
                self._hold_ends()
            return
        if self._unsure is not None and self._unsure_due is not None and now >= self._unsure_due:
            self._resumed(Resumed(self._unsure.attempt, UNKNOWN), now)
        if self._asked_due is not None and now >= self._asked_due:
            self._no_answer(now)
        if self._proposed_due is not None and now >= self._proposed_due:
            failure = Failure.EXPIRED if self.state is State.PROPOSED else Failure.UNREACHABLE
            self._give_up(self._proposed, failure, f"no_word_while_{self.state}", now)
        if self._resume_at is not None and now >= self._resume_at:
            self._resume_at = None
            assert isinstance(self._ladder, Ladder), "only the ladder pauses"
            self._ladder.again()
            self._climb(now)
        self._attempts_due(now)

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
                return stands(name, attempt, f"still_{self.state}")
        return Remember(FactKind.WAITING, f"still_{self.state}")
