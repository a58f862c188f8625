"""Reads one topic of the memory log: a `Follower`. Woken for its own topic; looks only where records landed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

from services.journal import BATCH_RECORDS_MAX, Gap, Record, Topic
from services.journal.memory_broker import BrokerState, MemoryBroker
from services.journal.memory_faults import Faults
from services.journal.memory_partition import Partition

_FLOAT_S = 1e-6  # sums of instants are not exact


class MemoryFollower:
    """See `Follower`. `faults` gives those of its client at the moment."""

    def __init__(
        self,
        broker: MemoryBroker,
        faults: Callable[[], Faults],
        topic: Topic,
        since_ms: int | None,
        offsets: Mapping[int, int] | None,
        takes_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._broker = broker
        self._faults = faults
        self._topic = topic
        self._takes_s = takes_s
        self._since_ms = since_ms
        self._offsets = dict(offsets or {})
        self._positions: dict[int, int] = {}
        self._ends: dict[int, int] = {}  # as seen at the start; empty once they are reached
        self._fresh: set[int] = set()  # partitions in which something may be new
        self._fetched: set[int] = set()  # those of which something new is on its way, all in one answer
        self._due: set[int] = set()  # partitions whose records come late, and are on their way
        self._waiter: asyncio.Future[None] | None = None
        self._stopped = False
        self._killed = False
        self._caught_up = asyncio.Event()
        self._gaps: list[Gap] = []

    @property
    def caught_up(self) -> asyncio.Event:
        """See `Follower.caught_up`."""
        return self._caught_up

    @property
    def positions(self) -> Mapping[int, int]:
        """See `Follower.positions`."""
        return self._positions

    @property
    def gaps(self) -> list[Gap]:
        """See `Follower.gaps`."""
        return self._gaps

    @property
    def has_ended(self) -> bool:
        """Whether it reads no more."""
        return self._stopped or self._killed

    async def start(self) -> None:
        """See `Follower.start`."""
        self._broker.watch(self._topic, self)
        self._place()

    async def stop(self) -> None:
        """See `Follower.stop`."""
        self._stopped = True
        self._broker.unwatch(self._topic, self)
        self._wake()

    def kill(self) -> None:
        """Its process is killed: whoever waits in it waits for ever."""
        self._killed = True
        self._broker.unwatch(self._topic, self)

    def landed(self, partition: int) -> None:
        """See `Watcher.landed`."""
        if self._fetched:
            self._fetched.add(partition)
        elif takes_s := self._takes_s():
            self._fetched.add(partition)
            asyncio.get_running_loop().call_later(takes_s, self._came, context=self._broker.context)
        else:
            self._fresh.add(partition)
            self._wake()

    def _came(self) -> None:
        self._fresh |= self._fetched
        self._fetched.clear()
        self._wake()

    def look_again(self) -> None:
        """See `Watcher.look_again`."""
        self._fresh.update(self._positions)
        self._wake()

    async def __aiter__(self) -> AsyncIterator[list[Record]]:
        """See `Follower.__aiter__`."""
        if not self.has_ended:
            self._broker.watch(self._topic, self)
        while not self._stopped:
            batch = self._take()
            if batch:
                yield batch
                if len(batch) == BATCH_RECORDS_MAX:
                    await asyncio.sleep(0)
            else:
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done() and not self._killed:
            self._waiter.set_result(None)

    def _take(self) -> list[Record]:
        faults = self._faults()
        if self._killed or faults.absent or faults.deaf or not (self._positions or self._place()):
            return []
        if not self._caught_up.is_set():
            self._note_caught_up()
        batch: list[Record] = []
        for number in sorted(self._fresh):
            self._fresh.discard(number)
            if self._broker.state(self._topic, number) is BrokerState.WELL:
                batch += self._read(number, BATCH_RECORDS_MAX - len(batch), faults.late_s)
            if len(batch) == BATCH_RECORDS_MAX:
                self._fresh.add(number)
                break
        return batch

    def _read(self, number: int, records_max: int, late_s: float) -> list[Record]:
        partition = self._broker.partition(self._topic, number)
        position = self._there(partition, number, self._positions[number])
        loop = asyncio.get_running_loop()
        landed_by_s = loop.time() - late_s + _FLOAT_S if late_s else None
        found = partition.read(position, records_max, landed_by_s)
        self._positions[number] = position = found[-1].offset + 1 if found else position
        if late_s and position < partition.end and number not in self._due:
            self._due.add(number)
            loop.call_at(partition.landed_s(position) + late_s, self._came_late, number)
        return found

    def _came_late(self, number: int) -> None:
        self._due.discard(number)
        self.landed(number)

    def _note_caught_up(self) -> None:
        if all(self._positions[number] >= end for number, end in self._ends.items()):
            self._caught_up.set()

    def _place(self) -> bool:
        """The ends first, then where to begin (J7): what lands in between is then read, never skipped.

        Ends are told by the leaders, which have acknowledged each record themselves: records that come late are never
        taken for absent."""
        numbers = self._broker.partitions(self._topic)
        states = {self._broker.state(self._topic, number) for number in numbers}
        faults = self._faults()
        if faults.absent or faults.deaf or states != {BrokerState.WELL}:
            return False
        self._ends = {number: self._broker.partition(self._topic, number).end for number in numbers}
        self._positions = {number: self._begin(number) for number in numbers}
        self._fresh = set(numbers)
        return True

    def _begin(self, number: int) -> int:
        partition = self._broker.partition(self._topic, number)
        if self._since_ms is not None:
            return partition.since(self._since_ms)
        return self._there(partition, number, self._offsets.get(number, partition.begin))

    def _there(self, partition: Partition, number: int, wanted: int) -> int:
        """Where to read: as wanted, or from the beginning and with a gap told, where the log does not have that."""
        if partition.begin <= wanted <= partition.end:
            return wanted
        self._gaps.append(Gap(self._topic, number, wanted, partition.begin))
        return partition.begin
