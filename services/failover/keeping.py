"""The keeper: a second copy, on this replica's disk, of facts that Kafka has not acknowledged (protocol.md J4).

An ingress is told that a fact is kept once it would survive a loss of power here. What is kept is dropped when the fact
is seen on the log; where its conductor goes before that, the keeper gives it to the log itself, and then judges the
debt: it may be the only one who knows of the call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from throughline.v1 import delivery_pb2

from services.domain.durability import Durability
from services.domain.events import CLOSED, Conductor, Fact
from services.domain.take_overs.debts import WINDOW_MS
from services.domain.take_overs.kept import Copy
from services.domain.take_overs.watch import GONE, Life
from services.failover.metrics import FailoverMetrics
from services.failover.view import View
from services.host.network import Refuse, Status
from services.host.world import World
from services.journal import Topic
from services.journal.disk import DiskTrouble
from services.journal.journal import Journal
from services.journal.safekeeping import FLUSH_S, OPEN_WITHIN_S, REOPEN_PAUSE_S
from services.journal.spool import Spool, Spooled, Ticket
from services.wire import facts
from services.wire.holding import NAME_CHARS_MAX
from services.wire.methods import PARSE_BYTES_MAX, Unreadable, parse

FACTS_MAX: Final = 256
"""In one question."""
COPIES_MAX: Final = 100_000


class Keeper:
    """See the module. `spool` is the kept copies' own, apart from the journal's."""

    def __init__(self, world: World, view: View, spool: Spool, journal: Journal, metrics: FailoverMetrics) -> None:
        self._world = world
        self._view = view
        self._spool = spool
        self._journal = journal
        self._metrics = metrics
        self._opening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Takes up what a former process of this replica kept. A disk that does not work is tried again in the
        background, one that hangs is waited for there: lines are dialled and debts taken up all the same."""
        tried = asyncio.Event()
        self._opening = asyncio.get_running_loop().create_task(self._open(tried), name="open the kept copies")
        self._opening.add_done_callback(_raise_in_the_open)
        try:
            async with asyncio.timeout(OPEN_WITHIN_S):
                await tried.wait()
        except TimeoutError:
            self._world.logger.error("kept.unusable", why="the disk hangs")

    async def _open(self, tried: asyncio.Event) -> None:
        while True:
            try:
                left = await self._spool.open()
            except DiskTrouble as trouble:
                self._spool.trouble = str(trouble)
                self._world.logger.error("kept.unusable", why=str(trouble))
                tried.set()
                await asyncio.sleep(REOPEN_PAUSE_S)
            else:
                self._take_up(left)
                tried.set()
                return

    def _take_up(self, left: Sequence[Spooled]) -> None:
        """Among them may be what was dropped long ago: it lay where something else was still needed. What is older than
        the debts look back goes to the log alone, which knows whether it is settled."""
        now, wall_ms = asyncio.get_running_loop().time(), self._world.wall_ms()
        for each in left:
            try:
                request = parse(delivery_pb2.KeepRequest, each.value, 2 * PARSE_BYTES_MAX)
                fact, raw = facts.decode(request.facts[0]), request.facts[0]
            except (Unreadable, IndexError):
                self._world.logger.error("kept.unreadable", key=each.key)
                continue  # it stays on the disk: nobody gives it back
            if self._view.needs_no_copy(fact):
                self._spool.done(each.ticket)
                continue
            copy = Copy(fact, raw, _conductor(request, fact), each.begun_ms, each.ticket)
            is_old = wall_ms - copy.kept_ms > WINDOW_MS
            self._view.keep(copy, wall_ms, now, owes=not is_old)
            if is_old:
                copy.handed_over = True
                self._hand_over(copy)
        self._count()

    def trouble(self) -> str | None:
        """Why nothing is kept, where that is so."""
        return self._spool.trouble

    async def answer(self, request: delivery_pb2.KeepRequest) -> delivery_pb2.KeepResponse:
        """KEEP. Refuses with RESOURCE_EXHAUSTED what it cannot put on its disk (the ingress then says `at_risk`),
        with INVALID_ARGUMENT what is no conductor's own."""
        if len(request.facts) > FACTS_MAX:
            raise Refuse(Status.INVALID_ARGUMENT, f"expected at most {FACTS_MAX} facts, got {len(request.facts)}")
        try:
            read = [(facts.decode(raw), raw) for raw in request.facts]
        except Unreadable as unreadable:
            raise Refuse(Status.INVALID_ARGUMENT, unreadable.why) from None
        _check(request, [fact for fact, _ in read])
        new = [(fact, raw) for fact, raw in read if not self._view.needs_no_copy(fact)]
        if len(self._view.kept) + len(new) > COPIES_MAX:
            self._metrics.kept_refused.inc(len(new))
            raise Refuse(Status.RESOURCE_EXHAUSTED, f"{COPIES_MAX} facts are kept here already")
        results = await asyncio.gather(*(self._keep(request, fact, raw) for fact, raw in new))
        self._count()
        troubles = [trouble for trouble in results if trouble is not None]
        if troubles:
            self._metrics.kept_refused.inc(len(troubles))
            raise Refuse(Status.RESOURCE_EXHAUSTED, str(troubles[0]))
        return delivery_pb2.KeepResponse()

    async def _keep(self, request: delivery_pb2.KeepRequest, fact: Fact, raw: bytes) -> DiskTrouble | None:
        conductor = _conductor(request, fact)
        on_disk = delivery_pb2.KeepRequest(facts=[raw], conductor=request.conductor).SerializeToString()
        kept_ms = self._world.wall_ms()
        written = self._spool.put(Topic.CALLS, fact.call_id, on_disk, kept_ms)
        try:
            ticket = await written
        except DiskTrouble as trouble:
            return trouble
        except asyncio.CancelledError:
            if not written.cancelled() and written.exception() is None:
                self._spool.done(written.result())  # nobody waits for it, and nobody else knows where it lies
            raise
        if self._view.needs_no_copy(fact):
            self._spool.done(ticket)  # the same fact came twice at once, or is on the log by now
        else:
            copy = Copy(fact, raw, conductor, kept_ms, ticket)
            self._view.keep(copy, self._world.wall_ms(), asyncio.get_running_loop().time())
            self._metrics.kept.inc()
        return None

    def drop(self, tickets: list[Ticket]) -> None:
        """These need not be kept any more."""
        for ticket in tickets:
            self._spool.done(ticket)
        if tickets:
            self._count()

    def hand_over(self, now: float) -> None:
        """Gives to the log what conductors that are gone, or silent, leave here: the same facts, with their age."""
        for conductor in self._view.kept.conductors():
            life = self._view.watch.life(conductor, None, now)
            if life not in GONE and life is not Life.SILENT:
                continue
            for copy in self._view.kept.to_hand_over(conductor):
                self._hand_over(copy)

    def _hand_over(self, copy: Copy[Ticket]) -> None:
        age_ms = max(0, self._world.wall_ms() - copy.kept_ms)
        self._journal.append_soon(Topic.CALLS, copy.fact.call_id, facts.restamp(copy.raw, age_ms, Durability.AT_RISK))
        self._metrics.handed_over.inc()

    async def stop(self) -> None:
        """What is kept stays on the disk. One that hangs is not waited for."""
        if self._opening is not None:
            self._opening.cancel()
        try:
            async with asyncio.timeout(FLUSH_S):
                await self._spool.close()
        except TimeoutError:
            pass

    def _count(self) -> None:
        self._metrics.kept_now.set(len(self._view.kept))


