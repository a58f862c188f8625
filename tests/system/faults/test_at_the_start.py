"""The first test on the rig, before its Kafka runs: an installation needs none to come up and to carry calls."""

from __future__ import annotations

import pytest

from tests.system.faults.rig import FAULT_S, NOISE, Rig

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(180)]

KAFKA_GONE_P99_MS = 150


async def test_without_a_kafka_at_the_start_calls_are_carried_and_written_down_later(without_kafka: Rig) -> None:
    """J6, Topics: the installation came up without one; what happened meanwhile is in the journal when there is one."""
    rig = without_kafka
    assert not rig.kafka_runs, "this test comes first on its rig"
    burst = await rig.burst("kafka-not-there", for_s=FAULT_S)
    with burst.struck() as window:
        await burst.second(FAULT_S)
        await rig.kafka_serves()
    told = await burst.told()
    to_ringing = told.rings_again(window, lambda _: True)
    told.record("Kafka gone at start", to_ringing=to_ringing, accepted=told.durabilities(window))
    told.check()
    await rig.nobody_misses_kafka()
    assert to_ringing.p99_ms <= NOISE * KAFKA_GONE_P99_MS
