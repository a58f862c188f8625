"""A call's machine under any order of inputs: whatever comes, early, late, twice or for nobody, the promises hold.

`playing.Shell` holds every step to the promises; this says what to play. The stories are in test_call_stories.py.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from services.domain.calls.exchange import (
    Admitted,
    AttemptFailed,
    CallerConfirmed,
    CallerHungUp,
    Doubted,
    HigherLeg,
    NoRoom,
    PersonAnswered,
    PersonConnected,
    Rang,
    Resume,
    Screened,
    StreamBroke,
    TimePassed,
)
from services.domain.calls.ladder import Destination
from services.domain.calls.transitions import State
from services.domain.events import Failure
from services.domain.holding import Holding, Standing
from services.domain.policy import Verdict
from services.domain.where import Where
from tests.domain.playing import DESTINATIONS, VERDICTS, Shell, cooperate, exhaust

on_the_line = precondition(lambda self: not self.shell.call.over)
the_ladder_moves = precondition(lambda self: not self.shell.call.over and self.shell.state is not State.HELD)


class AnyOrder(RuleBasedStateMachine):
    """Nothing is lost, connected twice or left behind in any order of inputs (P3, P4, P7, R6, J1)."""

    def __init__(self) -> None:
        super().__init__()
        self.shell = Shell()

    @initialize(rings=st.integers(0, 5), beginning=st.sampled_from(("seen", "resuming", "queued", "", "", "")))
    def some_places_ring_unanswered(self, rings: int, beginning: str) -> None:
        """Begins further on now and then, where chance alone seldom comes."""
        if beginning:
            confirmed = Resume("c1/1/1", Where("P1"), seen=beginning == "seen")
            self.shell = Shell(admitted=False, resume=None if beginning == "queued" else confirmed)
        else:
            self.shell.ring_unanswered(rings)

    @rule(verdict=st.sampled_from(VERDICTS))
    def screened(self, verdict: Verdict | None) -> None:
        self.shell.hear(Screened(verdict, "policy"))

    @on_the_line
    @rule(destination=st.sampled_from(DESTINATIONS))
    def routed(self, destination: Destination | None) -> None:
        self.shell.routed(destination)

    @on_the_line
    @rule(data=st.data(), kind=st.sampled_from((Rang, PersonConnected)))
    def rang_or_connected(self, data: st.DataObject, kind: type[Rang] | type[PersonConnected]) -> None:
        attempt = self.any_attempt(data)
        self.shell.hear(kind(attempt, self.shell.where(attempt)))

    @on_the_line
    @rule(data=st.data(), kind=st.sampled_from((PersonAnswered, CallerConfirmed, Doubted)))
    def answered_confirmed_or_doubted(
        self, data: st.DataObject, kind: type[PersonAnswered] | type[CallerConfirmed] | type[Doubted]
    ) -> None:
        self.shell.hear(kind(self.any_attempt(data)))

    @on_the_line
    @rule(data=st.data(), failure=st.sampled_from(Failure), broke=st.booleans())
    def failed(self, data: st.DataObject, failure: Failure, broke: bool) -> None:
        self.shell.hear(AttemptFailed(self.any_attempt(data), failure, "", broke))

    @on_the_line
    @rule(turn=st.sampled_from((Admitted(), NoRoom())))
    def its_turn_comes_or_does_not(self, turn: Admitted | NoRoom) -> None:
        self.shell.hear(turn)

    @on_the_line
    @rule(holding=st.sampled_from([Holding(standing, "c1/1/1", Where("P1")) for standing in Standing]))
    def resumed(self, holding: Holding) -> None:
        self.shell.resumed(holding)

    @on_the_line
    @rule(rarely=st.integers(0, 5))
    def the_next_leg_is_offered_here(self, rarely: int) -> None:
        """What rings goes on in its machine, and everything that held before holds there."""
        if rarely == 0:
            self.shell.hear(HigherLeg())
            self.shell = Shell(older=self.shell)

    @on_the_line
    @rule(late_s=st.sampled_from((0.0, 0.01, 0.4, 30.0)))
    def the_deadline_comes(self, late_s: float) -> None:
        deadline = self.shell.call.deadline()
        if deadline is not None:
            self.shell.now = max(self.shell.now, deadline + late_s)
            self.shell.hear(TimePassed())

    @on_the_line
    @rule(by_s=st.sampled_from((0.0, 0.05, 0.29, 1.0, 7.0, 40.0)), told=st.booleans())
    def time_runs(self, by_s: float, told: bool) -> None:
        """The shell may be slow to say so, or say so early."""
        self.shell.now += by_s
        if told:
            self.shell.hear(TimePassed())

    @the_ladder_moves
    @rule(failure=st.sampled_from(Failure), rarely=st.integers(0, 3))
    def everything_fails_at_once(self, failure: Failure, rarely: int) -> None:
        """In finite steps that comes to a pause, and the pause to another round (R6)."""
        if rarely == 0 and not self.shell.queued and self.shell.state is not State.RESUMING:
            exhaust(self.shell, failure)
            self.shell.time_passes()
            assert self.shell.state is State.ROUTING

    @on_the_line
    @rule(end=st.sampled_from((CallerHungUp(), StreamBroke("reset"))), rarely=st.integers(0, 9))
    def the_caller_goes(self, end: CallerHungUp | StreamBroke, rarely: int) -> None:
        if rarely == 0:
            self.shell.hear(end)

    def any_attempt(self, data: st.DataObject) -> str:
        """Mostly one that is under way; now and then one that is over, or was never begun."""
        return data.draw(st.sampled_from([*self.shell.open * 4, *self.shell.rungs, "c1/1/99"]))

    def teardown(self) -> None:
        """From wherever it stands a call goes on to a person when people answer, and nothing is left behind."""
        shell = self.shell
        if not shell.sound:
            return  # it has told already what is wrong
        if shell.state is State.HELD:
            shell.time_passes()
        if not shell.call.over:
            cooperate(shell)
        assert shell.call.over
        assert set(shell.ends) == set(shell.rungs)


AnyOrder.TestCase.settings = settings(max_examples=250, stateful_step_count=40, deadline=None)
TestAnyOrder = AnyOrder.TestCase
"""Whatever comes, in any order: every step is held to the promises."""
