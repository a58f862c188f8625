"""What was noted lately, by name. Pure.

Two spans are kept, the present one and the one before, and forgotten whole: so a name costs no more than its place in a
dictionary, and what is kept is bounded by time and by number.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Lately(Generic[K, V]):
    """Each name is known for one span of `span_s` seconds at least, for two at most; and of `names_max` names the
    newer half in any case."""

    def __init__(self, span_s: float, names_max: int) -> None:
        self._span_s = span_s
        self._half = max(1, names_max // 2)
        self._now: dict[K, V] = {}
        self._before: dict[K, V] = {}
        self._began: float | None = None

    def get(self, name: K) -> V | None:
        """What was noted of it; None where nothing was, or it is forgotten."""
        found = self._now.get(name)
        return found if found is not None else self._before.get(name)

    def note(self, name: K, value: V, now: float) -> None:
        """Notes it; `now` never goes back."""
        if self._began is None:
            self._began = now
        if now - self._began >= self._span_s or len(self._now) >= self._half:
            old = now - self._began >= 2 * self._span_s  # nothing was noted in the span that has just passed
            self._before, self._now, self._began = {} if old else self._now, {}, now
        self._now[name] = value

    def __len__(self) -> int:
        return len(self._now) + len(self._before)
