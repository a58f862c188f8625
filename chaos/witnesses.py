"""The three accounts while a run goes on: diaries read as they grow, and a follower of the journal that reads Kafka.
And a fourth beside them: the ledger's own tables.

Entries are kept apart by burst, whose name begins each call_id, so that a round is judged without reading all again.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeVar

from chaos.tables import Compared, Tables, compared, folded, uneven
from loadtest.books import Reading
from loadtest.diary import read_diary
from services.journal import Record, Topic
from services.journal.kafka import KafkaLog
from services.ledger.callbacks import entries
from services.ledger.sql import SqlStore
from services.ledger.store import StoreTrouble

Entry = Mapping[str, Any]
STOPS_WITHIN_S: Final = 5.0
BUSY_S: Final = 5.0
"""A ledger that comes back from a kill has its tables to itself for a moment."""
T = TypeVar("T")


def burst_of(call_id: str) -> str:
    """Which burst a call belongs to."""
    return call_id.partition("-")[0]


class GrowingDiary:
    """A diary that another process goes on writing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._by_burst: defaultdict[str, list[Entry]] = defaultdict(list)

    def of(self, burst: str) -> Sequence[Entry]:
        """What it says of a burst's calls so far."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            lines = file.read().split(b"\n")
        for line in lines[:-1]:  # the last one may not be whole yet
            self._read += len(line) + 1
            entry = json.loads(line)
            if "call_id" in entry:
                self._by_burst[burst_of(entry["call_id"])].append(entry)
        return self._by_burst[burst]


class JournalAccount:
    """Follows `calls` from its beginning, through whatever becomes of Kafka."""

    def __init__(self, bootstrap: str) -> None:
        self._log = KafkaLog(bootstrap, client_id="chaos-witness")
        self._follower = self._log.follow(Topic.CALLS)
        self._by_burst: defaultdict[str, Reading] = defaultdict(Reading)
        self._seen: dict[int, int] = {}
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._log.start()
        await self._follower.start()
        self._reading = asyncio.create_task(self._read())

    async def stop(self) -> None:
        await self._follower.stop()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading}, timeout=STOPS_WITHIN_S)
        await self._log.close()

    async def _read(self) -> None:
        async for records in self._follower:
            for record in records:
                self._take(record)

    def _take(self, record: Record) -> None:
        if record.offset <= self._seen.get(record.partition, -1):
            return  # a follower that connected anew may begin a little earlier
        self._seen[record.partition] = record.offset
        self._by_burst[burst_of(record.key)].take([record])  # its key is the call's id; ticks have a burst of their own

    def of(self, burst: str) -> Sequence[Entry]:
        """What it holds of a burst's calls so far, and what the books make of them."""
        return self._by_burst[burst].kept().entries

    def of_all(self) -> Sequence[Entry]:
        """The same of every call there was."""
        return [entry for reading in self._by_burst.values() for entry in reading.kept().entries]

    def copies(self, burst: str) -> int:
        """How many records said again what another had said."""
        return self._by_burst[burst].copies

    def unreadable(self, burst: str) -> int:
        """How many records nobody can read."""
        return self._by_burst[burst].unreadable


class LedgerAccount:
    """The tables of a ledger beside it: outcomes in plain SQL, the list as `throughline callbacks list` has it. Reads
    and never writes; a read may wait BUSY_S."""

    def __init__(self, database: Path) -> None:
        self._path = database.resolve()

    def of(self, burst: str) -> Tables:
        """What they say of a burst's calls."""
        first, after = f"{burst}-", f"{burst}."  # the character that follows the dash
        query = "SELECT call_id, outcome FROM calls WHERE call_id >= ? AND call_id < ?"
        try:
            outcomes = self._read(lambda books: dict(books.execute(query, (first, after))))
            return Tables(outcomes, [call_id for call_id in self._listed() if burst_of(call_id) == burst])
        except (sqlite3.Error, StoreTrouble) as trouble:
            return Tables({}, [], f"the ledger's tables cannot be read: {trouble}")

    def uneven(self, journal: Sequence[Entry]) -> list[str]:
        """Where their sums are not those of the journal: of every call there was."""
        query = "SELECT outcome, count(*) FROM calls GROUP BY outcome"
        try:
            sums = self._read(lambda books: Counter(dict(books.execute(query))))
        except sqlite3.Error as trouble:
            return [f"the ledger's tables cannot be read: {trouble}"]
        return uneven(folded(journal).values(), sums)

    def _read(self, asking: Callable[[sqlite3.Connection], T]) -> T:
        with closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, timeout=BUSY_S)) as books:
            return asking(books)

    def _listed(self) -> Sequence[str]:
        """Whoever a person would ring back, as often as they would be."""
        store = SqlStore(f"sqlite:///{self._path}", read_only=True)
        try:
            there = entries(store.callbacks())
        finally:
            store.close()
        return [call.call_id for entry in there if entry.open for call in entry.calls]


class Accounts:
    """All of them, burst by burst."""

    def __init__(self, far_end: Path, journal: JournalAccount, ledger: LedgerAccount) -> None:
        self.journal = journal
        self._ledger = ledger
        self._far_end = GrowingDiary(far_end)

    def of(self, burst: str, callers: Path) -> tuple[Sequence[Entry], Sequence[Entry], Sequence[Entry]]:
        """Callers, far end, journal."""
        return read_diary(callers), self._far_end.of(burst), self.journal.of(burst)

    async def tables(self, burst: str) -> Compared:
        """What the ledger's tables say of a burst's calls, beside the journal."""
        tables = await asyncio.to_thread(self._ledger.of, burst)
        return compared(self.journal.of(burst), tables)

    async def sums(self) -> list[str]:
        """Where the sums of its tables, of all calls there were, are not the journal's."""
        return await asyncio.to_thread(self._ledger.uneven, self.journal.of_all())
