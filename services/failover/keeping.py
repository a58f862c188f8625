"""The keeper: a second copy, on this replica's disk, of facts that Kafka has not acknowledged (protocol.md J4).

An ingress is told that a fact is kept once it would survive a loss of power here. What is kept is dropped when the fact
is seen on the log; where its conductor goes before that, the keeper gives it to the log itself, and then judges the
debt: it may be the only one who knows of the call.
"""

from __future__ import annotations

import asyncio

from throughline.v1 import delivery_pb2

from services.domain.durability import Durability
from services.domain.events import Conductor, Fact
from services.domain.kept import Copy
from services.domain.watch import GONE, Life
from services.failover.metrics import FailoverMetrics
from services.failover.view import View
from services.host.network import Refuse, Status
from services.host.world import World
from services.journal import Topic
from services.journal.disk import DiskTrouble
from services.journal.journal import Journal
from services.journal.spool import Spool, Ticket
from services.wire import facts
from services.wire.methods import PARSE_BYTES_MAX, Unreadable, parse

FACTS_MAX = 256
"""In one question."""
COPIES_MAX = 100_000


class Keeper:
    """See the module. `spool` is the kept copies' own, apart from the journal's."""

    def __init__(self, world: World, view: View, spool: Spool, journal: Journal, metrics: FailoverMetrics) -> None:
        self._world = world
        self._view = view
        self._spool = spool
        self._journal = journal
        self._metrics = metrics

    async def start(self) -> None:
        """Takes up what a former process of this replica kept. A disk that does not work keeps nothing, and says so."""
        now = asyncio.get_running_loop().time()
        try:
            left = await self._spool.open()
        except DiskTrouble as trouble:
            self._world.logger.error("kept.unusable", why=str(trouble))
            return
        for each in left:
            try:
                request = parse(delivery_pb2.KeepRequest, each.value, 2 * PARSE_BYTES_MAX)
                fact, raw = facts.decode(request.facts[0]), request.facts[0]
            except (Unreadable, IndexError):
                self._world.logger.error("kept.unreadable", key=each.key)
                continue  # it stays on the disk: nobody gives it back
            if fact.identity in self._view.kept:
                self._spool.done(each.ticket)
                continue
            self._view.keep(Copy(fact, raw, _conductor(request, fact), each.begun_ms, each.ticket), now)
        self._count()

    def trouble(self) -> str | None:
        """Why nothing is kept, where that is so."""
        return self._spool.trouble

    async def answer(self, request: delivery_pb2.KeepRequest) -> delivery_pb2.KeepResponse:
        """KEEP. Refuses with RESOURCE_EXHAUSTED what it cannot put on its disk: the ingress then says `at_risk`."""
        if len(request.facts) > FACTS_MAX:
            raise Refuse(Status.INVALID_ARGUMENT, f"expected at most {FACTS_MAX} facts, got {len(request.facts)}")
        try:
            read = [(facts.decode(raw), raw) for raw in request.facts]
        except Unreadable as unreadable:
            raise Refuse(Status.INVALID_ARGUMENT, unreadable.why) from None
        new = [(fact, raw) for fact, raw in read if fact.identity not in self._view.kept]
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
        try:
            ticket = await self._spool.put(Topic.CALLS, fact.call_id, on_disk, kept_ms)
        except DiskTrouble as trouble:
            return trouble
        if fact.identity in self._view.kept:
            self._spool.done(ticket)  # the same fact came twice at once
        elif self._view.debts.is_settled(fact.call_id):
            self._spool.done(ticket)  # it is on the log by now, and settled
        else:
            self._view.keep(Copy(fact, raw, conductor, kept_ms, ticket), asyncio.get_running_loop().time())
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
                age_ms = max(0, self._world.wall_ms() - copy.kept_ms)
                self._journal.append_soon(
                    Topic.CALLS, copy.fact.call_id, facts.restamp(copy.raw, age_ms, Durability.AT_RISK)
                )
                self._metrics.handed_over.inc()

    async def stop(self) -> None:
        """What is kept stays on the disk."""
        await self._spool.close()

    def _count(self) -> None:
        self._metrics.kept_now.set(len(self._view.kept))


def _conductor(request: delivery_pb2.KeepRequest, fact: Fact) -> Conductor:
    if request.HasField("conductor"):
        return Conductor(request.conductor.address, request.conductor.incarnation)
    return fact.conductor or Conductor("", "")
