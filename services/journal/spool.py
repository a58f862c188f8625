"""Facts on this process's own disk until the log has them (protocol.md J4, J5; docs/decisions/0026).

Segments that only grow, and group commit: whatever came while one sync ran goes into the next one, so a burst costs a
few syncs, not one a fact. A segment's file is removed when everything in it is done. After a crash `open` returns what
the segments hold: everything that was acknowledged, and facts that were done but lay in a segment that was still
needed; readers drop those by identity. What cannot be read is counted and kept aside as a file.

Facts of calls are written first, to segments of their own: a record of another topic that the log never takes keeps its
segment for ever.

While the log is well no file is touched, but for a disk that failed: an empty segment is written there each
TRIED_AGAIN_S until one succeeds, so that a trouble is told for as long as it lasts and no longer (J6).
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from services.journal import Topic
from services.journal.disk import Disk, DiskTrouble, NoRoom
from services.journal.segments import (
    HEADER_BYTES,
    SALT_BYTES,
    Entry,
    Reading,
    header,
    payload_of,
    read,
    record,
    record_bytes,
)

SEGMENT_BYTES_MAX: Final = 1024 * 1024
"""To read one again takes some 15 ms of the event loop."""
COMMIT_BYTES_MAX: Final = 8 * 1024 * 1024
TRIED_AGAIN_S: Final = 5.0
_SEGMENT: Final = ".spool"
_ASIDE: Final = ".aside"
_NUMBER: Final = re.compile("[0-9]{8}")


@dataclass(frozen=True, slots=True)
class Ticket:
    """Where a fact lies; give it back with `Spool.done`."""

    segment: int
    place: int


@dataclass(frozen=True, slots=True)
class Spooled:
    """What a former process left. `begun_ms`: wall milliseconds at which it was first said."""

    ticket: Ticket
    topic: Topic
    key: str
    value: bytes
    begun_ms: int


@dataclass(slots=True, eq=False)
class _Segment:
    number: int
    path: Path
    salt: bytes = b""  # of those that this process writes
    size: int = 0
    places: int = 0
    live: set[int] = field(default_factory=set)
    stays: bool = False  # its damaged parts could not be kept aside, so it is kept itself


@dataclass(frozen=True, slots=True)
class _Put:
    payload: bytes
    ticket: asyncio.Future[Ticket]

    @property
    def size(self) -> int:
        """In the file."""
        return record_bytes(self.payload)


class Spool:
    """One folder of one replica. `bytes_max` counts everything in it, what was kept aside too.

    `random` gives each segment its salt; nobody outside may be able to foretell it (services/journal/segments.py)."""

    def __init__(
        self,
        disk: Disk,
        folder: Path,
        random: Random,
        *,
        bytes_max: int,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
    ) -> None:
        self._disk = disk
        self._folder = folder
        self._random = random
        self._bytes_max = bytes_max
        self._segment_bytes_max = segment_bytes_max
        self._segments: dict[int, _Segment] = {}
        self._waiting: dict[bool, deque[_Put]] = {True: deque(), False: deque()}  # facts of calls, and all else
        self._active: dict[bool, _Segment] = {}  # of either
        self._last_number = 0
        self._bytes = 0
        self._empty: deque[_Segment] = deque()
        self._left: list[_Segment] = []  # empty ones that could not be removed
        self._writing: asyncio.Task[None] | None = None
        self._next_try: asyncio.TimerHandle | None = None
        self._tries = False
        self._is_open = False
        self._over_limit = False
        self.torn = 0
        """Ends of segments that were cut off at the last `open`: written when the former process was killed."""
        self.unreadable = 0
        """Damaged stretches, and whole files that could not be read, at the last `open`."""
        self.trouble: str | None = "the spool is not open yet"
        """Why the latest write or removal failed; None when it did not."""

    @property
    def used_bytes(self) -> int:
        """What lies in the folder, and what is about to."""
        return self._bytes

    @property
    def bytes_max(self) -> int:
        """The limit."""
        return self._bytes_max

    async def open(self) -> list[Spooled]:
        """Holds the folder and returns what a former process left, oldest first. Raises FolderTaken where another
        process holds it, DiskTrouble where the folder cannot be used; it can be called again then."""
        names = await self._disk.claim(self._folder)
        self.torn = self.unreadable = 0
        found: list[Spooled] = []
        for name in names:
            stem, _, suffix = name.partition(".")
            number = int(stem) if _NUMBER.fullmatch(stem) else 0
            self._last_number = max(self._last_number, number)
            try:
                if f".{suffix}" == _ASIDE:
                    self._bytes += len(await self._disk.read(self._folder / name))
                elif f".{suffix}" == _SEGMENT and number:
                    found += await self._recover(number, self._folder / name)
            except DiskTrouble:
                self.unreadable += 1
        self._is_open = True
        self.trouble = None
        self._go_on()
        return found

    def put(self, topic: Topic, key: str, value: bytes, begun_ms: int) -> asyncio.Future[Ticket]:
        """The future is done once the fact would survive a loss of power; it may fail with NoRoom or DiskTrouble.

        Cancelling it takes the fact back: it counts as done, whether it was written meanwhile or not."""
        ticket: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()
        ticket.add_done_callback(_looked_at)
        put = _Put(payload_of(Entry(topic, key, value, begun_ms)), ticket)
        if not self._is_open:
            ticket.set_exception(DiskTrouble(self.trouble or "the spool is closed"))
        elif self._bytes + HEADER_BYTES + put.size > self._bytes_max:
            self._over_limit = True
            self.trouble = f"{self._folder}: expected at most {self._bytes_max} bytes; {self._bytes} are there"
            ticket.set_exception(NoRoom(self.trouble))
        else:
            self._bytes += put.size
            self._waiting[topic is Topic.CALLS].append(put)
            self._go_on()
        return ticket

    def done(self, ticket: Ticket) -> None:
        """The fact is needed no more. To say it twice, or after `close`, does no harm."""
        segment = self._segments.get(ticket.segment)
        if segment is not None and self._is_open:
            segment.live.discard(ticket.place)
            self._note(segment)
            self._go_on()

    async def close(self) -> None:
        """Writes what waits, and lets go of the folder; what is in it stays for the next process."""
        if self._next_try is not None:
            self._next_try.cancel()
        while self._writing is not None and not self._writing.done():
            await asyncio.wait({self._writing})
        if self._is_open:
            self._is_open = False
            self.trouble = "the spool is closed"
            await self._disk.release(self._folder)

    async def _recover(self, number: int, path: Path) -> list[Spooled]:
        data = await self._disk.read(path)
        reading = read(data)
        segment = _Segment(number, path, size=len(data), places=len(reading.entries))
        segment.live.update(range(len(reading.entries)))
        self._segments[number] = segment
        self._bytes += len(data)
        self.torn += bool(reading.torn)
        self.unreadable += len(reading.damaged)
        await self._keep_aside(segment, reading)
        self._note(segment)
        return [
            Spooled(Ticket(number, place), entry.topic, entry.key, entry.value, entry.begun_ms)
            for place, entry in enumerate(reading.entries)
        ]

    async def _keep_aside(self, segment: _Segment, reading: Reading) -> None:
        unread = b"".join((*reading.damaged, reading.torn))
        if not unread:
            return
        aside = segment.path.with_suffix(_ASIDE)
        try:
            # Written anew each time: what a crash left of an earlier try is replaced.
            await self._disk.remove(aside)
            await self._disk.append(aside, unread)
        except DiskTrouble as trouble:
            segment.stays = True
            self.trouble = str(trouble)
        else:
            self._bytes += len(unread)

    # The one writer. There is no task while there is nothing to do.

    def _go_on(self) -> None:
        if self._has_work and (self._writing is None or self._writing.done()):
            self._writing = asyncio.get_running_loop().create_task(self._write(), name="spool")

    @property
    def _has_work(self) -> bool:
        return any(self._waiting.values()) or bool(self._empty) or self._tries

    async def _write(self) -> None:
        while self._has_work:
            if any(self._waiting.values()):
                await self._commit(of_calls=bool(self._waiting[True]))
            elif self._empty:
                await self._remove(self._empty.popleft())
            else:
                await self._try_again()

    def _failed(self, trouble: DiskTrouble) -> None:
        """Says so, and looks again later whether it is over."""
        self.trouble = str(trouble)
        if self._is_open and self._next_try is None:
            self._next_try = asyncio.get_running_loop().call_later(TRIED_AGAIN_S, self._is_time_to_try)

    def _is_time_to_try(self) -> None:
        self._next_try = None
        if self._is_open and (self.trouble is not None or self._left):
            self._tries = True
            self._go_on()

    async def _try_again(self) -> None:
        """An empty segment is written and removed: whether the disk is well is known before a fact needs it."""
        self._tries = False
        left, self._left = self._left, []
        self._empty.extend(left)
        segment = self._new_segment()
        try:
            await self._disk.append(segment.path, header(segment.salt))
        except DiskTrouble as trouble:
            self._failed(trouble)
        else:
            segment.size = HEADER_BYTES
            self._bytes += segment.size
            if not self._over_limit:
                self.trouble = None
        self._note(segment)

    async def _commit(self, of_calls: bool) -> None:
        """One write and one sync for all facts of calls that wait, or all else, up to a bound."""
        waiting = self._waiting[of_calls]
        batch: list[_Put] = []
        size = 0
        while waiting and (not batch or size + waiting[0].size <= COMMIT_BYTES_MAX):
            put = waiting.popleft()
            if put.ticket.done():  # taken back before it was written
                self._bytes -= put.size
                continue
            batch.append(put)
            size += put.size
        if not batch:
            return
        segment = self._active[of_calls] = self._active.get(of_calls) or self._new_segment()
        opening = b"" if segment.size else header(segment.salt)
        records = b"".join(record(put.payload, segment.salt) for put in batch)
        try:
            await self._disk.append(segment.path, opening + records)
        except DiskTrouble as trouble:
            # Nobody knows how much of it stands in the file, so nothing is ever written behind it.
            del self._active[of_calls]
            self._bytes -= size
            self._failed(trouble)
            for put in batch:
                if not put.ticket.done():
                    put.ticket.set_exception(type(trouble)(str(trouble)))
        else:
            self._over_limit, self.trouble = False, None
            segment.size += len(opening) + size
            self._bytes += len(opening)
            for put in batch:
                if not put.ticket.done():
                    segment.live.add(segment.places)
                    put.ticket.set_result(Ticket(segment.number, segment.places))
                segment.places += 1
            if segment.size >= self._segment_bytes_max:
                del self._active[of_calls]
        self._note(segment)

    def _new_segment(self) -> _Segment:
        self._last_number += 1
        path = self._folder / f"{self._last_number:08d}{_SEGMENT}"
        segment = _Segment(self._last_number, path, self._random.randbytes(SALT_BYTES))
        self._segments[segment.number] = segment
        return segment

    def _note(self, segment: _Segment) -> None:
        """A segment in which nothing is needed any more goes."""
        if not segment.live and not segment.stays and segment not in self._empty:
            self._empty.append(segment)

    async def _remove(self, segment: _Segment) -> None:
        if segment.live:
            return  # it was written to since
        self._active = {of_calls: active for of_calls, active in self._active.items() if active is not segment}
        self._segments.pop(segment.number, None)
        try:
            await self._disk.remove(segment.path)
        except DiskTrouble as trouble:
            self._left.append(segment)  # a start before its facts are gone brings them back; their readers drop them
            self._failed(trouble)
        else:
            self._bytes -= segment.size
            if self._over_limit:
                self._over_limit, self.trouble = False, None


def _looked_at(ticket: asyncio.Future[Ticket]) -> None:
    """Its failure is told as `trouble` as well; whoever does not look at the future loses nothing."""
    if not ticket.cancelled():
        ticket.exception()
