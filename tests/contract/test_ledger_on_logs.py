"""The ledger and the readers on either log: SQL and journal say the same, over a restart as well."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from services.domain.events import Fact, FactKind
from services.domain.fold import Outcome
from services.domain.offer import SOS_URN, Offer
from services.host.clock import wall_ms
from services.host.files import MemoryFiles
from services.host.network.memory import MemoryNetwork
from services.host.settings import load
from services.host.world import World
from services.journal import Log, Topic
from services.journal.disk import MemoryDisk
from services.ledger.service import Ledger
from services.ledger.settings import LedgerSettings
from services.ledger.sql import SqlStore
from services.readers.balance import balance, facts_of
from services.wire import facts

Kinds = FactKind
Sums = Counter[tuple[Outcome, bool]]


def ledger_on(log: Log, database: str) -> tuple[Ledger, CollectorRegistry]:
    """As production has it: SQL in threads."""
    registry = CollectorRegistry()
    world = World(
        name="ledger",
        incarnation="1",
        network=MemoryNetwork(),
        log=log,
        wall_ms=wall_ms,
        random=random.Random(1),
        files=MemoryFiles(),
        disk=MemoryDisk(),
        registry=registry,
        logger=structlog.get_logger(),
    )
    return Ledger(world, load(LedgerSettings, database=database)), registry


async def write(log: Log, call_id: str, *kinds: FactKind, test: bool = False) -> None:
    offer = Offer(call_id, 1, "+16175550123", SOS_URN, None)
    told = [
        Fact(call_id, 1, seq, "w", kind, wall_ms(), test=test, offer=offer if kind is Kinds.OFFERED else None,
             attempt=f"{call_id}/1/1")
        for seq, kind in enumerate(kinds)
    ]  # fmt: skip
    await asyncio.gather(*(log.append(Topic.CALLS, call_id, facts.encode(fact)) for fact in told + told[:1]))


async def of_journal(log: Log) -> tuple[Sums, int]:
    """The sums by the journal alone, and how many records are no facts."""
    result = await balance(log, wall_ms())
    sums = Sums()
    for columns, test in ((result.books.real, False), (result.books.tests, True)):
        sums.update({(outcome, test): count for outcome, count in columns.outcomes.items() if count})
    return sums, result.unreadable


async def agree(ledger: Ledger, log: Log, database: str, calls_min: int) -> None:
    """Waits until the tables say what the journal says; that they never would is the failure."""
    reader = SqlStore(database, read_only=True)
    async with asyncio.timeout(30):
        while True:
            sums, _ = await of_journal(log)
            opened = not ledger.troubles()
            if opened and sums.total() >= calls_min and reader.sums() == sums:
                break
            await asyncio.sleep(0.1)
    reader.close()


async def test_the_ledgers_tables_and_the_journal_give_the_same_books(
    log_of: Callable[[], Log], tmp_path: Path
) -> None:
    """Two readers that share no state; copies and poison among what they read, and a restart in between (J2, J3)."""
    database = f"sqlite:///{tmp_path / 'ledger.db'}"
    log = log_of()
    await log.start()
    before, _ = await of_journal(log)
    ends = [[Kinds.RINGING, Kinds.ANSWERED], [Kinds.DIVERTED], [Kinds.ABANDONED], [Kinds.UNKNOWN], []]
    await log.append(Topic.CALLS, "poison", b"\xff\xff\xff")
    for number, end in enumerate(ends * 4):
        await write(log, f"{tmp_path.name}-{number}", Kinds.OFFERED, *end, test=number % 2 == 0)
    first, _ = ledger_on(log_of(), database)
    await first.start()
    await agree(first, log, database, before.total() + 20)
    await first.stop(5)

    await write(log, f"{tmp_path.name}-late", Kinds.OFFERED, Kinds.RINGING, Kinds.ANSWERED)
    second, registry = ledger_on(log_of(), database)
    await second.start()
    await agree(second, log, database, before.total() + 21)
    assert second.troubles() == []
    async with asyncio.timeout(5):  # counted after they were written, which is what `agree` saw
        while registry.get_sample_value("throughline_ledger_facts_total") == 0:  # noqa: ASYNC110 - prometheus has no event
            await asyncio.sleep(0.01)
    assert registry.get_sample_value("throughline_ledger_facts_total") == 3
    await second.stop(5)

    story = await facts_of(log, f"{tmp_path.name}-late")
    assert [fact.kind for fact in story] == [Kinds.OFFERED, Kinds.RINGING, Kinds.ANSWERED]
    assert (await of_journal(log))[1] >= 1
    await log.close()
