"""Journal, spool, real disk and real Kafka together: what callers hear, and what is on the topic in the end."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.kafka import Cluster, scratch_cluster
from deploy.kafka.node import free_ports
from services.domain.durability import Durability
from services.host.clock import wall_ms
from services.host.disk import SyncedDisk
from services.journal import Topic
from services.journal.journal import Happening, Journal, JournalEvent
from services.journal.kafka import KafkaLog
from services.journal.safekeeping import WITHIN_S
from services.journal.spool import Spool
from tests.system.takes import taken_again, within

REPOSITORY = Path(__file__).resolve().parents[2]
LIMIT_S = 60
BUDGET_S = 0.050
CALLS = 600


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A broker of the test's own, to be hurt."""
    with scratch_cluster() as cluster:
        yield cluster


async def kept(key: str, value: bytes) -> bool:
    """A failover replica that keeps everything."""
    return True


class Replica:
    """One process's journal on a real disk."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self.told: Counter[Happening] = Counter()
        self.folder = folder
        self.journal = Journal(
            KafkaLog(bootstrap, "spool", deadline_s=5),
            budget_s=BUDGET_S,
            on_event=self._on_event,
            spool=Spool(SyncedDisk(), folder, random.Random(), bytes_max=64 << 20),
            keep=kept,
            wall_ms=wall_ms,
        )

    def _on_event(self, event: JournalEvent) -> None:
        self.told[event.happening] += 1


async def on_topic(bootstrap: str) -> dict[str, list[int]]:
    """What is on `calls` by key, in the order of reading."""
    log = KafkaLog(bootstrap, "reader")
    await log.start()
    follower = log.follow(Topic.CALLS)
    await follower.start()
    found: dict[str, list[int]] = defaultdict(list)

    async def read() -> None:
        async for batch in follower:
            for record in batch:
                found[record.key].append(int(record.value))

    reading = asyncio.create_task(read())
    await asyncio.wait_for(follower.caught_up.wait(), LIMIT_S)
    await follower.stop()
    await reading
    await log.close()
    return found


@taken_again
async def test_a_broker_killed_in_a_burst_costs_a_moment_and_no_fact(own_cluster: Cluster, tmp_path: Path) -> None:
    """J4, J5: everything lands in the order of its key, and the spool is empty in the end."""
    replica = Replica(own_cluster.bootstrap, tmp_path / "spool")
    await replica.journal.start()
    waited_s: list[float] = []
    words: Counter[Durability] = Counter()

    async def say(n: int) -> None:
        begun = time.monotonic()
        words[await replica.journal.append(Topic.CALLS, f"{n % 50}", b"%d" % n, keep=True)] += 1
        waited_s.append(time.monotonic() - begun)

    saying = []
    again: asyncio.Task[None] | None = None
    for n in range(CALLS):
        saying.append(asyncio.create_task(say(n)))
        await asyncio.sleep(0.01)
        if n == 100:
            await asyncio.to_thread(own_cluster.kill, 1)
        if n == 300:
            again = asyncio.create_task(asyncio.to_thread(own_cluster.start_again, 1))
    await asyncio.gather(*saying)
    assert again is not None
    await again
    assert words[Durability.NOT_DURABLE] == 0
    assert await replica.journal.close(LIMIT_S) == 0
    found = await on_topic(own_cluster.bootstrap)
    for key in map(str, range(50)):
        assert list(dict.fromkeys(found[key])) == [n for n in range(CALLS) if n % 50 == int(key)]
    assert replica.told[Happening.SPOOLED] > 100
    assert [path.name for path in replica.folder.iterdir()] == ["lock"]
    within(max(waited_s), BUDGET_S + WITHIN_S + 0.1, "s that the slowest waited for a word")


async def test_what_a_process_left_without_kafka_lands_through_the_next_one(
    own_cluster: Cluster, tmp_path: Path
) -> None:
    """J5: Kafka gone at the start, facts spooled, the process gone; the next one back-fills them."""
    port, _ = free_ports(2)
    first = Replica(f"127.0.0.1:{port}", tmp_path / "spool")
    await first.journal.start()
    for n in range(200):
        first.journal.append_soon(Topic.CALLS, f"{n % 50}", b"%d" % n)
    assert await first.journal.append(Topic.CALLS, "0", b"200", keep=True) is Durability.DURABLE, "on two disks"
    assert await first.journal.close(0.5) == 0
    assert first.told[Happening.LEFT] == 201
    second = Replica(own_cluster.bootstrap, tmp_path / "spool")
    await second.journal.start()
    assert second.told[Happening.RECOVERED] == 201
    assert await second.journal.close(LIMIT_S) == 0
    found = await on_topic(own_cluster.bootstrap)
    assert {key: values for key, values in found.items() if key == "0"} == {"0": [0, 50, 100, 150, 200]}
    assert sum(map(len, found.values())) == 201


def test_two_ingresses_of_one_name_do_not_share_a_spool(tmp_path: Path) -> None:
    """The second ends with 66 and one line that says what to do."""
    port, _ = free_ports(2)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("THROUGHLINE_")}
    environment |= {"THROUGHLINE_KAFKA": f"127.0.0.1:{port}", "THROUGHLINE_INGRESS_SPOOL_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "services.cli", "run", "ingress"]
    first = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE)
    try:
        assert first.stdout is not None
        for line in first.stdout:
            if b"service.listening" in line:
                break
        second = subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    finally:
        first.kill()
        first.communicate()
    assert second.returncode == 66
    assert second.stderr.startswith(f"throughline ingress: {tmp_path / 'ingress'} is held by another process; ")
    assert second.stderr.count("\n") == 1
