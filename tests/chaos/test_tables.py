"""The fourth account: a ledger's real tables, beside the journal from which they should follow."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from chaos.tables import Tables, compared, uneven
from chaos.witnesses import LedgerAccount
from loadtest.books import Reading
from services.domain.events import Fact, FactKind
from services.domain.offer import SOS_URN, Offer
from services.domain.where import Where
from services.journal import Record, Topic
from services.ledger.projection import read
from services.ledger.sql import SqlStore
from services.wire import facts

BURST = "round1"


def call(call_id: str, *kinds: FactKind) -> list[Fact]:
    """Its facts, the offer first."""
    offer = Offer(call_id, 1, "+16175550123", SOS_URN, None)
    told = [Fact(call_id, 1, 0, "w", FactKind.OFFERED, 1_000, caller_hash="c", offer=offer)]
    for seq, kind in enumerate(kinds, 1):
        where = Where("P") if kind is FactKind.ANSWERED else None
        told.append(Fact(call_id, 1, seq, "w", kind, 1_000 + seq, settled=True, caller_hash="c", where=where))
    return told


JOURNAL = [
    *call(f"{BURST}-0001", FactKind.ANSWERED),
    *call(f"{BURST}-0002", FactKind.ABANDONED),
    *call(f"{BURST}-0003", FactKind.ABANDONED),
    *call(f"{BURST}0-0001", FactKind.ABANDONED),
]
RECORDS = [
    Record(Topic.CALLS, 0, offset, fact.call_id, facts.encode(fact), 1_000) for offset, fact in enumerate(JOURNAL)
]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The tables of a ledger that has read all of it."""
    path = tmp_path / "ledger.sqlite"
    store = SqlStore(f"sqlite:///{path}")
    store.open()
    store.project(read(RECORDS), {})
    store.close()
    return path


def differences(database: Path, burst: str = BURST) -> tuple[str, ...]:
    """What is found between the tables and the whole journal."""
    reading = Reading()
    reading.take(record for record in RECORDS if record.key.startswith(f"{burst}-"))
    return compared(reading.kept().entries, LedgerAccount(database).of(burst)).differences


def change(database: Path, *statements: str) -> None:
    """Somebody's mistake."""
    with closing(sqlite3.connect(database)) as books, books:
        for statement in statements:
            assert books.execute(statement).rowcount, statement


def test_tables_that_follow_from_the_journal_agree_burst_by_burst(database: Path) -> None:
    """Each burst's calls by themselves, though one's name begins as another's does."""
    assert differences(database) == differences(database, f"{BURST}0") == ()
    tables = LedgerAccount(database).of(BURST)
    assert sorted(tables.listed) == [f"{BURST}-0002", f"{BURST}-0003"]
    assert tables.outcomes[f"{BURST}-0001"] == "answered" and len(tables.outcomes) == 3


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (
            f"DELETE FROM calls WHERE call_id = '{BURST}-0002'",
            [f"{BURST}-0002: the journal has it callback_open, the ledger's tables nowhere",
             f"{BURST}-0002: a callback is owed, and the ledger's list does not have it"],
        ),
        (
            f"UPDATE calls SET outcome = 'callback_open', opened_at_ms = 5, closed_at_ms = NULL"
            f" WHERE call_id = '{BURST}-0001'",
            [f"{BURST}-0001: the journal has it answered, the ledger's tables callback_open",
             f"{BURST}-0001: it is on the ledger's list, and no callback is owed"],
        ),
        (
            f"UPDATE calls SET outcome = 'in_progress' WHERE call_id = '{BURST}-0003'",
            [f"{BURST}-0003: the journal has it callback_open, the ledger's tables in_progress",
             f"{BURST}-0003: a callback is owed, and the ledger's list does not have it"],
        ),
        (
            f"UPDATE calls SET closed_at_ms = 5 WHERE call_id = '{BURST}-0002'",
            [f"{BURST}-0002: a callback is owed, and the ledger's list does not have it"],
        ),
        (
            f"UPDATE calls SET call_id = '{BURST}-0009' WHERE call_id = '{BURST}-0003'",
            [f"{BURST}-0003: the journal has it callback_open, the ledger's tables nowhere",
             f"{BURST}-0009: the journal has it nowhere, the ledger's tables callback_open",
             f"{BURST}-0003: a callback is owed, and the ledger's list does not have it",
             f"{BURST}-0009: it is on the ledger's list, and no callback is owed"],
        ),
    ],
)  # fmt: skip
def test_tables_that_do_not_follow_from_the_journal_are_found(database: Path, statement: str, found: list[str]) -> None:
    """A caller whom nobody will ring back though the journal says so, and whatever else a ledger may get wrong."""
    change(database, statement)
    assert list(differences(database)) == found


def test_a_call_that_stands_twice_on_the_list_is_found() -> None:
    """Two people would ring back."""
    journal = [{"event": "outcome", "call_id": "a", "outcome": "callback_open"}]
    assert compared(journal, Tables({"a": "callback_open"}, ["a", "a"])).differences == (
        "a: it is on the ledger's list 2 times",
    )


def test_sums_hold_the_calls_of_no_burst_too(database: Path) -> None:
    """A row that the journal has nothing of is in nobody's burst."""
    reading = Reading()
    reading.take(RECORDS)
    account = LedgerAccount(database)
    assert account.uneven(reading.kept().entries) == []
    change(database, f"UPDATE calls SET call_id = 'strange', outcome = 'answered' WHERE call_id = '{BURST}-0003'")
    assert account.uneven(reading.kept().entries) == [
        "the journal has 1 calls answered, the ledger's tables 2",
        "the journal has 3 calls callback_open, the ledger's tables 2",
    ]
    assert uneven(["answered"], {}) == ["the journal has 1 calls answered, the ledger's tables 0"]


def test_tables_that_cannot_be_read_are_no_tables_that_agree(tmp_path: Path) -> None:
    """Nothing is made where there is nothing, and nothing is taken for well."""
    missing = tmp_path / "none.sqlite"
    found = differences(missing)
    assert len(found) == 1 and found[0].startswith("the ledger's tables cannot be read: ")
    assert LedgerAccount(missing).uneven([])
    assert not missing.exists()


def test_a_ledger_writes_on_while_its_tables_are_read(database: Path) -> None:
    """A look costs it nothing, and changes nothing."""
    account = LedgerAccount(database)
    with closing(sqlite3.connect(database, isolation_level=None)) as writing:
        writing.execute("BEGIN IMMEDIATE")
        writing.execute(f"UPDATE calls SET outcome = 'in_progress' WHERE call_id = '{BURST}-0003'")
        assert account.of(BURST).outcomes[f"{BURST}-0003"] == "callback_open"
        writing.execute("COMMIT")
    assert account.of(BURST).outcomes[f"{BURST}-0003"] == "in_progress"


def _project_and_die(path: Path) -> None:
    store = SqlStore(f"sqlite:///{path}")
    store.open()
    store.project(read(RECORDS), {})
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_tables_of_a_ledger_that_was_killed_are_read_as_it_left_them(tmp_path: Path) -> None:
    """What it committed stands in the log beside its file, where nobody has moved it on."""
    path = tmp_path / "ledger.sqlite"
    ledger = multiprocessing.get_context("spawn").Process(target=_project_and_die, args=(path,))
    ledger.start()
    ledger.join()
    assert ledger.exitcode == -signal.SIGKILL
    assert path.with_name("ledger.sqlite-wal").stat().st_size > 0
    assert differences(path) == ()
