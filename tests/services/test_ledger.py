"""The ledger as a whole: memory journal, virtual time, and a real database in memory or on disk."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from services.domain.books import Stories, books
from services.domain.events import Fact, FactKind
from services.domain.fold import Outcome
from services.domain.offer import SOS_URN, TEST_URN, Offer
from services.host.blocking import at_once, in_thread
from services.host.clock import wall_ms
from services.host.files import MemoryFiles
from services.host.network.memory import MemoryNetwork
from services.host.settings import load
from services.host.world import World
from services.journal import Topic
from services.journal.disk import MemoryDisk
from services.journal.memory import MemoryBroker, MemoryLog
from services.ledger.callbacks import WRITER
from services.ledger.projection import Batch
from services.ledger.service import Ledger
from services.ledger.settings import LedgerSettings
from services.ledger.sql import SqlStore
from services.ledger.store import Projected, StoreTrouble
from services.wire import facts
from simulator.virtual_loop import run_virtual, virtual_wall_ms

Kinds = FactKind
MINUTE_S = 60.0


class Stage:
    """A journal, and ledgers beside it."""

    def __init__(self, now_ms: Callable[[], int] = virtual_wall_ms) -> None:
        self.now_ms = now_ms
        self.broker = MemoryBroker(now_ms)
        self.writer = MemoryLog(self.broker)
        self.ledger_log = MemoryLog(self.broker)
        self.registry = CollectorRegistry()

    def ledger(self, store: SqlStore, **given: Any) -> Ledger:
        """A ledger on this store, not started, with a log and metrics of its own: those of the stage from now on."""
        return Ledger(self._world(), load(LedgerSettings, **given), run_blocking=at_once, store=store)

    def threaded(self, database: str) -> Ledger:
        """A ledger as production has it: its own store, SQL in threads."""
        return Ledger(self._world(), load(LedgerSettings, database=database), run_blocking=in_thread)

    def _world(self) -> World:
        self.registry = CollectorRegistry()
        self.ledger_log = MemoryLog(self.broker)
        return World(
            name="ledger",
            incarnation="1",
            network=MemoryNetwork(),
            log=self.ledger_log,
            wall_ms=self.now_ms,
            random=random.Random(1),
            files=MemoryFiles(),
            disk=MemoryDisk(),
            registry=self.registry,
            logger=structlog.get_logger(),
        )

    async def tell(self, call_id: str, kind: FactKind, *, leg: int = 1, seq: int = 0, due_s: float = 0) -> Fact:
        """Appends a fact of a conductor's, and lets it land. The caller is the id's first letter."""
        test = call_id.startswith("test")
        urn = TEST_URN if test else SOS_URN
        offer = Offer(call_id, leg, "+16175550123", urn, None) if kind is Kinds.OFFERED else None
        due_ms, connected = round(due_s * 1000), kind in (Kinds.ANSWERED, Kinds.DIVERTED)
        fact = Fact(
            call_id, leg, seq or list(Kinds).index(kind), "ingress", kind, self.now_ms(), due_in_ms=due_ms, test=test,
            caller_hash=call_id[0], offer=offer, attempt=f"{call_id}/{leg}/1" if connected else "", settled=connected,
        )  # fmt: skip
        await self.writer.append(Topic.CALLS, call_id, facts.encode(fact))
        return fact

    def told(self) -> list[Fact]:
        """What the ledger itself said in the journal."""
        return [fact for fact in self.journal() if fact.writer == WRITER]

    def journal(self) -> list[Fact]:
        return [facts.decode(record.value) for record in self.broker.records(Topic.CALLS)]

    def metric(self, name: str, labels: Mapping[str, str] | None = None) -> float | None:
        return self.registry.get_sample_value(f"throughline_ledger_{name}", dict(labels or {}))


async def until(condition: Callable[[], bool], limit_s: float = 20.0) -> None:
    """Waits for the fact itself, with a bound."""
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def open_store(path: Path | None = None) -> SqlStore:
    store = SqlStore("sqlite://" if path is None else f"sqlite:///{path}")
    store.open()
    return store


def listed(store: SqlStore) -> list[str]:
    return [call.call_id for call in store.callbacks()]


def test_the_books_in_sql_are_those_of_the_journal() -> None:
    """SQL is a projection: what `balance` reads from the journal is what the tables say (J2, J3)."""

    async def scene() -> None:
        stage, store = Stage(), open_store()
        ledger = stage.ledger(store)
        await ledger.start()
        assert ledger.address.startswith("127.0.0.1:")
        ends = [[Kinds.RINGING, Kinds.ANSWERED], [Kinds.DIVERTED], [Kinds.ABANDONED], [Kinds.CALLBACK_DUE], []]
        for number, kinds in enumerate(ends * 3):
            for kind in (Kinds.OFFERED, *kinds):
                await stage.tell(f"{'test' if number % 3 == 0 else number}-{number}", kind)
        await until(lambda: stage.metric("facts_total") == len(stage.journal()))
        stories = Stories()
        for fact in stage.journal():
            stories.add(fact)
        sums = books(stories.by_call.values())
        want = Counter[tuple[Outcome, bool]]()
        for columns, test in ((sums.real, False), (sums.tests, True)):
            want.update({(outcome, test): count for outcome, count in columns.outcomes.items() if count})
        assert store.sums() == want
        gauge = {key: stage.metric("calls", {"outcome": key[0], "test": str(key[1]).lower()}) for key in want}
        assert gauge == want
        assert not any(call_id.startswith("test") for call_id in listed(store))
        await ledger.stop(1)

    run_virtual(scene())


def test_a_lost_caller_without_a_higher_leg_goes_onto_the_list_after_the_grace() -> None:
    """The journal is told first; the list follows from what is read back (J2)."""

    async def scene() -> None:
        stage, store = Stage(), open_store()
        ledger = stage.ledger(store, lost_grace_s=5)
        await ledger.start()
        await stage.tell("a1", Kinds.OFFERED)
        lost = await stage.tell("a1", Kinds.CALLER_LOST, due_s=3)
        await stage.tell("b1", Kinds.CALLER_LOST, due_s=3)
        await asyncio.sleep(1)
        await stage.tell("b1", Kinds.OFFERED, leg=2, due_s=1)
        await asyncio.sleep(6.5)
        assert stage.told() == []
        await until(lambda: listed(store) == ["a1"])
        [due] = stage.told()
        assert (due.kind, due.call_id, due.leg) == (Kinds.CALLBACK_DUE, "a1", 1)
        assert due.at_ms == lost.at_ms + 3_000 + 5_000
        await asyncio.sleep(MINUTE_S)
        assert stage.told() == [due]
        await ledger.stop(1)

    run_virtual(scene())


def test_a_call_whose_conductor_says_no_more_goes_onto_the_list_at_last() -> None:
    """Older debts are the ledger's; a caller who owes nothing more, and a test call, are not on the list (J1)."""

    async def scene() -> None:
        stage, store = Stage(), open_store()
        ledger = stage.ledger(store, silent_grace_s=900)
        await ledger.start()
        await stage.tell("a1", Kinds.RINGING, due_s=15)
        await stage.tell("test-1", Kinds.RINGING, due_s=15)
        await stage.tell("b1", Kinds.RINGING, due_s=15)
        await stage.tell("b1", Kinds.ANSWERED)
        await asyncio.sleep(914)
        assert stage.told() == []
        await until(lambda: listed(store) == ["a1"])
        assert Counter(fact.call_id for fact in stage.told()) == {"a1": 1, "test-1": 1}
        assert store.sums()[Outcome.CALLBACK_OPEN, True] == 1
        await ledger.stop(1)

    run_virtual(scene())


