"""Whether diverted calls are answered: a desk at which nobody sits looks staffed in every table. Pure.

What becomes of a call is told on `calls`, by others and in its own time. So a divert is watched from when it is heard
of here, and silence about it says something only while `calls` is read: a Kafka that is away for a minute is no desk
that does not answer. What had its minute before it was heard of here, such as what a firewall reads after a start, is
not watched at all: nobody was here to hear of its end.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final

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
        self._watched: OrderedDict[str, tuple[float, str]] = OrderedDict()  # since when, and by whose rule
        self._early: OrderedDict[str, bool] = OrderedDict()  # ends that were told before their divert; if answered
        self._ends: deque[tuple[float, bool]] = deque(maxlen=_CALLS_MAX)
        self._read_at = float("-inf")

    def diverts(self, call_id: str, bundle: str, now: float) -> None:
        """A divert of this replica's own: whatever was told of the call before was of an earlier leg."""
        self._early.pop(call_id, None)
        self._watch(call_id, bundle, now)

    def hears(self, call_id: str, bundle: str, now: float, age_s: float) -> list[Unanswered]:
        """A divert of another replica's, or of before a start; its end may have been told before it."""
        if age_s >= UNANSWERED_S:
            return []
        answered = self._early.pop(call_id, None)
        if answered is not None:
            return self._note(answered, bundle, now)
        self._watch(call_id, bundle, now)
        return []

    def ended(self, call_id: str, answered: bool, now: float) -> list[Unanswered]:
        """A call has ended, or a person has it."""
        watched = self._watched.pop(call_id, None)
        if watched is not None:
            return self._note(answered, watched[1], now)
        self._early[call_id] = answered or self._early.get(call_id, False)
        self._early.move_to_end(call_id)
        if len(self._early) > _CALLS_MAX:
            self._early.popitem(last=False)
        return []

    def read(self, now: float) -> list[Unanswered]:
        """All of `calls` is read up to now."""
        if now - self._read_at > SILENCE_S:
            self._watched = OrderedDict((call_id, (now, bundle)) for call_id, (_, bundle) in self._watched.items())
        self._read_at = max(now, self._read_at)
        found = []
        while self._watched:
            call_id, (since, bundle) = next(iter(self._watched.items()))
            if self._read_at - since < UNANSWERED_S:
                break
            del self._watched[call_id]
            found += self._note(False, bundle, now)
        return found

    def _watch(self, call_id: str, bundle: str, now: float) -> None:
        self._watched.pop(call_id, None)
        self._watched[call_id] = (now, bundle)
        if len(self._watched) > _CALLS_MAX:
            self._watched.popitem(last=False)

    def _note(self, answered: bool, bundle: str, now: float) -> list[Unanswered]:
        self._ends.append((now, answered))
        while self._ends[0][0] < now - WINDOW_S:
            self._ends.popleft()
        told = sum(not each for _, each in self._ends)
        over = told > max(UNANSWERED_MAX, len(self._ends) / 2)
        return [Unanswered(told, len(self._ends), bundle)] if over else []
