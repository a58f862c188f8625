"""Kafka is not there, goes, is slow or has no room: no caller waits for it, and the books have it all afterwards."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from tests.system.faults.rig import AFTER_S, CALM_S, FAULT_S, NOISE, Rig
from tests.system.takes import taken_again, within

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(180)]

KAFKA_GONE_ADDED_P99_MS = 150
GONE_S = 10.0
"""With the start of a broker after it, longer than a reader endures silence: it begins anew."""
BACK_WITHIN_S = 60.0
STANDS_FOR_S, RUNS_FOR_S = 1.0, 0.3


@taken_again
async def test_a_kafka_that_is_gone_for_ten_seconds_delays_nobody_and_loses_nothing(rig: Rig) -> None:
    """Bounds, J5, J6: `kill -9` in mid-burst; what the journal lacks meanwhile is filled in, nothing twice."""
    burst = await rig.burst("kafka-gone", for_s=CALM_S + GONE_S + AFTER_S)
    await burst.second(CALM_S)
    with burst.struck() as window:
        await asyncio.to_thread(rig.cluster.kill, 1)
        await burst.second(CALM_S + GONE_S)
        await asyncio.to_thread(rig.cluster.start_again, 1)
    told = await burst.told()
    added = told.added(window)
    told.record("Kafka killed for 10 s", added=added, calm=told.calm, accepted=told.durabilities(window))
    told.check()
    await rig.nobody_misses_kafka()
    within(added.p99_ms, NOISE * KAFKA_GONE_ADDED_P99_MS, "ms added at p99")


@taken_again
async def test_a_kafka_that_is_slow_delays_nobody_and_loses_nothing(rig: Rig) -> None:
    """Bounds, J5: it stands still for a second at a time; appends that were unknown land once in the books."""
    burst = await rig.burst("kafka-slow", for_s=CALM_S + FAULT_S + AFTER_S)
    await burst.second(CALM_S)
    with burst.struck() as window:
        halting = asyncio.ensure_future(halt_again_and_again(rig))
        await burst.second(CALM_S + FAULT_S)
        halting.cancel()
        with suppress(asyncio.CancelledError):
            await halting
    told = await burst.told()
    added = told.added(window)
    told.record("Kafka slow", added=added, calm=told.calm, accepted=told.durabilities(window))
    told.check()
    await rig.nobody_misses_kafka()
    within(added.p99_ms, NOISE * KAFKA_GONE_ADDED_P99_MS, "ms added at p99")


async def halt_again_and_again(rig: Rig) -> None:
    """SIGSTOP in bursts, until it is cancelled."""
    try:
        while True:
            rig.cluster.pause(1)
            await asyncio.sleep(STANDS_FOR_S)
            rig.cluster.go_on(1)
            await asyncio.sleep(RUNS_FOR_S)
    finally:
        rig.cluster.go_on(1)


@taken_again
async def test_a_broker_without_room_on_its_disk_delays_nobody_and_loses_nothing(rig: Rig) -> None:
    """Bounds, J6: none of the broker's files can grow, so it ends by itself; later there is room again."""
    burst = await rig.burst("kafka-disk-full", for_s=CALM_S + FAULT_S + AFTER_S)
    await burst.second(CALM_S)
    with burst.struck() as window:
        rig.cluster.fill_disk(1)
        exit_code = await asyncio.to_thread(rig.cluster.reap, 1, BACK_WITHIN_S)
        assert exit_code not in (None, 0), "a broker that can write nothing gives up"
        await burst.second(CALM_S + FAULT_S)
        await asyncio.to_thread(rig.cluster.start_again, 1)
    told = await burst.told()
    added = told.added(window)
    told.record("broker's disk full", added=added, calm=told.calm, accepted=told.durabilities(window))
    told.check()
    await rig.nobody_misses_kafka()
    within(added.p99_ms, NOISE * KAFKA_GONE_ADDED_P99_MS, "ms added at p99")
