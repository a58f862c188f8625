"""The bounded queue in memory for records that the log has not acknowledged (protocol.md J6).

It keeps the order of each key, knows which keys it holds, and says what to append again next, one lane for each
partition of the log, so that one that hangs, has no leader or may not be written holds up no other's records. For the
same reason each topic has a room of its own: what is refused for good fills that, and no fact of a call gives way to
it. On a compacted topic only the newest record of a key matters, so a newer one takes the older one's place: a status
row each two seconds cannot fill the queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from services.domain.durability import Durability
from services.journal import Topic
from services.journal.spool import Ticket
from services.journal.topics import TOPICS

Key = tuple[Topic, str]


class Lane(NamedTuple):
    """What is appended again apart from everything else."""

    topic: Topic
    partition: int


@dataclass(frozen=True, slots=True)
class Room:
    """How much may wait: records, and bytes in their values."""

    facts: int
    bytes: int


class Append:
    """One record on its way. Compared by identity.

    begun: loop time. acked: the log's answer to the latest attempt, None before the first.
    within_budget: it is neither acknowledged nor queued nor lost, and its budget runs.
    caller: whoever waits for the durability, if anybody. keep: it opens or settles a call, and a copy is wanted (J4).
    spooled, kept: the two copies beside the log, while it is queued.
    """

    __slots__ = ("acked", "begun", "caller", "keep", "kept", "key", "spooled", "topic", "value", "within_budget")

    def __init__(self, topic: Topic, key: str, value: bytes, begun: float, keep: bool = False) -> None:
        self.topic = topic
        self.key = key
        self.value = value
        self.begun = begun
        self.keep = keep
        self.acked: asyncio.Future[None] | None = None
        self.caller: asyncio.Future[Durability] | None = None
        self.spooled: asyncio.Future[Ticket] | None = None
        self.kept: asyncio.Task[bool] | None = None
        self.within_budget = False

    @property
    def awaited(self) -> bool:
        """Whether somebody still waits for the durability."""
        return self.caller is not None and not self.caller.done()

    @property
    def told(self) -> Durability | None:
        """How safe somebody was told that it is; None where nobody was."""
        if self.caller is None or not self.caller.done() or self.caller.cancelled():
            return None
        return self.caller.result()

    @property
    def on_disk(self) -> bool:
        """Whether the spool has it."""
        return self.spooled is not None and _went_well(self.spooled)

    @property
    def at_keeper(self) -> bool:
        """Whether a failover replica has it."""
        return self.kept is not None and _went_well(self.kept) and self.kept.result()

    def answer(self, durability: Durability) -> None:
        """Tell whoever waits."""
        if self.caller is not None and not self.caller.done():
            self.caller.set_result(durability)


class Backlog:
    """Records in the order in which they were put, by lane. `calls`: the room of their facts; `others`: that of each
    other topic.

    In memory a queued record costs about 2 KB beside its value, all entries and its copies' futures included.
    """

    def __init__(self, calls: Room, others: Room) -> None:
        self._rooms = dict.fromkeys(Topic, others) | {Topic.CALLS: calls}
        self._facts = dict.fromkeys(Topic, 0)
        self._bytes = dict.fromkeys(Topic, 0)
        self._keys: dict[Key, dict[Append, None]] = {}
        self._lane_of: dict[Key, Lane] = {}
        self._lanes: dict[Lane, dict[Key, None]] = {}

    def __len__(self) -> int:
        return sum(self._facts.values())

    def __iter__(self) -> Iterator[Append]:
        for appends in self._keys.values():
            yield from appends

    def __contains__(self, append: Append) -> bool:
        return append in self._keys.get((append.topic, append.key), ())

    def holds_key(self, topic: Topic, key: str) -> bool:
        """Whether an earlier record of the key waits here."""
        return (topic, key) in self._keys

    def has_lane(self, lane: Lane) -> bool:
        """Whether anything waits in it."""
        return lane in self._lanes

    def lane_of(self, topic: Topic, key: str) -> Lane:
        """In which lane a key waits that is held."""
        return self._lane_of[topic, key]

    def older_version(self, append: Append) -> Append | None:
        """The record that this one makes worthless, if there is one."""
        if not TOPICS[append.topic].compacted:
            return None
        return next(iter(self._keys.get((append.topic, append.key), ())), None)

    def has_room(self, append: Append) -> bool:
        """Whether it may be put."""
        topic, room = append.topic, self._rooms[append.topic]
        return self._facts[topic] < room.facts and self._bytes[topic] + len(append.value) <= room.bytes

    @property
    def heads(self) -> list[Key]:
        """The first key of each lane."""
        return [next(iter(keys)) for keys in self._lanes.values()]

    def put(self, append: Append, partition: int) -> None:
        """Put a record behind the others; a key that is held already keeps its lane."""
        key = (append.topic, append.key)
        if key not in self._keys:
            self._keys[key] = {}
            lane = self._lane_of[key] = Lane(append.topic, partition)
            self._lanes.setdefault(lane, {})[key] = None
        self._keys[key][append] = None
        self._facts[append.topic] += 1
        self._bytes[append.topic] += len(append.value)

    def remove(self, append: Append) -> None:
        """Take a record out."""
        key = (append.topic, append.key)
        del self._keys[key][append]
        self._facts[append.topic] -= 1
        self._bytes[append.topic] -= len(append.value)
        if not self._keys[key]:
            del self._keys[key]
            lane = self._lane_of.pop(key)
            del self._lanes[lane][key]
            if not self._lanes[lane]:
                del self._lanes[lane]

    def defer(self, appends: Iterable[Append]) -> None:
        """What failed goes behind the other keys of its lane, where it still waits: a record that the log never takes
        holds up none of another key."""
        for append in appends:
            key = (append.topic, append.key)
            if append in self:
                lane = self._lanes[self._lane_of[key]]
                del lane[key]
                lane[key] = None

    def next_window(self, lane: Lane, window_max: int) -> list[Append]:
        """The oldest record of each of at most `window_max` keys of a lane.

        A key's later records wait until its earlier ones have landed: appending a window at once keeps every key's
        order, even when a part of it fails.
        """
        return [next(iter(self._keys[key])) for key in islice(self._lanes[lane], window_max)]


def _went_well(future: asyncio.Future[Ticket] | asyncio.Task[bool]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
