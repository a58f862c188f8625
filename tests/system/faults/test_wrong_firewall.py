"""A firewall that is wrong: it diverts every call, promptly and politely. An ingress soon stops following it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.host.settings import ROOT
from services.ingress.settings import IngressSettings
from services.places.directory import NUISANCE_DESK
from tests.system.faults.rig import Rig
from tests.system.faults.wrong_firewall import LISTENING

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(180)]

ENDS_WITHIN_S = 10.0
LISTENS_WITHIN_S = 20.0
WRONG_S = 4.0
BUSY = 15
"""Calls a second, so that each ingress is told to divert several times as many as it follows."""
SETTINGS = IngressSettings()
FOLLOWED_MAX = max(SETTINGS.diverts_min, int(SETTINGS.diverts_share_max * SETTINGS.diverts_calls))
"""By one ingress: the next divert is past its cap, whatever it was told before."""


@asynccontextmanager
async def wrong_firewalls(rig: Rig) -> AsyncIterator[None]:
    """One stands where all of them did, as long as the block runs; then they are started again."""
    firewalls = rig.installation.of("firewall")
    await asyncio.gather(*(child.end(ENDS_WITHIN_S) for child in firewalls))
    addresses = rig.installation.addresses("firewall")
    module = "tests.system.faults.wrong_firewall"
    wrong = rig.lifeline.spawn([sys.executable, "-m", module, *addresses], stdout=subprocess.PIPE, cwd=ROOT)
    assert wrong.stdout is not None
    try:
        async with asyncio.timeout(LISTENS_WITHIN_S):
            assert (await asyncio.to_thread(wrong.stdout.readline)).decode().strip() == LISTENING
        yield
    finally:
        wrong.kill()
        await asyncio.to_thread(wrong.wait)
        wrong.stdout.close()
        await asyncio.gather(*(rig.installation.restart(child.name) for child in firewalls))


async def test_a_firewall_that_diverts_everybody_is_not_followed_for_long(rig: Rig) -> None:
    """L7: past its cap an ingress follows no divert, and calls reach their own PSAP. Whom it did divert until then
    has reached people too."""
    ignored_before = await rig.counted("ingress", "throughline_ingress_diverts_ignored_total")
    async with wrong_firewalls(rig):
        burst = await rig.burst("firewall-wrong", for_s=WRONG_S, calls_a_s=BUSY)
        with burst.struck() as window:
            await burst.second(WRONG_S)
            given_up = await rig.counted("ingress", "throughline_ingress_ignores_diverts")
    told = await burst.told()
    followed = {fact["call_id"]: fact for fact in told.facts("diverting", reason="policy")}
    verdicts_ignored = told.facts("screened", reason="divert_ignored")
    ignored = {fact["call_id"]: fact for fact in verdicts_ignored}
    diverted = [call for call in told.calls if call.call_id in followed]
    counts = {"followed": len(followed), "ignored": len(ignored), **Counter(f"diverted_{c.end}" for c in diverted)}
    told.record("firewall diverts everybody", to_ringing=told.rings_again(window, lambda _: True), diverts=counts)
    told.check()

    by_ingress = Counter(fact["writer"].partition("/")[0] for fact in followed.values())
    ingresses = {child.name for child in rig.installation.of("ingress")}
    assert set(by_ingress) == ingresses and max(by_ingress.values()) <= FOLLOWED_MAX, by_ingress
    assert {fact["writer"].partition("/")[0] for fact in ignored.values()} == ingresses
    assert given_up == len(ingresses)
    counted = await rig.counted("ingress", "throughline_ingress_diverts_ignored_total")
    assert counted - ignored_before == len(verdicts_ignored)

    # Whoever came later went the way that they would have gone without a firewall.
    home = {call.call_id: rig.region.psap_of_town[call.town] for call in told.calls}
    led = {fact["call_id"]: fact["psap_id"] for fact in reversed(told.facts("routed"))}
    assert {call_id: led[call_id] for call_id in ignored} == {call_id: home[call_id] for call_id in ignored}
    there = {call.call_id: call.connected.psap_id for call in told.calls if call.connected}
    assert NUISANCE_DESK not in {there.get(call_id) for call_id in ignored}

    # Whoever was diverted was answered by a person, nearly all at the desk (one that nobody picked up there in time
    # rings elsewhere too), or hung up by themselves, and is on the list.
    answered = [call for call in diverted if call.end == "connected"]
    assert len(answered) + sum(call.end == "hung_up" for call in diverted) == len(diverted)
    assert sum(there[call.call_id] == NUISANCE_DESK for call in answered) > len(diverted) / 2
