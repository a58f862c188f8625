"""Many schedules, on every core: each seed is run and checked by itself, and results come in the order of the seeds.

A worker is a process of its own that runs one schedule after the other; nothing is shared, so that a result depends on
its seed alone. It collects nothing, which would take a tenth of a schedule's time: after a few schedules it ends, with
all that they left, and another is forked from one that has imported everything.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from services.host.lifeline import EXIT_ORPHANED
from simulator.checkers import Finding, judge
from simulator.run import Observed, run
from simulator.schedule import Schedule, draw

FEW: Final = 8
"""So many schedules are run here: workers would take longer to start."""
SCHEDULES_OF_A_WORKER: Final = 25
"""Each leaves some 8 MB."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What every schedule of a campaign has in common."""

    calls: int = 100
    only: tuple[str, ...] = ()

    def schedule(self, seed: int) -> Schedule:
        return draw(seed, self.calls, self.only)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one schedule."""

    seed: int
    digest: str
    findings: tuple[Finding, ...]
    calls: int
    """Calls placed, redials among them."""
    accepted: int
    connected: int
    injuries: tuple[str, ...]
    heard_of: tuple[str, ...]
    """Those of the injuries, by kind, that hurt so that an alarm was asked for."""
    cpu_s: float


@dataclass(slots=True)
class Tally:
    """What came of many."""

    schedules: int = 0
    calls: int = 0
    accepted: int = 0
    connected: int = 0
    cpu_s: float = 0.0
    injuries: Counter[str] = field(default_factory=Counter)
    heard_of: Counter[str] = field(default_factory=Counter)
    found: list[int] = field(default_factory=list)
    """Seeds of schedules after which something did not hold."""

    def add(self, result: Result) -> None:
        self.schedules += 1
        self.calls += result.calls
        self.accepted += result.accepted
        self.connected += result.connected
        self.cpu_s += result.cpu_s
        self.injuries.update(result.injuries)
        self.heard_of.update(result.heard_of)
        if result.findings:
            self.found.append(result.seed)


def judged(schedule: Schedule) -> tuple[Observed, Result]:
    """One schedule, run and checked here and now."""
    began_s = time.process_time()
    seen = run(schedule)
    findings, heard_of = judge(seen)
    offered = {entry["call_id"] for entry in seen.callers if entry["event"] == "offered"}
    result = Result(
        seed=schedule.seed,
        digest=seen.digest,
        findings=tuple(findings),
        calls=len(offered),
        accepted=len({entry["call_id"] for entry in seen.callers if entry["event"] == "accepted"}),
        connected=len({entry["call_id"] for entry in seen.callers if entry["event"] == "connected"}),
        injuries=tuple(injury.kind for injury in schedule.injuries),
        heard_of=tuple(heard_of),
        cpu_s=time.process_time() - began_s,
    )
    return seen, result


def campaign(seeds: Iterable[int], wanted: Wanted, jobs: int) -> Iterator[Result]:
    """The results of these seeds, in their order. Leaving the loop ends the workers."""
    if jobs == 1:
        yield from (_one((seed, wanted)) for seed in seeds)
        return
    with workers(jobs, "simulator.cli", schedules_max=SCHEDULES_OF_A_WORKER, collects=False) as pool:
        yield from pool.imap(_one, ((seed, wanted) for seed in seeds))


def _one(asked: tuple[int, Wanted]) -> Result:
    """What the simulator itself fails with names the seed."""
    seed, wanted = asked
    try:
        return judged(wanted.schedule(seed))[1]
    except Exception as mistake:
        mistake.add_note(f"in the schedule of seed {seed}")
        raise


def _settle_in(collects: bool) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the command's; it ends its workers
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    if collects:
        gc.freeze()  # what was imported stays; only what a run leaves is looked through
    else:
        gc.disable()


def _end_with(command: Any) -> None:
    """However that ends; it is not the process that forked this one, which the kernel could watch."""
    command.join()
    os._exit(EXIT_ORPHANED)


@contextmanager
def workers(jobs: int, imports: str, *, schedules_max: int | None, collects: bool) -> Iterator[Any]:
    """A pool of them, forked from a process that has imported this, of so many schedules each at most. Leaving it ends
    them where they stand; so does the end of the command, however that comes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([imports])
    pool = context.Pool(jobs, _settle_in, (collects,), maxtasksperchild=schedules_max)
    try:
        yield pool
    finally:
        pool.terminate()
        pool.join()
