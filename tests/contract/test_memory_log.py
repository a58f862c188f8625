"""The ways in which the memory log fails, for tests and the simulator: as a real one does, under virtual time."""

from __future__ import annotations

import asyncio

import pytest

from services.journal import Topic, Unavailable, Unknown
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
