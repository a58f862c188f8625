"""A log in memory, for tests and the simulator: partitions, offsets, followers, and the ways in which a real one fails.

It passes the same contract suite as Kafka. Its only clock is the given `now_ms`, and its only waiting is the event
loop's timers, so that it runs under a virtual-time loop. One `MemoryBroker` holds the records; each process of a
simulated installation has a `MemoryLog` of its own on it, with fault switches of its own: one process can be cut off
while the others go on.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from services.journal import Gap, Record, Topic, Unavailable, Unknown
from services.journal.topics import TOPICS, too_large

BATCH_RECORDS_MAX = 500


@dataclass(slots=True)
class Faults:
    """What is wrong with the log at the moment, for one client. Tests and the simulator flip these.

    absent: no broker answers: appends end with `Unavailable` at once and followers stand still.
    delay_s: how long an append takes to land. Beyond the log's deadline its future ends with `Unknown`, and it lands
    all the same.
    lost: an append ends with `Unknown` at the deadline and never lands.
    """

    absent: bool = False
    delay_s: float = 0.0
    lost: bool = False


class MemoryBroker:
    """The records of every topic. `now_ms` gives wall milliseconds and stamps each record as it lands."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._partitions: dict[Topic, list[list[Record]]] = {
            topic: [[] for _ in range(spec.partitions)] for topic, spec in TOPICS.items()
        }
        self._waiting: set[asyncio.Future[None]] = set()

    def partition_of(self, topic: Topic, key: str) -> int:
        """Which partition holds the records of a key. The same in every run."""
        return zlib.crc32(key.encode()) % len(self._partitions[topic])

    def records(self, topic: Topic) -> list[Record]:
        """Everything on a topic, partition after partition."""
        return [record for partition in self._partitions[topic] for record in partition]

    def partition(self, topic: Topic, partition: int) -> list[Record]:
        """The records of one partition; an offset is an index."""
        return self._partitions[topic][partition]

    def partitions(self, topic: Topic) -> range:
        """The partitions of a topic."""
        return range(len(self._partitions[topic]))

    def land(self, topic: Topic, key: str, value: bytes) -> None:
        """Write a record, now, and wake whoever waits for one."""
        number = self.partition_of(topic, key)
        partition = self._partitions[topic][number]
        # A broker's LogAppendTime never runs backwards within a partition in our runs; a clock given to us might.
        log_ms = max(self._now_ms(), partition[-1].log_ms if partition else 0)
        partition.append(Record(topic, number, len(partition), key, value, log_ms))
        self.wake()

    async def changed(self) -> None:
        """Wait until something may have changed: a record landed, or a fault was switched."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)

    def wake(self) -> None:
        """Let whoever waits look again."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)


class MemoryLog:
    """One client's view of a `MemoryBroker`: a `Log`. `deadline_s` bounds each append, as in the real one."""

    def __init__(self, broker: MemoryBroker, *, deadline_s: float = 5.0) -> None:
        self._broker = broker
        self._deadline_s = deadline_s
        self._faults = Faults()
        self._lands_at: dict[tuple[Topic, int], float] = {}
        self._closed = False

    @property
    def faults(self) -> Faults:
        """The present faults. Change them with `fail`."""
        return self._faults

    def fail(self, *, absent: bool = False, delay_s: float = 0.0, lost: bool = False) -> None:
        """Set all fault switches at once; `fail()` makes the log well again."""
        self._faults = Faults(absent, delay_s, lost)
        self._broker.wake()

    async def start(self) -> None:
        """Nothing to connect to."""

    def append(self, topic: Topic, key: str, value: bytes) -> asyncio.Future[None]:
        """See `Log.append`. Nothing is acknowledged before the caller's next turn of the loop, as in the real one."""
        loop = asyncio.get_running_loop()
        acked: asyncio.Future[None] = loop.create_future()
        if len(value) > TOPICS[topic].value_bytes_max:
            acked.set_exception(too_large(topic, value))
        elif self._closed:
            acked.set_exception(Unavailable("expected an open log; this one is closed"))
        elif self._faults.absent:
            acked.set_exception(Unavailable("expected a broker; none answers (memory log, switched absent)"))
        elif self._faults.lost:
            loop.call_later(self._deadline_s, self._give_up, acked)
        else:
            # The partition is a queue: what was appended later never lands earlier, whatever the delay is by then.
            place = (topic, self._broker.partition_of(topic, key))
            lands_at = max(loop.time() + self._faults.delay_s, self._lands_at.get(place, 0.0))
            self._lands_at[place] = lands_at
            loop.call_at(lands_at, self._land, topic, key, value, acked)
            if lands_at - loop.time() > self._deadline_s:
                loop.call_later(self._deadline_s, self._give_up, acked)
        return acked

    def follow(
        self, topic: Topic, since_ms: int | None = None, *, offsets: Mapping[int, int] | None = None
    ) -> MemoryFollower:
        """See `Log.follow`."""
        assert since_ms is None or offsets is None, "follow() takes an instant or offsets; both were given"
        return MemoryFollower(self._broker, self, topic, since_ms, offsets)

    def health(self) -> str | None:
        """See `Log.health`."""
        return "no broker answers (memory log, switched absent)" if self._faults.absent else None

    async def close(self) -> None:
        """See `Log.close`. What is on its way still lands, as with a broker that has already received it."""
        self._closed = True

    def _land(self, topic: Topic, key: str, value: bytes, acked: asyncio.Future[None]) -> None:
        self._broker.land(topic, key, value)
        if not acked.done():
            acked.set_result(None)

    def _give_up(self, acked: asyncio.Future[None]) -> None:
        if not acked.done():
            acked.set_exception(Unknown(f"no acknowledgement within {self._deadline_s} s; the record may land later"))


