"""The port to the log: what services say when they remember something, and how they hear what others remembered.

gRPC decides and Kafka remembers. Everything durable goes through the `Log` of this module, which has two backends
that pass one contract suite (tests/contract): `kafka.KafkaLog`, and `memory.MemoryLog` for tests and the simulator.
Services hold a `journal.Journal`, which wraps a `Log` so that a call never waits for it beyond a budget and never
fails because of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

BATCH_RECORDS_MAX: Final = 500
"""Records that a follower hands over at once, at most: one that hands over so many may have more."""


class Topic(StrEnum):
    """The topics of the backbone. Their partitions and retention are data in `topics.py`."""

    CALLS = "calls"
    SCREENINGS = "screenings"
    ROUTINGS = "routings"
    DELIVERIES = "deliveries"
    PSAP_STATUS = "psap-status"
    ROUTING = "routing"
    POLICY = "policy"
    CALLS_UNREADABLE = "calls-unreadable"


@dataclass(frozen=True, slots=True)
class Record:
    """One record as the log holds it.

    `log_ms` is the log's timestamp in wall milliseconds (on `calls`: the broker's own).
    """

    topic: Topic
    partition: int
    offset: int
    key: str
    value: bytes
    log_ms: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Records that a follower wanted and the log no longer has: from offset `wanted` up to `resumed` (exclusive)."""

    topic: Topic
    partition: int
    wanted: int
    resumed: int


class Unavailable(Exception):
    """The record was surely not written. It can be appended again without making a duplicate."""


class Rejected(Exception):
    """The log will never take this record, because of its size. To append it again would fail again."""


class Unknown(Exception):
    """Nobody knows whether the record was written, and it may still land later (protocol.md J5)."""


class Follower(Protocol):
    """Reads one topic, each partition in order, for ever: an async iterator of non-empty lists of records.

    No consumer group stands behind it: it is assigned every partition, so that no death elsewhere can make it wait.
    When the log is absent, `start` still returns; the iterator waits, and goes on where it was when the log is back.
    """

    @property
    def caught_up(self) -> asyncio.Event:
        """Set once the ends seen at the start are reached *and* the batch that reached them has been worked through.

        "Worked through" means that the consumer has asked for the next batch: whoever waits for this event finds
        every view that the consumer builds from the batches complete.
        """
        ...

    @property
    def positions(self) -> Mapping[int, int]:
        """The next offset of each partition. Empty until the log has answered for the first time."""
        ...

    @property
    def gaps(self) -> list[Gap]:
        """What was wanted and is gone from the log (retention was shorter than the pause), oldest first."""
        ...

    async def start(self) -> None:
        """Begin to read. Never raises because the log is absent."""
        ...

    async def stop(self) -> None:
        """End the iteration, at once for whoever waits in it. Can be called twice."""
        ...

    def __aiter__(self) -> AsyncIterator[list[Record]]:
        """Batches, in order within each partition. One consumer to a follower.

        After a full one the loop has its turn: who reads a long history serves meanwhile.
        """
        ...


class Log(Protocol):
    """What a backend is. See `memory.py` for the smallest one."""

    async def start(self) -> None:
        """Connect, in the background where no broker answers yet. Does not raise because of that."""
        ...

    def append(self, topic: Topic, key: str, value: bytes, *, partition: int | None = None) -> asyncio.Future[None]:
        """Append a record and return the future of its acknowledgement (by all in-sync replicas).

        `partition`: where it goes; by default its key says that.

        The future may end with `Unavailable`, `Rejected` or `Unknown`, and it always ends: the backend has a deadline
        of its own. Appends of one key land in the order of the calls. Not a coroutine: seven appends a call should
        not be seven tasks. Cancelling the future does not cancel the append.
        """
        ...

    def leader_of(self, topic: Topic, key: str) -> str:
        """The name of the broker that must acknowledge a record of this key now; "" when nobody knows."""
        ...

    def partition_of(self, topic: Topic, key: str) -> int:
        """Which partition a record of this key goes to."""
        ...

    def partitions(self, topic: Topic) -> range:
        """The partitions of a topic: those that the cluster tells of, else those that it should have."""
        ...

    def follow(
        self, topic: Topic, since_ms: int | None = None, *, offsets: Mapping[int, int] | None = None
    ) -> Follower:
        """A follower of the whole topic, or from an instant, or from the given next offsets.

        `since_ms` is wall time in milliseconds: the first record not older than that in each partition, or that
        partition's end as seen at the start when there is none (protocol.md J7). `offsets` says the next offset by
        partition; a partition that it does not name is read from its beginning. Give one of the two at most.
        """
        ...

    def health(self) -> str | None:
        """None when well, else the reason in one line."""
        ...

    async def close(self) -> None:
        """Give up what is under way and let go of the log. Followers are stopped by their owners."""
        ...
