"""What a log promises, kept by the one in memory and by a real Kafka alike."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import pytest

from services.journal import BATCH_RECORDS_MAX, Follower, Gap, Log, Record, Rejected, Topic, Unavailable
from services.journal.topics import TOPICS

LIMIT_S = 20
FAR_FUTURE_MS = 4_102_444_800_000


@pytest.fixture
def key() -> str:
    """A key that no other test uses: the tests share one Kafka."""
    return f"call-{uuid.uuid4().hex}"


@asynccontextmanager
async def following(
    log: Log, topic: Topic, since_ms: int | None = None, offsets: Mapping[int, int] | None = None
) -> AsyncIterator[Follower]:
    """A started follower, stopped afterwards."""
    follower = log.follow(topic, since_ms, offsets=offsets)
    await follower.start()
    try:
        yield follower
    finally:
        await follower.stop()


async def read(follower: Follower, wanted: Callable[[Record], bool], count: int) -> list[Record]:
    """The first `count` records that are wanted, in the order of reading."""
    found: list[Record] = []
    async with asyncio.timeout(LIMIT_S):
        async for batch in follower:
            found += [record for record in batch if wanted(record)]
            if len(found) >= count:
                break
    return found


def ours(key: str) -> Callable[[Record], bool]:
    """Records whose key begins with ours."""
    return lambda record: record.key.startswith(key)


async def test_what_was_appended_is_followed_as_it_was(log: Log, key: str) -> None:
    """Topic, key and value come back to the byte, with a place and a time of the log's own."""
    before_ms = int(time.time() * 1000)
    await log.append(Topic.CALLS, key + "-é", b"\x00\xff fact")
    async with following(log, Topic.CALLS) as follower:
        [record] = await read(follower, ours(key), 1)
    assert (record.topic, record.key, record.value) == (Topic.CALLS, key + "-é", b"\x00\xff fact")
    assert 0 <= record.partition < TOPICS[Topic.CALLS].partitions
    assert before_ms - 1000 <= record.log_ms <= int(time.time() * 1000) + 1000


async def test_appends_of_one_key_keep_their_order_without_anybody_waiting(log: Log, key: str) -> None:
    """A call's facts are appended without waiting for each other, and land in the order of the calls."""
    acked = [log.append(Topic.CALLS, f"{key}-{n % 7}", str(n).encode()) for n in range(300)]
    await asyncio.wait_for(asyncio.gather(*acked), LIMIT_S)
    async with following(log, Topic.CALLS) as follower:
        found = await read(follower, ours(key), 300)
    by_key: dict[str, list[int]] = defaultdict(list)
    partitions: dict[str, set[int]] = defaultdict(set)
    for record in found:
        by_key[record.key].append(int(record.value))
        partitions[record.key].add(record.partition)
    assert by_key == {f"{key}-{k}": [n for n in range(300) if n % 7 == k] for k in range(7)}
    assert all(len(of_key) == 1 for of_key in partitions.values())
    assert len(set.union(*partitions.values())) > 1


async def test_a_partition_is_read_whole_while_it_is_written(log: Log, key: str) -> None:
    """No record is skipped or read twice, and offsets rise by one within a partition."""

    async def write() -> None:
        for n in range(200):
            await log.append(Topic.DELIVERIES, key, str(n).encode())

    async with following(log, Topic.DELIVERIES) as follower:
        writing = asyncio.create_task(write())
        found = await read(follower, ours(key), 200)
        await writing
    assert [int(record.value) for record in found] == list(range(200))
    assert [record.offset for record in found] == list(range(found[0].offset, found[0].offset + 200))


async def test_following_since_an_instant_begins_with_the_first_record_not_older(log: Log, key: str) -> None:
    """J7: by the log's own time, in each partition."""
    await log.append(Topic.CALLS, key, b"old")
    async with following(log, Topic.CALLS) as follower:
        [old] = await read(follower, ours(key), 1)
    while int(time.time() * 1000) <= old.log_ms:  # noqa: ASYNC110 - the fact is the clock's next millisecond
        await asyncio.sleep(0.001)
    await log.append(Topic.CALLS, key, b"new")
    async with following(log, Topic.CALLS, since_ms=old.log_ms + 1) as follower:
        [new] = await read(follower, ours(key), 1)
    assert new.value == b"new"
    async with following(log, Topic.CALLS, since_ms=old.log_ms) as follower:
        assert [record.value for record in await read(follower, ours(key), 2)] == [b"old", b"new"]


