"""Which partition a record goes to and who leads it, kept by the log in memory and by a real Kafka alike."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from services.journal import Log, Record, Topic
from services.journal.ticks import TICK_EVERY_S, TICK_KEY, Ticker
from services.journal.topics import TOPICS

LIMIT_S = 20
PARTITIONS = range(TOPICS[Topic.CALLS].partitions)


async def read(log: Log, value: bytes, count: int) -> list[Record]:
    """The first `count` records on `calls` whose value begins so."""
    follower = log.follow(Topic.CALLS)
    await follower.start()
    found: list[Record] = []
    try:
        async with asyncio.timeout(LIMIT_S):
            async for batch in follower:
                found += [record for record in batch if record.value.startswith(value)]
                if len(found) >= count:
                    break
    finally:
        await follower.stop()
    return found


@pytest.fixture
def mark() -> bytes:
    """A value that no other test uses: the tests share one Kafka."""
    return uuid.uuid4().hex.encode()


async def test_a_record_goes_where_it_is_told_to_whatever_its_key_says(log: Log, mark: bytes) -> None:
    """T1: a tick is appended to each partition."""
    await asyncio.gather(*(log.append(Topic.CALLS, "tick", mark, partition=each) for each in PARTITIONS))
    found = await read(log, mark, len(PARTITIONS))
    assert sorted(record.partition for record in found) == list(PARTITIONS)


async def test_where_a_key_goes_does_not_depend_on_who_asks(log: Log, mark: bytes) -> None:
    """A call's facts share a partition with each other, and its ticks come from the same one."""
    for _ in range(2):
        for n in range(20):
            await log.append(Topic.CALLS, f"key-{n}", mark)
    places: dict[str, set[int]] = {}
    for record in await read(log, mark, 40):
        places.setdefault(record.key, set()).add(record.partition)
        assert record.partition == log.partition_of(Topic.CALLS, record.key)
    assert all(len(partitions) == 1 for partitions in places.values())
    assert len(set.union(*places.values())) > 1


async def test_the_leader_of_a_key_has_a_name_once_the_log_is_there(log: Log) -> None:
    """J5: the breaker is the leader's."""
    await log.append(Topic.CALLS, "a", b"")
    assert log.leader_of(Topic.CALLS, "a") != ""
    assert log.leader_of(Topic.CALLS, "a") == log.leader_of(Topic.CALLS, "a")


async def test_a_ticker_ticks_on_every_partition(log: Log, mark: bytes) -> None:
    """T1: each half second, so that the log's own time goes on where no call does."""
    ticker = Ticker(log, lambda: mark)
    ticker.start()
    found = await read(log, mark, 3 * len(PARTITIONS))
    await ticker.stop()
    for partition in PARTITIONS:
        times_ms = [record.log_ms for record in found if record.partition == partition]
        assert len(times_ms) >= 2
        assert times_ms[1] - times_ms[0] == pytest.approx(TICK_EVERY_S * 1000, abs=250)
    assert {record.key for record in found} == {TICK_KEY}
