"""A log of one leader that takes nothing but calls, as a Kafka where an ACL is missing, and not of every call."""

from __future__ import annotations

import asyncio
from typing import Final

from services.journal import Topic, Unavailable
from services.journal.memory import MemoryLog

REFUSED: Final = "refused"
"""How the keys begin of whose calls nothing is taken."""


class Guarded(MemoryLog):
    """See the module. What it refuses was surely not written."""

    def append(self, topic: Topic, key: str, value: bytes, *, partition: int | None = None) -> asyncio.Future[None]:
        if topic is Topic.CALLS and not key.startswith(REFUSED):
            return super().append(topic, key, value, partition=partition)
        refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        refused.set_exception(Unavailable("no ACL lets us write there"))
        return refused

    def leader_of(self, topic: Topic, key: str) -> str:
        return "broker-1"
