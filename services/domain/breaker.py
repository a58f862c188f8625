"""A circuit breaker: after failures in a row a neighbour is not asked for a while: its silence costs no caller time.

Only a time-saver: what an open breaker means is that the conductor takes its fallback at once (unscreened, own atlas)
instead of after the budget. It can never refuse a call. Pure: `now` is monotonic seconds.
"""

from __future__ import annotations

from enum import StrEnum


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


class Breaker:
    """Opens after `failures_max` failures in a row, for `open_s`; then lets one question through as a probe."""

    def __init__(self, failures_max: int, open_s: float) -> None:
        assert failures_max >= 1 and open_s > 0
        self._failures_max = failures_max
        self._open_s = open_s
        self._failures = 0
        self._open_until: float | None = None
        self._probe_until: float | None = None

    def state(self, now: float) -> BreakerState:
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self._open_until else BreakerState.PROBING

    def allows(self, now: float) -> bool:
        """Whether to ask. While probing only one question in `open_s` is let through; asking takes that turn."""
        state = self.state(now)
        if state is BreakerState.CLOSED:
            return True
        if state is BreakerState.OPEN or (self._probe_until is not None and now < self._probe_until):
            return False
        self._probe_until = now + self._open_s
        return True

    def succeeded(self) -> None:
        """The neighbour answered: closed, all forgotten."""
        self._failures = 0
        self._open_until = self._probe_until = None

    def failed(self, now: float) -> None:
        """The neighbour did not answer in its budget, or was not there."""
        self._failures += 1
        if self._failures >= self._failures_max:
            self._open_until = now + self._open_s