def test_a_caller_who_reaches_somebody_by_a_later_call_is_off_the_list() -> None:
    """`Reconnected` for each open call of that caller, in the journal first, then in the list."""

    async def scene() -> None:
        stage, store = Stage(), open_store()
        ledger = stage.ledger(store)
        await ledger.start()
        for call_id in ("a1", "a2", "b1"):
            await stage.tell(call_id, Kinds.OFFERED)
            await stage.tell(call_id, Kinds.ABANDONED)
            await asyncio.sleep(1)
        await until(lambda: listed(store) == ["a1", "a2", "b1"])
        await stage.tell("a3", Kinds.OFFERED)
        connected = await stage.tell("a3", Kinds.ANSWERED)
        await until(lambda: listed(store) == ["b1"])
        told = stage.told()
        assert {(fact.kind, fact.call_id, fact.at_ms, fact.settled) for fact in told} == {
            (Kinds.RECONNECTED, "a1", connected.at_ms, True),
            (Kinds.RECONNECTED, "a2", connected.at_ms, True),
        }
        await asyncio.sleep(MINUTE_S)
        assert stage.told() == told
        assert store.sums()[Outcome.CALLBACK_CLOSED, False] == 2
        await ledger.stop(1)

    run_virtual(scene())


def test_a_caller_who_calls_again_after_that_is_on_the_list_again() -> None:
    """What was inferred closes no leg that was offered after it, and is inferred anew for that leg (J2)."""

    async def scene() -> None:
        stage, store = Stage(), open_store()
        ledger = stage.ledger(store)
        await ledger.start()
        for call_id, leg, ends in (("a1", 1, Kinds.ABANDONED), ("a2", 1, Kinds.ANSWERED)):
            await stage.tell(call_id, Kinds.OFFERED, leg=leg)
            await stage.tell(call_id, ends, leg=leg)
            await asyncio.sleep(1)
        await until(lambda: len(stage.told()) == 1)
        await stage.tell("a1", Kinds.OFFERED, leg=2)
        await stage.tell("a1", Kinds.ABANDONED, leg=2)
        await asyncio.sleep(MINUTE_S)
        assert listed(store) == ["a1"]
        await stage.tell("a3", Kinds.OFFERED)
        await stage.tell("a3", Kinds.ANSWERED)
        await until(lambda: listed(store) == [])
        assert [(fact.call_id, fact.leg, fact.reason) for fact in stage.told()] == [
            ("a1", 1, "by a2"),
            ("a1", 2, "by a3"),
        ]
        await ledger.stop(1)

    run_virtual(scene())


