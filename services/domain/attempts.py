"""The attempts of one call that are under way: what is being tried, what rings, and whose time is over.

At most one attempt is the ladder's present step. Others ring on beside it: their ring time is over, the ladder has
moved on, and whoever answers first has the call (protocol.md R6).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from services.domain.ladder import Rung
from services.domain.where import Where

RINGS_MAX: Final = 2


class Attempt:
    """One rung being tried. `due` is when something must have become of it; None where it may take its time."""

    __slots__ = ("due", "given_up", "rung", "where")

    def __init__(self, rung: Rung, due: float) -> None:
        self.rung = rung
        self.where: Where | None = None  # set once it rings
        self.due: float | None = due
        self.given_up = False  # its ring time is over: it rings on, but the ladder has moved on

    @property
    def place(self) -> Where:
        """Where it rings, or is to ring."""
        return self.where or Where(self.rung.owner)


class Attempts:
    """Those under way, by name (`call_id/leg/n`), oldest first."""

    def __init__(self, call_id: str, leg: int) -> None:
        self._prefix = f"{call_id}/{leg}"
        self._begun = 0
        self._under_way: dict[str, Attempt] = {}

    def __iter__(self) -> Iterator[tuple[str, Attempt]]:
        """A copy: what is ended while one looks does no harm."""
        return iter(list(self._under_way.items()))

    def __contains__(self, name: str) -> bool:
        return name in self._under_way

    def __bool__(self) -> bool:
        return bool(self._under_way)

    def begin(self, rung: Rung, due: float) -> tuple[str, Attempt]:
        """A new attempt and its name."""
        self._begun += 1
        name = f"{self._prefix}/{self._begun}"
        attempt = self._under_way[name] = Attempt(rung, due)
        return name, attempt

    def get(self, name: str) -> Attempt | None:
        return self._under_way.get(name)

    def end(self, name: str) -> Attempt | None:
        """It is over; None where it was over before, or never was."""
        return self._under_way.pop(name, None)

    def deadline(self) -> float | None:
        return min((attempt.due for attempt in self._under_way.values() if attempt.due is not None), default=None)

    def stop_clocks(self) -> None:
        """Nothing more is expected of any of them."""
        for attempt in self._under_way.values():
            attempt.due = None

    @property
    def step_under_way(self) -> bool:
        """Whether the ladder's present step is still being tried."""
        return any(not attempt.given_up for attempt in self._under_way.values())

    @property
    def ring(self) -> bool:
        return any(attempt.where is not None for attempt in self._under_way.values())

    def at(self, rung: Rung) -> bool:
        """Whether these call-takers, or these lines, are being rung already."""
        return any(
            type(attempt.rung) is type(rung) and attempt.rung.owner == rung.owner
            for attempt in self._under_way.values()
        )

    def too_many(self, answered: str) -> list[str]:
        """The oldest rings beyond `RINGS_MAX`; the attempt that a person has answered rings no more."""
        rings = [name for name, attempt in self._under_way.items() if attempt.where is not None and name != answered]
        return rings[:-RINGS_MAX]
