"""The local Kafka, and what the log on it does when Kafka is absent, hangs, dies and comes back."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.kafka import Cluster, scratch_cluster
from deploy.kafka.jars import BUILD, FOLDERS, RESOLVED, CannotStart, class_path, refuse_unlocked
from deploy.kafka.node import free_ports, new_cluster_id
from services.host.lifeline import Lifeline
from services.journal import Follower, Record, Topic, Unavailable, Unknown
from services.journal.kafka import KafkaLog
from services.journal.kafka_topics import apply
from services.journal.topics import TOPICS
from tests.system.takes import taken_again, within

REPOSITORY = Path(__file__).resolve().parents[2]
LIMIT_S = 40


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A broker of the test's own, to be hurt."""
    with scratch_cluster() as cluster:
        yield cluster


async def append_surely(log: KafkaLog, key: str, value: bytes) -> int:
    """Append again and again until it is acknowledged. Returns how many tries it took."""
    async with asyncio.timeout(LIMIT_S):
        tries = 0
        while True:
            tries += 1
            try:
                await log.append(Topic.CALLS, key, value)
            except (Unavailable, Unknown):
                await asyncio.sleep(0.05)
            else:
                return tries


async def read_until(follower: Follower, key: str, last: bytes) -> list[Record]:
    """Our key's records up to the one with the last value."""
    found: list[Record] = []
    async with asyncio.timeout(LIMIT_S):
        async for batch in follower:
            found += [record for record in batch if record.key == key]
            if found and found[-1].value == last:
                return found
    return found


@taken_again
async def test_without_kafka_a_log_starts_serves_says_so_and_connects_when_it_is_there(tmp_path: Path) -> None:
    """Issue: Kafka absent at start: services start, serve and say so."""
    port, _ = free_ports(2)
    log = KafkaLog(f"127.0.0.1:{port}", "absent")
    begun = time.monotonic()
    await log.start()
    follower = log.follow(Topic.CALLS)
    await follower.start()
    within(time.monotonic() - begun, 10, "s to start")
    with pytest.raises(Unavailable):
        await log.append(Topic.CALLS, "a", b"never")
    health = log.health()
    assert health is not None
    assert "no broker answers" in health
    lifeline = Lifeline()
    cluster = Cluster(tmp_path / "kafka", lifeline=lifeline, port=port, scratch=True)
    try:
        await asyncio.to_thread(cluster.start)
        async with asyncio.timeout(LIMIT_S):
            while "missing" not in (log.health() or ""):
                with pytest.raises(Unavailable) as refused:
                    await log.append(Topic.CALLS, "a", b"never")
                if "topic calls is missing" in str(refused.value):
                    break
                await asyncio.sleep(0.05)
        await apply(cluster.bootstrap)
        await append_surely(log, "a", b"at last")
        assert [record.value for record in await read_until(follower, "a", b"at last")] == [b"at last"]
        assert log.health() is None
    finally:
        await follower.stop()
        await log.close()
        await asyncio.to_thread(cluster.close)
        lifeline.close()


@taken_again
async def test_a_hung_broker_makes_appends_unknown_at_the_deadline_and_new_ones_land_afterwards(
    own_cluster: Cluster,
) -> None:
    """J5: an idempotent producer would retry for ever; the deadline is ours, and the producer is replaced."""
    log = KafkaLog(own_cluster.bootstrap, "hung", deadline_s=1.5)
    await log.start()
    await append_surely(log, "a", b"before")
    own_cluster.pause(1)
    try:
        begun = time.monotonic()
        acked = log.append(Topic.CALLS, "a", b"hung")
        with pytest.raises(Unknown):
            await acked
        took_s = time.monotonic() - begun
        assert took_s > 1.4
        assert log.health() is not None
    finally:
        own_cluster.go_on(1)
    await append_surely(log, "a", b"after")
    follower = log.follow(Topic.CALLS)
    await follower.start()
    values = [record.value for record in await read_until(follower, "a", b"after")]
    assert values in ([b"before", b"after"], [b"before", b"hung", b"after"])
    await follower.stop()
    await log.close()
    within(took_s, 3, "s to the word that nobody knows")


async def test_a_broker_that_is_killed_and_started_again_loses_nothing(own_cluster: Cluster) -> None:
    """What was acknowledged is read once, in order, by a follower that lived through it."""
    log = KafkaLog(own_cluster.bootstrap, "killed", deadline_s=2)
    await log.start()
    follower = log.follow(Topic.CALLS)
    await follower.start()
    reading = asyncio.create_task(read_until(follower, "a", b"99"))
    for n in range(50):
        await append_surely(log, "a", b"%d" % n)
    await asyncio.to_thread(own_cluster.kill, 1)
    starting = asyncio.create_task(asyncio.to_thread(own_cluster.start_again, 1))
    assert await append_surely(log, "a", b"50") > 1
    await starting
    for n in range(51, 100):
        await append_surely(log, "a", b"%d" % n)
    values = [int(record.value) for record in await reading]
    assert list(dict.fromkeys(values)) == list(range(100))
    assert len(values) - 100 <= 1, "only the append that was unknown may be there twice"
    await follower.stop()
    await log.close()


