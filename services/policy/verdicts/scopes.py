"""The windows of one scope: its calls, what of them would be diverted, and whether that is within a budget. Pure.

What a scope is, and what its budget, is said in `breakers.py`.
"""

from __future__ import annotations

from array import array
from collections import Counter, deque
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Final

from services.domain.identity import is_one_caller

SLACK_CALLS: Final = 5
"""So many may be diverted in any window, whatever the share."""
CALLS_OF_ONE_MAX: Final = 2
"""So many calls of one caller's own number count in a window."""
REPEATERS_MAX: Final = 64
"""So many callers who repeat may be diverted in one window: a flood has few sources, a region has many callers."""
CALLS: Final = 50
WINDOWS_S: Final = (10.0, 300.0)
LAST_CALLS_S: Final = 3600.0
"""A call older than this is none of the last fifty any more."""
HOLD_S: Final = 60.0
"""A breaker that has tripped stays so for this long at least."""
HEARD_MAX: Final = 5_000


class Why(StrEnum):
    """What tripped a breaker."""

    SHARE = "share"
    REPEATERS = "repeaters"
    REDIALS = "redials"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Heard:
    """One screened call. `rule` is the one that would divert it, empty where none would; with its forecast share."""

    call_id: str
    caller: str
    """Its identity (services/domain/identity.py)."""
    repeats: bool
    area: str = ""
    psap: str = ""
    rule: str = ""
    forecast_share: float = 0.0
    bundle: str = ""
    """The digest of the bundle that was asked: it is to blame where a breaker trips."""


class Flow:
    """The calls of a scope, callers who repeat left out, in each window."""

    def __init__(self) -> None:
        self.heard = 0
        """All of them since the start, those who repeat too: which are the last fifty."""
        self._calls = tuple(array("d") for _ in WINDOWS_S)
        self._last = array("d")
        """When each of the last fifty was; one that does not count was too long ago for any window."""

    def hear(self, at: float, counts: bool, now: float) -> None:
        """One call of it: when, and whether it counts."""
        self.heard += 1
        self._last.append(at if counts else -inf)
        if len(self._last) > CALLS:
            del self._last[0]
        self._forget(now)
        for calls, window_s in zip(self._calls, WINDOWS_S, strict=True):
            if counts and at > now - window_s:
                calls.append(at)
                if len(calls) > HEARD_MAX:
                    del calls[0]

    def _forget(self, now: float) -> None:
        for calls, window_s in zip(self._calls, WINDOWS_S, strict=True):
            if calls and calls[0] <= now - window_s:
                stays = next((place for place, at in enumerate(calls) if at > now - window_s), len(calls))
                del calls[:stays]

    def within(self, now: float) -> tuple[int, ...]:
        """The calls in each window of time, then among the last fifty."""
        self._forget(now)
        last = sum(at > now - LAST_CALLS_S for at in self._last)
        return (*(len(calls) for calls in self._calls), last)


class Scope:
    """What would be diverted in a scope, and whether its breaker has tripped."""

    def __init__(self) -> None:
        self._windows = tuple(_Proposals() for _ in (*WINDOWS_S, CALLS))
        self._until: float | None = None
        self._latest: tuple[float, Flow] = (0.0, Flow())

    def proposed(self, call: Heard, number: int, at: float) -> None:
        """A rule would divert this call, the how manieth of its flow."""
        for window in self._windows:
            window.add(_Proposal(at, number, call.caller, call.repeats))

    def over(self, share: float, flow: Flow, now: float) -> tuple[Why, int, int] | None:
        """Which budget is overdrawn, by how many of how many; None: none is."""
        self._latest = (share, flow)
        for window_s, window in zip((*WINDOWS_S, LAST_CALLS_S), self._windows, strict=True):
            window.forget(now - window_s, flow.heard - CALLS if window_s == LAST_CALLS_S else -1)
        for window, calls in zip(self._windows, flow.within(now), strict=True):
            if window.calls > max(SLACK_CALLS, share * calls):
                return Why.SHARE, window.calls, calls
            if len(window.repeaters) > REPEATERS_MAX:
                return Why.REPEATERS, len(window.repeaters), calls
        return None

    def trip(self, now: float) -> bool:
        """Whether it was not so before."""
        was = self.is_tripped(now)
        self._until = now + HOLD_S
        return not was

    def is_tripped(self, now: float) -> bool:
        """It ends by itself once it was held and what the rules propose is back in budget."""
        if self._until is not None and now >= self._until and self.over(*self._latest, now) is None:
            self._until = None
        return self._until is not None


@dataclass(frozen=True, slots=True)
class _Proposal:
    """When, the how manieth call of the flow it was, and whose."""

    at: float
    number: int
    caller: str
    repeats: bool


class _Proposals:
    """Those in one window, oldest first."""

    def __init__(self) -> None:
        self.calls = 0
        """Of callers who do not repeat, as far as each counts."""
        self.repeaters: Counter[str] = Counter()
        self._others: Counter[str] = Counter()
        self._all: deque[_Proposal] = deque()

    def add(self, proposal: _Proposal) -> None:
        self._all.append(proposal)
        caller = proposal.caller
        if proposal.repeats:
            self.repeaters[caller] += 1
        elif is_one_caller(caller):
            self._others[caller] += 1
            self.calls += self._others[caller] <= CALLS_OF_ONE_MAX
        else:
            self.calls += 1
        if len(self._all) > HEARD_MAX:
            self._drop()

    def forget(self, until: float, numbers_until: int) -> None:
        while self._all and (self._all[0].at <= until or self._all[0].number <= numbers_until):
            self._drop()

    def _drop(self) -> None:
        dropped = self._all.popleft()
        of = self.repeaters if dropped.repeats else self._others
        if not dropped.repeats:
            self.calls -= of[dropped.caller] <= CALLS_OF_ONE_MAX
        if of[dropped.caller] > 1:
            of[dropped.caller] -= 1
        else:
            del of[dropped.caller]
