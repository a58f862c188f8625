"""A thousand calls are owed a word at once: failover takes them up at a bounded pace, and the living hardly notice."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator

import pytest
from throughline.v1 import call_pb2, fact_pb2

from chaos.stage import quiet_ports
from loadtest.diary import wall_ms
from services.domain.offer import SOS_URN
from services.domain.take_overs.taking_over import SUSPECT_RATE, SUSPECT_SHARE, Cause
from services.failover.asking import WHO_HAS_WITHIN_S
from services.failover.taking_over import AT_ONCE_MAX, LOOK_EVERY_S
from services.journal import Topic
from services.journal.kafka import KafkaLog
from tests.system.faults.rig import AFTER_S, CALM_S, NOISE, Rig
from tests.system.takes import taken_again, within

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(180)]

DEBTS = 1_000
DUE_IN_MS = 200
TAKEN_UP_WITHIN_S = 6.0
ADDED_P99_MS = 500
DEBTS_OPEN = "throughline_failover_debts_open"


def debts(of: str, address: str) -> Iterator[fact_pb2.Fact]:
    """The first word of so many calls of one conductor, who will say no second. Nobody places them: their ids are not
    the burst's, whose callers and PSAPs are asked for every one; and their numbers are withheld, so that no line is
    asked to ring them back."""
    for number in range(DEBTS):
        call_id = f"{of}{number:04d}"
        yield fact_pb2.Fact(
            call_id=call_id,
            leg=1,
            writer="gone/1",
            kind=fact_pb2.FACT_KIND_OFFERED,
            at_ms=wall_ms(),
            due_in_ms=DUE_IN_MS,
            conductor=fact_pb2.Conductor(address=address, incarnation="1"),
            offer=call_pb2.Offer(call_id=call_id, leg=1, service_urn=SOS_URN, source="faults"),
        )


@taken_again
async def test_a_thousand_debts_at_once_are_taken_up_and_the_living_hardly_notice(rig: Rig) -> None:
    """T5: slowly while only lateness speaks for it, by so many at a time once its stream is known to be broken; no
    call of a conductor that lives is touched (T1)."""
    burst = await rig.burst("debts", for_s=CALM_S + TAKEN_UP_WITHIN_S + AFTER_S)
    nobodys = f"owed-{burst.run}-"
    log = KafkaLog(rig.kafka, client_id="gone")
    await log.start()
    await burst.second(CALM_S)
    with burst.struck() as window:
        owed = debts(nobodys, f"127.0.0.1:{quiet_ports(1)}")
        await asyncio.gather(*(log.append(Topic.CALLS, each.call_id, each.SerializeToString()) for each in owed))
        await burst.second(CALM_S + TAKEN_UP_WITHIN_S)
        doubts = await rig.counted("failover", "throughline_failover_suspects_itself")
        until_s = time.monotonic() + NOISE * TAKEN_UP_WITHIN_S
        while (still_open := await rig.counted("failover", DEBTS_OPEN)) > DEBTS / 10 and time.monotonic() < until_s:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    await log.close()
    told = await burst.told()
    added = told.added(window)
    ours = [entry for entry in told.kept.entries if entry["call_id"].startswith(nobodys)]
    taken = [entry for entry in ours if entry.get("kind") == "taken_over"]
    causes: defaultdict[str, list[int]] = defaultdict(list)
    for entry in taken:
        causes[entry["reason"]].append(entry["at_ms"])
    spans = {reason: (min(at_ms) - window.from_ms, max(at_ms) - window.from_ms) for reason, at_ms in causes.items()}
    told_of = {reason: (len(at_ms), *spans[reason]) for reason, at_ms in causes.items()}
    print(f"debts taken up (how many, from and to ms after the fault): {told_of}")
    told.record(
        "1,000 debts at once", added=added, calm=told.calm, taken_up={why: len(each) for why, each in causes.items()}
    )
    told.check()
    assert told.facts("taken_over") == [], "a call whose conductor lives was taken over"
    within(still_open, DEBTS / 10, f"debts still open {NOISE * TAKEN_UP_WITHIN_S:g} s later")
    assert len(taken) == DEBTS
    outcomes = {entry["call_id"]: entry["outcome"] for entry in ours if entry["event"] == "outcome"}
    assert list(outcomes.values()) == ["callback_open"] * DEBTS
    assert doubts == len(rig.installation.of("failover")), "each had to ask itself whether it is the one cut off"
    for reason, at_ms in causes.items():
        span_s = (max(at_ms) - min(at_ms)) / 1000
        if reason.startswith(Cause.LATE):
            # Until one in so many is late it has no doubt; then so many a second.
            assert len(at_ms) <= DEBTS / SUSPECT_SHARE + SUSPECT_RATE * (1 + span_s + WHO_HAS_WITHIN_S), reason
        else:
            assert len(at_ms) <= AT_ONCE_MAX * (2 + span_s / LOOK_EVERY_S), reason
    within(added.p99_ms, NOISE * ADDED_P99_MS, "ms added at p99 to the living")
    within(max(to_ms for _, to_ms in spans.values()), NOISE * TAKEN_UP_WITHIN_S * 1000, "ms to the last debt")