def _check(request: delivery_pb2.KeepRequest, read: Sequence[Fact]) -> None:
    """A copy is believed once its conductor is gone: so it is one of the conductor's own facts, and none by which
    people or lines close a call. Each copy on the disk bears its conductor's name, which is no long one."""
    for field, text in (("address", request.conductor.address), ("incarnation", request.conductor.incarnation)):
        if len(text) > NAME_CHARS_MAX:
            raise Refuse(
                Status.INVALID_ARGUMENT,
                f"conductor.{field}: expected at most {NAME_CHARS_MAX} characters, got {len(text)}",
            )
    for fact in read:
        incarnation = _conductor(request, fact).incarnation
        if fact.kind in CLOSED or not incarnation or not fact.writer.endswith(f"/{incarnation}"):
            raise Refuse(
                Status.INVALID_ARGUMENT, f"{fact.kind} by {fact.writer[:NAME_CHARS_MAX]} is no conductor's own"
            )


def _conductor(request: delivery_pb2.KeepRequest, fact: Fact) -> Conductor:
    if request.HasField("conductor"):
        return Conductor(request.conductor.address, request.conductor.incarnation)
    return fact.conductor or Conductor("", "")


def _raise_in_the_open(task: asyncio.Task[None]) -> None:
    """A mistake of ours reaches the loop's exception handler."""
    if not task.cancelled():
        task.result()
