"""Mistakes over what must last: journal, spool, copies at other replicas (J4, J5, J6)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from services.domain.durability import Durability
from services.domain.take_overs.kept import Copy, KeptCopies
from services.failover.keeping import Keeper, _conductor
from services.ingress import copies
from services.journal import segments, spool
from services.journal.backlog import Append, Backlog
from services.journal.journal import Journal
from services.journal.safekeeping import Safekeeping
from services.journal.spool import Ticket
from services.wire import facts
from tests.simulation.bugs.mistake import mistake


@mistake(Safekeeping, "take", only=("kafka_gone", "kill@ingress"))
def durable_before_it_is(real: Any, safe: Safekeeping, append: Append) -> None:
    """`Accepted` says durable when the fact lies in memory (J4): the disk is only asked afterwards, a second later. A
    process that dies meanwhile has lost the call, and the caller's network was told that this cannot be."""
    append.answer(Durability.DURABLE)


@mistake(spool, "read", only=("kafka_gone", "kill@ingress"))
def spools_tail_is_lost(real: Any, data: bytes) -> segments.Reading:
    """The last quarter of each segment is taken for torn (J5): what a dead process said last is forgotten."""
    reading = real(data)
    return replace(reading, entries=reading.entries[: len(reading.entries) * 3 // 4])


@mistake(Backlog, "older_version", only=("kafka_gone", "kafka_absent@ingress"))
def queue_keeps_the_newest_alone(real: Any, backlog: Backlog, append: Append) -> Append | None:
    """The queue makes room by dropping older records of a key, on `calls` as on compacted topics (J6): a call that
    was carried while Kafka was away has its last fact in the journal, and no beginning."""
    return next(iter(backlog._keys.get((append.topic, append.key), ())), None)


@mistake(Journal, "_acked", only=("kafka_loses@ingress", "kafka_absent@ingress"))
def unknown_is_taken_for_landed(real: Any, journal: Journal, append: Append, acked: Any) -> None:
    """An append of which Kafka says nothing in time is taken to have landed (J5): where it was lost, it is lost."""
    if not acked.cancelled() and acked.exception() is not None and append.within_budget:
        acked = acked.get_loop().create_future()
        acked.set_result(None)
    real(journal, append, acked)


@mistake(KeptCopies, "seen", only=("kafka_gone", "kafka_loses@ingress", "disk_lost@ingress"))
def copy_is_dropped_too_early(real: Any, kept: KeptCopies[Any], fact: Any) -> list[Any]:
    """All copies of a call are dropped as soon as any fact of it is on the log (J4): its settlement, which was kept
    here alone, is gone with its conductor's disk."""
    dropped = real(kept, fact)
    return dropped + [kept._drop(each) for each in list(kept._by_call.get(fact.call_id, ()))]


@mistake(Backlog, "next_window", only=("kafka_gone",))
def back_fill_begins_with_the_newest(real: Any, backlog: Backlog, *asked: Any) -> list[Append]:
    """The back-fill begins with the newest record of a key (J6): for a moment the journal has the end of a call that
    never began, and whoever acts on what is owed acts on half a story."""
    window = real(backlog, *asked)
    return [next(reversed(backlog._keys[each.topic, each.key])) for each in window]


@mistake(Keeper, "_keep", only=("kafka_gone", "kill_all@failover", "disk_lost@ingress"))
async def keeper_keeps_in_memory(real: Any, keeper: Keeper, request: Any, fact: Any, raw: bytes) -> None:
    """A failover replica answers `Keep` before the copy is on its disk (J4), and writes it never: the network hears
    `durable` of a call that is gone with two processes."""
    if not keeper._view.needs_no_copy(fact):
        kept_ms = keeper._world.wall_ms()
        copy = Copy(fact, raw, _conductor(request, fact), kept_ms, Ticket(0, 0))
        keeper._view.keep(copy, kept_ms, asyncio.get_running_loop().time())


@mistake(facts, "restamp", only=("kafka_gone",))
def back_filled_as_if_just_said(real: Any, raw: bytes, age_ms: int, told: Any) -> bytes:
    """What is back-filled does not say how old it is (J5, J6): a replica takes facts of ten seconds ago for the word of
    a conductor that lives, acts on half a story, and counts what is owed from the wrong instant."""
    return real(raw, 0, told)


@mistake(spool.Spool, "done", only=("kafka_gone", "kafka_slow@ingress", "kill@ingress"), calls=60)
def a_segment_goes_one_record_early(real: Any, lies: spool.Spool, ticket: Ticket) -> None:
    """A segment is removed when all its facts but one are on the log (J5): where the process dies before that one is,
    it is gone."""
    real(lies, ticket)
    segment = lies._segments.get(ticket.segment)
    if segment is not None and len(segment.live) == 1:
        real(lies, Ticket(segment.number, *segment.live))


@mistake(copies, "nothing_is_owed_after", only=("kafka_gone", "kill@ingress"))
def a_settlement_is_kept_by_one_replica(real: Any, fact: Any) -> bool:
    """A settlement is kept by one replica, as what opens a debt is (J4, record 0031): without Kafka the others know the
    debt and not its end, and ring back whoever was served."""
    return False


@mistake(Journal, "append_now", only=("steps=caller accepted conductors resets",), calls=100)
def an_offer_is_appended_later(real: Any, journal: Journal, *record: Any, keep: bool = False) -> asyncio.Future[Any]:
    """What somebody waits for is appended by a task of its own, behind what is said meanwhile (J1, P7): the ring that a
    leg takes over is on the log before its offer, and where the process dies between the two nobody opened the leg."""

    async def later() -> Any:
        return await real(journal, *record, keep=keep)

    return asyncio.ensure_future(later())


@mistake(Journal, "_enqueue_with_others", only=("kafka_slow", "kill@ingress"), calls=100)
def a_later_fact_is_on_the_disk_first(real: Any, journal: Journal, append: Append, why: Any) -> None:
    """What is refused or late waits alone, and not with what is under way of its call (J5): a later fact is on the disk
    before an earlier one, and a process that is killed then leaves a hole in the call."""
    if append.within_budget:
        journal._no_longer_running(append)
    journal._enqueue(append, why)


@mistake(spool.Spool, "_failed", only=("disk_full",))
def a_spool_does_not_try_its_disk_again(real: Any, lies: spool.Spool, trouble: Exception) -> None:
    """A spool learns that its disk is well by the next fact alone (J6): once Kafka is back there is none, and an
    operator is told of a full disk for ever."""
    lies.trouble = str(trouble)
