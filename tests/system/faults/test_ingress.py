"""The conductor itself is killed, hung or cut off from Kafka, with calls in every state: nobody is connected twice."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from chaos.felt import CallFelt, Delay, Window
from tests.system.faults.rig import AFTER_S, CALM_S, FAULT_S, NOISE, Rig, Told
from tests.system.takes import LASTS, taken_again, within

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(180)]

VICTIM = "ingress-1"
RINGS_AGAIN_WORST_MS = 2_000
LISTED_WORST_MS = 5_000
CUT_OFF_ADDED_P99_MS = 150
BUSY = 12
"""Calls a second, so that some are in hand in every state when it is struck."""
HUNG_S = 10.0 * max(1.0, min(LASTS, 3.0))
CUT_OFF_S = 6.0 * LASTS
TAKE_OVERS = ("taken_over", "callback_due", "answered", "diverted")


def in_hand_there(told: Told, window: Window, address: str) -> list[CallFelt]:
    """The calls that this ingress conducted when it was struck."""
    at_ms = window.from_ms
    return [call for call in told.calls if call.in_hand_at(at_ms) and call.ingress_at(at_ms) == address]


@taken_again
async def test_callers_of_a_killed_ingress_ring_again_through_another(rig: Rig) -> None:
    """P2, P5, Bounds: killed with calls waiting and ringing; their network offers the next leg elsewhere."""
    address = rig.installation.children[VICTIM].address
    burst = await rig.burst("ingress-killed", for_s=CALM_S + FAULT_S + AFTER_S, calls_a_s=BUSY)
    await burst.second(CALM_S)
    with burst.struck() as window:
        await rig.installation.kill(VICTIM)
        await burst.second(CALM_S + FAULT_S)
    told = await burst.told()
    hit = in_hand_there(told, window, address)
    again, added = told.rings_again(window, hit.__contains__), told.added(window)
    told.record("ingress killed", rings_again=again, added=added, calm=told.calm)
    told.check()
    within(again.worst_ms, NOISE * RINGS_AGAIN_WORST_MS, "ms to ringing again at worst")
    within(added.worst_ms, NOISE * RINGS_AGAIN_WORST_MS, "ms added at worst")


@pytest.mark.parametrize("moment", ["accepted", "confirmed", "connected"])
async def test_an_ingress_killed_at_the_worst_moment_connects_nobody_twice(rig: Rig, moment: str) -> None:
    """P4, P5: in the instant in which a caller's side hears `Accepted`, confirms an answer, or is connected."""
    victim = rig.installation.children[VICTIM]
    at_work: dict[str, str] = {}

    def kill_at_once(entry: Mapping[str, Any]) -> None:
        if entry.get("event") == "offered":
            at_work[entry["call_id"]] = entry["ingress"]
        seen = entry.get("event") == moment and at_work.get(entry.get("call_id", "")) == victim.address
        if seen and not victim.killed:
            victim.killed = True
            victim.process.kill()

    burst = await rig.burst(f"ingress-killed-{moment}", for_s=CALM_S + AFTER_S + 1, on_entry=kill_at_once)
    with burst.struck():
        await burst.second(CALM_S + AFTER_S)
    assert victim.killed, f"no call of {VICTIM} was {moment}"
    (await burst.told()).check()


async def test_an_ingress_killed_between_connect_and_its_acknowledgement_connects_nobody_twice(rig: Rig) -> None:
    """P5: the PSAP has the call, its word is on the way: the next leg names the attempt and is connected to it."""
    burst = await rig.burst("ingress-killed-connecting", for_s=CALM_S + 1 + AFTER_S)
    for psap_id in rig.region.psap_names:
        rig.strike(psap_id, "late")
    await burst.second(CALM_S + 1)
    with burst.struck() as window:
        await rig.installation.kill(VICTIM)
        await burst.second(CALM_S + 1 + AFTER_S)
    for psap_id in rig.region.psap_names:
        rig.strike(psap_id, "heal")
    told = await burst.told()
    told.check()
    between = [call for call in told.calls if call.in_hand_at(window.from_ms) and call.confirmed]
    assert between, "no call stood between connect and acknowledgement"


