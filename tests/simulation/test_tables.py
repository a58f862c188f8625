"""The simulated ledger's database: what a killed process had written is there, and what it had not is read again."""

from __future__ import annotations

import random

import pytest

from services.domain.events import Tick
from services.ledger.store import StoreTrouble
from services.wire import facts
from simulator.injuries import Injury
from simulator.run import Observed, run
from simulator.schedule import Schedule, draw
from simulator.tables import Tables
from simulator.virtual_loop import run_virtual

WRITTEN = "throughline_ledger_facts_total"


def hurt_late_by(kind: str) -> Observed:
    """Ten calls, and the ledger is hurt when most of them are over."""
    return run(Schedule(7, draw(7, calls=10).calls, (Injury(kind, 30.0, 1.0, ("ledger-1",)),)))


def facts_of(seen: Observed) -> int:
    """How many different ones the journal has."""
    read = [facts.read(record.value) for record in seen.records]
    return len({fact.identity for fact in read if not isinstance(fact, Tick)})


def test_a_killed_ledger_goes_on_where_it_stood() -> None:
    """J3: what its database has it does not write again."""
    seen = hurt_late_by("kill")
    assert seen.settled
    assert seen.counts["ledger-1"][WRITTEN] == facts_of(seen) > 0


def test_a_ledger_that_lost_its_disk_writes_its_books_anew() -> None:
    """J3: they follow from the journal alone."""
    seen = hurt_late_by("disk_lost")
    assert seen.settled
    assert seen.counts["ledger-1"][WRITTEN] > facts_of(seen) > 0


def test_work_that_fails_was_done_or_not() -> None:
    """The two ways to lose a database: before the transaction is committed, and before anybody hears that it was."""

    def was_done(seed: int) -> bool:
        tables, done = Tables(random.Random(seed)), []
        tables.fail_share = 1.0
        with pytest.raises(StoreTrouble):
            run_virtual(tables.run_blocking(lambda: done.append(seed)))
        tables.close()
        return bool(done)

    assert {was_done(seed) for seed in range(8)} == {True, False}
