"""The three accounts while a run goes on: diaries read as they grow, and a follower of the journal that reads Kafka.

Entries are kept apart by burst, whose name begins each call_id, so that a round is judged without reading all again.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from loadtest.books import Reading
from loadtest.diary import read_diary
from services.journal import Record, Topic
from services.journal.kafka import KafkaLog

Entry = Mapping[str, Any]
STOPS_WITHIN_S: Final = 5.0


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

    def copies(self, burst: str) -> int:
        """How many records said again what another had said."""
        return self._by_burst[burst].copies

    def unreadable(self, burst: str) -> int:
        """How many records nobody can read."""
        return self._by_burst[burst].unreadable


class Accounts:
    """All three, burst by burst."""

    def __init__(self, far_end: Path, journal: JournalAccount) -> None:
        self.journal = journal
        self._far_end = GrowingDiary(far_end)

    def of(self, burst: str, callers: Path) -> tuple[Sequence[Entry], Sequence[Entry], Sequence[Entry]]:
        """Callers, far end, journal."""
        return read_diary(callers), self._far_end.of(burst), self.journal.of(burst)