async def test_following_since_an_instant_without_records_begins_at_the_end_seen_at_the_start(
    log: Log, key: str
) -> None:
    """J7: no offset for a time means the end that was taken before, so what lands afterwards is not lost."""
    await log.append(Topic.CALLS, key, b"old")
    async with following(log, Topic.CALLS, since_ms=FAR_FUTURE_MS) as follower:
        await log.append(Topic.CALLS, key, b"new")
        found = await read(follower, ours(key), 1)
    assert [record.value for record in found] == [b"new"]


async def test_following_an_empty_topic_is_caught_up_at_once_and_then_reads_on(log: Log, key: str) -> None:
    """Nothing was ever appended to `policy` before this test, whatever the place to begin."""
    async with following(log, Topic.POLICY) as whole, following(log, Topic.POLICY, since_ms=1) as since:
        for follower in (whole, since):
            reading = asyncio.create_task(read(follower, ours(key), 1))
            await asyncio.wait_for(follower.caught_up.wait(), LIMIT_S)
            assert dict(follower.positions) == {0: 0}
            assert not reading.done()
            if follower is whole:
                first = reading
        await log.append(Topic.POLICY, key, b"now")
        assert [record.value for record in await first] == [b"now"]
        assert [record.value for record in await reading] == [b"now"]


async def test_following_from_offsets_begins_exactly_there(log: Log, key: str) -> None:
    """The ledger keeps its own offsets; a partition that it does not name is read from its beginning."""
    for n in range(5):
        await log.append(Topic.CALLS, key, str(n).encode())
    async with following(log, Topic.CALLS) as follower:
        found = await read(follower, ours(key), 5)
    async with following(log, Topic.CALLS, offsets={found[3].partition: found[3].offset}) as follower:
        assert await read(follower, ours(key), 2) == found[3:]
    other = (found[0].partition + 1) % TOPICS[Topic.CALLS].partitions
    async with following(log, Topic.CALLS, offsets={other: 0}) as follower:
        assert await read(follower, ours(key), 5) == found
        assert follower.gaps == []


async def test_an_offset_that_the_log_does_not_have_is_told_as_a_gap(log: Log, key: str) -> None:
    """Nothing is jumped over in silence: the follower reads from the beginning and says so."""
    await log.append(Topic.CALLS, key, b"fact")
    async with following(log, Topic.CALLS) as follower:
        [record] = await read(follower, ours(key), 1)
    async with following(log, Topic.CALLS, offsets={record.partition: 10_000_000}) as follower:
        assert [found.value for found in await read(follower, ours(key), 1)] == [b"fact"]
        assert follower.gaps == [Gap(Topic.CALLS, record.partition, 10_000_000, 0)]


async def test_caught_up_means_that_the_last_batch_was_worked_through(log: Log, key: str) -> None:
    """Whoever waits for it finds every view complete: it is set when the consumer asks for the batch after the last."""
    await asyncio.gather(*(log.append(Topic.ROUTINGS, f"{key}-{n}", b"") for n in range(20)))
    seen = 0
    async with following(log, Topic.ROUTINGS) as follower, asyncio.timeout(LIMIT_S):

        async def consume() -> None:
            nonlocal seen
            async for batch in follower:
                assert not follower.caught_up.is_set()
                await asyncio.sleep(0)
                seen += sum(record.key.startswith(key) for record in batch)

        consuming = asyncio.create_task(consume())
        await follower.caught_up.wait()
        assert seen == 20
        assert sum(follower.positions.values()) >= 20
        await follower.stop()
        await consuming


