"""The database under a simulated ledger: it outlives the ledger's processes, as a file does, and is slow and fails.

Each piece of work takes a moment before and after it, in which the process can be killed: then the transaction was
never begun, or is there though nobody was told (services/ledger/service.py reads the positions to know).
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sqlite3
from collections.abc import Callable
from typing import Final, TypeVar

from services.ledger.store import StoreTrouble

MOMENT_S: Final = (0.0002, 0.004)
_NUMBERS: Final = itertools.count(1)

T = TypeVar("T")


class Tables:
    """SQLite in memory, found by its `url` for as long as `close` was not called."""

    def __init__(self, by: random.Random) -> None:
        name = f"file:/simulated-ledger-{next(_NUMBERS)}?vfs=memdb"
        self.url = f"sqlite:///{name}&uri=true"
        self.slow_s = 0.0
        """How long each piece of work takes at most, beside its moments."""
        self.fail_share = 0.0
        """Of pieces of work, that end with StoreTrouble: half of them were done all the same."""
        self._by = by
        self._held = sqlite3.connect(name, uri=True)

    async def run_blocking(self, work: Callable[[], T]) -> T:
        """See services/host/blocking.py."""
        fails = self._by.random() < self.fail_share
        await self._moment()
        if fails and self._by.random() < 0.5:
            raise StoreTrouble("the database is gone (simulated)")
        done = work()
        await self._moment()
        if fails:
            raise StoreTrouble("the connection to the database was lost (simulated)")
        return done

    async def _moment(self) -> None:
        await asyncio.sleep(self._by.uniform(*MOMENT_S) + self._by.random() * self.slow_s / 2)

    def close(self) -> None:
        """Its disk is lost, or nobody looks any more."""
        self._held.close()
