"""Whom an ingress asks, and whom it rings, is killed, hung or slow: callers hardly notice, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress

import pytest

from chaos.felt import CallFelt, offered_between
from loadtest.workload import busiest_psaps
from services.ingress.settings import IngressSettings
from tests.system.faults.rig import AFTER_S, CALM_S, FAULT_S, NOISE, Burst, Rig
from tests.system.takes import taken_again, within

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(180)]

KILLED_ADDED_P99_MS, KILLED_ADDED_WORST_MS = 500, 1_000
PSAP_GONE_P99_MS, PSAP_GONE_WORST_MS = 1_000, 2_000
PSAP_GONE_NOISE = 2.0
"""Less than 2.5 s, at which a PSAP counts as silent: nobody whose call rings there waits for that (R2)."""
STRICKEN = 8
RUNS_FOR_S, STANDS_FOR_S = 0.02, 0.25
SETTINGS = IngressSettings()


async def calling(rig: Rig, name: str) -> Burst:
    """A burst that outlasts one fault, at the instant at which the fault may begin."""
    burst = await rig.burst(name, for_s=CALM_S + FAULT_S + AFTER_S)
    await burst.second(CALM_S)
    return burst


@taken_again
@pytest.mark.parametrize("service", ["firewall", "router"])
async def test_a_firewall_or_router_that_is_killed_costs_next_to_nothing(rig: Rig, service: str) -> None:
    """Bounds: one replica, then the other; calls go on unscreened, or by the own atlas, counted."""
    without = await instead_of(rig, service)
    burst = await calling(rig, f"{service}-killed")
    with burst.struck() as window:
        await rig.installation.kill(f"{service}-1")
        await burst.second(CALM_S + FAULT_S / 2)
        await rig.installation.kill(f"{service}-2")
        await burst.second(CALM_S + FAULT_S)
    told = await burst.told()
    added = told.added(window)
    told.record(f"{service} killed", added=added, calm=told.calm)
    told.check()
    assert await instead_of(rig, service) > without, "nobody counted what was done without it"
    within(added.p99_ms, NOISE * KILLED_ADDED_P99_MS, "ms added at p99")
    within(added.worst_ms, NOISE * KILLED_ADDED_WORST_MS, "ms added at worst")


@taken_again
@pytest.mark.parametrize("service", ["firewall", "router"])
async def test_a_firewall_or_router_that_hangs_costs_its_budget_at_most(rig: Rig, service: str) -> None:
    """Bounds: both replicas accept and never answer (SIGSTOP)."""
    without = await instead_of(rig, service)
    burst = await calling(rig, f"{service}-hung")
    names = [child.name for child in rig.installation.of(service)]
    with burst.struck() as window:
        for name in names:
            await rig.installation.pause(name)
        try:
            await burst.second(CALM_S + FAULT_S)
        finally:
            for name in names:
                await rig.installation.go_on(name)
    told = await burst.told()
    added = told.added(window)
    told.record(f"{service} hung", added=added, calm=told.calm)
    told.check()
    budget_ms = SETTINGS.screen_budget_ms if service == "firewall" else SETTINGS.route_budget_ms
    assert await instead_of(rig, service) > without
    within(added.median_ms, budget_ms, "ms added to the middle call: a breaker keeps most from paying at all")
    within(added.worst_ms, NOISE * budget_ms, "ms added at worst")


async def instead_of(rig: Rig, service: str) -> float:
    """How many calls went on without this service."""
    if service == "firewall":
        return await rig.counted("ingress", "throughline_ingress_calls_screened_total", verdict="unscreened")
    return await rig.counted("ingress", "throughline_ingress_calls_routed_total", by="own_atlas")


@taken_again
async def test_a_firewall_that_is_slow_costs_its_budget_at_most(rig: Rig) -> None:
    """Bounds: both replicas get the processor for 20 ms of each 270, as a container short of its quota would."""
    burst = await calling(rig, "firewall-slow")
    pids = [child.pid for child in rig.installation.of("firewall")]
    with burst.struck() as window:
        slowing = asyncio.ensure_future(slow(pids))
        await burst.second(CALM_S + FAULT_S)
        slowing.cancel()
        with suppress(asyncio.CancelledError):
            await slowing
    told = await burst.told()
    added = told.added(window)
    told.record("firewall slow", added=added, calm=told.calm)
    told.check()
    within(added.worst_ms, NOISE * SETTINGS.screen_budget_ms, "ms added at worst")


async def slow(pids: list[int]) -> None:
    """Lets these processes run for a moment now and then, until it is cancelled."""
    try:
        while True:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(STANDS_FOR_S)
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            await asyncio.sleep(RUNS_FOR_S)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@taken_again
async def test_a_gateway_that_is_killed_costs_little_and_nobody_twice(rig: Rig) -> None:
    """R4, R5: PSAPs hold streams to two; calls that rang through the dead one ring again, the next take the other."""
    burst = await calling(rig, "gateway-killed")
    with burst.struck() as window:
        await rig.installation.kill("psap-gateway-1")
        await burst.second(CALM_S + FAULT_S)
    told = await burst.told()
    added = told.added(window)
    told.record("gateway killed", added=added, calm=told.calm)
    told.check()
    within(added.p99_ms, NOISE * KILLED_ADDED_P99_MS, "ms added at p99")
    within(added.worst_ms, NOISE * KILLED_ADDED_WORST_MS, "ms added at worst")


@taken_again
async def test_with_both_gateways_gone_calls_reach_administrative_lines(rig: Rig) -> None:
    """R4, R7: no PSAP can be rung, so its lines are; and its PSAP again when a gateway is back."""
    burst = await calling(rig, "gateways-gone")
    with burst.struck() as window:
        for child in rig.installation.of("psap_gateway"):
            await rig.installation.kill(child.name)
        await burst.second(CALM_S + FAULT_S)
    told = await burst.told()
    added = told.added(window)
    unheard = told.unheard(window)
    told.record("both gateways killed", added=added, calm=told.calm, call_takers_with_nobody={"calls": len(unheard)})
    told.check(excused=unheard)
    hit = told.hit(window)
    by_line = [call for call in hit if call.rang and call.rang[0].line]
    assert len(by_line) > len(hit) / 2, "most of those who were offered meanwhile were rung at a line"
    within(added.p99_ms, NOISE * PSAP_GONE_P99_MS, "ms added at p99")
    within(added.worst_ms, NOISE * PSAP_GONE_WORST_MS, "ms added at worst")


@taken_again
@pytest.mark.parametrize("fault", ["cut", "silent"])
async def test_calls_of_a_psap_that_is_gone_ring_elsewhere(rig: Rig, fault: str) -> None:
    """The ladder: the busiest eight are cut, or black-holed, with calls ringing there and more to come."""
    burst = await calling(rig, f"psap-{fault}")
    stricken = busiest_psaps(burst.planned, rig.region, CALM_S, CALM_S + FAULT_S, STRICKEN)
    with burst.struck() as window:
        for psap_id in stricken:
            rig.strike(psap_id, fault)
        await burst.second(CALM_S + FAULT_S)
    for psap_id in stricken:
        rig.strike(psap_id, "heal")
    told = await burst.told()

    def rang_there(call: CallFelt) -> bool:
        return call.in_hand_at(window.from_ms) and call.ringing_at(window.from_ms) in stricken

    def called_it(call: CallFelt) -> bool:
        at_home = rig.region.psap_of_town.get(call.town) in stricken
        return at_home and offered_between(window.from_ms, window.to_ms)(call)

    to_come, in_hand = told.rings_again(window, called_it), told.rings_again(window, rang_there)
    told.record(f"PSAP {fault}", to_come=to_come, in_hand=in_hand, calm=told.calm)
    told.check()
    for felt in (to_come, in_hand):
        within(felt.median_ms, PSAP_GONE_P99_MS, "ms to ringing elsewhere, the middle call")
        within(felt.p99_ms, PSAP_GONE_NOISE * PSAP_GONE_P99_MS, "ms to ringing elsewhere at p99")
        within(felt.worst_ms, PSAP_GONE_NOISE * PSAP_GONE_WORST_MS, "ms to ringing elsewhere at worst")
