"""What an injury is."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from loadtest.books import Reading
from services.host.network.memory import MemoryNetwork
from services.journal.memory import MemoryBroker
from simulator.cables import Cables
from simulator.installation import Installation
from simulator.moments import Moments
from simulator.outside import Outside


@dataclass(frozen=True, slots=True)
class Injury:
    """One thing that goes wrong: what, when, for how long (virtual seconds), to whom, how hard."""

    kind: str
    at_s: float
    lasts_s: float
    targets: tuple[str, ...] = ()
    amount: float = 0.0

    def __str__(self) -> str:
        return f"{self.at_s:6.2f} s  {self.what} for {self.lasts_s:.2f} s"

    @property
    def whom(self) -> str:
        """The kind, and whom it hits."""
        return " ".join((self.kind, *self.targets))

    @property
    def what(self) -> str:
        """The same, and how hard: `throughline simulate --faults` says what the number counts."""
        return self.whom + (f" {self.amount:g}" if self.amount else "")


@dataclass(slots=True)
class Scene:
    """Everything that can be hurt."""

    installation: Installation
    outside: Outside
    cables: Cables
    network: MemoryNetwork
    broker: MemoryBroker
    by: random.Random
    """For what is drawn while it runs, such as how much of a write was done."""
    moments: Moments
    kinds: Mapping[str, Kind]
    """Every kind there is, by its name: a story may have any as its deed."""
    read_on: Callable[[], Reading] = Reading
    """Has the witness of the journal read what has landed by now, before it can be gone."""
    stories: dict[Injury, Callable[[], None]] = field(default_factory=dict)
    """Injuries that are told in steps, and how each is ended."""
    done: list[Injury] = field(default_factory=list)
    """What these did, when it is over; from the loop's own beginning."""
    deployed: Injury | None = None
    """The deployment that is under way: whoever restarts services in turn makes one change at a time."""
    errands: set[asyncio.Future[None]] = field(default_factory=set)
    """What takes a moment to be done to somebody."""


Drawn = tuple[tuple[str, ...], float, float]
"""Targets, seconds, amount."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A way in which things go wrong. `weight`: how often it is drawn beside the others; 0: only where it is named.

    `company`: kinds of which one goes wrong at about the same time, since alone it would change nothing."""

    name: str
    says: str
    draw: Callable[[random.Random], Drawn]
    strike: Callable[[Scene, Injury], None]
    heal: Callable[[Scene, Injury], None]
    weight: float = 1.0
    company: tuple[str, ...] = ()


def nothing(_: Scene, __: Injury) -> None:
    """For what heals by itself."""


def seconds(by: random.Random, least_s: float, most_s: float) -> float:
    """Between the two, short ones as likely as long ones: the logarithm is drawn evenly."""
    return round(float(least_s * (most_s / least_s) ** by.random()), 3)


SHORT_S: Final = (0.05, 3.0)
LONG_S: Final = (1.0, 12.0)
