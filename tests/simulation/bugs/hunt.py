"""Looks for the first schedule in which a mistake is seen, and in which nothing is seen without it."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Final

from simulator.checkers import Finding, check
from simulator.run import run
from simulator.schedule import draw
from tests.simulation.bugs.families import KNOWN
from tests.simulation.bugs.mistake import Mistake

WITHIN: Final = 1_000
FALLS_OVER: Final = "no_mistake"
"""What a checker says of a part that raises what nobody awaits: a mistake that does so would be seen by anybody."""
CALLS_OF_A_RUN: Final = 100
"""In each schedule of `make test`."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A mistake's name, how many schedules at most, the first one's seed, and whether the default draw is tried too."""

    name: str
    within: int
    first: int
    by_default: bool


@dataclass(frozen=True, slots=True)
class Hunted:
    """What came of it. `seed` is None where it was not found; `dirty` are seeds that had findings of their own."""

    name: str
    seed: int | None
    findings: tuple[Finding, ...]
    schedules: int
    dirty: int
    cpu_s: float


def findings_at(mistake: Mistake | None, seed: int, calls: int, only: tuple[str, ...]) -> list[Finding]:
    """What the checkers say of one schedule, with the mistake or as all really is."""
    schedule = draw(seed, calls, only)
    if mistake is None:
        return check(run(schedule))
    with mistake.made():
        return check(run(schedule))


def hunt(mistake: Mistake, within: int = WITHIN, first: int = 0, *, by_default: bool = False) -> Hunted:
    """Seed after seed. A finding counts only where the same seed has none without the mistake. `by_default`: in the
    schedules that `make test` draws, instead of those with the faults that were chosen for this mistake."""
    calls, only = (CALLS_OF_A_RUN, ()) if by_default else (mistake.calls, mistake.only)
    began = time.process_time()
    dirty = 0
    for n, seed in enumerate(range(first, first + within), start=1):
        found = findings_at(mistake, seed, calls, only)
        if not found or any(each.checker == FALLS_OVER for each in found):
            continue
        if findings_at(None, seed, calls, only):
            dirty += 1
            continue
        return Hunted(mistake.name, seed, tuple(found), n, dirty, time.process_time() - began)
    return Hunted(mistake.name, None, (), within, dirty, time.process_time() - began)


def hunt_as_asked(asked: Asked) -> tuple[Hunted, Hunted | None]:
    """With the faults that were chosen for it and, where it is asked for, with those of the default draw."""
    warnings.simplefilter("ignore", RuntimeWarning)  # a coroutine of a dead process is never awaited
    mistake = KNOWN[asked.name]
    chosen = hunt(mistake, asked.within, asked.first)
    return chosen, hunt(mistake, asked.within, asked.first, by_default=True) if asked.by_default else None
