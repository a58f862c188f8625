"""Three brokers, and one of them is killed, or gives up what it leads, under load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.system.faults.rig import AFTER_S, CALM_S, FAULT_S, NOISE, Rig
from tests.system.takes import taken_again, within

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

ADDED_P99_MS = 150
BROKER = 2


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def three(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """A rig with three copies of every record, two of them in sync before it is acknowledged."""
    async with Rig(tmp_path_factory.mktemp("three"), brokers=3) as rig:
        yield rig


@taken_again
@pytest.mark.parametrize("farewell", [False, True], ids=["killed", "leaders_moved"])
async def test_one_of_three_brokers_goes_and_nobody_waits_for_it(three: Rig, farewell: bool) -> None:
    """Bounds, J5: `kill -9` leaves its partitions without a leader for seconds; an orderly stop moves them first."""
    burst = await three.burst("leaders-moved" if farewell else "broker-killed", for_s=CALM_S + FAULT_S + AFTER_S)
    await burst.second(CALM_S)
    with burst.struck() as window:
        await asyncio.to_thread(three.cluster.stop if farewell else three.cluster.kill, BROKER)
        await burst.second(CALM_S + FAULT_S)
    await asyncio.to_thread(three.cluster.start_again, BROKER)
    told = await burst.told()
    added = told.added(window)
    name = "leaders moved to other brokers" if farewell else "one of three brokers killed"
    told.record(name, added=added, calm=told.calm, accepted=told.durabilities(window))
    told.check()
    within(added.p99_ms, NOISE * ADDED_P99_MS, "ms added at p99")
