"""The two logs that must keep one contract: in memory, and on a real Kafka that this folder's tests share."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from deploy.kafka import scratch_cluster
from services.journal import Log
from services.journal.kafka import KafkaLog
from services.journal.memory import MemoryBroker, MemoryLog


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The bootstrap address of one real broker, with the topics. It ends with this process, whatever ends that."""
    with scratch_cluster() as cluster:
        yield cluster.bootstrap


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
