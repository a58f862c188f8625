"""Journals in bad weather: what was told to be safe is in the log in the end, whatever fails meanwhile (J4, J5, J6)."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from services.domain.durability import Durability
from services.journal import Topic
from services.journal.disk import MemoryDisk
from services.journal.journal import Journal
from services.journal.memory import Faults, MemoryBroker, MemoryLog
from services.journal.memory_broker import BROKERS
from services.journal.spool import Spool
from simulator.virtual_loop import run_virtual, virtual_wall_ms

FOLDER = Path("spool/ingress-1")


class Replica:
    """One after the other on one disk: each says facts in bad weather, and is killed in the middle of it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.broker = MemoryBroker(virtual_wall_ms)
        self.disk = MemoryDisk(random=random.Random(seed))
        self.safe: set[bytes] = set()
        self._said = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._dead: list[Journal] = []  # they are kept, for the collector would tell of the tasks in which they hang

    async def started(self) -> tuple[Journal, MemoryLog]:
        """The next process."""
        log = MemoryLog(self.broker, random=random.Random(self.random.random()))
        spool = Spool(self.disk, FOLDER, random.Random(1), bytes_max=1_000_000, segment_bytes_max=2_000)
        journal = Journal(log, budget_s=0.05, spool=spool, wall_ms=virtual_wall_ms)
        await journal.start()
        return journal, log

    async def live(self) -> None:
        """A life of some seconds."""
        self.disk.fail_share, self.disk.slow_s = 0.0, 0.0
        journal, log = await self.started()
        for _ in range(self.random.randint(1, 30)):
            self._change(log)
            for _ in range(self.random.randint(0, 8)):
                task = asyncio.ensure_future(self._say(journal))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(self.random.choice((0.0, 0.03, 0.3, 2.0)))
        log.kill()
        self._dead.append(journal)
        self.disk = self.random.choice((self.disk.killed, self.disk.lost_power))(self.random)

    async def in_calm(self) -> set[bytes]:
        """The last process, in good weather; what is in the log then."""
        journal, _ = await self.started()
        assert await journal.close(60) == 0
        return {record.value for record in self.broker.records(Topic.CALLS)}

    async def _say(self, journal: Journal) -> None:
        self._said += 1
        value = b"%d" % self._said
        told = await journal.append(Topic.CALLS, f"{self._said % 20}", value)
        if told is not Durability.NOT_DURABLE:
            self.safe.add(value)

    def _change(self, log: MemoryLog) -> None:
        chance = self.random
        mix: dict[str, Any] = {
            name: chance.uniform(0, 0.25) for name in ("refuse_share", "lose_share", "unacked_share", "twice_share")
        }
        log.suffer(
            chance.choice(
                (
                    Faults(),
                    Faults(absent=True),
                    Faults(lose_share=1.0),
                    Faults(delay_max_s=8.0),
                    Faults(delay_max_s=0.2, **mix),
                    Faults(unacked_share=1.0, deaf=True),
                    Faults(acked_after_s=1.0),
                    Faults(hung=frozenset(BROKERS[:2])),
                )
            )
        )
        self.disk.fail_share = chance.choice((0.0, 0.3))
        self.disk.slow_s = chance.choice((0.0, 0.01, 0.5))


@pytest.mark.parametrize("seed", range(40))
def test_what_was_told_to_be_durable_or_at_risk_outlives_every_kill_of_a_process_that_keeps_its_disk(seed: int) -> None:
    """J4: five lives, each in its own weather; the last one finds calm, and brings what the others had said."""

    async def story() -> None:
        replica = Replica(seed)
        for _ in range(5):
            await replica.live()
        assert len(replica.safe) > 20
        assert replica.safe - await replica.in_calm() == set()

    run_virtual(story())
