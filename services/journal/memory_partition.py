"""One partition of the memory log: records by offset, with the holes that compaction and retention leave."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from operator import attrgetter

from services.journal import Record, Topic

_offset = attrgetter("offset")


class Partition:
    """`begin` is the first offset that the log still answers for, `end` the next one that will be written."""

    __slots__ = ("_landed_s", "_latest_ms", "_number", "_topic", "begin", "end", "records")

    def __init__(self, topic: Topic, number: int) -> None:
        self._topic = topic
        self._number = number
        self.records: list[Record] = []
        self._latest_ms: list[int] = []  # of each record and all before it: clocks are set back
        self._landed_s: list[float] = []  # by the loop's clock, for the records at the same places
        self.begin = 0
        self.end = 0

    def append(self, key: str, value: bytes, log_ms: int, now_s: float) -> None:
        """Writes a record behind the others."""
        self._latest_ms.append(max(log_ms, self._latest_ms[-1] if self._latest_ms else 0))
        self.records.append(Record(self._topic, self._number, self.end, key, value, log_ms))
        self._landed_s.append(now_s)
        self.end += 1

    def read(self, offset: int, records_max: int, landed_by_s: float | None) -> list[Record]:
        """The first records at `offset` or behind it. `landed_by_s` leaves out what landed later."""
        place = self._place(offset)
        until = len(self.records) if landed_by_s is None else bisect_right(self._landed_s, landed_by_s)
        return self.records[place : min(until, place + records_max)]

    def landed_s(self, offset: int) -> float:
        """When the first record at `offset` or behind it landed; there must be one."""
        return self._landed_s[self._place(offset)]

    def since(self, log_ms: int) -> int:
        """The offset of the first record that is not older; the end where there is none."""
        place = bisect_left(self._latest_ms, log_ms)
        return self.records[place].offset if place < len(self.records) else self.end

    def compact(self) -> None:
        """Leaves the newest record of each key, where it was."""
        newest = {record.key: record.offset for record in self.records}
        self._keep([newest[record.key] == record.offset for record in self.records])

    def forget(self, older_than_ms: int) -> None:
        """Leaves out the oldest records, as retention does: up to the first one that is not older."""
        self.begin = max(self.begin, self.since(older_than_ms))
        self._keep([record.offset >= self.begin for record in self.records])

    def _keep(self, wanted: list[bool]) -> None:
        self._landed_s = [at for at, keep in zip(self._landed_s, wanted, strict=True) if keep]
        self.records = [record for record, keep in zip(self.records, wanted, strict=True) if keep]
        self._latest_ms = list(accumulate((record.log_ms for record in self.records), max))

    def _place(self, offset: int) -> int:
        if len(self.records) == self.end - self.begin:
            return max(0, offset - self.begin)  # no holes
        return bisect_left(self.records, offset, key=_offset)
