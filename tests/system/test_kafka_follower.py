"""Clients of a real broker that dies: a follower that waits for it less long, and how often all of them knock."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from deploy.kafka import scratch_cluster
from services.journal import Topic
from services.journal.kafka import KafkaLog
from services.journal.kafka_follower import KafkaFollower
from tests.system.takes import taken_again, within
from tests.system.test_kafka import LIMIT_S, append_surely, read_until


async def test_a_follower_whose_consumer_was_given_up_reads_on_when_the_broker_is_back() -> None:
    """J7: a consumer whose broker is gone ends its own stop with a CancelledError, which must not end the reader."""
    with scratch_cluster() as cluster:
        log = KafkaLog(cluster.bootstrap, "given-up")
        await log.start()
        follower = KafkaFollower(cluster.bootstrap, "given-up", Topic.CALLS, None, None, lambda _: None, stalled_s=1.0)
        await follower.start()
        reading = asyncio.create_task(read_until(follower, "a", b"after"))
        await append_surely(log, "a", b"before")
        await asyncio.to_thread(cluster.kill, 1)
        async with asyncio.timeout(LIMIT_S):
            while "KafkaConnectionError" not in (follower.health() or ""):  # noqa: ASYNC110 - it is at its next consumer
                await asyncio.sleep(0.05)
        await asyncio.to_thread(cluster.start_again, 1)
        await append_surely(log, "a", b"after")
        assert [record.value for record in await asyncio.wait_for(reading, 3)] == [b"before", b"after"]
        await follower.stop()
        await log.close()


@taken_again
async def test_clients_of_a_kafka_that_is_gone_knock_seldom_and_notice_its_return(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each knock is a line of log; and a pause between them delays what waits for Kafka by a second at most."""
    caplog.set_level(logging.WARNING, "aiokafka")
    with scratch_cluster() as cluster:
        log = KafkaLog(cluster.bootstrap, "knocks")
        await log.start()
        follower = log.follow(Topic.CALLS)
        await follower.start()
        reading = asyncio.create_task(read_until(follower, "a", b"after"))
        await append_surely(log, "a", b"before")
        await asyncio.to_thread(cluster.kill, 1)
        acked = log.append(Topic.CALLS, "a", b"meanwhile")
        caplog.clear()
        await asyncio.sleep(4)
        assert 0 < len(caplog.records) < 80
        await asyncio.gather(acked, return_exceptions=True)
        await asyncio.to_thread(cluster.start_again, 1)
        begun = time.monotonic()
        await append_surely(log, "a", b"after")
        await reading
        took_s = time.monotonic() - begun
        await follower.stop()
        await log.close()
        within(took_s, 2.5, "s from its return to the reader")
