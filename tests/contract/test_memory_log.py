"""The ways in which the memory log fails, for tests and the simulator: as a real one does, under virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from random import Random

import pytest

from services.journal import Record, Topic, Unavailable, Unknown
from services.journal.memory import MemoryBroker, MemoryLog
from simulator.virtual_loop import EPOCH_MS, run_virtual, virtual_wall_ms


def values(broker: MemoryBroker) -> list[bytes]:
    """What is on `calls`."""
    return [record.value for record in broker.records(Topic.CALLS)]


def test_an_absent_log_refuses_at_once_and_says_why() -> None:
    """`Unavailable`: surely not written, so nothing lands later either."""

    async def story() -> None:
        broker = MemoryBroker(virtual_wall_ms)
        log = MemoryLog(broker)
        log.fail(absent=True)
        with pytest.raises(Unavailable):
            await log.append(Topic.CALLS, "a", b"1")
        assert asyncio.get_running_loop().time() == 0
        assert log.health() is not None
        log.fail()
        assert log.health() is None
        await asyncio.sleep(60)
        assert values(broker) == []

    run_virtual(story())


def test_an_append_slower_than_the_deadline_is_unknown_and_lands_later() -> None:
    """J5, seen on a real Kafka: 294 of 294 timed-out appends landed later."""

    async def story() -> None:
        broker = MemoryBroker(virtual_wall_ms)
        log = MemoryLog(broker, deadline_s=5)
        log.fail(delay_s=7)
        with pytest.raises(Unknown):
            await log.append(Topic.CALLS, "a", b"1")
        assert asyncio.get_running_loop().time() == 5
        assert values(broker) == []
        await asyncio.sleep(2.001)
        assert [(record.value, record.log_ms) for record in broker.records(Topic.CALLS)] == [(b"1", EPOCH_MS + 7000)]

    run_virtual(story())


def test_a_lost_append_is_unknown_and_never_lands() -> None:
    """The other half of unknown."""

    async def story() -> None:
        broker = MemoryBroker(virtual_wall_ms)
        log = MemoryLog(broker, deadline_s=5)
        log.fail(lost=True)
        with pytest.raises(Unknown):
            await log.append(Topic.CALLS, "a", b"1")
        await asyncio.sleep(60)
        assert values(broker) == []

    run_virtual(story())


def test_an_append_after_a_slow_one_does_not_overtake_it() -> None:
    """A partition is a queue, whatever the delay is by then."""

    async def story() -> None:
        broker = MemoryBroker(virtual_wall_ms)
        log = MemoryLog(broker)
        log.fail(delay_s=3)
        slow = log.append(Topic.CALLS, "a", b"1")
        log.fail()
        await log.append(Topic.CALLS, "a", b"2")
        assert slow.done()
        assert values(broker) == [b"1", b"2"]

    run_virtual(story())


def test_a_client_that_is_cut_off_reads_on_where_it_was_while_others_never_noticed() -> None:
    """Each client has fault switches of its own."""

    async def story() -> None:
        broker = MemoryBroker(virtual_wall_ms)
        well, cut = MemoryLog(broker), MemoryLog(broker)
        cut.fail(absent=True)
        follower = cut.follow(Topic.CALLS)
        await follower.start()
        batches = aiter(follower)
        waiting = asyncio.ensure_future(anext(batches))
        await well.append(Topic.CALLS, "a", b"1")
        await asyncio.sleep(10)
        assert not waiting.done()
        assert not follower.caught_up.is_set()
        cut.fail()
        assert [record.value for record in await waiting] == [b"1"]
        await follower.stop()

    run_virtual(story())


def test_a_well_log_takes_its_time_each_way() -> None:
    """Others may have read what its writer has not yet heard of; what was appended first is acknowledged first."""
    acked: list[int] = []

    async def story() -> None:
        loop = asyncio.get_running_loop()
        broker = MemoryBroker(virtual_wall_ms)
        log = MemoryLog(broker, random=Random(1), way_s=(0.0005, 0.005))
        follower = log.follow(Topic.CALLS)
        await follower.start()
        reading = aiter(follower)
        for n in range(20):
            done = log.append(Topic.CALLS, "a", bytes([n]))
            done.add_done_callback(partial(lambda n, _: acked.append(n), n))
        assert values(broker) == []
        await log.append(Topic.CALLS, "a", b"x")
        assert 0.001 <= loop.time() <= 0.010
        assert acked == list(range(20))
        read = [record.value async for record in _one_by_one(reading, 21)]
        assert read == values(broker)
        began_s = loop.time()
        waiting = asyncio.ensure_future(anext(reading))
        await asyncio.sleep(0.0)
        broker.land(Topic.CALLS, "a", b"y")
        await waiting
        assert 0.0005 <= loop.time() - began_s <= 0.005

    run_virtual(story())


def test_what_is_acknowledged_while_the_way_back_is_gone_is_heard_of_when_it_is_there_again() -> None:
    """A broker that took a record is not heard by a client that has lost it meanwhile."""

    async def story() -> None:
        broker = MemoryBroker(virtual_wall_ms)
        log = MemoryLog(broker, random=Random(1), way_s=(0.002, 0.003))
        done = log.append(Topic.CALLS, "a", b"1")
        await asyncio.sleep(0.0035)
        assert values(broker) == [b"1"]
        log.fail(absent=True)
        await asyncio.sleep(1.0)
        assert not done.done()
        log.fail()
        await done

    run_virtual(story())


async def _one_by_one(batches: AsyncIterator[list[Record]], count: int) -> AsyncIterator[Record]:
    while count > 0:
        for record in await anext(batches):
            count -= 1
            yield record
