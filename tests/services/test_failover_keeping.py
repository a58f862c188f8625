"""The keeper alone: what it is asked to keep, and is not asked for any more in the next instant (protocol.md J4)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from prometheus_client import CollectorRegistry
from throughline.v1 import delivery_pb2

from services.domain.events import Conductor, Fact, FactKind, Tick
from services.failover.keeping import Keeper
from services.failover.metrics import FailoverMetrics
from services.failover.view import View
from services.host.blocking import at_once
from services.host.files import MemoryFiles
from services.host.network.memory import MemoryNetwork
from services.host.world import World
from services.journal import Record, Topic
from services.journal.disk import MemoryDisk
from services.journal.journal import Journal
from services.journal.memory import MemoryBroker, MemoryLog
from services.journal.spool import Spool
from services.wire import facts
from simulator.virtual_loop import run_virtual, virtual_wall_ms

INGRESS = Conductor("ingress:1", "0001")


def request(call_id: str) -> delivery_pb2.KeepRequest:
    said = Fact(call_id, 1, 0, "i1/0001", FactKind.OFFERED, virtual_wall_ms(), due_in_ms=5_000, conductor=INGRESS)
    return delivery_pb2.KeepRequest(facts=[facts.encode(said)])


async def keeper_on(disk: MemoryDisk, view: View, wall_ms: Callable[[], int] = virtual_wall_ms) -> Keeper:
    log, registry = MemoryLog(MemoryBroker(virtual_wall_ms)), CollectorRegistry()
    world = World(
        name="failover-1", incarnation="0001", network=MemoryNetwork(), log=log, wall_ms=wall_ms,
        random=random.Random(1), files=MemoryFiles({}), disk=disk, registry=registry,
        logger=structlog.stdlib.get_logger(), run_blocking=at_once,
    )  # fmt: skip
    spool = Spool(disk, Path("kept"), random.Random(1), bytes_max=1_000_000)
    keeper = Keeper(world, view, spool, Journal(log), FailoverMetrics(registry))
    await keeper.start()
    return keeper


@pytest.mark.parametrize("turns", range(12))
def test_a_question_that_is_cancelled_at_any_turn_of_the_loop_leaves_nothing_on_the_disk(turns: int) -> None:
    """Its ingress asked no longer: either the copy is known, and dropped with its fact, or it is given back (J4)."""

    async def scene() -> None:
        disk, view = MemoryDisk(), View("failover-1")
        keeper = await keeper_on(disk, view)
        asked = asyncio.ensure_future(keeper.answer(request("call-1")))
        for _ in range(turns):
            await asyncio.sleep(0)
        asked.cancel()
        await asyncio.wait({asked})
        await asyncio.sleep(1)
        said = facts.decode(request("call-1").facts[0])
        keeper.drop(view.kept.seen(said))
        await asyncio.sleep(1)
        assert disk.files == {}
        await keeper.stop()

    run_virtual(scene())


@pytest.mark.parametrize("ahead_ms", [-3_600_000, 3_600_000])
def test_what_is_kept_is_a_debt_by_the_logs_time_whatever_our_own_clock_says(ahead_ms: int) -> None:
    """T2, J4: with Kafka away the keeper alone knows of the call, and must not think it an hour old."""

    async def scene() -> None:
        view = View("failover-1")
        keeper = await keeper_on(MemoryDisk(), view, lambda: virtual_wall_ms() + ahead_ms)
        tick = facts.encode_tick(Tick("i1/0001", "ingress", INGRESS, virtual_wall_ms()))
        view.read(Record(Topic.CALLS, 0, 0, "", tick, virtual_wall_ms()), 0.0)
        await asyncio.sleep(60)
        await keeper.answer(request("call-1"))
        view.tidy(60.0)
        call = view.debts.get("call-1")
        assert call is not None
        assert call.since_ms == virtual_wall_ms()
        await keeper.stop()

    run_virtual(scene())
