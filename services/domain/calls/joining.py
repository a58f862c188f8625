"""How a caller and a person come together, and what is done where nobody says whether they did (P4, P5).

An answer is a proposal; what the caller's side confirms is connected, and is a connection at the acknowledgement alone.
Where the word of that is lost with whoever was to bring it, an earlier leg's or this one's, all who may know are asked,
and nobody else is rung or proposed meanwhile.
"""

from __future__ import annotations

from services.domain.calls.ascent import Ascent, stands
from services.domain.calls.attempts import Attempt
from services.domain.calls.budgets import Budgets
from services.domain.calls.exchange import (
    AttemptFailed,
    CallerConfirmed,
    Connect,
    LetGo,
    PersonAnswered,
    PersonConnected,
    Remember,
    Resume,
    Resumed,
    SayConnected,
    SayConnecting,
)
from services.domain.calls.ladder import NOT_THERE, DialLines
from services.domain.calls.transitions import State
from services.domain.events import FactKind, Failure
from services.domain.holding import Holding, Standing
from services.domain.where import Where


class Joining(Ascent):
    """The part of `Call` that joins the two. `resume` is what an earlier leg confirmed."""

    def __init__(self, call_id: str, leg: int, budgets: Budgets, resume: Resume | None) -> None:
        super().__init__(call_id, leg, budgets)
        self._resume = resume
        self._lost: dict[str, Where] = {}  # where the caller had confirmed somebody of whom no word came
        self._proposals: set[str] = set()  # all of them
        self._may_talk: dict[str, Where | None] = {}  # attempts that a person may be connected under all the same
        self._proposed_due: float | None = None
        self._confirmed_it = False  # the proposal; a connection may be under way

    # A person and the caller.

    def _answered(self, happened: PersonAnswered, now: float) -> None:
        name = happened.attempt
        attempt = self._attempts.get(name)
        if attempt is None:
            return
        if self.state is State.HELD:
            if not attempt.answered and (self._proposed or any(each.answered for _, each in self._attempts)):
                self._release(name, "answered_elsewhere")
            elif not attempt.answered:
                attempt.answered = True  # for the next leg, if it comes before the answer is released
                self._do(stands(name, attempt, "answered_in_the_hold"))
        elif self._unsure is not None:
            if not attempt.answered and any(each.answered for _, each in self._attempts):
                self._release(name, "answered_elsewhere")
            elif not attempt.answered:
                attempt.answered = True  # it is proposed where nobody else has the caller
                attempt.due = attempt.resume_due = None
                self._do(stands(name, attempt, "answered_meanwhile"))
        elif not self._proposed:
            attempt.answered = True
            attempt.offered_again = False
            attempt.due = attempt.resume_due = None
            self._propose(name, now)
        elif name != self._proposed:
            self._release(name, "answered_elsewhere")
        elif attempt.offered_again:  # the same answer, through the other gateway (R5)
            attempt.offered_again = False
            attempt.resume_due = None
            if self.state is State.CONNECTING:
                self._do(Connect(name))

    def has_proposed(self, name: str) -> bool:
        """Whether the caller was told of this answer here: else whoever confirmed it heard of it from another conductor
        of the same leg, whose attempts bear the same names (P8)."""
        return name in self._proposals

    def _propose(self, name: str, now: float) -> None:
        self.state = State.PROPOSED
        self._proposals.add(name)
        self._proposed = name
        self._proposed_due = now + self._budgets.confirm_s
        self._do(SayConnecting(name))

    def _confirmed(self, happened: CallerConfirmed, now: float) -> None:
        attempt = self._attempts.get(self._proposed)
        if happened.attempt != self._proposed or attempt is None:
            return  # an older proposal, withdrawn since
        self.state = State.CONNECTING
        self._confirmed_it = True
        self._proposed_due = now + self._budgets.connect_s
        if not attempt.offered_again:  # else when the answer is said again
            self._do(Connect(happened.attempt))

    def _connected(self, happened: PersonConnected) -> None:
        attempt = self._attempts.get(happened.attempt)
        if attempt is None or happened.attempt != self._proposed or not self._confirmed_it:
            return
        self._attempts.end(happened.attempt)
        self._settle(isinstance(attempt.rung, DialLines), happened.attempt, happened.where, "")

    def _settle(self, by_line: bool, attempt: str, where: Where, reason: str) -> None:
        kind = FactKind.DIVERTED if by_line else FactKind.ANSWERED
        self._end(State.CONNECTED, "answered_elsewhere")
        self._let_go_of_all_but(attempt)
        self._do(Remember(kind, reason, settled=True, attempt=attempt, where=where))
        self._do(SayConnected(attempt, where))

    def _withdraw(self, attempt: Attempt, failure: Failure, now: float) -> None:
        name, self._proposed = self._proposed, ""
        if self._confirmed_it and failure in NOT_THERE:
            # The word that would have told is lost with who was to bring it.
            self._lost[name] = attempt.place
            self._ask_after(Resume(name, attempt.place), now)
        self._proposed_due = None
        self._confirmed_it = False

    # Whether the caller is connected already (P5).

    @property
    def seen_connected(self) -> Resume | None:
        """What this ingress saw connected, while nobody has answered whether it still is."""
        return self._unsure if self._unsure is not None and self._unsure.seen else None

    def _ask_after(self, resume: Resume, now: float) -> None:
        """Whoever may have connected this attempt is asked, before anybody else is rung."""
        self._unsure = resume
        self._may_talk[resume.attempt] = resume.where
        self._unsure_due = None if self.state is State.HELD else now + self._budgets.question_s
        self._do(resume)

    def _resumed(self, happened: Resumed, now: float) -> None:
        asked = self._unsure
        if asked is None or asked.attempt != happened.attempt:
            return
        holding, reason = happened.holding, "resumed"
        self._unsure = self._unsure_due = None
        if asked.seen and holding.standing not in (Standing.CONNECTED, Standing.NONE):
            holding, reason = Holding(Standing.CONNECTED, asked.attempt, asked.where), "seen_connected"
        if holding.standing is Standing.CONNECTED:
            where = holding.where or asked.where or Where("")
            self._settle(where.is_line, holding.attempt or asked.attempt, where, reason)
            return
        if holding.standing is Standing.NONE:
            self._may_talk.pop(asked.attempt, None)
        self._maybe_connected |= holding.standing is not Standing.NONE
        if self.state is State.HELD:
            return
        answered = next((name for name, attempt in self._attempts if attempt.answered), "")
        if asked is self._resume and not self._attempts and self._asked is None:
            self._queue(now)
        elif answered:
            self._propose(answered, now)
        else:
            self._climb(now)

    def _has_it_already(self, happened: AttemptFailed) -> bool:
        """Whether who was offered the call says that it is connected there under an attempt of an earlier leg, or under
        one of this leg's that was lost on its way to be connected (R3).

        Only a confirmed attempt can be: the caller and a person are together already (P4, P5).
        """
        call_id, _, rest = happened.reason.rpartition("/")[0].rpartition("/")
        earlier = call_id == self.call_id and rest.isdigit() and int(rest) < self.leg
        believed = earlier or happened.reason in self._lost
        return believed and happened.failure is Failure.SUPERSEDED and self.state in (State.ATTEMPTING, State.RINGING)

    def _connected_already(self, happened: AttemptFailed, where: Where) -> None:
        self._attempts.end(happened.attempt)
        # A line that was not rung anew tells nothing of itself.
        where = self._lost.get(happened.reason) or where
        self._settle(where.is_line, happened.reason, where, "connected_already")

    # The end.

    def _let_go_of_all_but(self, attempt: str) -> None:
        """The caller talks under this attempt, or under none: nobody else is to sit with nobody."""
        for name, where in self._may_talk.items():
            if name != attempt:
                self._do(LetGo(name, where))

    def _end(self, state: State, reason: str) -> None:
        self._answer()
        self._unsure = self._unsure_due = None
        for name, _ in self._attempts:
            self._release(name, reason)
        self.state = state
