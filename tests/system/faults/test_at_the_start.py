"""The first test on the rig, before its Kafka runs: an installation needs none to come up and to carry calls."""

from __future__ import annotations

import pytest

from tests.system.faults.rig import FAULT_S, Rig
from tests.system.takes import within

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(180)]

KAFKA_GONE_MS = 150
"""Without a margin, since it is asked of the middle call alone: this test has one take."""


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
    within(to_ringing.median_ms, KAFKA_GONE_MS, "ms to ringing, the middle call")