@taken_again
async def test_closing_leaves_no_task_behind_even_when_kafka_hangs(own_cluster: Cluster) -> None:
    """aiokafka's own stop would wait for what it cannot deliver."""
    before = asyncio.all_tasks()
    log = KafkaLog(own_cluster.bootstrap, "closing", deadline_s=30)
    await log.start()
    follower = log.follow(Topic.CALLS)
    await follower.start()
    own_cluster.pause(1)
    try:
        unanswered = [log.append(Topic.CALLS, f"{n}", b"") for n in range(100)]
        await asyncio.sleep(0.1)
        begun = time.monotonic()
        await follower.stop()
        await log.close()
        took_s = time.monotonic() - begun
        outcomes = await asyncio.gather(*unanswered, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {Unknown}
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before
        within(took_s, 3, "s to close")
    finally:
        own_cluster.go_on(1)


@taken_again
async def test_three_brokers_carry_on_without_one_and_lose_nothing() -> None:
    """Three copies, two in sync: killing the leader of a call's partition costs seconds, not facts."""
    with scratch_cluster(3) as cluster:
        log = KafkaLog(cluster.bootstrap, "three")
        await log.start()
        follower = log.follow(Topic.CALLS)
        await follower.start()
        reading = asyncio.create_task(read_until(follower, "a", b"199"))
        for n in range(100):
            await append_surely(log, "a", b"%d" % n)
        await asyncio.to_thread(cluster.kill, 1)
        begun = time.monotonic()
        for n in range(100, 200):
            await append_surely(log, "a", b"%d" % n)
        took_s = time.monotonic() - begun
        values = [int(record.value) for record in await reading]
        assert list(dict.fromkeys(values)) == list(range(200))
        await follower.stop()
        await log.close()
        within(took_s, 20, "s to write on: a dead broker is fenced after 3")


async def test_topics_are_created_once_and_differences_are_told(kafka: str) -> None:
    """The first apply was the fixture's; what a person changed since is reported, not changed back."""
    assert (await apply(kafka)).created == ()
    assert (await apply(kafka)).differences == ()
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka, request_timeout_ms=5000)
    await admin.start()
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, "calls", {"retention.ms": "1000"})])
    try:
        told = {str(difference) for difference in (await apply(kafka)).differences}
        assert "calls: expected retention.ms 2592000000, came 1000" in told
        assert "calls: expected message.timestamp.type LogAppendTime, came CreateTime" in told
    finally:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, "calls", TOPICS[Topic.CALLS].config)])
        await admin.close()
    assert (await apply(kafka)).differences == ()


def test_no_cluster_id_reads_like_an_option() -> None:
    """Once in 64 starts, the tool that formats a broker's data took the id for an option and refused."""
    assert not [spelled for spelled in (new_cluster_id() for _ in range(5_000)) if spelled.startswith("-")]


@pytest.mark.parametrize("after_s", [0.0, 0.3, 1.5])
def test_a_cluster_that_is_closed_while_it_starts_leaves_no_broker(tmp_path: Path, after_s: float) -> None:
    """Ctrl-C while Kafka starts: the thread that starts it goes on for a moment, and must start nothing more."""
    lifeline = Lifeline()
    cluster = Cluster(tmp_path / "kafka", lifeline=lifeline, scratch=True)
    refused: list[CannotStart] = []

    def start() -> None:
        try:
            cluster.start()
        except CannotStart as error:
            refused.append(error)

    starting = threading.Thread(target=start)
    starting.start()
    time.sleep(after_s)
    cluster.close()
    starting.join(LIMIT_S)
    assert not starting.is_alive()
    assert len(refused) == 1
    lifeline.close()
    assert not (tmp_path / "kafka").exists()


def copied_jars(folder: Path) -> Path:
    """The resolved jars, to be tampered with."""
    class_path(print)
    for each in FOLDERS:
        (folder / each).mkdir(parents=True)
        for jar in (BUILD / each).iterdir():
            (folder / each / jar.name).write_bytes(jar.read_bytes())
    (folder / RESOLVED).write_bytes((BUILD / RESOLVED).read_bytes())
    return folder


