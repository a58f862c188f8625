"""An ingress's spool is full, failover keeps nothing, and Kafka is gone: calls go on, and say how safe they are."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from loadtest.diary import wall_ms
from services.journal.kafka import KafkaLog
from services.readers.balance import balance
from tests.system.faults.rig import AFTER_S, CALM_S, NOISE, Rig
from tests.system.takes import taken_again, within

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(180)]

VICTIM = "ingress-1"
KEEPERS = ("failover-1", "failover-2")
ENDS_WITHIN_S = 10.0
FROM_EARLIER = "before.aside"
"""What an earlier process could not read and kept aside: it counts."""
ROOM = 1024 * 1024
"""As little as a spool may be given, and a file from earlier takes nearly all of it."""
LEFT = 2 * 1024
"""For the facts of a call or so."""
GONE_S = 6.0
"""Longer than Kafka's client tries for: whatever lands afterwards was filled in, with how safe it was."""
LOOKED_AT_S = 4.0
TOLD_WITHIN_MS = 500
ADDED_P99_MS = 150
ON_THE_WAY = "throughline_ingress_journal_events_total"


@asynccontextmanager
async def without_room(rig: Rig) -> AsyncIterator[None]:
    """One ingress has hardly any room in its spool, and no failover replica any for copies."""
    spool = rig.folder / "spool"
    await begin_anew(rig, {spool / VICTIM: ROOM - LEFT} | {spool / name / "kept": ROOM for name in KEEPERS})
    try:
        yield
    finally:
        for taken in spool.rglob(FROM_EARLIER):
            taken.unlink()
        await begin_anew(rig, {})


async def begin_anew(rig: Rig, taken: dict[Path, int]) -> None:
    """All three are started anew; with so many bytes taken, they may have ROOM, else what is usual."""
    children = [rig.installation.children[name] for name in (VICTIM, *KEEPERS)]
    await asyncio.gather(*(child.end(ENDS_WITHIN_S) for child in children))
    for folder, size in taken.items():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FROM_EARLIER).write_bytes(bytes(size))
    room = {f"THROUGHLINE_{child.service.upper()}_SPOOL_BYTES_MAX": str(ROOM) for child in children if taken}
    await asyncio.gather(*(rig.installation.restart(child.name, **room) for child in children))


async def ready(rig: Rig, name: str) -> tuple[int, str]:
    """What a replica says of itself."""
    address = rig.installation.children[name].metrics_address
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}/readyz") as page:
        return page.status, await page.text()


@taken_again
async def test_a_full_spool_stops_no_call_and_everybody_is_told(rig: Rig) -> None:
    """J3, J4, J6: the queue in memory carries it; callers, the books and the page say how safe it was; nothing is lost
    once Kafka is back."""
    async with without_room(rig):
        lost = await rig.counted("ingress", ON_THE_WAY, happening="overflowed")
        unspooled = await rig.counted("ingress", ON_THE_WAY, happening="not_spooled")
        began_ms = wall_ms()
        burst = await rig.burst("spool-full", for_s=CALM_S + GONE_S + AFTER_S)
        await burst.second(CALM_S)
        with burst.struck() as window:
            await asyncio.to_thread(rig.cluster.kill, 1)
            gone_ms = wall_ms()
            await burst.second(CALM_S + LOOKED_AT_S)
            said = await ready(rig, VICTIM)
            await burst.second(CALM_S + GONE_S)
            back_ms = wall_ms()
            await asyncio.to_thread(rig.cluster.start_again, 1)
        told = await burst.told()
        added = told.added(window)
        told.record("spool full while Kafka is gone", added=added, calm=told.calm, accepted=told.durabilities(window))
        told.check()
        await rig.nobody_misses_kafka()
        log = KafkaLog(rig.kafka, client_id="faults-books")
        try:
            books = (await balance(log, wall_ms(), began_ms)).books
        finally:
            await log.close()
        assert await rig.counted("ingress", ON_THE_WAY, happening="not_spooled") > unspooled
        assert await rig.counted("ingress", ON_THE_WAY, happening="overflowed") == lost, "memory had room for all"

    status, page = said
    assert status == 200, "calls are carried: nobody should be sent elsewhere"
    assert f"expected at most {ROOM} bytes" in page, page

    # Nobody was told that it is safe while it was in memory alone, or on one disk alone.
    victim = rig.installation.children[VICTIM].address
    meanwhile = [call for call in told.calls if gone_ms <= call.offered_ms < back_ms - TOLD_WITHIN_MS]
    heard = Counter(call.durability for call in meanwhile)
    assert heard["not_durable"] and heard["at_risk"] and not heard["durable"], heard
    there = Counter(call.durability for call in meanwhile if call.ingress_at(call.offered_ms) == victim)
    assert there.most_common(1)[0][0] == "not_durable", there

    # The books count what callers heard: all of the time without Kafka, and nothing that nobody was told.
    everybody = Counter(call.durability for call in told.calls)
    assert heard["not_durable"] <= books.real.not_durable <= everybody["not_durable"]
    assert heard["at_risk"] <= books.real.at_risk <= everybody["at_risk"]
    within(added.p99_ms, NOISE * ADDED_P99_MS, "ms added at p99")
