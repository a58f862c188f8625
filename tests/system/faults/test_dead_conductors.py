"""An ingress is killed, or all of them: failover takes up what nobody carries on (T1 to T5)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chaos.felt import Window
from tests.system.faults.rig import AFTER_S, CALM_S, FAULT_S, NOISE, Burst, Rig, Told
from tests.system.takes import taken_again, within

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(180)]

LISTED_WITHIN_MS = 1_500
"""From the death of a conductor to the urgent entry of a call that nobody carries on."""


async def calling(rig: Rig, name: str, *, legs_max: int | None = None) -> Burst:
    """A burst that outlasts one fault, at the instant at which the fault may begin."""
    burst = await rig.burst(name, for_s=CALM_S + FAULT_S + AFTER_S, legs_max=legs_max)
    await burst.second(CALM_S)
    return burst


def facts(told: Told, kind: str) -> list[Any]:
    """Those of this burst, of one kind, by failover."""
    mine = (each for each in told.kept.entries if each["call_id"].startswith(f"{told.burst.run}-"))
    return [each for each in mine if each.get("kind") == kind and each.get("writer") == "failover"]


def conductors(told: Told) -> dict[tuple[str, int], str]:
    """Who conducted each leg of this burst's calls, by name."""
    offered = told.facts("offered")
    return {(each["call_id"], each["leg"]): each["writer"].partition("/")[0] for each in offered}


def took_only_from(told: Told, dead: str) -> None:
    """No debt of the one that lived was taken up, and it had some."""
    conducted = conductors(told)
    assert {dead} < set(conducted.values()), "both had calls"
    took = [(each["call_id"], each["leg"], each["reason"]) for each in facts(told, "taken_over")]
    print(f"{told.burst.run}: {len(took)} taken over: {took}")
    assert [each for each in took if conducted[each[0], each[1]] != dead] == []


def nothing_twice(told: Told) -> None:
    """One entry of failover's for a call and leg at most."""
    for kind in ("taken_over", "callback_due", "answered", "diverted"):
        keys = [(each["call_id"], each["leg"]) for each in facts(told, kind)]
        assert len(keys) == len(set(keys)), kind


def agreed(told: Told, window: Window) -> None:
    """Three witnesses and the books agree; some callers may have found no ingress at all, and given up."""
    excused = told.unheard(window)
    troubles = [words for words in told.troubles() if words.partition(": ")[0] not in excused]
    assert not troubles, "\n".join(troubles)


def listed_after_ms(told: Told, window: Window) -> list[int]:
    """From the death to each urgent entry."""
    return sorted(each["at_ms"] - window.from_ms for each in facts(told, "callback_due"))


@taken_again
async def test_when_every_ingress_is_killed_failover_takes_up_what_nobody_offers_again(rig: Rig) -> None:
    """Callers whose side does not come back: what was accepted is on the list within seconds, and called back before
    everybody else (T1, T3)."""
    burst = await calling(rig, "ingresses-killed", legs_max=1)
    with burst.struck() as window:
        await asyncio.gather(rig.installation.kill("ingress-1"), rig.installation.kill("ingress-2"))
        await asyncio.sleep(NOISE * LISTED_WITHIN_MS / 1000)
        open_now = await rig.counted("failover", "throughline_failover_debts_open")
        await rig.all_well()
    told = await burst.told()
    after_ms = listed_after_ms(told, window)
    print(f"ingresses killed: {len(after_ms)} urgent entries after {after_ms[:1]} to {after_ms[-1:]} ms")
    asked, talk = len(facts(told, "callback_attempted")), len(facts(told, "reconnected"))
    print(f"ingresses killed: lines were asked, or answered, {asked} times; {talk} callers were rung back so far")
    assert after_ms
    nothing_twice(told)
    agreed(told, window)
    within(open_now, 0, f"debts not taken up after {NOISE * LISTED_WITHIN_MS:g} ms")
    within(after_ms[-1], NOISE * LISTED_WITHIN_MS, "ms to the last urgent entry")


async def test_when_one_ingress_is_killed_its_callers_come_back_and_the_other_loses_nothing(rig: Rig) -> None:
    """Callers offer again within moments: no debt of the living is taken up (P2, T1, T3)."""
    burst = await calling(rig, "one-ingress-killed")
    with burst.struck() as window:
        await rig.installation.kill("ingress-1")
        await burst.second(CALM_S + FAULT_S)
    told = await burst.told()
    print(f"one ingress killed: {len(facts(told, 'callback_due'))} urgent entries")
    assert [leg for (_, leg), by in conductors(told).items() if leg > 1 and by == "ingress-2"], "they came back"
    took_only_from(told, "ingress-1")
    reasons = {each["reason"].partition(" by failover-")[0] for each in facts(told, "taken_over")}
    assert reasons <= {"stream_broken"}
    nothing_twice(told)
    agreed(told, window)


async def test_an_ingress_that_dies_while_kafka_is_gone_is_judged_and_the_living_one_is_not(rig: Rig) -> None:
    """Its callers come back at the other, whose facts are late and not taken for silence (T1)."""
    burst = await rig.burst("both-gone", for_s=CALM_S + 2 * FAULT_S + AFTER_S)
    await burst.second(CALM_S)
    with burst.struck() as window:
        await asyncio.to_thread(rig.cluster.kill, 1)
        await burst.second(CALM_S + FAULT_S)
        await rig.installation.kill("ingress-1")
        await burst.second(CALM_S + 2 * FAULT_S)
        await asyncio.to_thread(rig.cluster.start_again, 1)
        await rig.installation.restart("ingress-1")
    told = await burst.told()
    took_only_from(told, "ingress-1")
    nothing_twice(told)
    agreed(told, window)
