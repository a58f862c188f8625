"""What just happened, told as it happens: so that a fault can strike in the very moment that it is meant for.

Random instants seldom hit the few milliseconds between an answer and its connection, or between two facts of a
take-over. Whoever waits for a moment here is told of it once, a turn of the loop later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import Any

from services.journal import Topic
from services.journal.memory import MemoryBroker
from services.wire import facts

Seen = Mapping[str, Any]


class Moments:
    """What callers, far end and journal see, by the name `WITNESS EVENT`."""

    def __init__(self, broker: MemoryBroker, context: Context) -> None:
        self._broker = broker
        self._context = context
        self._waiting: list[tuple[str, str, Callable[[Seen], None]]] = []
        broker.watch(Topic.CALLS, self)

    def wait(self, name: str, call_id: str, act: Callable[[Seen], None]) -> Callable[[], None]:
        """At the next such moment of this call, of any call where none is named, `act` is done. Returns how to wait no
        more."""
        waits = (name, call_id, act)
        self._waiting.append(waits)
        return lambda: self._waiting.remove(waits) if waits in self._waiting else None

    def tell(self, seen: Seen) -> None:
        """One entry of a witness."""
        if not self._waiting or "call_id" not in seen:
            return
        event = seen.get("mischief", seen["event"])  # what a network does wrong, by its own name
        name = f"{seen['witness']} {event}"
        due = [each for each in self._waiting if each[0] == name and each[1] in ("", seen["call_id"])]
        for waits in due:
            self._waiting.remove(waits)
            asyncio.get_running_loop().call_soon(waits[2], seen, context=self._context)

    # As a watcher of the journal.

    def landed(self, partition: int) -> None:
        """See Watcher. Records are read only while somebody waits for one."""
        if not any(name.startswith("journal ") for name, _, _ in self._waiting):
            return
        fact = facts.fact_in(self._broker.partition(Topic.CALLS, partition).records[-1].value)
        if fact is not None:
            seen = {"witness": "journal", "event": str(fact.kind), "call_id": fact.call_id, "reason": fact.reason}
            self.tell(seen)

    def look_again(self) -> None:
        """See Watcher."""
