"""One broker of a real cluster hangs: what its own partitions feel, and what the others do (protocol.md J5).

Where records have three copies, an acknowledgement waits for every copy in sync, so a hung broker holds up all leaders
until it is fenced (3 s here); nothing is unknown meanwhile, and nothing is appended twice. Where a partition has one
copy, the hung leader is alone with its silence: that shows what the client does about it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiokafka.admin import NewTopic

from deploy.kafka import Cluster, scratch_cluster
from services.journal import Record, Topic, Unavailable, Unknown
from services.journal.kafka import KafkaLog
from services.journal.kafka_topics import admin_client
from services.journal.topics import TOPICS
from tests.system.takes import taken_again, within

LIMIT_S = 40
DEADLINE_S = 1.5


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three brokers; `calls` has one copy of each record, `deliveries` three."""
    with scratch_cluster(3, topics=False) as three:
        yield three


@pytest.fixture
async def log(cluster: Cluster) -> AsyncIterator[KafkaLog]:
    """A log whose topics are there, with a short deadline."""
    async with admin_client(cluster.bootstrap) as admin:
        await admin.create_topics(
            [
                NewTopic("calls", TOPICS[Topic.CALLS].partitions, 1, topic_configs={"min.insync.replicas": "1"}),
                NewTopic("deliveries", 6, 3, topic_configs={"min.insync.replicas": "2"}),
            ]
        )
    log = KafkaLog(cluster.bootstrap, "leader", deadline_s=DEADLINE_S)
    await log.start()
    async with asyncio.timeout(LIMIT_S):
        for topic in (Topic.CALLS, Topic.DELIVERIES):
            for n in range(30):
                await surely(log, topic, f"warm-{n}", b"warm")
    yield log
    await log.close()


@contextmanager
def hung(cluster: Cluster, number: int) -> Iterator[None]:
    """A broker that answers nothing, and keeps its connections."""
    properties = str(cluster.nodes[number - 1].properties).encode()
    [pid] = [
        int(entry.name)
        for entry in Path("/proc").glob("[0-9]*")
        if (words := _words(entry))[0].endswith(b"/java") and properties in words
    ]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _words(entry: Path) -> list[bytes]:
    try:
        return (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return [b""]


async def surely(log: KafkaLog, topic: Topic, key: str, value: bytes, partition: int | None = None) -> None:
    """Appends again and again until it is acknowledged."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            try:
                return await log.append(topic, key, value, partition=partition)
            except (Unavailable, Unknown):
                await asyncio.sleep(0.05)


async def everything(log: KafkaLog, topic: Topic, keys: list[str]) -> list[Record]:
    """What is on a topic of these keys, up to a mark that is set behind it on each partition now."""
    mark = f"mark-{time.monotonic_ns()}"
    for partition in range(TOPICS[topic].partitions):
        await surely(log, topic, mark, b"", partition)
    found: list[Record] = []
    marks = 0
    follower = log.follow(topic)
    await follower.start()
    async with asyncio.timeout(LIMIT_S):
        async for batch in follower:
            found += [record for record in batch if record.key in keys]
            marks += sum(record.key == mark for record in batch)
            if marks == TOPICS[topic].partitions:
                break
    await follower.stop()
    return found


@taken_again
async def test_a_hung_leader_fails_its_own_appends_alone(cluster: Cluster, log: KafkaLog) -> None:
    """J5: the others' acknowledgements go on; what was handed to the hung one is unknown, and lands once if it does."""
    keys = [f"one-{time.monotonic_ns()}-{n}" for n in range(200)]
    sick = [key for key in keys if log.leader_of(Topic.CALLS, key) == "2"]
    well = [key for key in keys if key not in sick]
    assert len(sick) > 20
    waited_s: list[float] = []
    with hung(cluster, 2):
        first = log.append(Topic.CALLS, sick[0], b"sick")
        until = time.monotonic() + 3 * DEADLINE_S
        n = 0
        while time.monotonic() < until:
            begun = time.monotonic()
            await log.append(Topic.CALLS, well[n % len(well)], b"well")
            waited_s.append(time.monotonic() - begun)
            n += 1
            await asyncio.sleep(0.02)
        with pytest.raises(Unknown):
            await first
        place = [key for key in sick if key != sick[0]]
        refused = 0
        for key in place:
            begun = time.monotonic()
            with pytest.raises((Unavailable, Unknown)) as outcome:
                await log.append(Topic.CALLS, key, b"never mind")
            refused += outcome.type is Unavailable and time.monotonic() - begun < 0.1
            if refused:
                break
        assert refused, "a stuck partition takes nothing more, and says so at once"
        assert "calls/" in (log.health() or "")
    await surely(log, Topic.CALLS, sick[0], b"after")
    values = [record.value for record in await everything(log, Topic.CALLS, [sick[0]])]
    assert values in ([b"sick", b"after"], [b"after"])
    within(max(waited_s), 1.0, f"s for the other leaders, the worst of {len(waited_s)}")


@taken_again
@pytest.mark.quiet
async def test_with_three_copies_a_hung_broker_costs_seconds_and_no_fact(cluster: Cluster, log: KafkaLog) -> None:
    """Every append lands once, by whichever leader, though some were unknown at their deadline for a while."""
    keys = [f"three-{time.monotonic_ns()}-{n}" for n in range(150)]
    patient = KafkaLog(cluster.bootstrap, "patient", deadline_s=10)
    await patient.start()
    acked = []
    with hung(cluster, 3):
        for key in keys:
            acked.append(patient.append(Topic.DELIVERIES, key, b"fact"))
            await asyncio.sleep(0.02)
        begun = time.monotonic()
        await asyncio.wait_for(asyncio.gather(*acked), LIMIT_S)
        took_s = time.monotonic() - begun
    found = await everything(log, Topic.DELIVERIES, keys)
    assert sorted(record.key for record in found) == sorted(keys)
    await patient.close()
    within(took_s, 8, "s to all acknowledgements: a hung broker is fenced after 3, and its partitions move")
