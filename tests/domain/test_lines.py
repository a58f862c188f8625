"""Which line next: finite, in order, each once a trunk; and the hunt that a Divert is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.domain.deliveries import FINAL, Became, Outcome
from services.domain.events import Failure
from services.domain.gateways.rings import CONFIRM_S
from services.domain.hunting.hunt import RING_WITHIN_S, ConnectLine, Dial, Effect, HangUp, Hunt
from services.domain.hunting.lines import TRUNK_DOUBTED_S, Choice, DialPlan, Owned, Trouble, Trunks, keep_free

LINES = [Owned("L1", 2), Owned("L2", 2), Owned("L3", 2)]
TRUNKS = {"A": False, "B": False}


def walk(troubles: list[Trouble], lines: list[Owned] = LINES, trunks: dict[str, bool] = TRUNKS) -> list[str]:
    """The choices, as "L1A", that a plan makes when each comes to nothing in this way."""
    plan = DialPlan(lines, trunks)
    chosen = []
    for trouble in troubles:
        choice = plan.next()
        assert choice is not None
        chosen.append(f"{choice.line}{choice.trunk}")
        plan.came_to_nothing(trouble)
    return chosen


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        (Trouble.FULL, ["L1A", "L1B", "L2A", "L2B", "L3A", "L3B"]),
        (Trouble.BROKEN, ["L1A", "L1B", "L2A", "L2B", "L3A", "L3B"]),
        (Trouble.REFUSED, ["L1A", "L2A", "L3A", "L1B", "L2B", "L3B"]),
        (Trouble.SILENT, ["L1A", "L2B", "L3A", "L1B", "L2A", "L3B"]),
    ],
)
def test_what_went_wrong_says_what_to_change(trouble: Trouble, expected: list[str]) -> None:
    """A trunk's fault changes the trunk, a line's fault the line, and no word at all changes both (R7)."""
    assert walk([trouble] * 6) == expected


@given(
    st.lists(st.sampled_from(Trouble), min_size=12, max_size=12),
    st.integers(0, 4),
    st.lists(st.booleans(), max_size=3),
)
def test_a_plan_is_finite_and_tries_everything_once(troubles: list[Trouble], lines: int, doubts: list[bool]) -> None:
    """Each line once through each trunk, whatever goes wrong, then an end (R7)."""
    plan = DialPlan([Owned(f"L{n}", 1) for n in range(lines)], {f"T{n}": doubt for n, doubt in enumerate(doubts)})
    chosen: list[Choice] = []
    for trouble in troubles:
        choice = plan.next()
        if choice is None:
            break
        chosen.append(choice)
        plan.came_to_nothing(trouble)
    assert plan.next() is None
    assert len(chosen) == len({(each.line, each.trunk) for each in chosen}) == lines * len(doubts)


@pytest.mark.parametrize(
    ("troubles", "failure"),
    [
        ([], Failure.UNREACHABLE),
        ([Trouble.FULL], Failure.FULL),
        ([Trouble.FULL, Trouble.REFUSED], Failure.REFUSED),
        ([Trouble.FULL, Trouble.BROKEN], Failure.UNREACHABLE),
        ([Trouble.SILENT], Failure.UNREACHABLE),
    ],
)
def test_what_it_all_comes_to(troubles: list[Trouble], failure: Failure) -> None:
    """Full only where all were full: the ladder treats busy people and missing people differently (R6)."""
    plan = DialPlan(LINES, TRUNKS)
    for trouble in troubles:
        plan.next()
        plan.came_to_nothing(trouble)
    assert plan.failure() is failure


def test_a_trunk_in_doubt_comes_last_but_is_never_ruled_out() -> None:
    """Doubt orders; it does not refuse."""
    plan = DialPlan(LINES[:1], {"A": True, "B": False})
    first, second = plan.next(), plan.next()
    assert first is not None
    assert second is not None
    assert (first.trunk, second.trunk) == ("B", "A")


def test_a_trunk_is_doubted_for_two_seconds_and_then_probed_by_one_call() -> None:
    """One caller in two seconds finds out; the others go by the next trunk."""
    trunks = Trunks(["A", "B"])
    trunks.unwell("A", 10.0)
    assert trunks.doubted(11.9) == {"A": True, "B": False}
    assert trunks.doubted(10.0 + TRUNK_DOUBTED_S) == {"A": False, "B": False}
    assert trunks.doubted(12.1) == {"A": True, "B": False}
    trunks.well("A")
    assert trunks.doubted(12.2) == {"A": False, "B": False}


@given(st.integers(1, 10_000), st.sampled_from([*Failure, "policy", "ladder_exhausted", ""]))
def test_a_reserve_is_half_and_never_the_whole_line(channels: int, reason: str) -> None:
    """Whatever the reason, an idle line takes the call (R7)."""
    kept = keep_free(channels, reason)
    assert 0 <= kept < channels
    assert kept in (0, channels // 2)


class HuntUnderStress(RuleBasedStateMachine):
    """Any words of trunks and conductor in any order: one dial at a time, at most one connection, an end."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.steps: list[Outcome] = []
        self.dial = 0
        self.hung_up: set[int] = set()
        self.connects: list[int] = []
        self.chosen: set[tuple[str, str]] = set()
        self.answered_at: float | None = None
        self.hunt = Hunt("c/1/1", DialPlan(LINES, TRUNKS), Trunks(list(TRUNKS)))
        self.took(self.hunt.begin(self.now))

    def took(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Dial(dial, choice):
                    assert dial == self.dial + 1
                    self.dial = dial
                    assert (choice.line, choice.trunk) not in self.chosen, "each line once a trunk"
                    self.chosen.add((choice.line, choice.trunk))
                case HangUp(dial, _):
                    assert dial == self.dial
                    self.hung_up.add(dial)
                case ConnectLine(dial):
                    assert dial == self.dial
                    assert dial not in self.hung_up, "connect after release"
                    assert self.answered_at is not None
                    assert self.now < self.answered_at + CONFIRM_S
                    self.connects.append(dial)
                case Became(_, outcome, _, _):
                    assert not self.steps or self.steps[-1] not in FINAL
                    if outcome is Outcome.ANSWERED:
                        self.answered_at = self.now
                    if outcome is Outcome.CONNECTED:
                        assert self.connects == [self.dial]
                    self.steps.append(outcome)

    @rule(back=st.integers(0, 1), word=st.sampled_from(("rings", "answers", "connects")))
    def trunk_says(self, back: int, word: str) -> None:
        effects = getattr(self.hunt, word)(self.dial - back, self.now)
        assert back == 0 or effects == [], "a dial that is over says nothing more"
        self.took(effects)

    @rule(failure=st.sampled_from(Failure))
    def trunk_rejects(self, failure: Failure) -> None:
        self.took(self.hunt.rejects(self.dial, failure, "", self.now))

    @rule()
    def trunk_breaks(self) -> None:
        self.took(self.hunt.breaks(self.dial, "trunk_unavailable", self.now))

    @rule()
    def conductor_connects(self) -> None:
        self.took(self.hunt.connect(self.now))

    @precondition(lambda self: len(self.chosen) > 2)
    @rule()
    def conductor_releases(self) -> None:
        self.took(self.hunt.release("caller_hung_up", self.now))
        assert self.hunt.over

    @rule(pause_s=st.sampled_from((0.0, 0.5, 1.0, 2.0)))
    def time_passes(self, pause_s: float) -> None:
        until = self.now + pause_s
        while (due := self.hunt.deadline()) is not None and due <= until:
            self.now = due
            self.took(self.hunt.pass_time(self.now))
        self.now = until

    @invariant()
    def it_is_over_exactly_when_it_has_said_so(self) -> None:
        assert self.hunt.over == bool(self.steps and self.steps[-1] in FINAL)

    @invariant()
    def only_ringing_has_no_deadline(self) -> None:
        if not self.hunt.over and self.hunt.deadline() is None:
            assert self.steps[-1] is Outcome.RINGING


HuntUnderStress.TestCase.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
TestHuntUnderStress = HuntUnderStress.TestCase


def test_a_replica_that_was_held_up_reads_before_it_gives_a_line_up() -> None:
    """L2: the ringing may wait in the socket."""
    hunt = Hunt("c/1/1", DialPlan(LINES, TRUNKS), Trunks(list(TRUNKS)))
    hunt.begin(0.0)
    assert hunt.pass_time(RING_WITHIN_S + 3.0) == []
    (rung,) = hunt.rings(1, RING_WITHIN_S + 3.01)
    assert isinstance(rung, Became)
    assert hunt.deadline() is None


def test_a_connect_at_the_very_second_is_too_late_for_a_line_too() -> None:
    """The timer is the authority even where it has not rung yet (P4)."""
    hunt = Hunt("c/1/1", DialPlan(LINES, TRUNKS), Trunks(list(TRUNKS)))
    hunt.begin(0.0)
    hunt.answers(1, 0.5)
    effects = hunt.connect(0.5 + CONFIRM_S)
    assert [type(each) for each in effects] == [HangUp, Became]
    assert hunt.over
