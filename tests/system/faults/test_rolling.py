"""Every service is restarted under load, a newer version speaks, and a thousand callers come at once."""

from __future__ import annotations

import asyncio

import pytest
from throughline.v1 import fact_pb2

from loadtest.tries import planned_as
from services.journal import Topic
from services.journal.kafka import KafkaLog
from tests.system.faults.rig import AFTER_S, CALM_S, FAULT_S, NOISE, Rig
from tests.system.takes import taken_again, within

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(240)]

ENDS_WITHIN_S = 10.0
ROLLS_FOR_S, RESTARTS_FOR_S = 20.0, 7.0
RESTARTED_ADDED_WORST_MS = 2_000
STORM_CALLS, STORM_IS_OVER_WITHIN_S = 1_000, 120.0
KIND_OF_A_NEWER_VERSION = 77


@taken_again
async def test_every_service_can_be_restarted_under_load(rig: Rig) -> None:
    """L4, P2: the first replica of each, then the second; no call is lost, and no conductor is taken for dead."""
    burst = await rig.burst("rolling", for_s=CALM_S + ROLLS_FOR_S + AFTER_S)
    await burst.second(CALM_S)
    with burst.struck() as window:
        for number in (1, 2):
            children = [child for child in rig.installation.children.values() if child.name.endswith(f"-{number}")]
            await asyncio.gather(*(child.end(ENDS_WITHIN_S) for child in children))
            assert [child.process.returncode for child in children] == [0] * len(children)
            await asyncio.gather(*(rig.installation.restart(child.name) for child in children))
            await rig.all_attached()
    told = await burst.told()
    added = told.added(window)
    told.record("every service restarted", added=added, calm=told.calm)
    told.check()
    assert told.facts("taken_over") == []
    within(added.worst_ms, NOISE * RESTARTED_ADDED_WORST_MS, "ms added at worst")


async def test_a_gateway_restarted_while_its_psaps_ring_and_talk_costs_nobody_their_call_taker(rig: Rig) -> None:
    """R5: what rang there is taken up through the other, what talks goes on: one call-taker each."""
    burst = await rig.burst("gateway-restarted", for_s=CALM_S + RESTARTS_FOR_S + AFTER_S)
    await burst.second(CALM_S)
    with burst.struck() as window:
        for name in ("psap-gateway-1", "psap-gateway-2"):
            await rig.installation.kill(name)
            await rig.installation.restart(name)
            await rig.all_attached()
    told = await burst.told()
    told.record("gateways restarted", added=told.added(window), calm=told.calm)
    told.check()
    anew = [call.call_id for call in told.calls if len({rang.psap_id for rang in call.rang if not rang.line}) > 1]
    assert anew == [], "rang at another PSAP, though its own was there all the time"


async def test_a_fact_of_a_newer_version_stops_no_reader(rig: Rig) -> None:
    """J1: a kind that nobody here knows comes for calls in hand; readers keep it and go on."""
    known = await rig.counted("ledger", "throughline_ledger_facts_of_unknown_kind_total")
    burst = await rig.burst("newer-fact", for_s=CALM_S + FAULT_S)
    log = KafkaLog(rig.kafka, client_id="newer")
    await log.start()
    await burst.second(CALM_S)
    with burst.struck():
        for call in burst.planned:
            if call.at_s < CALM_S:
                fact = fact_pb2.Fact(call_id=call.call_id, leg=1, writer="newer/1", at_ms=burst.windows[0].from_ms)
                fact.kind = KIND_OF_A_NEWER_VERSION  # type: ignore[assignment]
                await log.append(Topic.CALLS, call.call_id, fact.SerializeToString())
        await burst.second(CALM_S + FAULT_S)
    await log.close()
    told = await burst.told()
    told.check()
    assert await rig.counted("ledger", "throughline_ledger_facts_of_unknown_kind_total") > known
    assert told.facts("taken_over") == []


async def test_of_a_thousand_calls_in_one_second_each_that_is_accepted_is_accounted_for(rig: Rig) -> None:
    """L1, L2: several times what two cores carry with callers, PSAPs and Kafka on them too. Nobody who was accepted is
    lost, and no PSAP is given up because we are slow. How many were refused, and went unscreened, is on record."""
    ejected = await rig.counted("psap_gateway", "throughline_psap_gateway_streams_ended_total")
    burst = await rig.burst("storm", for_s=1.0, calls_a_s=STORM_CALLS)
    with burst.struck() as window:
        await burst.second(1.0)
    told = await burst.told(STORM_IS_OVER_WITHIN_S)
    # Whoever leaves before a busy ingress has read the offer was never ours: the callers' witness counts them.
    unread = {each.call_id for each in told.verdict.disagreements if each.words.endswith("was never accepted")}
    unscreened = {each["call_id"] for each in told.facts("screened") if each["reason"].startswith("unscreened")}
    connected = {call.call_id for call in told.calls if call.connected}
    # Nobody could say in time whether an earlier leg was connected (P5): whoever was rung next was told so.
    flagged = {each["call_id"] for each in told.facts("attempting", reason="maybe_connected")}
    counts = {
        "callers": len({planned_as(call.call_id) for call in told.calls}),
        "calls, redials among them": len(told.calls),
        "connected": len(connected),
        "never accepted": sum(not call.durability for call in told.calls),
        "connected unscreened": len(connected & unscreened),
        "maybe connected before": len(flagged),
    }
    told.record(
        "1,000 calls in a second", to_ringing=told.rings_again(window, lambda _: True), what_became_of_them=counts
    )
    told.check(unread | flagged | ({"the books"} if flagged else set()), overrun=True)
    assert counts["callers"] == STORM_CALLS
    assert await rig.counted("psap_gateway", "throughline_psap_gateway_streams_ended_total") == ejected