def test_nobody_is_put_on_the_list_by_a_view_that_is_not_up_to_date() -> None:
    """While Kafka is away nothing is swept: what an old view owes may long be settled."""

    async def scene() -> None:
        stage, store = Stage(), open_store()
        await stage.tell("a1", Kinds.CALLER_LOST, due_s=3)
        ledger = stage.ledger(store)
        stage.ledger_log.fail(absent=True)
        await ledger.start()
        await asyncio.sleep(MINUTE_S)
        assert ledger.troubles() == []
        assert any("journal" in remark for remark in ledger.remarks())
        await stage.tell("a1", Kinds.OFFERED, leg=2, due_s=900)
        stage.ledger_log.fail()
        await until(lambda: stage.metric("facts_total") == 2)
        await asyncio.sleep(MINUTE_S)
        assert stage.told() == []
        assert ledger.remarks() == []
        await ledger.stop(1)

    run_virtual(scene())


def test_a_ledger_that_comes_back_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Its place in the journal is in the same transaction as its books: nothing twice, nothing missed."""

    async def scene() -> None:
        stage, path = Stage(), tmp_path / "ledger.db"
        before = stage.ledger(open_store(path))
        await before.start()
        await stage.tell("a1", Kinds.OFFERED)
        await until(lambda: stage.metric("facts_total") == 1)
        await before.stop(1)
        await stage.tell("a1", Kinds.ABANDONED)
        await stage.tell("a2", Kinds.OFFERED)
        store = open_store(path)
        after = stage.ledger(store)
        await after.start()
        await until(lambda: stage.metric("facts_total") == 2)
        assert stage.metric("facts_duplicate_total") == 0
        assert listed(store) == ["a1"]
        assert stage.metric("calls", {"outcome": "in_progress", "test": "false"}) == 1
        await after.stop(1)

    run_virtual(scene())


def test_a_second_ledger_on_one_database_stops_and_says_so(tmp_path: Path) -> None:
    """Compare and set: its batch is rolled back whole, and the first one's books stay right."""

    async def scene() -> None:
        stage = Stage()
        path = tmp_path / "ledger.db"
        store = open_store(path)
        late = stage.ledger(open_store(path))
        late_log, late_metrics = stage.ledger_log, stage.registry
        late_log.fail(absent=True)
        await late.start()  # knows the positions of now, and reads on later
        first = stage.ledger(store)
        await first.start()
        await stage.tell("a1", Kinds.OFFERED)
        await until(lambda: stage.metric("facts_total") == 1)
        late_log.fail()
        await until(lambda: late.troubles() != [])
        assert "another ledger" in late.troubles()[0]
        assert late_metrics.get_sample_value("throughline_ledger_stopped_for_another") == 1
        await stage.tell("a1", Kinds.ANSWERED)
        await until(lambda: stage.metric("facts_total") == 2)
        assert first.troubles() == []
        assert store.sums() == Counter({(Outcome.ANSWERED, False): 1})
        await late.stop(1)
        await first.stop(1)

    run_virtual(scene())


