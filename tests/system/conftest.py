"""Real Kafka for the tests of whole processes: one broker that they share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.kafka import scratch_cluster


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The bootstrap address of one real broker, with the topics. It ends with this process, whatever ends that."""
    with scratch_cluster() as cluster:
        yield cluster.bootstrap
