"""The bounded queue in memory for records that the log has not acknowledged (protocol.md J6).

It keeps the order of each key, knows which keys it holds, and says what to append again next. On a compacted topic
only the newest record of a key matters, so a newer one takes the older one's place: a status row each two seconds
cannot fill the queue.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

from services.journal import Durability, Topic
from services.journal.topics import TOPICS


class Append:
    """One record on its way. Compared by identity.

    begun: loop time. acked: the log's answer to the latest attempt, None before the first.
    within_budget: it is neither acknowledged nor queued nor lost, and its budget runs.
    caller: whoever waits for the durability, if anybody.
    """

    __slots__ = ("acked", "begun", "caller", "key", "topic", "value", "within_budget")

    def __init__(self, topic: Topic, key: str, value: bytes, begun: float) -> None:
        self.topic = topic
        self.key = key
        self.value = value
        self.begun = begun
        self.acked: asyncio.Future[None] | None = None
        self.caller: asyncio.Future[Durability] | None = None
        self.within_budget = False

    def answer(self, durability: Durability) -> None:
        """Tell whoever waits."""
        if self.caller is not None and not self.caller.done():
            self.caller.set_result(durability)


class Backlog:
    """Records in the order in which they were put, at most `facts_max`, and at most `bytes_max` in their values."""

    def __init__(self, facts_max: int, bytes_max: int) -> None:
        self._facts_max = facts_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._appends: dict[Append, None] = {}
        self._keys: Counter[tuple[Topic, str]] = Counter()

    def __len__(self) -> int:
        return len(self._appends)

    def __iter__(self) -> Iterator[Append]:
        return iter(self._appends)

    def __contains__(self, append: Append) -> bool:
        return append in self._appends

    def holds_key(self, topic: Topic, key: str) -> bool:
        """Whether an earlier record of the key waits here."""
        return (topic, key) in self._keys

    def older_version(self, append: Append) -> Append | None:
        """The record that this one makes worthless, if there is one."""
        if not TOPICS[append.topic].compacted or not self.holds_key(append.topic, append.key):
            return None
        return next(a for a in self._appends if a.topic == append.topic and a.key == append.key)

    def put(self, append: Append) -> bool:
        """Put a record behind the others. False when there is no room."""
        if len(self._appends) >= self._facts_max or self._bytes + len(append.value) > self._bytes_max:
            return False
        self._appends[append] = None
        self._bytes += len(append.value)
        self._keys[append.topic, append.key] += 1
        return True

    def remove(self, append: Append) -> None:
        """Take a record out."""
        del self._appends[append]
        self._bytes -= len(append.value)
        key = (append.topic, append.key)
        self._keys[key] -= 1
        if not self._keys[key]:
            del self._keys[key]

    def next_window(self, window_max: int) -> list[Append]:
        """The oldest record of each of at most `window_max` keys.

        A key's later records wait until its earlier ones have landed: appending a window at once keeps every key's
        order, even when a part of it fails.
        """
        window: dict[tuple[Topic, str], Append] = {}
        for append in self._appends:
            window.setdefault((append.topic, append.key), append)
            if len(window) == window_max:
                break
        return list(window.values())