@dataclass(slots=True)
class _Reading:
    """Where a follower stands, once it knows."""

    positions: dict[int, int]
    ends: dict[int, int]


class MemoryFollower:
    """See `Follower`."""

    def __init__(
        self,
        broker: MemoryBroker,
        log: MemoryLog,
        topic: Topic,
        since_ms: int | None,
        offsets: Mapping[int, int] | None,
    ) -> None:
        self._broker = broker
        self._log = log
        self._topic = topic
        self._since_ms = since_ms
        self._offsets = offsets
        self._reading: _Reading | None = None
        self._stopped = False
        self._caught_up = asyncio.Event()
        self._gaps: list[Gap] = []

    @property
    def caught_up(self) -> asyncio.Event:
        """See `Follower.caught_up`."""
        return self._caught_up

    @property
    def positions(self) -> Mapping[int, int]:
        """See `Follower.positions`."""
        return self._reading.positions if self._reading else {}

    @property
    def gaps(self) -> list[Gap]:
        """See `Follower.gaps`. This log forgets nothing; a gap means offsets from another log."""
        return self._gaps

    async def start(self) -> None:
        """See `Follower.start`."""
        self._place()

    async def stop(self) -> None:
        """See `Follower.stop`."""
        self._stopped = True
        self._broker.wake()

    async def __aiter__(self) -> AsyncIterator[list[Record]]:
        """See `Follower.__aiter__`."""
        while not self._stopped:
            batch = self._take()
            if batch:
                yield batch
            else:
                await self._broker.changed()

    def _take(self) -> list[Record]:
        if self._log.faults.absent:
            return []
        reading = self._reading or self._place()
        if reading is None:
            return []
        self._note_caught_up(reading)
        batch: list[Record] = []
        for number, position in reading.positions.items():
            part = self._broker.partition(self._topic, number)[position : position + BATCH_RECORDS_MAX - len(batch)]
            reading.positions[number] = position + len(part)
            batch += part
        return batch

    def _note_caught_up(self, reading: _Reading) -> None:
        if all(reading.positions[number] >= end for number, end in reading.ends.items()):
            self._caught_up.set()

    def _place(self) -> _Reading | None:
        """The ends first, then where to begin (J7): what lands in between is then read, never skipped."""
        if self._log.faults.absent:
            return None
        ends = {
            number: len(self._broker.partition(self._topic, number)) for number in self._broker.partitions(self._topic)
        }
        self._reading = _Reading({number: self._begin(number, end) for number, end in ends.items()}, ends)
        return self._reading

    def _begin(self, number: int, end: int) -> int:
        if self._since_ms is not None:
            records = self._broker.partition(self._topic, number)
            return next((record.offset for record in records if record.log_ms >= self._since_ms), end)
        wanted = (self._offsets or {}).get(number, 0)
        if wanted <= end:
            return wanted
        self._gaps.append(Gap(self._topic, number, wanted, 0))
        return 0
