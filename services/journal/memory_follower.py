"""Reads one topic of the memory log: a `Follower`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from services.journal import Gap, Record, Topic
from services.journal.memory_broker import MemoryBroker

BATCH_RECORDS_MAX = 500


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
        is_absent: Callable[[], bool],
        topic: Topic,
        since_ms: int | None,
        offsets: Mapping[int, int] | None,
    ) -> None:
        self._broker = broker
        self._is_absent = is_absent
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
        if self._is_absent():
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
        if self._is_absent():
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
