"""A small shell for a call's machine: plays what comes out, and holds every step to the promises.

It knows the protocol's rules and nothing of how the machine keeps them, so each test that plays a call through it, a
story or a random walk, checks all of them all the time.
"""

from __future__ import annotations

import math
from typing import Final

from services.domain.calls.attempts import RINGS_MAX
from services.domain.calls.budgets import Budgets
from services.domain.calls.call import Call
from services.domain.calls.exchange import (
    Admitted,
    AttemptFailed,
    CallerConfirmed,
    Connect,
    Doubted,
    Effect,
    Enter,
    FindRoute,
    HigherLeg,
    Input,
    LetGo,
    NoRoom,
    PersonAnswered,
    PersonConnected,
    Rang,
    Release,
    Remember,
    Resume,
    Resumed,
    Ring,
    Routed,
    Say,
    SayConnected,
    SayConnecting,
    SayDiverting,
    SayRinging,
    SayWaiting,
    Screen,
    Screened,
    TimePassed,
)
from services.domain.calls.ladder import Destination, DialLines, RingPsap, Rung
from services.domain.calls.transitions import FINAL, TABLE, State
from services.domain.events import FactKind, Failure
from services.domain.holding import NONE, Holding
from services.domain.policy import Divert, Flag, Pass, Verdict
from services.domain.where import Where

OPEN_CALL_WRITES_WITHIN_S: Final = 300.0
"""Who reads the journal from fifteen minutes back finds every open call (architecture.md, Topics)."""
OUTCOMES: Final = {
    FactKind.ANSWERED: State.CONNECTED,
    FactKind.DIVERTED: State.CONNECTED,
    FactKind.ABANDONED: State.ABANDONED,
    FactKind.CALLBACK_DUE: State.LOST,
    FactKind.ENDED: State.SUPERSEDED,
}
SAYS: Final = (SayWaiting, SayRinging, SayConnecting, SayConnected, SayDiverting)
P1: Final = Destination("P1", ("gw-a", "gw-b"), True, "town")
P2: Final = Destination("P2", ("gw-a", "gw-b"), True, "alternate")
GONE: Final = Destination("P1", (), False, "unreachable")
VERDICTS: Final[tuple[Verdict | None, ...]] = (
    None,
    Pass(),
    Flag(60, "r1", "odd"),
    *(Divert(desk, "r2", "flood") for desk in ("region", "P1", "P2", "poison-desk")),
)
"""Verdicts to draw from: desks of their own, desks that are a PSAP's, and the region's."""
DESTINATIONS: Final = (
    None,
    P1,
    P2,
    GONE,
    Destination("P2", (), True, "no_gateway"),
    Destination("P3", ("gw-a", "gw-a", "gw-b", "gw-c"), True, "alternate"),
    Destination("region", ("gw-a",), True, "odd"),
)
"""Routes to draw from, odd ones among them."""


def place(rung: Rung) -> tuple[type[Rung], str]:
    """Where a rung rings: call-takers or lines, and whose."""
    return type(rung), rung.owner


def where_of(rung: Rung) -> Where:
    """Where a person would answer, as the far end tells it."""
    return Where(rung.psap_id) if isinstance(rung, RingPsap) else Where(rung.owner, "+15085550100")


