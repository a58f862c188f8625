"""What was noted lately, by name. Pure.

Two spans are kept, the present one and the one before, and forgotten whole: so a name costs no more than its place, and
what is kept is bounded by time and by number.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

V = TypeVar("V")
N = TypeVar("N", bound=Hashable, contravariant=True)


class Places(Protocol[N, V]):
    """What the names of one span are kept in: a dictionary, or a `Table` where they are very many."""

    def get(self, name: N, /) -> V | None: ...

    def __setitem__(self, name: N, value: V, /) -> None: ...

    def __len__(self) -> int: ...


class Lately(Generic[N, V]):
    """Each name is known for one span of `span_s` seconds at least, for two at most; and of `names_max` names the
    newer half in any case. `places` makes room for so many. `now` never goes back."""

    def __init__(self, span_s: float, names_max: int, places: Callable[[int], Places[N, V]]) -> None:
        self._span_s = span_s
        self._half = max(1, names_max // 2)
        self._places = places
        self._now = places(self._half)
        self._before = places(self._half)
        self._began: float | None = None

    def get(self, name: N, now: float) -> V | None:
        """What was noted of it; None where nothing was, or it is forgotten."""
        self._turn(now)
        found = self._now.get(name)
        return found if found is not None else self._before.get(name)

    def note(self, name: N, value: V, now: float) -> None:
        """Notes it."""
        self._turn(now)
        if self._began is None:
            self._began = now
        if len(self._now) >= self._half:
            self._begin(now)
        self._now[name] = value

    def _turn(self, now: float) -> None:
        if self._began is None or now - self._began < self._span_s:
            return
        if now - self._began >= 2 * self._span_s:
            self._begin(now)  # nothing was noted in the span that has just passed
            self._begin(now)
        else:
            self._begin(self._began + self._span_s)

    def _begin(self, at: float) -> None:
        self._before, self._now, self._began = self._now, self._places(self._half), at

    def __len__(self) -> int:
        return len(self._now) + len(self._before)
