"""The attempts of one call that are under way: what is being tried, what rings, and whose time is over.

At most one attempt is the ladder's present step. Others ring on beside it: their ring time is over, the ladder has
moved on, and whoever answers first has the call (protocol.md R6). An attempt that rings does not end with the gateway
it was offered through: it is offered again through the PSAP's others, under its own name (R5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from services.domain.calls.ladder import RingPsap, Rung
from services.domain.where import Where

RINGS_MAX: Final = 2


class Attempt:
    """One rung being tried. `due` is when something must have become of it; None where it may take its time."""

    __slots__ = ("_untried", "answered", "due", "given_up", "offered_again", "resume_due", "rung", "where")

    def __init__(self, rung: Rung, due: float) -> None:
        self.rung = rung
        self.where: Where | None = None  # set once it rings
        self.due: float | None = due
        self.given_up = False  # its ring time is over: it rings on, but the ladder has moved on
        self.answered = False
        self.offered_again = False  # through another gateway, and an answer that was said before is to be said again
        self.resume_due: float | None = None  # until when a word through that gateway must have come
        self._untried = list(rung.others) if isinstance(rung, RingPsap) else []

    @property
    def place(self) -> Where:
        """Where it rings, or is to ring."""
        return self.where or Where(self.rung.owner)

    def through_another(self, resume_due: float) -> RingPsap | None:
        """The same rung through a gateway of the PSAP that was not tried yet; None where there is none."""
        if not isinstance(self.rung, RingPsap) or not self._untried:
            self.resume_due = None
            return None
        self.offered_again = True
        self.resume_due = resume_due
        return replace(self.rung, gateway=self._untried.pop(0))

    def by_any_gateway(self) -> tuple[Rung, ...]:
        """Its rung, by each gateway of its PSAP."""
        rung = self.rung
        if not isinstance(rung, RingPsap):
            return (rung,)
        return (rung, *(replace(rung, gateway=gateway) for gateway in rung.others))

    def tried(self) -> tuple[Rung, ...]:
        """Its rung, by each gateway that it was offered through."""
        return tuple(
            rung for rung in self.by_any_gateway() if not (isinstance(rung, RingPsap) and rung.gateway in self._untried)
        )


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

    def hand_over_to(self, heir: Attempts) -> None:
        """All of them, with their names."""
        heir._under_way.update(self._under_way)
        self._under_way.clear()

    def get(self, name: str) -> Attempt | None:
        return self._under_way.get(name)

    def end(self, name: str) -> Attempt | None:
        """It is over; None where it was over before, or never was."""
        return self._under_way.pop(name, None)

    def deadline(self) -> float | None:
        dues = (due for each in self._under_way.values() for due in (each.due, each.resume_due) if due is not None)
        return min(dues, default=None)

    def stop_clocks(self) -> None:
        """Nothing more is expected of any of them."""
        for attempt in self._under_way.values():
            attempt.due = attempt.resume_due = None

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