class Shell:
    """One call, played. `hear` hands an input over at `now`; everything that came out is kept."""

    def __init__(
        self,
        budgets: Budgets | None = None,
        *,
        admitted: bool = True,
        resume: Resume | None = None,
        older: Shell | None = None,
    ) -> None:
        self.budgets = budgets or Budgets()
        leg = 1 if older is None else older.call.leg + 1
        self.resume = resume
        self.call: Call = Call("c1", leg, self.budgets, resume=resume, older=older.call if older else None)
        self.now: float = older.now if older else 100.0
        self.asked_at: float | None = None
        self.asked_after = ""
        """The attempt that was asked after last (P5)."""
        self.question: type[Input] = Screened
        self.queued = False
        self.before_the_end: State | None = None
        self.before_the_hold: State | None = None
        self.rungs: dict[str, Rung] = {}
        self.ends: dict[str, str] = {}
        self.offers: list[Ring] = []
        self.rang_at: dict[str, float] = {}
        self.rang_where: dict[str, set[Where]] = {}
        """Where each attempt was heard to ring."""
        self.doubted: set[str] = set()
        self.answered: set[str] = set()
        self.connects: list[str] = []
        self.confirmed_by_caller: set[str] = set()
        self.offered_again: dict[str, list[str]] = {}
        self.facts: list[Remember] = []
        self.said: list[Say] = []
        self.routes_asked: list[tuple[str, ...]] = []
        self.edges: set[tuple[State, type[Input], State]] = set()
        self.owed_at = 0.0
        self.sound = True
        """Whether every step so far has kept the promises."""
        self._proposal = ""
        self._round_began = -math.inf
        if older is not None:
            self._take_over(older)
        self._play(None, self.call.begin(self.now))
        if admitted and self.queued:
            self.hear(Admitted())

    def _take_over(self, older: Shell) -> None:
        """What the older leg left under way is this one's."""
        for name, end in older.ends.items():
            if end == "handed_over":
                self.rungs[name] = older.rungs[name]
                if name in older.rang_at:
                    self.rang_at[name] = older.rang_at[name]
                    self.rang_where[name] = older.rang_where[name]
        self.doubted = older.doubted & self.rungs.keys()
        self.answered = {name for name in older.answered if name in self.rungs and name != older._proposal}
        if older._proposal in self.rungs:
            self.answered.add(older._proposal)
        left = older.before_the_hold if older.before_the_end is State.HELD else older.before_the_end
        if left is State.CONNECTING and older._proposal in self.rungs:
            self._proposal = older._proposal
            self.connects = [name for name in older.connects if name == self._proposal]

    # What a story needs.

    @property
    def state(self) -> State:
        return self.call.state

    @property
    def open(self) -> list[str]:
        """Attempts begun and not over, oldest first."""
        return [name for name in self.rungs if name not in self.ends]

    @property
    def ringing(self) -> list[str]:
        """Attempts that ring and that nobody has answered, oldest first."""
        return [name for name in self.open if name in self.rang_at and name not in self.answered]

    @property
    def proposal(self) -> str:
        """The newest answer that was proposed to the caller."""
        return self._proposal

    @property
    def newest(self) -> str:
        return list(self.rungs)[-1]

    @property
    def places(self) -> list[tuple[str, str]]:
        """Every rung so far as ("psap" or "lines", whose)."""
        return [("psap" if isinstance(r, RingPsap) else "lines", place(r)[1]) for r in self.rungs.values()]

    @property
    def kinds(self) -> list[FactKind]:
        return [fact.kind for fact in self.facts]

    def where(self, attempt: str) -> Where:
        """Where this attempt would be answered; an attempt that never was has a place too."""
        return where_of(self.rungs[attempt]) if attempt in self.rungs else Where("P9")

    def resumed(self, holding: Holding) -> list[Effect]:
        """What became of the attempt that was asked after last."""
        return self.hear(Resumed(self.asked_after, holding))

    def screened(self, verdict: Verdict | None = None) -> list[Effect]:
        return self.hear(Screened(verdict or Pass(), "policy"))

    def routed(self, destination: Destination | None) -> list[Effect]:
        return self.hear(Routed(destination, destination.reason if destination else "all_excluded"))

    def rang(self, name: str = "") -> list[Effect]:
        name = name or self.newest
        return self.hear(Rang(name, self.where(name)))

    def picked_up(self, name: str = "") -> list[Effect]:
        return self.hear(PersonAnswered(name or self.newest))

    def connected(self, name: str = "") -> list[Effect]:
        name = name or self.newest
        return self.hear(PersonConnected(name, self.where(name)))

    def failed(self, failure: Failure, name: str = "") -> list[Effect]:
        return self.hear(AttemptFailed(name or self.newest, failure, ""))

    def doubts(self, name: str = "") -> list[Effect]:
        return self.hear(Doubted(name or self.newest))

    def confirmed(self, name: str = "") -> list[Effect]:
        return self.hear(CallerConfirmed(name or self.newest))

    def time_passes(self) -> list[Effect]:
        """To the deadline, punctually."""
        deadline = self.call.deadline()
        assert deadline is not None, f"a call that is {self.state} waits for no time"
        self.now = max(self.now, deadline)
        return self.hear(TimePassed())

    def ring_unanswered(self, rings: int) -> None:
        """So many places ring one after the other, each to its ring time-out, while the older ones ring on."""
        if rings:
            self.screened()
        for _ in range(rings):
            if self.asked_at is not None:
                self.routed(P2 if self.routes_asked[-1] else P1)
            self.rang()
            self.until_ringing_elsewhere()

    def until_ringing_elsewhere(self) -> None:
        """To the ring time-out of what rings now: the next rung is offered."""
        before = len(self.rungs) + len(self.routes_asked)
        while len(self.rungs) + len(self.routes_asked) == before:
            self.time_passes()

    # One step, and what must hold of it.

    def hear(self, happened: Input) -> list[Effect]:
        self.sound = False
        effects = self._hear(happened)
        self.sound = True
        return effects

    def _hear(self, happened: Input) -> list[Effect]:
        before, deadline = self.state, self.call.deadline()
        standing, asked = self._standing(), self.asked_at is not None and self.question is type(happened)
        effects = self.call.on(happened, self.now)
        name = type(happened).__name__
        self.edges.add((before, type(happened), self.state))
        if self.call.over:
            self.before_the_end = before
        elif self.state is State.HELD is not before:
            self.before_the_hold = before
        row = TABLE[before].get(type(happened))
        if row is None:
            assert not effects, f"{name} means nothing while {before}, and did {effects}"
            assert (self.state, self.call.deadline()) == (before, deadline)
            return effects
        assert self.state is before or self.state in row, f"{before} went to {self.state} on {name}"
        self._note(before, happened, effects)
        self._play(happened, effects)
        self._check_second_answer(before, happened, effects)
        if isinstance(happened, Screened | Routed) and not asked:
            assert not effects, f"nobody had asked, and {effects} came of it"
        if not standing.intersection(self._subjects(happened)):
            told = [each for each in effects if not isinstance(each, Remember)]
            assert not told, f"{happened} is of no attempt under way, and did {told}"
            assert self.state is before
        return effects

    def _standing(self) -> set[str]:
        return {"", *self.open}

    def _subjects(self, happened: Input) -> set[str]:
        match happened:
            case Rang() | PersonAnswered() | PersonConnected() | Doubted() | AttemptFailed() | CallerConfirmed():
                return {happened.attempt}
        return {""}

    def _note(self, before: State, happened: Input, effects: list[Effect]) -> None:
        """What the world did, before looking at what the machine made of it."""
        again = {effect.attempt for effect in effects if isinstance(effect, Ring)} & self.rungs.keys()
        match happened:
            case Admitted() | NoRoom():
                self.queued = False
            case Screened() | Routed() if type(happened) is self.question:
                self.asked_at = None
            case TimePassed() if self.asked_at is not None and self.now >= self.asked_at + self.budgets.question_s:
                self.asked_at = None
            case Rang(name, where) if name in self.open:
                self.rang_at.setdefault(name, self.now)
                self.rang_where.setdefault(name, set()).add(where)
            case Doubted(name) if name in self.ringing:
                self.doubted.add(name)
            case PersonAnswered(name) if name in self.open:
                self.answered.add(name)
            case CallerConfirmed(name):
                self.confirmed_by_caller.add(name)
            case PersonConnected(name) if self.state is State.CONNECTED and name == self._proposal:
                self.ends[name] = "connected"
            case AttemptFailed(name) if name in self.open and name not in again:
                self.ends[name] = "failed"
            case HigherLeg():
                self.ends.update(dict.fromkeys(self.open, "handed_over"))

    def _play(self, happened: Input | None, effects: list[Effect]) -> None:
        for effect in effects:
            self._carry_out(happened, effect, effects)
        self._check_rings()
        self._check_goes_on(happened)
        self._check_outcome()

    def _carry_out(self, happened: Input | None, effect: Effect, effects: list[Effect]) -> None:
        match effect:
            case Enter():
                assert effect is effects[-1], "a place may be granted at once: nothing may stand behind the wish"
                self.queued = True
            case Resume(name):
                self.asked_after = name
            case LetGo(name):
                assert self.state in (State.CONNECTED, State.ABANDONED), "let go of while the caller may have them (P5)"
                assert not any(isinstance(each, SayConnected) and each.attempt == name for each in effects)
            case Screen():
                assert happened == Admitted(), "screened before its turn (L1)"
                self.asked_at = self.now
                self.question = Screened
            case FindRoute(excluded, own_atlas):
                assert self.asked_at is None, "the router was asked twice at a time"
                if not excluded and not own_atlas:
                    assert self.now >= self._round_began + self.budgets.pause_s, "a round without a pause before it"
                    self._round_began = self.now
                self.asked_at = self.now
                self.question = Routed
                self.routes_asked.append(excluded)
            case Ring(name, rung):
                self.offers.append(effect)
                if name in self.rungs:
                    self._check_offered_again(name, rung)
                else:
                    self._check_ring(name, rung)
                    self.rungs[name] = rung
            case Connect(name):
                assert name in self.confirmed_by_caller, "only the caller's word connects (P4)"
                assert name == self._proposal, f"{name} is not the newest proposal (P4)"
                assert name in self.open and name in self.answered
                earlier = {each for each in self.connects if each not in self.ends} - {name}
                assert not earlier, "an earlier Connect has not failed (promise 4)"
                assert name not in self.connects or name in self.offered_again, "connected twice through one gateway"
                self.connects.append(name)
            case Release(name):
                assert name in self.rungs, f"{name} was never begun"
                assert name not in self.ends, f"{name} was over: {self.ends[name]}"
                self.ends[name] = "released"
            case Remember():
                self.facts.append(effect)
                self.owed_at = self.now + effect.due_in_ms / 1000
                assert (
                    not effect.attempt
                    or effect.attempt in self.rungs
                    or effect.reason in ("resumed", "seen_connected", "connected_already")
                    or effect.kind
                    in (
                        FactKind.ATTEMPTING,
                        FactKind.DIVERTING,
                    )
                ), "a fact names an attempt that was never begun"
                if effect.kind is FactKind.RINGING:
                    heard = self.rang_where.get(effect.attempt, set())
                    assert effect.where in heard, f"{effect} says that it rings where nobody has heard it ring (J1)"
            case SayRinging(name):
                assert name in self.ringing, "the caller hears of a ring that is none, or no more"
            case SayConnecting(name):
                assert name in self.open and name in self.answered
                assert not self._proposal or self._proposal in self.ends, "two proposals at a time"
                self._proposal = name
        if isinstance(effect, SAYS):
            self.said.append(effect)

    def _check_ring(self, name: str, rung: Rung) -> None:
        assert name not in self.rungs, f"{name} was begun before"
        assert place(rung) not in {place(self.rungs[each]) for each in self.open}, f"{rung} rings already"
        for each in self.open:
            rang_at = self.rang_at.get(each)
            if each in self.doubted:
                continue  # nobody is heard there (R2)
            assert rang_at is not None and self.now >= rang_at + self.budgets.ring_s, f"{each} has not had its time"

    def _check_offered_again(self, name: str, rung: Rung) -> None:
        """The same attempt of the same PSAP, through a gateway that it was not offered through before (R5)."""
        known = self.rungs[name]
        assert name in self.open and name in self.rang_at, f"{name} does not ring"
        assert isinstance(rung, RingPsap) and isinstance(known, RingPsap) and rung.psap_id == known.psap_id
        tried = self.offered_again.setdefault(name, [known.gateway])
        assert rung.gateway not in tried, f"{name} was offered through {rung.gateway} before"
        tried.append(rung.gateway)

    def _check_rings(self) -> None:
        """At most two rings, one more on the last rung (R6)."""
        rings = [self.rungs[name] for name in self.ringing]
        last = any(isinstance(rung, DialLines) and rung.last for rung in rings)
        assert len(rings) <= RINGS_MAX + last, f"{len(rings)} rings at a time (R6)"

    def _check_second_answer(self, before: State, happened: Input, effects: list[Effect]) -> None:
        """A second answer is released, and nothing else comes of it (promise 4)."""
        if isinstance(happened, PersonAnswered) and before in (State.PROPOSED, State.CONNECTING):
            name = happened.attempt
            if name in self.rungs and name != self._proposal and self.ends.get(name) == "released":
                assert self.state is before
            said_again = Connect(name) if name == self._proposal and name in self.offered_again else None
            assert not [each for each in effects if isinstance(each, SayConnecting | Connect) and each != said_again]
            assert name == self._proposal or name not in self.open, f"{name} was answered and is left (promise 4)"

    def _check_goes_on(self, happened: Input | None) -> None:
        """A call that is not over waits for something, and said in the journal until when (J1)."""
        deadline = self.call.deadline()
        if self.call.over:
            assert deadline is None
            assert not self.open, f"{self.open} are left behind"
            assert not self.call.sets_up, "a call that is over keeps its place (L1)"
            return
        assert deadline is not None, f"{self.state}, and nothing will ever happen"
        if self.state is State.WAITING:
            assert not self.open and self.asked_at is None
        if isinstance(happened, TimePassed):
            assert deadline > self.now, "the deadline stays in the past: the shell would spin"
        assert deadline <= self.owed_at, f"{self.state}: owed at {self.owed_at}, comes at {deadline}"
        assert self.owed_at <= self.now + OPEN_CALL_WRITES_WITHIN_S, "an open call writes a fact each five minutes"

    def _check_outcome(self) -> None:
        """Exactly one outcome, at the end, and the state's own."""
        outcomes = [fact.kind for fact in self.facts if fact.kind in OUTCOMES and not parked(fact)]
        assert [OUTCOMES[kind] for kind in outcomes] == ([self.state] if self.state in FINAL else [])


