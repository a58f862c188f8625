"""Failover's own death, and a conductor's while Kafka is away: what is owed is found all the same."""

from __future__ import annotations

import asyncio

import pytest

from tests.system.faults.rig import AFTER_S, CALM_S, FAULT_S, Rig

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(180)]

VICTIM = "ingress-1"


async def test_with_one_failover_replica_left_debts_are_taken_over_and_lines_ring(rig: Rig) -> None:
    """T4: all replicas but one are dead when a conductor dies."""
    await rig.installation.kill("failover-1")
    taken = await rig.counted("failover", "throughline_failover_take_overs_total")
    burst = await rig.burst("failover-killed", for_s=CALM_S + FAULT_S, legs_max=1)
    await burst.second(CALM_S)
    with burst.struck():
        await rig.installation.kill(VICTIM)
        await burst.second(CALM_S + FAULT_S)
    told = await burst.told()
    told.check()
    assert told.facts("taken_over"), "nobody took over"
    assert await rig.counted("failover", "throughline_failover_take_overs_total") > taken


async def test_the_keeper_of_a_copy_acts_when_a_conductor_dies_without_kafka(rig: Rig) -> None:
    """T2, J4: nothing of these calls is in the journal; the copies at failover are, when Kafka is back."""
    burst = await rig.burst("kafka-gone-ingress-killed", for_s=CALM_S + FAULT_S + AFTER_S, legs_max=1)
    await burst.second(CALM_S)
    with burst.struck() as window:
        await asyncio.to_thread(rig.cluster.kill, 1)
        await burst.second(CALM_S + 1.5)
        address = rig.installation.children[VICTIM].address
        await rig.installation.kill(VICTIM)
        await burst.second(CALM_S + FAULT_S)
        await asyncio.to_thread(rig.cluster.start_again, 1)
    await rig.installation.restart(VICTIM)  # what is neither an opening nor a settlement stands on its own disk alone
    told = await burst.told()
    told.record("ingress killed while Kafka is gone, nobody offers again", accepted=told.durabilities(window))
    told.check()
    lost = [call for call in told.calls if call.ingress_at(window.from_ms + 1_500) == address and call.durability]
    offered = {fact["call_id"] for fact in told.facts("offered")}
    assert {call.call_id for call in lost} <= offered, "an accepted call left no trace"
