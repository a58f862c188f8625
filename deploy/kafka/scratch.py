"""A Kafka for the length of a `with` block, in a temporary folder, with our topics: for tests and measurements."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from deploy.kafka.cluster import Cluster
from deploy.kafka.jars import Say
from services.host.lifeline import Lifeline
from services.journal.kafka_topics import apply


@contextmanager
def scratch_cluster(brokers: int = 1, *, topics: bool = True, say: Say = print) -> Iterator[Cluster]:
    """Brokers that end with the block or with this process, whatever ends that. Blocks while they start."""
    lifeline = Lifeline()
    folder = Path(tempfile.mkdtemp(prefix="throughline-kafka-"))
    cluster = Cluster(folder, brokers=brokers, lifeline=lifeline, scratch=True, say=say)
    try:
        bootstrap = cluster.start()
        if topics:
            with ThreadPoolExecutor(1) as thread:  # the caller may be inside an event loop
                thread.submit(lambda: asyncio.run(apply(bootstrap))).result()
        yield cluster
    finally:
        cluster.close()
        lifeline.close()
