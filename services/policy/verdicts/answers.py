"""Whether diverted calls are answered: a desk at which nobody sits looks staffed in every table. Pure.

What becomes of a call is told on `calls`, by others and in its own time. So a divert is watched from when it is heard
of here, and silence about it says something only while `calls` is read: a Kafka that is away for a minute is no desk
that does not answer. What had its minute before it was heard of here, such as what a firewall reads after a start, is
not watched at all: nobody was here to hear of its end.

A caller who gives up before anybody answers counts once, however often: three times to hang up would else be a way for
one person to have a good policy taken back from a whole state.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, replace
from typing import Final

from services.domain.identity import is_one_caller

UNANSWERED_S: Final = 60.0
"""A divert of which nothing is known for this long counts as one that nobody answered."""
UNANSWERED_MAX: Final = 2
WINDOW_S: Final = 300.0
SILENCE_S: Final = 5.0
"""Nothing read of `calls` for longer: what is watched has its minute anew, since it is told late."""
_CALLS_MAX: Final = 5_000


@dataclass(frozen=True, slots=True)
class Unanswered:
    """More than half of the diverts of the window found nobody, and more than two."""

    told: int
    calls: int
    bundle: str
    """Whose divert was the last of them."""


class Answers:
    """One replica's. Each method returns what is then found: of how many diverts nobody answered, if of too many."""

    def __init__(self) -> None:
        self._watched: OrderedDict[str, _Divert] = OrderedDict()
        self._early: OrderedDict[str, _End] = OrderedDict()  # told before their divert
        self._ends: deque[tuple[float, bool, str]] = deque(maxlen=_CALLS_MAX)  # when, if answered, and what counts once
        self._read_at = float("-inf")

    def diverts(self, call_id: str, bundle: str, now: float, caller: str = "") -> None:
        """A divert of this replica's own: whatever was told of the call before was of an earlier leg."""
        self._early.pop(call_id, None)
        self._watch(call_id, _Divert(now, bundle, caller))

    def hears(self, call_id: str, bundle: str, now: float, age_s: float, caller: str = "") -> list[Unanswered]:
        """A divert of another replica's, or of before a start; its end may have been told before it."""
        if age_s >= UNANSWERED_S:
            return []
        divert = _Divert(now, bundle, caller)
        end = self._early.pop(call_id, None)
        if end is not None:
            return self._note(call_id, divert, end, now)
        self._watch(call_id, divert)
        return []

    def ended(self, call_id: str, answered: bool, now: float, gave_up: bool = False) -> list[Unanswered]:
        """A call has ended, by its caller where they `gave_up`, or a person has it."""
        end = _End(answered, gave_up)
        divert = self._watched.pop(call_id, None)
        if divert is not None:
            return self._note(call_id, divert, end, now)
        before = self._early.get(call_id)
        self._early[call_id] = before if before is not None and before.answered else end
        self._early.move_to_end(call_id)
        if len(self._early) > _CALLS_MAX:
            self._early.popitem(last=False)
        return []

    def read(self, now: float) -> list[Unanswered]:
        """All of `calls` is read up to now."""
        if now - self._read_at > SILENCE_S:
            self._watched = OrderedDict((call_id, replace(each, at=now)) for call_id, each in self._watched.items())
        self._read_at = max(now, self._read_at)
        found = []
        while self._watched:
            call_id, divert = next(iter(self._watched.items()))
            if self._read_at - divert.at < UNANSWERED_S:
                break
            del self._watched[call_id]
            found += self._note(call_id, divert, _End(answered=False), now)
        return found

    def _watch(self, call_id: str, divert: _Divert) -> None:
        self._watched.pop(call_id, None)
        self._watched[call_id] = divert
        if len(self._watched) > _CALLS_MAX:
            self._watched.popitem(last=False)

    def _note(self, call_id: str, divert: _Divert, end: _End, now: float) -> list[Unanswered]:
        once = divert.caller if end.gave_up and is_one_caller(divert.caller) else call_id
        self._ends.append((now, end.answered, once))
        while self._ends[0][0] < now - WINDOW_S:
            self._ends.popleft()
        ends = {(each, answered) for _, answered, each in self._ends}
        told = sum(not answered for _, answered in ends)
        over = told > max(UNANSWERED_MAX, len(ends) / 2)
        return [Unanswered(told, len(ends), divert.bundle)] if over else []


@dataclass(frozen=True, slots=True)
class _Divert:
    at: float
    bundle: str
    """By whose rule."""
    caller: str


@dataclass(frozen=True, slots=True)
class _End:
    answered: bool
    gave_up: bool = False
