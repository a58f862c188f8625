"""The journal's own clock (protocol.md T1), under virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from services.journal import Topic
from services.journal.memory import MemoryBroker, MemoryLog
from services.journal.memory_broker import BROKERS
from services.journal.ticks import Ticker
from services.journal.topics import TOPICS
from simulator.virtual_loop import run_virtual, virtual_wall_ms

PARTITIONS = TOPICS[Topic.CALLS].partitions


def test_an_unanswered_tick_is_not_followed_by_another_on_its_partition() -> None:
    """T1: at most one unacknowledged a partition, so an outage leaves no pile of ticks behind."""

    async def story() -> None:
        broker = MemoryBroker(virtual_wall_ms)
        log = MemoryLog(broker, deadline_s=60)
        log.fail(hung=[BROKERS[0]])
        ticker = Ticker(log, lambda: b"tick")
        ticker.start()
        await asyncio.sleep(10.1)
        log.fail()
        await ticker.stop()
        ticks = Counter(record.partition for record in broker.records(Topic.CALLS))
        hung = {n for n in range(PARTITIONS) if broker.leader(Topic.CALLS, n) == BROKERS[0]}
        assert {ticks[n] for n in hung} == {1}
        assert {ticks[n] for n in range(PARTITIONS) if n not in hung} == {21}

    run_virtual(story())


def test_ticks_go_on_by_themselves_when_the_log_is_back() -> None:
    """T2: a gap in the ticks ends with the outage."""

    async def story() -> None:
        broker = MemoryBroker(virtual_wall_ms)
        log = MemoryLog(broker)
        log.fail(absent=True)
        ticker = Ticker(log, lambda: b"tick")
        ticker.start()
        await asyncio.sleep(5.1)
        assert broker.records(Topic.CALLS) == []
        log.fail()
        await asyncio.sleep(0.5)
        assert len(broker.records(Topic.CALLS)) == PARTITIONS
        await ticker.stop()
        await asyncio.sleep(5)
        assert len(broker.records(Topic.CALLS)) == PARTITIONS

    run_virtual(story())


def test_each_tick_is_made_at_its_moment() -> None:
    """A tick carries its writer's own instant."""

    async def story() -> None:
        broker = MemoryBroker(virtual_wall_ms)
        ticker = Ticker(MemoryLog(broker), lambda: b"%d" % virtual_wall_ms())
        ticker.start()
        await asyncio.sleep(2)
        await ticker.stop()
        assert all(abs(int(record.value) - record.log_ms) < 5 for record in broker.records(Topic.CALLS))

    run_virtual(story())


class Refusing(MemoryLog):
    """A log that trips over one partition, a few times, in its own code."""

    trips = 3

    def append(self, topic: Topic, key: str, value: bytes, *, partition: int | None = None) -> asyncio.Future[None]:
        """See `Log.append`."""
        if partition == 1 and self.trips:
            self.trips -= 1
            raise KeyError(partition)
        return super().append(topic, key, value, partition=partition)


def test_a_mistake_costs_a_tick_and_is_told_and_the_next_is_made() -> None:
    """T1, T2: without ticks a writer that lives passes for one that has lost the log, so nothing ends them."""

    async def story() -> None:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        broker = MemoryBroker(virtual_wall_ms)
        wrong = iter([True, True, False, True])

        def make() -> bytes:
            if next(wrong, False):
                raise ValueError("no address yet")
            return b"tick"

        ticker = Ticker(Refusing(broker), make)
        ticker.start()
        await asyncio.sleep(4.9)  # ten times
        await ticker.stop()
        ticks = Counter(record.partition for record in broker.records(Topic.CALLS))
        assert ticks == {n: 4 if n == 1 else 7 for n in range(PARTITIONS)}
        assert [type(context["exception"]) for context in told] == [ValueError] * 2 + [KeyError, ValueError] + [
            KeyError
        ] * 2
        assert {context["message"] for context in told} == {"ticks: a tick was not sent, by a mistake"}

    run_virtual(story())
