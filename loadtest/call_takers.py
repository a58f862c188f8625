"""The people at an answering point: finite, and they pick up in the order in which calls rang."""

from __future__ import annotations

from collections.abc import Callable

from loadtest.ring import Ring


class CallTakers:
    """`positions` people; as many calls again may wait for one. `pick_up_s` is how long one takes to answer a ring."""

    def __init__(self, positions: int, pick_up_s: Callable[[Ring], float], answer: Callable[[Ring], None]) -> None:
        self._free = positions
        self._waiting_max = positions
        self._pick_up_s = pick_up_s
        self._answer = answer
        self._waiting: dict[Ring, None] = {}  # in the order in which they rang
        self._at_a_position: set[Ring] = set()

    @property
    def full(self) -> bool:
        return self._free == 0 and len(self._waiting) >= self._waiting_max

    def ring(self, ring: Ring) -> None:
        """One more call rings: whoever is free first will pick it up."""
        self._waiting[ring] = None
        self._assign()

    def leave(self, ring: Ring) -> None:
        """This call rings or talks no more."""
        self._waiting.pop(ring, None)
        if ring in self._at_a_position:
            self._at_a_position.remove(ring)
            self._free += 1
            self._assign()

    def _assign(self) -> None:
        while self._free and self._waiting:
            ring = next(iter(self._waiting))
            del self._waiting[ring]
            self._at_a_position.add(ring)
            self._free -= 1
            ring.start("pick_up", self._pick_up_s(ring), self._answer, ring)
