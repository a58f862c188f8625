"""The records of the memory log, which all its clients share."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import Final

from services.journal import Record, Topic
from services.journal.topics import TOPICS

BROKERS: Final = ("broker-1", "broker-2", "broker-3")


class MemoryBroker:
    """The records of every topic. `now_ms` gives wall milliseconds and stamps each record as it lands.

    Its partitions are led by three names in turn, so that one leader can fail alone."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._moved: dict[str, str] = {}
        self._partitions: dict[Topic, list[list[Record]]] = {
            topic: [[] for _ in range(spec.partitions)] for topic, spec in TOPICS.items()
        }
        self._waiting: set[asyncio.Future[None]] = set()

    def partition_of(self, topic: Topic, key: str) -> int:
        """Which partition holds the records of a key. The same in every run."""
        return zlib.crc32(key.encode()) % len(self._partitions[topic])

    def leader(self, topic: Topic, partition: int) -> str:
        """Who acknowledges what is appended to a partition."""
        name = BROKERS[partition % len(BROKERS)]
        return self._moved.get(name, name)

    def move(self, old: str, new: str) -> None:
        """From now on `new` leads what `old` led at the beginning."""
        self._moved[old] = new

    def records(self, topic: Topic) -> list[Record]:
        """Everything on a topic, partition after partition."""
        return [record for partition in self._partitions[topic] for record in partition]

    def partition(self, topic: Topic, partition: int) -> list[Record]:
        """The records of one partition; an offset is an index."""
        return self._partitions[topic][partition]

    def partitions(self, topic: Topic) -> range:
        """The partitions of a topic."""
        return range(len(self._partitions[topic]))

    def land(self, topic: Topic, key: str, value: bytes, partition: int | None = None) -> None:
        """Write a record, now, and wake whoever waits for one. The key says where, unless the partition is given."""
        number = self.partition_of(topic, key) if partition is None else partition
        records = self._partitions[topic][number]
        # A broker's LogAppendTime never runs backwards within a partition in our runs; a clock given to us might.
        log_ms = max(self._now_ms(), records[-1].log_ms if records else 0)
        records.append(Record(topic, number, len(records), key, value, log_ms))
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
