"""The records of the memory log, which all its clients share."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable

from services.journal import Record, Topic
from services.journal.topics import TOPICS


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
