"""Many deadlines, of which only the next matters: a heap that a pure machine owns.

What no longer means anything is dropped when it comes to the head, so that most deadlines of a busy process, which are
there for what hardly ever happens, wake nobody.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
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

    def next(self, means_something: Callable[[float, Kind, str], bool]) -> float | None:
        """The earliest instant that still means something, which the owner says of its due, kind and name."""
        while self._heap:
            due, _, kind, name, _ = self._heap[0]
            if means_something(due, kind, name):
                return due
            heapq.heappop(self._heap)
        return None

    def take(self, now: float) -> tuple[float, Kind, str, bool] | None:
        """The earliest that is due, taken out; None when none is."""
        if not self._heap or self._heap[0][0] > now:
            return None
        due, _, kind, name, excused = heapq.heappop(self._heap)
        return due, kind, name, excused