def parked(fact: Remember) -> bool:
    """Whether this opens an entry on the list while the caller is on the line still (L1)."""
    return fact.kind is FactKind.CALLBACK_DUE and fact.reason == "overflow"


def exhaust(shell: Shell, failure: Failure) -> int:
    """Everything fails at once and no router knows a PSAP, until the call waits; how many rungs that took."""
    for taken in range(40):
        if shell.state is State.WAITING:
            return taken
        if shell.state is State.QUEUED:
            shell.hear(Admitted())
        elif shell.state is State.SCREENING:
            shell.screened()
        elif shell.open:
            shell.failed(failure, shell.open[-1])
        else:
            shell.routed(None)
    raise AssertionError(f"forty failures, and the call is {shell.state} instead of waiting")


def cooperate(shell: Shell) -> int:
    """Everybody does what he is asked, until the caller is connected; how many steps that took."""
    for taken in range(40):
        match shell.state:
            case State.CONNECTED:
                return taken
            case State.RESUMING:
                shell.resumed(NONE)
            case State.QUEUED:
                shell.hear(Admitted())
            case State.SCREENING:
                shell.screened()
            case State.WAITING:
                shell.time_passes()
            case State.CONNECTING if shell.proposal in shell.connects:
                shell.connected(shell.proposal)
            case State.CONNECTING:
                shell.picked_up(shell.proposal)  # said again through another gateway (R5)
            case State.PROPOSED:
                shell.confirmed(shell.proposal)
            case _ if shell.open:
                shell.picked_up(shell.open[-1])
            case _:
                shell.routed(P1)
    raise AssertionError(f"forty steps, and the caller is {shell.state}")
