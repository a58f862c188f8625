"""The ingress: takes a call's stream, and gives the call that it offers to a conductor.

What is offered is read by the reception, whatever came. A leg that comes while the one before it is still here goes on
with what rings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from hashlib import blake2b
from typing import Any, Final

from throughline.v1 import call_pb2

from services.domain.calls.budgets import Budgets
from services.domain.calls.divert_cap import Cap
from services.domain.calls.exchange import StreamBroke
from services.domain.calls.settlements import Settlements
from services.domain.events import Conductor as ConductorId
from services.domain.events import Tick
from services.domain.offer import Offer
from services.host.heartbeat import beat
from services.host.lag import LoopLag
from services.host.network import Answers, Broken, Converses, Refuse, Server, Status
from services.host.region import WHOLE
from services.host.region_feed import RegionFeed
from services.host.world import World
from services.ingress.admission import Admission
from services.ingress.conductor import Conductor, Desk
from services.ingress.copies import Copies
from services.ingress.last_line import LastLine
from services.ingress.metrics import IngressMetrics
from services.ingress.neighbours import Neighbours
from services.ingress.reception import CALLER_STREAM, Reception
from services.ingress.settings import IngressSettings
from services.ingress.watchers import Watchers
from services.journal import Topic
from services.journal.journal import Journal, JournalEvent
from services.journal.spool import Spool
from services.journal.ticks import Ticker
from services.wire import facts
from services.wire.methods import INGRESS_STATUS, PLACE_CALL, WATCH, Unreadable

HEARTBEAT_EVERY_S: Final = 0.2
"""How often the one heartbeat task looks round; a call silent for SILENT_S is given a heartbeat, so each hears one
at least every 500 ms (P1)."""
SILENT_S: Final = 0.25
BACKSTOP_S: Final = 0.85
"""Beyond the longest budget of a question, which may be asked again while we are late (L2): only a mistake of ours
leaves one unanswered for so long."""


class Ingress:
    """See the package."""

    def __init__(self, world: World, settings: IngressSettings) -> None:
        self.address = ""
        self._world = world
        self._settings = settings
        self._metrics = IngressMetrics(world.registry)
        self._regions = RegionFeed(world, settings, WHOLE)
        self._journal = Journal(
            world.log,
            restamp={Topic.CALLS: facts.restamp},
            budget_s=settings.append_budget_ms / 1000,
            queue_facts_max=settings.queue_facts_max,
            on_event=self._journal_event,
            spool=Spool(
                world.disk, settings.spool_dir / settings.name, world.random, bytes_max=settings.spool_bytes_max
            ),
            wall_ms=world.wall_ms,
            keep=self._keep,
        )
        self._lag = LoopLag()
        self._admission = Admission(
            settings.setups_max, settings.waiting_max, settings.parked_max, self._metrics, lambda: self._lag.late
        )
        self._ticker = Ticker(world.log, self._tick)
        self._reception = Reception(world, settings, self._metrics, self._journal)
        self._watchers = Watchers(world.incarnation, self._metrics.watching, self._mistaken)
        self._calls: dict[str, Conductor] = {}
        self._settlements = Settlements()
        self._offered = 0
        self._draining = False
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._server: Server | None = None
        self._desk: Desk | None = None
        self._copies: Copies | None = None

    async def start(self) -> None:
        """Reads the region, binds, serves; Kafka may come later."""
        await asyncio.gather(self._regions.start(), self._journal.start())
        self._server = await self._world.network.serve(
            self._settings.listen,
            [
                Converses(PLACE_CALL, self._place_call),
                Answers(INGRESS_STATUS, self._status),
                Converses(WATCH, self._watchers.watch),
            ],
        )
        self.address = self._server.address
        incarnation = self._world.incarnation
        conductor = ConductorId(self._settings.advertise or self.address, incarnation)
        neighbours = Neighbours(
            self._world.network, self._settings, self._regions.newest, self._metrics, self._lag, self._start
        )
        self._copies = Copies(self._world.network, neighbours.diallers, conductor, self._start)
        self._desk = Desk(
            writer=f"{self._settings.name}/{incarnation}",
            conductor=conductor,
            neighbours=neighbours,
            journal=self._journal,
            metrics=self._metrics,
            budgets=Budgets(
                question_s=max(self._settings.screen_budget_ms, self._settings.route_budget_ms) / 1000 + BACKSTOP_S,
                reach_s=self._settings.reach_budget_ms / 1000,
                ring_s=self._settings.ring_timeout_ms / 1000,
            ),
            admission=self._admission,
            last_line=LastLine(
                Cap(
                    self._settings.diverts_share_max,
                    self._settings.diverts_calls,
                    self._settings.diverts_min,
                    self._settings.diverts_callers_min,
                    hold_s=self._settings.diverts_hold_s,
                ),
                self._metrics,
                self._world.logger,
            ),
            wall_ms=self._world.wall_ms,
            caller_hash=self._caller_hash,
            start=self._start,
            mistaken=self._mistaken,
            over=self._over,
        )
        self._start(self._lag.watch())
        self._ticker.start()
        self._start(self._watchers.beat())
        self._start(self._beat())

    def troubles(self) -> Sequence[str]:
        """Why this ingress should get no new calls. A journal that is away is said, and is no reason: calls go on."""
        return ["draining"] if self._draining else []

    def remarks(self) -> Sequence[str]:
        """What an operator should know though calls are carried."""
        trouble = self._journal.health()
        return [*([f"journal: {trouble}"] if trouble else []), *self._regions.remarks()]

    async def stop(self, grace_s: float) -> None:
        """No new calls; those in hand get `grace_s` seconds, the rest end UNAVAILABLE("draining") (L4)."""
        self._draining = True
        if self._server is not None:
            self._server.set_ready(False)
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            for conductor in list(self._calls.values()):
                self._world.logger.warning("call.cut_by_drain", call_id=conductor.offer.call_id)
                conductor.hear(StreamBroke("draining"))
                conductor.outbox.cut(Refuse(Status.UNAVAILABLE, "draining"))
        self._watchers.end(Refuse(Status.UNAVAILABLE, "draining"))
        if self._server is not None:
            await self._server.stop(0.2)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._ticker.stop()
        await self._regions.stop()
        await self._journal.close()

    async def _status(self, _: call_pb2.StatusRequest) -> call_pb2.StatusResponse:
        return call_pb2.StatusResponse(
            incarnation=self._world.incarnation,
            calls_in_hand=len(self._calls),
            calls_offered=self._offered,
            journal_trouble=self._journal.health() or "",
            draining=self._draining,
        )

    # One call.

    async def _place_call(self, stream: CALLER_STREAM) -> None:
        if self._draining:
            self._metrics.refused.labels("draining").inc()
            raise Refuse(Status.UNAVAILABLE, "draining")
        offer = await self._reception.first_offer(stream)
        if offer is None:
            return
        conductor = self._take(offer)
        listening = self._start(self._listen(stream, conductor))
        try:
            await conductor.outbox.speak(stream)
        except (Broken, asyncio.CancelledError) as gone:
            conductor.hear(StreamBroke("stream_broken"))
            if isinstance(gone, asyncio.CancelledError):
                raise
        finally:
            listening.cancel()

    def _take(self, offer: Offer) -> Conductor:
        """A conductor for this leg, which goes on with what an older one has ringing here (P7)."""
        if offer.call_id not in self._calls and self._admission.full:
            self._metrics.refused.labels("full").inc()
            raise Refuse(Status.RESOURCE_EXHAUSTED, "as many calls wait here as may; offer the next leg elsewhere")
        self._reception.take(offer)
        assert self._desk is not None, "no stream comes before start"
        older = self._calls.get(offer.call_id)
        adopted = older is not None and older.goes_on_with(offer)
        if older is None:
            seen = self._settlements.take(offer.call_id, asyncio.get_running_loop().time())
        else:
            seen = older.machine.seen_connected
            older.hand_over(adopted)
        conductor = Conductor(offer, self._desk, older if adopted else None, seen)
        self._calls[offer.call_id] = conductor
        self._offered += 1
        self._metrics.offered.inc()
        self._metrics.in_hand.inc()
        self._idle.clear()
        conductor.begin()
        return conductor

    async def _listen(self, stream: CALLER_STREAM, conductor: Conductor) -> None:
        """Hears the caller's side to the end of its stream; an end without a word is a broken stream (P6)."""
        why = "mistake"
        try:
            while True:
                try:
                    said = await stream.read()
                except Unreadable:
                    self._metrics.unwanted.inc()
                    continue
                if said is None:
                    why = "stream_ended"
                    return
                if not conductor.said(said):
                    self._metrics.unwanted.inc()
        finally:  # a mistake of ours ends the leg as a broken stream too: the caller's side offers the next one
            conductor.hear(StreamBroke(why))

    def _over(self, conductor: Conductor) -> None:
        """A conductor has nothing more to do. What it leaves: the canonical line of a call, and who is connected."""
        offer, machine, connected = conductor.offer, conductor.machine, conductor.connected
        where, now = connected.where if connected else None, asyncio.get_running_loop().time()
        if connected is not None:
            self._settlements.note(offer.call_id, connected, now)
        if self._calls.get(offer.call_id) is conductor:
            del self._calls[offer.call_id]
        self._metrics.in_hand.dec()
        self._metrics.ended[machine.state].inc()
        if not self._calls:
            self._idle.set()
        ringing_s = conductor.to_ringing_s
        self._world.logger.info(
            "call.settled",
            call_id=offer.call_id,
            leg=offer.leg,
            outcome=str(machine.state),
            psap_id=where.psap_id if where else "",
            by_line=bool(where and where.line),
            screened=conductor.verdict_word,
            attempts=conductor.attempts,
            failure=conductor.reason,
            durability=str(conductor.durability or "under_way"),
            to_ringing_ms=None if ringing_s is None else round(ringing_s * 1000, 1),
            took_ms=round((now - conductor.began) * 1000, 1),
            test=offer.test,
        )

    # The process.

    async def _beat(self) -> None:
        """The one task that keeps every caller's side from thinking us gone."""
        await beat(
            HEARTBEAT_EVERY_S,
            self._calls.values,
            lambda conductor: conductor.outbox.beat(SILENT_S),
            lambda mistake, conductor: self._mistaken(mistake, conductor.offer.call_id),
        )

    def _caller_hash(self, caller: str) -> str:
        if not caller:
            return ""
        key = self._settings.caller_hash_key.encode()[:64]
        return blake2b(caller.encode("utf-8", "surrogatepass"), key=key, digest_size=12).hexdigest()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A mistake of ours in a task must be heard of; the call itself goes on by its deadlines."""
        self._tasks.pop(task, None)
        if not task.cancelled() and (mistake := task.exception()) is not None:
            self._mistaken(mistake)

    def _mistaken(self, mistake: BaseException, call_id: str = "") -> None:
        self._metrics.mistakes.inc()
        self._world.logger.error("task.failed", call_id=call_id, exc_info=mistake)

    def _tick(self) -> bytes:
        """That this process lives and the log takes what it says (T1)."""
        assert self._desk is not None, "no tick comes before start"
        return facts.encode_tick(Tick(self._desk.writer, "ingress", self._desk.conductor, self._world.wall_ms()))

    async def _keep(self, call_id: str, fact: bytes) -> bool:
        if self._copies is None:
            return False  # what a former process left is queued before this one has started
        return await self._copies.keep(call_id, fact)

    def _journal_event(self, event: JournalEvent) -> None:
        self._metrics.journal[event.happening].inc()
        self._metrics.journal_queued.set(event.queued)
