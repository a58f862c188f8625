"""A log in memory, for tests and the simulator: partitions, offsets, followers, and the ways in which a real one fails.

It passes the same contract suite as Kafka. Its only clock is the given `now_ms`, and its only waiting is the event
loop's timers, so that it runs under a virtual-time loop. One `MemoryBroker` holds the records; each process of a
simulated installation has a `MemoryLog` of its own on it, with fault switches of its own: one process can be cut off
while the others go on.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.journal import Topic, Unavailable, Unknown
from services.journal.memory_broker import MemoryBroker
from services.journal.memory_follower import MemoryFollower
from services.journal.topics import TOPICS, too_large

__all__ = ["Faults", "MemoryBroker", "MemoryLog"]


@dataclass(slots=True)
class Faults:
    """What is wrong with the log at the moment, for one client. Tests and the simulator flip these.

    absent: no broker answers: appends end with `Unavailable` at once and followers stand still.
    delay_s: how long an append takes to land. Beyond the log's deadline its future ends with `Unknown`, and it lands
    all the same.
    lost: an append ends with `Unknown` at the deadline and never lands.
    hung: leaders that answer nothing, as a stopped process does: what was appended to them lands when they go on.
    """

    absent: bool = False
    delay_s: float = 0.0
    lost: bool = False
    hung: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _OnWay:
    """An append that has not landed yet."""

    key: str
    value: bytes
    acked: asyncio.Future[None]
    lands_at: float


class MemoryLog:
    """One client's view of a `MemoryBroker`: a `Log`. `deadline_s` bounds each append, as in the real one."""

    def __init__(self, broker: MemoryBroker, *, deadline_s: float = 5.0) -> None:
        self._broker = broker
        self._deadline_s = deadline_s
        self._faults = Faults()
        self._on_way: dict[tuple[Topic, int], deque[_OnWay]] = defaultdict(deque)
        self._held: Counter[tuple[Topic, int]] = Counter()  # how many of these would have landed, but for their leader
        self._closed = False

    @property
    def faults(self) -> Faults:
        """The present faults. Change them with `fail`."""
        return self._faults

    def fail(self, *, absent: bool = False, delay_s: float = 0.0, lost: bool = False, hung: Iterable[str] = ()) -> None:
        """Set all fault switches at once; `fail()` makes the log well again."""
        self._faults = Faults(absent, delay_s, lost, frozenset(hung))
        for place in [place for place in self._held if not self._hangs(*place)]:
            for _ in range(self._held.pop(place)):
                self._land_first(place)
        self._broker.wake()

    async def start(self) -> None:
        """Nothing to connect to."""

    def append(self, topic: Topic, key: str, value: bytes, *, partition: int | None = None) -> asyncio.Future[None]:
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
            # The partition is a queue: what was appended later never lands earlier, whatever the delay is by then (the
            # loop's own timers keep no order among equals).
            place = (topic, self._broker.partition_of(topic, key) if partition is None else partition)
            on_way = self._on_way[place]
            lands_at = max(loop.time() + self._faults.delay_s, on_way[-1].lands_at if on_way else 0.0)
            on_way.append(_OnWay(key, value, acked, lands_at))
            loop.call_at(lands_at, self._land_first, place)
            if self._hangs(*place) or lands_at - loop.time() > self._deadline_s:
                loop.call_later(self._deadline_s, self._give_up, acked)
        return acked

    def leader_of(self, topic: Topic, key: str) -> str:
        """See `Log.leader_of`."""
        return "" if self._faults.absent else self._broker.leader(topic, self._broker.partition_of(topic, key))

    def follow(
        self, topic: Topic, since_ms: int | None = None, *, offsets: Mapping[int, int] | None = None
    ) -> MemoryFollower:
        """See `Log.follow`."""
        assert since_ms is None or offsets is None, "follow() takes an instant or offsets; both were given"
        return MemoryFollower(self._broker, lambda: self._faults.absent, topic, since_ms, offsets)

    def health(self) -> str | None:
        """See `Log.health`."""
        return "no broker answers (memory log, switched absent)" if self._faults.absent else None

    async def close(self) -> None:
        """See `Log.close`. What is on its way still lands, as with a broker that has already received it."""
        self._closed = True

    def _hangs(self, topic: Topic, partition: int) -> bool:
        return self._broker.leader(topic, partition) in self._faults.hung

    def _land_first(self, place: tuple[Topic, int]) -> None:
        if self._hangs(*place):
            self._held[place] += 1
            # What was on its way when its leader hung has a deadline too.
            first = self._on_way[place][self._held[place] - 1]
            asyncio.get_running_loop().call_later(self._deadline_s, self._give_up, first.acked)
            return
        first = self._on_way[place].popleft()
        self._broker.land(place[0], first.key, first.value, place[1])
        if not first.acked.done():
            first.acked.set_result(None)

    def _give_up(self, acked: asyncio.Future[None]) -> None:
        if not acked.done():
            acked.set_exception(Unknown(f"no acknowledgement within {self._deadline_s} s; the record may land later"))
