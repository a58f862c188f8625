"""The records of the memory log, which all its clients share, and the three brokers that lead them."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import copy_context
from enum import StrEnum
from functools import lru_cache
from typing import Final, Protocol

from services.journal import Record, Topic
from services.journal.memory_partition import Partition
from services.journal.topics import TOPICS

BROKERS: Final = ("broker-1", "broker-2", "broker-3")


class BrokerState(StrEnum):
    """How one of the brokers is.

    HUNG: it answers nobody: appends wait for it, and what it leads is not read. GONE: and everybody knows, so that
    appends end with `Unavailable` until somebody else leads.
    """

    WELL = "well"
    HUNG = "hung"
    GONE = "gone"


class Watcher(Protocol):
    """Whoever reads a topic."""

    def landed(self, partition: int) -> None:
        """A record has landed there."""
        ...

    def look_again(self) -> None:
        """Anything may have changed."""
        ...


class MemoryBroker:
    """The records of every topic. `now_ms` gives wall milliseconds and stamps each record as it lands.

    Its partitions are led by three names in turn, so that one leader can fail alone. `partitions` gives a small
    installation fewer of them than production has; what is meant for one that is not there goes to another."""

    def __init__(self, now_ms: Callable[[], int], partitions: Mapping[Topic, int] | None = None) -> None:
        self.context: Final = copy_context()
        """In which everything happens that is not its clients' own doing: what they sent lands without them."""
        self._now_ms = now_ms
        counts = {topic: spec.partitions for topic, spec in TOPICS.items()} | dict(partitions or {})
        self._partitions = {topic: [Partition(topic, n) for n in range(count)] for topic, count in counts.items()}
        self._leads = {name: name for name in BROKERS}  # who led it at the beginning -> who leads it now
        self._states = dict.fromkeys(BROKERS, BrokerState.WELL)
        self._ahead_ms = dict.fromkeys(BROKERS, 0)
        self._all_well = True
        # In the order in which they came: each run wakes them alike.
        self._watchers: dict[Topic, dict[Watcher, None]] = {topic: {} for topic in counts}
        self._clients: list[Callable[[], None]] = []

    def partition_of(self, topic: Topic, key: str) -> int:
        """Which partition holds the records of a key. The same in every run."""
        return _hash(key) % len(self._partitions[topic])

    def partition(self, topic: Topic, number: int) -> Partition:
        """One partition."""
        return self._partitions[topic][number % len(self._partitions[topic])]

    def partitions(self, topic: Topic) -> range:
        """The partitions of a topic."""
        return range(len(self._partitions[topic]))

    def records(self, topic: Topic) -> list[Record]:
        """Everything that is left on a topic, partition after partition."""
        return [record for partition in self._partitions[topic] for record in partition.records]

    # Who leads.

    def leader(self, topic: Topic, partition: int) -> str:
        """Who acknowledges what is appended to a partition."""
        return self._leads[BROKERS[partition % len(self._partitions[topic]) % len(BROKERS)]]

    def state(self, topic: Topic, partition: int) -> BrokerState:
        """How the leader of a partition is."""
        if self._all_well:
            return BrokerState.WELL
        return self._states.get(self.leader(topic, partition), BrokerState.WELL)

    @property
    def is_gone(self) -> bool:
        """Whether no broker is left."""
        return not self._all_well and set(self._states.values()) == {BrokerState.GONE}

    def without_leader(self) -> Iterator[tuple[Topic, int]]:
        """Partitions whose leader is gone."""
        if not self._all_well:
            for topic, parts in self._partitions.items():
                for number in range(len(parts)):
                    if self.state(topic, number) is BrokerState.GONE:
                        yield topic, number

    def move(self, old: str, new: str) -> None:
        """From now on `new` leads what `old` led at the beginning."""
        self._leads[old] = new
        self.wake()

    def turn(self, state: BrokerState, *names: str) -> None:
        """From now on these brokers are so, for every client; all three where none is named."""
        self._states |= dict.fromkeys(names or BROKERS, state)
        self._all_well = set(self._states.values()) == {BrokerState.WELL}
        self.wake()

    def set_clock(self, name: str, ahead_ms: int) -> None:
        """One broker's clock, by which it stamps what it leads, is so far ahead, or behind."""
        self._ahead_ms[name] = ahead_ms

    async def fall(self, name: str, *, silent_s: float, leaderless_s: float, away_s: float) -> None:
        """One broker dies and comes back: it is silent until that is noticed, then nobody leads what it led, then the
        next one that is well does, and in the end it does so itself again."""
        self.turn(BrokerState.HUNG, name)
        await asyncio.sleep(silent_s)
        self.turn(BrokerState.GONE, name)
        await asyncio.sleep(leaderless_s)
        for led, leader in self._leads.items():
            heir = next((each for each in BROKERS if self._states[each] is BrokerState.WELL), None)
            if leader == name and heir is not None:
                self.move(led, heir)
        await asyncio.sleep(away_s)
        self.turn(BrokerState.WELL, name)
        self.move(name, name)

    # What is written.

    def land(self, topic: Topic, key: str, value: bytes, partition: int | None = None) -> None:
        """Write a record, now, and wake whoever reads the topic. The key says where, unless the partition is given."""
        parts = self._partitions[topic]
        number = (_hash(key) if partition is None else partition) % len(parts)
        log_ms = self._now_ms() + self._ahead_ms.get(self.leader(topic, number), 0)
        parts[number].append(key, value, log_ms, asyncio.get_running_loop().time())
        for watcher in self._watchers[topic]:
            watcher.landed(number)

    def compact(self, topic: Topic) -> None:
        """Older records of each key vanish, and offsets keep their numbers, so followers meet holes."""
        assert TOPICS[topic].compacted, f"{topic} has a retention and is not compacted"
        for partition in self._partitions[topic]:
            partition.compact()

    def forget(self, topic: Topic, older_than_ms: int) -> None:
        """The oldest records are past their retention. A follower that stood before the others meets a gap."""
        assert not TOPICS[topic].compacted, f"{topic} is compacted and has no retention"
        for partition in self._partitions[topic]:
            partition.forget(older_than_ms)
        self.wake()

    # Who is told.

    def watch(self, topic: Topic, watcher: Watcher) -> None:
        """Tell it what lands. Twice is once."""
        self._watchers[topic][watcher] = None

    def unwatch(self, topic: Topic, watcher: Watcher) -> None:
        """Tell it nothing more."""
        self._watchers[topic].pop(watcher, None)

    def join(self, changed: Callable[[], None]) -> None:
        """Call this when leaders may answer that did not before."""
        self._clients.append(changed)

    def wake(self) -> None:
        """Let everybody look again."""
        for changed in self._clients:
            changed()
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.look_again()


@lru_cache(maxsize=8192)
def _hash(key: str) -> int:
    return zlib.crc32(key.encode())