def test_no_jar_runs_that_the_lock_does_not_name(tmp_path: Path) -> None:
    """`jgo sync` verifies nothing: one flipped byte, one jar more, one jar less are each one line and a refusal."""
    build = copied_jars(tmp_path / "jars")
    refuse_unlocked(build)
    clients = next((build / ".jgo/modules").glob("kafka-clients-*.jar"))
    whole = bytearray(clients.read_bytes())
    whole[len(whole) // 2] ^= 1
    clients.write_bytes(whole)
    command = [sys.executable, "-m", "deploy.kafka", "start", "--data", str(tmp_path / "data"), "--jars", str(build)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 69
    assert done.stdout == ""
    assert done.stderr.startswith(f"kafka: Kafka's jars are not those of jgo.lock.toml: {clients.name} is different;")
    assert done.stderr.count("\n") == 1
    clients.unlink()
    with pytest.raises(CannotStart, match=f"{clients.name} is missing"):
        refuse_unlocked(build)
    (build / ".jgo/jars/stranger-1.0.jar").write_bytes(b"")
    with pytest.raises(CannotStart, match=r"kafka-clients-.* is missing, stranger-1.0.jar is extra"):
        refuse_unlocked(build)


def test_a_resolve_that_was_killed_begins_again(tmp_path: Path) -> None:
    """Half a folder of jars must not need a person to remove it."""
    build = copied_jars(tmp_path / "jars")
    shutil.copytree(BUILD / ".m2", build / ".m2")  # what was downloaded is not downloaded again
    (build / RESOLVED).unlink()
    next((build / ".jgo/modules").glob("kafka-clients-*.jar")).unlink()
    said: list[str] = []
    class_path(said.append, build)
    refuse_unlocked(build)
    assert said[0].startswith("kafka: resolving ")
    said.clear()
    class_path(said.append, build)
    assert said == []


def deploy_kafka(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m deploy.kafka ...`"""
    return subprocess.run(
        [sys.executable, "-m", "deploy.kafka", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_brokers_started_by_hand_outlive_their_starter_until_they_are_stopped(tmp_path: Path) -> None:
    """`start`, `status` and `stop` each say what they did in one line, and refuse in one line."""
    data = ("--data", str(tmp_path))
    assert deploy_kafka("status", *data).returncode == 1
    started = deploy_kafka("start", "--port", "0", *data)
    try:
        assert started.returncode == 0, started.stderr
        assert started.stdout.startswith("127.0.0.1:")
        status = deploy_kafka("status", *data)
        assert status.returncode == 0
        assert started.stdout.strip() in status.stdout
        again = deploy_kafka("start", "--port", "0", *data)
        assert again.returncode == 69
        assert "run already" in again.stderr
        other = tmp_path / "other"
        taken = deploy_kafka("start", "--port", started.stdout.strip().rpartition(":")[2], "--data", str(other))
        assert taken.returncode == 69
        assert taken.stderr.count("\n") == 1
        assert "choose another first port" in taken.stderr
    finally:
        stopped = deploy_kafka("stop", *data)
    assert stopped.returncode == 0
    assert deploy_kafka("status", *data).returncode == 1
    three = deploy_kafka("start", "--brokers", "3", "--port", "0", *data)
    assert three.returncode == 69
    assert "holds a cluster of 1 brokers, 3 were asked for" in three.stderr


RUN_A_CLUSTER = """
import sys, time
from deploy.kafka import scratch_cluster
with scratch_cluster(topics=False) as cluster:
    print(cluster.nodes[0].folder.parent, flush=True)
    time.sleep(600)
"""


@taken_again
@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_java_and_its_folder_are_gone_two_seconds_after_a_kill_of_their_parent() -> None:
    """The lifeline's tests use small programs; this is the real one."""
    mark = f"THROUGHLINE_TEST_MARK={uuid.uuid4().hex}"
    name, _, value = mark.partition("=")
    parent = subprocess.Popen(
        [sys.executable, "-c", RUN_A_CLUSTER], cwd=REPOSITORY, env={**os.environ, name: value}, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    folder = Path(parent.stdout.readline().decode().strip())
    assert folder.is_dir()
    assert len(carrying(mark)) == 4  # the parent, the wrapper, Java, the folder's keeper
    parent.kill()
    gone_by = time.monotonic() + 2.0
    while carrying(mark) or folder.exists():
        within(time.monotonic(), gone_by, f"left: {carrying(mark)}, folder there: {folder.exists()}; the clock's s")
        time.sleep(0.02)
    parent.wait()
    parent.stdout.close()


def carrying(mark: str) -> set[int]:
    """The processes that carry a mark in their environment."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.add(int(entry.name))
        except OSError:
            continue
    return found
