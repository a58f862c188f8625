"""The ledger: follows `calls` into the store, and says who is owed a callback and who no more.

Two tasks share the store, one at a time: one projects batches in the order of the journal, the other sweeps. Nothing is
swept before the journal has been read to the end that it had at the start: who is still owed something is known only
then.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from services.domain.fold import Outcome
from services.host.blocking import RunBlocking, in_thread
from services.host.network import Server
from services.host.world import World
from services.journal import BATCH_RECORDS_MAX, Follower, Record, Topic
from services.journal.journal import Journal, JournalEvent
from services.ledger.metrics import LedgerMetrics
from services.ledger.projection import Batch, read
from services.ledger.settings import LedgerSettings
from services.ledger.sql import SqlStore
from services.ledger.store import AnotherLedger, Projected, Store, StoreTrouble
from services.ledger.sweep import Sweep
from services.wire import facts

RETRY_FIRST_S: Final = 0.1
RETRY_MAX_S: Final = 5.0
GATHER_S: Final = 0.2
"""Between two transactions, so that what the journal says meanwhile is written in one: the books are so far behind."""
NAMED_MAX: Final = 20

T = TypeVar("T")


class Ledger:
    """See the package. Tests give their own `run_blocking` and `store`; else SQL runs in a thread."""

    def __init__(
        self,
        world: World,
        settings: LedgerSettings,
        *,
        run_blocking: RunBlocking = in_thread,
        store: Store | None = None,
    ) -> None:
        self.address = ""
        self._world = world
        self._settings = settings
        self._run_blocking = run_blocking
        self._metrics = LedgerMetrics(world.registry)
        self._journal = Journal(world.log, restamp={Topic.CALLS: facts.restamp}, on_event=self._journal_event)
        self._given_store = store
        self._store: Store | None = None
        self._turn = asyncio.Lock()
        """Held over a whole batch, its retries included: a sweep never looks past records that wait to be written."""
        self._store_trouble = "the database is not open yet"
        self._stopped_why = ""
        self._next_offsets: dict[int, int] = {}
        self._follower: Follower | None = None
        self._gaps_said = 0
        self._sweep = Sweep(settings, self._journal, self._metrics, world.logger)
        self._server: Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Binds and serves health. Database and Kafka may come later; `troubles` and `remarks` say so."""
        await self._journal.start()
        self._server = await self._world.network.serve(self._settings.listen, [])
        self.address = self._server.address
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._project_all(), name="ledger projection"),
            loop.create_task(self._sweep_all(), name="ledger sweep"),
        ]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    def troubles(self) -> Sequence[str]:
        """Why the books stand still."""
        return [why for why in (self._stopped_why, self._store_trouble) if why]

    def remarks(self) -> Sequence[str]:
        """Why the books may be behind."""
        trouble = self._journal.health()
        remarks = [f"journal: {trouble}"] if trouble else []
        if self._follower is None or not self._follower.caught_up.is_set():
            remarks.append("the journal has not been read to its end yet")
        return remarks

    async def stop(self, grace_s: float) -> None:
        """Finishes the transaction in hand, then lets go of everything."""
        self._stopping.set()
        if self._server is not None:
            await self._server.stop(grace_s)
        if self._follower is not None:
            await self._follower.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=max(grace_s, 1.0))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._journal.close()
        if self._store is not None:
            await self._run_blocking(self._store.close)

    # The projection.

    async def _project_all(self) -> None:
        await self._open()
        if self._stopping.is_set():
            return
        self._follower = self._journal.follow(Topic.CALLS, offsets=self._next_offsets)
        await self._follower.start()
        if self._stopping.is_set():
            await self._follower.stop()
        async for records in self._follower:
            self._say_gaps(self._follower)
            async with self._turn:
                going_on = await self._project(records)
            if not going_on:
                await self._follower.stop()
                return
            if len(records) < BATCH_RECORDS_MAX:
                await self._pause(GATHER_S)

    async def _open(self) -> None:
        """Opens the store, trying until it is there."""

        def open_store() -> Store:
            store: Store = self._given_store or SqlStore(self._settings.database)
            store.open()
            self._next_offsets = store.positions()
            self._set_sums(store.sums())
            return store

        pause_s = RETRY_FIRST_S
        while not self._stopping.is_set():
            try:
                self._store = await self._run_blocking(open_store)
            except StoreTrouble as trouble:
                self._say(trouble)
                await self._pause(pause_s)
                pause_s = min(pause_s * 2, RETRY_MAX_S)
            else:
                self._store_trouble = ""
                return

    async def _project(self, records: Sequence[Record]) -> bool:
        """Writes one batch, trying until the database takes it. False where this ledger must stop."""
        batch = read(records)
        pause_s = RETRY_FIRST_S
        tried = False
        while not self._stopping.is_set():
            try:
                await self._write(batch, again=tried)
            except StoreTrouble as trouble:
                tried = True
                self._say(trouble)
                await self._pause(pause_s)
                pause_s = min(pause_s * 2, RETRY_MAX_S)
            except AnotherLedger as another:
                self._stopped_why = (
                    f"another ledger writes to this database ({another}); this one stopped. Run one of them"
                )
                self._metrics.stopped.set(1)
                self._world.logger.error("ledger.another", why=str(another))
                return False
            else:
                self._next_offsets.update(batch.next_offsets)
                self._metrics.behind.set(max(0, self._world.wall_ms() - records[-1].log_ms) / 1000)
                return True
        return False

    async def _write(self, batch: Batch, *, again: bool) -> None:
        """One transaction. After a failure nobody knows whether it was committed: the positions tell."""
        began = asyncio.get_running_loop().time()
        if again:
            found = await self._in_store(lambda store: store.positions())
            if all(found.get(partition) == offset for partition, offset in batch.next_offsets.items()):
                self._set_sums(await self._in_store(lambda store: store.sums()))
                return
        projected = await self._in_store(lambda store: store.project(batch, self._next_offsets))
        self._metrics.transaction.observe(asyncio.get_running_loop().time() - began)
        self._note(batch, projected)

    def _note(self, batch: Batch, projected: Projected) -> None:
        metrics, logger = self._metrics, self._world.logger
        metrics.facts.inc(projected.facts)
        metrics.duplicates.inc(projected.duplicates)
        metrics.unknown_kinds.inc(projected.unknown_kinds)
        metrics.set_aside.inc(projected.set_aside)
        metrics.connected_twice.inc(len(projected.connected_twice))
        for key, moved in projected.moved.items():
            metrics.calls[key].inc(moved)
        for record, why in batch.set_aside[:NAMED_MAX]:
            logger.error("record.set_aside", partition=record.partition, offset=record.offset, why=why)
        for call_id in projected.connected_twice[:NAMED_MAX]:
            logger.error("call.connected_twice", call_id=call_id)
        caught_up = self._follower is not None and self._follower.caught_up.is_set()
        for call_id, why in projected.opened if caught_up else ():
            logger.warning("callback.opened", call_id=call_id, why=why)

    def _set_sums(self, sums: Counter[tuple[Outcome, bool]]) -> None:
        for key, gauge in self._metrics.calls.items():
            gauge.set(sums[key])

    def _say_gaps(self, follower: Follower) -> None:
        for gap in follower.gaps[self._gaps_said :]:
            self._metrics.gaps.inc()
            self._world.logger.error("journal.gap", partition=gap.partition, wanted=gap.wanted, resumed=gap.resumed)
        self._gaps_said = len(follower.gaps)

    # The sweep.

    async def _sweep_all(self) -> None:
        while not self._stopping.is_set():
            await self._pause(self._settings.sweep_s)
            async with self._turn:
                if not self._may_sweep():
                    continue
                try:
                    found = await self._in_store(lambda store: self._sweep.look(store, self._world.wall_ms()))
                except StoreTrouble as trouble:
                    self._say(trouble)
                    continue
            self._sweep.tell(found)

    def _may_sweep(self) -> bool:
        """Only with the journal read to its end and well: what an old view owes may long be settled."""
        read_to_end = self._follower is not None and self._follower.caught_up.is_set()
        return (
            read_to_end and not self._stopped_why and not self._stopping.is_set() and self._world.log.health() is None
        )

    # Small words.

    async def _in_store(self, work: Callable[[Store], T]) -> T:
        assert self._store is not None, "the store is opened before anything is asked of it"
        done = await self._run_blocking(partial(work, self._store))
        self._store_trouble = ""
        return done

    def _say(self, trouble: StoreTrouble) -> None:
        if str(trouble) != self._store_trouble:
            self._world.logger.error("store.trouble", why=str(trouble))
        self._store_trouble = str(trouble)
        self._metrics.store_troubles.inc()

    async def _pause(self, pause_s: float) -> None:
        """Waits, or until the stop."""
        try:
            async with asyncio.timeout(pause_s):
                await self._stopping.wait()
        except TimeoutError:
            pass

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Whatever ended it, a cancel by nobody included, is told at once: the books are known to stand still."""
        mistake = None if task.cancelled() else task.exception()
        asked = self._stopping.is_set() or bool(self._stopped_why)
        if mistake is not None or not asked:
            self._stopped_why = self._stopped_why or f"{task.get_name()} has ended ({mistake!r}): restart this ledger"
            self._world.logger.error("task.failed", task=task.get_name(), cancelled=task.cancelled(), exc_info=mistake)

    def _journal_event(self, event: JournalEvent) -> None:
        self._metrics.journal[event.happening].inc()
