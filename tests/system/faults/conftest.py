"""One rig for every test of this folder. It comes up without a Kafka, which is itself one of the faults."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.system.faults.rig import Rig


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def without_kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """Two of each service and every PSAP; Kafka is started by whoever needs it first."""
    async with Rig(tmp_path_factory.mktemp("faults"), kafka_later=True, cut_off="ingress-1") as rig:
        yield rig


@pytest_asyncio.fixture(loop_scope="package")
async def rig(without_kafka: Rig) -> Rig:
    """The same with its Kafka, and with all that an earlier test may have left down."""
    await without_kafka.kafka_serves()
    await without_kafka.all_well()
    return without_kafka
