"""The breaker: it saves callers the wait for a dead neighbour, and never keeps a well one out for long."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.domain.breaker import Breaker, BreakerState

FAILURES_MAX = 3
OPEN_S = 1.0


class AnyNeighbour(RuleBasedStateMachine):
    """A neighbour that answers, fails and says nothing in any order, late words included."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(FAILURES_MAX, OPEN_S)
        self.now = 100.0
        self.in_a_row = 0
        self.last_failed_at = 0.0
        self.last_probe_at: float | None = None
        """Of the probes since the last word."""

    @rule(by_s=st.sampled_from((0.0, 0.1, 0.5, 1.0, 5.0)))
    def time_passes(self, by_s: float) -> None:
        self.now += by_s

    @rule()
    def failed(self) -> None:
        self.breaker.failed(self.now)
        self.in_a_row += 1
        self.last_failed_at = self.now
        self.last_probe_at = None

    @rule()
    def succeeded(self) -> None:
        """One answer, however late, closes it."""
        self.breaker.succeeded()
        self.in_a_row = 0
        assert self.breaker.state(self.now) is BreakerState.CLOSED

    @rule()
    def asks(self) -> None:
        """Open: nobody is let through. Probing: one each `open_s`. Closed: everybody."""
        state, allowed = self.breaker.state(self.now), self.breaker.allows(self.now)
        if state is BreakerState.CLOSED:
            assert allowed
        elif state is BreakerState.OPEN:
            assert not allowed
        else:
            waited = self.last_probe_at is None or self.now >= self.last_probe_at + OPEN_S
            assert allowed is waited
            if allowed:
                self.last_probe_at = self.now

    @invariant()
    def it_is_open_only_after_failures_in_a_row_and_only_for_a_while(self) -> None:
        """It never stays shut on a neighbour that may be well again."""
        state = self.breaker.state(self.now)
        if self.in_a_row < FAILURES_MAX:
            assert state is BreakerState.CLOSED
        elif self.now >= self.last_failed_at + OPEN_S:
            assert state is BreakerState.PROBING
        else:
            assert state is BreakerState.OPEN


AnyNeighbour.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestAnyNeighbour = AnyNeighbour.TestCase
"""Whatever a neighbour does, the breaker is open only for a while."""


@given(st.integers(1, 5))
def test_it_opens_with_the_last_of_the_failures_in_a_row(failures_max: int) -> None:
    """One fewer, or one answer between them, and it stays closed."""
    breaker = Breaker(failures_max, OPEN_S)
    for _ in range(failures_max - 1):
        breaker.failed(0.0)
    breaker.succeeded()
    for _ in range(failures_max - 1):
        breaker.failed(0.0)
    assert breaker.allows(0.0)
    breaker.failed(0.0)
    assert not breaker.allows(0.0)


def test_a_probe_that_never_comes_back_gives_its_turn_to_another() -> None:
    """A question whose asker is gone does not leave the neighbour out for ever."""
    breaker = Breaker(1, OPEN_S)
    breaker.failed(0.0)
    assert [breaker.allows(now) for now in (0.9, 1.0, 1.5, 2.0)] == [False, True, False, True]


def test_a_failed_probe_opens_it_for_another_while() -> None:
    """No three failures are needed again: the neighbour is still dead."""
    breaker = Breaker(FAILURES_MAX, OPEN_S)
    for _ in range(FAILURES_MAX):
        breaker.failed(0.0)
    assert breaker.allows(1.0)
    breaker.failed(1.1)
    assert breaker.state(2.0) is BreakerState.OPEN
    assert breaker.state(2.1) is BreakerState.PROBING
