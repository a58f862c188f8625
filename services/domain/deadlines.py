"""Many deadlines, of which only the next matters: a heap that a pure machine owns.

Nothing is ever taken out early: the owner looks at what is due and drops what no longer means anything.
"""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

Kind = TypeVar("Kind")


class Deadlines(Generic[Kind]):
    """Kinds of deadline about names; those of one instant come in the order in which they were set."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Kind, str, bool]] = []
        self._set = 0

    def set(self, due: float, kind: Kind, name: str, *, excused: bool = False) -> None:
        """`excused` comes back with it: that it was put off once already."""
        self._set += 1
        heapq.heappush(self._heap, (due, self._set, kind, name, excused))

    def next(self) -> float | None:
        """The earliest instant; None when there is none."""
        return self._heap[0][0] if self._heap else None

    def take(self, now: float) -> tuple[float, Kind, str, bool] | None:
        """The earliest that is due, taken out; None when none is."""
        if not self._heap or self._heap[0][0] > now:
            return None
        due, _, kind, name, excused = heapq.heappop(self._heap)
        return due, kind, name, excused