class Faltering(SqlStore):
    """A database that fails some transactions: before anything is written, or after all of it was."""

    def __init__(self) -> None:
        super().__init__("sqlite://")
        self.open()
        self.failures = ["before", "after", "before", "after"]

    def project(self, batch: Batch, expected: Mapping[int, int]) -> Projected:
        failure = self.failures.pop() if self.failures else ""
        if failure == "before":
            raise StoreTrouble("the database went away before")
        projected = super().project(batch, expected)
        if failure == "after":
            raise StoreTrouble("the database went away after")
        return projected


def test_a_database_that_falters_gets_each_batch_once() -> None:
    """Whether a failed transaction was committed, the positions tell."""

    async def scene() -> None:
        stage, store = Stage(), Faltering()
        ledger = stage.ledger(store)
        await ledger.start()
        for number in range(6):
            await stage.tell(f"c{number}", Kinds.OFFERED)
            await asyncio.sleep(2)
        await until(lambda: store.sums() == Counter({(Outcome.IN_PROGRESS, False): 6}))
        assert store.failures == []
        assert ledger.troubles() == []
        assert stage.metric("store_troubles_total") == 4
        assert stage.metric("calls", {"outcome": "in_progress", "test": "false"}) == 6
        await ledger.stop(1)

    run_virtual(scene())


def test_a_ledger_without_its_database_serves_and_says_so_until_it_is_there(tmp_path: Path) -> None:
    """Nothing on the call's way needs it; it opens the books when it can."""

    async def scene() -> None:
        stage, store = Stage(), SqlStore(f"sqlite:///{tmp_path / 'later' / 'ledger.db'}")
        ledger = stage.ledger(store)
        await ledger.start()
        await stage.tell("a1", Kinds.OFFERED)
        await until(lambda: any("unable to open" in trouble for trouble in ledger.troubles()))
        (tmp_path / "later").mkdir()
        await until(lambda: stage.metric("facts_total") == 1)
        assert ledger.troubles() == []
        await ledger.stop(1)

    run_virtual(scene())


def test_a_record_that_is_no_fact_does_not_stop_the_books() -> None:
    """Poison is set aside and counted."""

    async def scene() -> None:
        stage, store = Stage(), open_store()
        ledger = stage.ledger(store)
        await ledger.start()
        await stage.writer.append(Topic.CALLS, "a1", b"\xff\xff")
        await stage.tell("a1", Kinds.OFFERED)
        await until(lambda: stage.metric("facts_total") == 1)
        assert stage.metric("records_set_aside_total") == 1
        await ledger.stop(1)

    run_virtual(scene())


def test_two_ledgers_that_do_not_know_of_one_another_tell_the_same_fact() -> None:
    """What is told follows from the call alone, so that a copy is dropped by whoever reads it (J1)."""

    async def scene() -> None:
        stage = Stage()
        stores = open_store(), open_store()
        ledgers = []
        for store in stores:
            ledgers.append(stage.ledger(store))
            stage.ledger_log.fail(delay_s=4)
            await ledgers[-1].start()
            await asyncio.sleep(0.3)
        await stage.tell("a1", Kinds.CALLER_LOST, due_s=3)
        await until(lambda: all(listed(store) == ["a1"] for store in stores))
        await asyncio.sleep(MINUTE_S)
        told = stage.told()
        assert len(told) == 2
        assert told[0] == told[1]
        assert stage.metric("facts_duplicate_total") == 1
        for ledger in ledgers:
            await ledger.stop(1)

    run_virtual(scene())


async def test_production_runs_sql_in_threads(tmp_path: Path) -> None:
    """The same ledger in real time, with a database file and a reader beside it."""
    stage = Stage(wall_ms)
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = stage.threaded(url)
    await ledger.start()
    for number in range(50):
        await stage.tell(f"c{number}", Kinds.OFFERED)
        await stage.tell(f"c{number}", Kinds.ABANDONED)
    await until(lambda: stage.metric("facts_total") == 100)
    reader = SqlStore(url, read_only=True)
    assert len(listed(reader)) == 50
    await ledger.stop(1)
    reader.close()