@taken_again
async def test_whom_nobody_offers_again_is_on_the_callback_list_within_seconds(rig: Rig) -> None:
    """T1, T3: the network of these callers does not do its part; failover finds the debts and lists them as urgent."""
    address = rig.installation.children[VICTIM].address
    burst = await rig.burst("ingress-killed-no-reoffer", for_s=CALM_S + 1, calls_a_s=BUSY, legs_max=1)
    await burst.second(CALM_S)
    with burst.struck() as window:
        await rig.installation.kill(VICTIM)
        await burst.second(CALM_S + 1)
    told = await burst.told()
    owed = {call.call_id for call in in_hand_there(told, window, address) if call.durability}
    taken = {fact["call_id"]: fact for fact in told.facts("taken_over")}
    listed = told.facts("callback_due", reason="conductor_lost")
    told.record("ingress killed, nobody offers again", to_the_list=listed_within(listed, window))
    told.check()
    assert owed and owed <= set(taken), f"not taken over: {sorted(owed - set(taken))}"
    within(listed_within(listed, window).worst_ms, NOISE * LISTED_WORST_MS, "ms to the last entry on the list")


def listed_within(listed: list[Mapping[str, Any]], window: Window) -> Delay:
    """From the fault to the entry on the list."""
    return Delay.of(fact["at_ms"] - window.from_ms for fact in listed)


@taken_again
async def test_an_ingress_that_hung_and_goes_on_connects_nobody(rig: Rig) -> None:
    """P2, P3: its callers were offered again elsewhere; when it wakes it may ring, and holds no stream to connect."""
    address = rig.installation.children[VICTIM].address
    burst = await rig.burst("ingress-hung", for_s=CALM_S + HUNG_S + AFTER_S)
    await burst.second(CALM_S)
    with burst.struck() as window:
        await rig.installation.pause(VICTIM)
        try:
            await burst.second(CALM_S + HUNG_S)
        finally:
            await rig.installation.go_on(VICTIM)
    told = await burst.told()
    hit = in_hand_there(told, window, address)
    again = told.rings_again(window, hit.__contains__)
    told.record("ingress hung", rings_again=again, added=told.added(window), calm=told.calm)
    told.check()
    late = [
        call.call_id
        for call in hit
        if call.connected and call.ended_ms and call.ended_ms >= window.to_ms and call.legs[-1].leg == 1
    ]
    assert late == [], "connected by a conductor whose stream its caller had left"
    within(again.worst_ms, NOISE * RINGS_AGAIN_WORST_MS, "ms to ringing again at worst")


@taken_again
async def test_an_ingress_cut_off_from_kafka_is_not_taken_for_dead(rig: Rig) -> None:
    """T1, J4: it lives and its callers hear it; its facts wait, and nobody else touches its calls."""
    burst = await rig.burst("ingress-cut-off", for_s=CALM_S + CUT_OFF_S + AFTER_S)
    await burst.second(CALM_S)
    with burst.struck() as window:
        rig.cable.cut()
        await burst.second(CALM_S + CUT_OFF_S)
        rig.cable.mend()
    told = await burst.told()
    added = told.added(window)
    told.record("ingress cut off from Kafka", added=added, calm=told.calm, accepted=told.durabilities(window))
    told.check()
    assert told.facts("taken_over") == []
    assert told.facts("callback_due", reason="conductor_lost") == []
    within(added.p99_ms, NOISE * CUT_OFF_ADDED_P99_MS, "ms added at p99")


async def test_what_a_killed_ingress_had_on_its_disk_is_written_down_when_it_is_back(rig: Rig) -> None:
    """J4, J5: killed while Kafka is away, with the end of its spool torn; what it had told its callers is there."""
    spool = rig.folder / "spool" / VICTIM
    burst = await rig.burst("spool-torn", for_s=CALM_S + FAULT_S + AFTER_S)
    await burst.second(CALM_S)
    with burst.struck():
        await asyncio.to_thread(rig.cluster.kill, 1)
        await burst.second(CALM_S + FAULT_S - 1)
        await rig.installation.kill(VICTIM)
        kept = sorted(path for path in spool.rglob("*") if path.is_file() and path.stat().st_size)
        assert kept, f"nothing is spooled in {spool}"
        with kept[-1].open("ab") as newest:
            newest.write(b"\x00\x01 a write that the crash tore")
        await rig.installation.restart(VICTIM)
        await burst.second(CALM_S + FAULT_S)
        await asyncio.to_thread(rig.cluster.start_again, 1)
    told = await burst.told()
    told.record("ingress killed while Kafka is gone", accepted=told.durabilities(burst.windows[0]))
    told.check()