async def test_whoever_reads_a_long_history_serves_meanwhile(log: Log, key: str) -> None:
    """A service that starts again reads minutes of `calls` and is asked by callers already: the loop turns after each
    full batch, so that nobody waits for the whole of it."""
    count = 6 * BATCH_RECORDS_MAX
    acked = [log.append(Topic.ROUTINGS, f"{key}-{n}", b"x" * 100) for n in range(count)]
    await asyncio.wait_for(asyncio.gather(*acked), LIMIT_S)
    loop, turns, found = asyncio.get_running_loop(), 0, 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        if found < count:
            loop.call_soon(turn)

    loop.call_soon(turn)
    full_at = -1
    async with following(log, Topic.ROUTINGS) as follower, asyncio.timeout(LIMIT_S):
        async for batch in follower:
            assert turns > full_at, "a second batch came before anybody else"
            full_at = turns if len(batch) == BATCH_RECORDS_MAX else -1
            found += sum(map(ours(key), batch))
            if found == count:
                break


async def test_two_followers_read_the_same_and_do_not_share_their_places(
    log: Log, log_of: Callable[[], Log], key: str
) -> None:
    """No consumer group: nobody's reading takes a record away from anybody."""
    other_client = log_of()
    for n in range(10):
        await log.append(Topic.SCREENINGS, key, str(n).encode())
    async with following(log, Topic.SCREENINGS) as one, following(other_client, Topic.SCREENINGS) as two:
        assert await read(one, ours(key), 10) == await read(two, ours(key), 10)


async def test_stopping_ends_the_iteration_for_whoever_waits_in_it(log: Log) -> None:
    """At once, and a second stop does no harm."""
    async with following(log, Topic.CALLS, since_ms=FAR_FUTURE_MS) as follower:
        waiting = asyncio.create_task(read(follower, lambda _: True, 1))
        await asyncio.wait_for(follower.caught_up.wait(), LIMIT_S)
        await follower.stop()
        assert await asyncio.wait_for(waiting, 1.0) == []


async def test_a_follower_that_never_iterated_can_be_stopped(log: Log) -> None:
    """A start that fails half-way leaves nothing behind."""
    async with following(log, Topic.CALLS):
        pass


async def test_a_value_over_its_topics_limit_is_rejected_and_the_next_one_lands(log: Log, key: str) -> None:
    """It would be refused each time, so it must not wait in a queue to be appended again."""
    with pytest.raises(Rejected, match="calls: expected at most"):
        await log.append(Topic.CALLS, key, b"x" * (TOPICS[Topic.CALLS].value_bytes_max + 1))
    await log.append(Topic.CALLS, key, b"x" * TOPICS[Topic.CALLS].value_bytes_max)


async def test_what_could_not_be_parsed_is_kept_up_to_the_limit_of_the_transport(log: Log, key: str) -> None:
    """P6: sixteen megabytes come back to the byte."""
    value = bytes(range(256)) * (TOPICS[Topic.CALLS_UNREADABLE].value_bytes_max // 256)
    await log.append(Topic.CALLS_UNREADABLE, key, value)
    async with following(log, Topic.CALLS_UNREADABLE) as follower:
        [record] = await read(follower, ours(key), 1)
    assert record.value == value


async def test_cancelling_the_wait_does_not_cancel_the_append(log: Log, key: str) -> None:
    """J5: whoever stops waiting must take the record for unknown, since it lands."""
    log.append(Topic.CALLS, key, b"first").cancel()
    await log.append(Topic.CALLS, key, b"second")
    async with following(log, Topic.CALLS) as follower:
        assert [record.value for record in await read(follower, ours(key), 2)] == [b"first", b"second"]


async def test_a_log_that_is_well_says_nothing(log: Log, key: str) -> None:
    """None is well; any text would show in `/readyz`."""
    await log.append(Topic.CALLS, key, b"")
    assert log.health() is None


async def test_a_closed_log_writes_nothing(log_of: Callable[[], Log], key: str) -> None:
    """`Unavailable`, so that it can be appended elsewhere without making a duplicate."""
    log = log_of()
    await log.start()
    await log.close()
    with pytest.raises(Unavailable):
        await log.append(Topic.CALLS, key, b"")
