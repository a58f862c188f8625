"""The two logs that must keep one contract: in memory, and on a real Kafka that this folder's tests share."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from deploy.kafka import Cluster
from services.host.lifeline import Lifeline
from services.journal import Log
from services.journal.kafka import KafkaLog
from services.journal.kafka_topics import apply
from services.journal.memory import MemoryBroker, MemoryLog


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The bootstrap address of one real broker, with the topics. It ends with this process, whatever ends that."""
    lifeline = Lifeline()
    folder = Path(tempfile.mkdtemp(prefix="throughline-contract-")) / "kafka"
    cluster = Cluster(folder, lifeline=lifeline, scratch=True)
    try:
        bootstrap = cluster.start()
        asyncio.run(apply(bootstrap))
        yield bootstrap
    finally:
        cluster.close()
        lifeline.close()
        folder.parent.rmdir()


@pytest.fixture(params=["memory", "kafka"])
def log_of(request: pytest.FixtureRequest) -> Callable[[], Log]:
    """Makes logs of one installation, one for each client of it."""
    if request.param == "kafka":
        bootstrap = request.getfixturevalue("kafka")
        return lambda: KafkaLog(bootstrap, "contract")
    broker = MemoryBroker(lambda: int(time.time() * 1000))
    return lambda: MemoryLog(broker)


@pytest.fixture
async def log(log_of: Callable[[], Log]) -> AsyncIterator[Log]:
    """One started log."""
    one = log_of()
    await one.start()
    yield one
    await one.close()
