"""The ingress: takes a call's stream, reads its offer whatever came, and gives it to a conductor.

An offer that cannot be read is still a call (P6): its bytes go to `calls-unreadable`, what could be salvaged of it is
carried, by the default route if need be.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any, Final

from throughline.v1 import call_pb2

from services.domain.budgets import Budgets
from services.domain.events import Conductor as ConductorId
from services.domain.exchange import StreamBroke
from services.domain.offer import SOS_URN, Offer, can_be_rung_back
from services.domain.place import flaw
from services.host.network import Answers, Broken, Converses, Refuse, Server, Status, Stream
from services.host.region import WHOLE
from services.host.region_feed import RegionFeed
from services.host.world import World
from services.ingress.admission import Admission
from services.ingress.conductor import Conductor, Desk
from services.ingress.metrics import IngressMetrics
from services.ingress.neighbours import Neighbours
from services.ingress.settings import IngressSettings
from services.ingress.watchers import Watchers
from services.journal import Topic
from services.journal.journal import Journal, JournalEvent
from services.journal.spool import Spool
from services.wire import facts, offers
from services.wire.methods import INGRESS_STATUS, PLACE_CALL, WATCH, Unreadable
from services.wire.salvage import salvage

HEARTBEAT_EVERY_S: Final = 0.2
"""How often the one heartbeat task looks round; a call silent for SILENT_S is given a heartbeat, so each hears one
at least every 500 ms (P1)."""
SILENT_S: Final = 0.25
BACKSTOP_S: Final = 0.35
"""Beyond the longest budget of a question: only a mistake of ours leaves one unanswered for so long."""
LEGS_REMEMBERED_MAX: Final = 20_000
CALLER_STREAM = Stream[call_pb2.PlaceCallRequest, call_pb2.PlaceCallResponse]


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
            spool=Spool(world.disk, settings.spool_dir / settings.name, bytes_max=settings.spool_bytes_max),
            wall_ms=world.wall_ms,
        )
        self._watchers = Watchers(world.incarnation, self._metrics.watching)
        self._calls: dict[str, Conductor] = {}
        self._legs: OrderedDict[str, tuple[int, str]] = OrderedDict()  # the newest leg of each call, and its caller
        self._offered = 0
        self._draining = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._server: Server | None = None
        self._desk: Desk | None = None

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
        self._desk = Desk(
            writer=f"{self._settings.name}/{incarnation}",
            conductor=ConductorId(self._settings.advertise or self.address, incarnation),
            neighbours=Neighbours(
                self._world.network, self._settings, self._regions.newest, self._metrics, self._start
            ),
            journal=self._journal,
            metrics=self._metrics,
            budgets=Budgets(
                question_s=max(self._settings.screen_budget_ms, self._settings.route_budget_ms) / 1000 + BACKSTOP_S,
                reach_s=self._settings.reach_budget_ms / 1000,
                ring_s=self._settings.ring_timeout_ms / 1000,
            ),
            admission=Admission(self._settings.setups_max, self._metrics.waiting),
            wall_ms=self._world.wall_ms,
            caller_hash=self._caller_hash,
            start=self._start,
            mistaken=self._mistaken,
            over=self._over,
        )
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
                conductor.cut(Refuse(Status.UNAVAILABLE, "draining"))
        self._watchers.end(Refuse(Status.UNAVAILABLE, "draining"))
        if self._server is not None:
            await self._server.stop(0.2)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
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
        offer = await self._first_offer(stream)
        if offer is None:
            return
        conductor = self._take(offer)
        listening = self._start(self._listen(stream, conductor))
        try:
            await conductor.speak(stream)
        except (Broken, asyncio.CancelledError) as gone:
            conductor.hear(StreamBroke("stream_broken"))
            if isinstance(gone, asyncio.CancelledError):
                raise
        finally:
            listening.cancel()

    async def _first_offer(self, stream: CALLER_STREAM) -> Offer | None:
        """The call that a new stream offers; None where it ended before offering one, counted (P6)."""
        try:
            async with asyncio.timeout(self._settings.offer_within_ms / 1000):
                first = await stream.read()
        except TimeoutError:
            self._metrics.silent_streams.inc()
            raise Refuse(Status.DEADLINE_EXCEEDED, "no offer came; the first message must be an Offer") from None
        except Unreadable as unreadable:
            return self._salvaged(unreadable.raw)
        if first is None:
            self._metrics.silent_streams.inc()
            self._world.logger.warning("stream.without_offer", peer=stream.peer)
            return None
        if first.WhichOneof("said") != "offer":
            return self._salvaged(first.SerializeToString())
        return self._believed(offers.to_domain(first.offer))

    def _salvaged(self, raw: bytes) -> Offer:
        offer = self._believed(salvage(raw))
        self._metrics.odd.labels("unreadable").inc()
        self._world.logger.warning("offer.unreadable", call_id=offer.call_id, size_bytes=len(raw))
        self._journal.append_soon(Topic.CALLS_UNREADABLE, offer.call_id, raw)
        return offer

    def _believed(self, offer: Offer) -> Offer:
        """The offer with what it must have; everything odd is counted, nothing odd is refused."""
        production_trouble = self._settings.production and offer.source == "loadtest" and not offer.test
        if production_trouble:
            self._metrics.refused.labels("load_test_in_production").inc()
            raise Refuse(
                Status.PERMISSION_DENIED, "this installation is marked production: a load test sends test calls only"
            )
        odd = self._metrics.odd.labels
        _, known_caller = self._legs.get(offer.call_id, (0, ""))
        if not offer.call_id:
            odd("no_call_id").inc()
            offer = self._named_anew(offer)
        elif known_caller and offer.caller and offer.caller != known_caller:
            odd("duplicate_call_id").inc()
            self._world.logger.warning("offer.duplicate_call_id", call_id=offer.call_id, source=offer.source)
            offer = self._named_anew(offer)
        if not can_be_rung_back(offer.caller):
            odd("cannot_be_rung_back").inc()
        if not (offer.test or offer.service_urn == SOS_URN or offer.service_urn.startswith(f"{SOS_URN}.")):
            odd("unknown_service").inc()
        trouble = flaw(offer.place)
        if trouble is not None:
            odd(trouble).inc()
        return offer

    def _named_anew(self, offer: Offer) -> Offer:
        """The offer under an id of our own: a call of its own, whatever else has its id."""
        chance = self._world.random.getrandbits(32)
        minted = f"minted-{self._world.incarnation}-{self._offered}-{chance:08x}"
        return replace(offer, call_id=minted, confirmed_attempt="", confirmed_where=None)

    def _take(self, offer: Offer) -> Conductor:
        """A conductor for this leg; a leg that is or was here already is refused (P8), an older one is let go."""
        known, _ = self._legs.get(offer.call_id, (0, ""))
        if offer.leg <= known:
            self._metrics.refused.labels("leg_twice").inc()
            raise Refuse(Status.ALREADY_EXISTS, f"leg {known} of this call was offered here; offer a higher leg")
        self._legs[offer.call_id] = (offer.leg, offer.caller)
        if len(self._legs) > LEGS_REMEMBERED_MAX:
            self._legs.popitem(last=False)
        older = self._calls.get(offer.call_id)
        if older is not None:
            older.hear(StreamBroke("higher_leg"))
        assert self._desk is not None, "no stream comes before start"
        conductor = Conductor(offer, self._desk)
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
        """The canonical line of a call."""
        offer, machine = conductor.offer, conductor.machine
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
            psap_id=conductor.where.psap_id if conductor.where else "",
            by_line=bool(conductor.where and conductor.where.line),
            screened=conductor.verdict_word,
            attempts=conductor.attempts,
            failure=conductor.reason,
            durability=str(conductor.durability or "under_way"),
            to_ringing_ms=None if ringing_s is None else round(ringing_s * 1000, 1),
            took_ms=round((asyncio.get_running_loop().time() - conductor.began) * 1000, 1),
            test=offer.test,
        )

    # The process.

    async def _beat(self) -> None:
        """The one task that keeps every caller's side from thinking us gone."""
        while True:
            await asyncio.sleep(HEARTBEAT_EVERY_S)
            for conductor in list(self._calls.values()):
                conductor.beat(SILENT_S)

    def _caller_hash(self, caller: str) -> str:
        if not caller:
            return ""
        key = self._settings.caller_hash_key.encode()[:64]
        return blake2b(caller.encode("utf-8", "surrogatepass"), key=key, digest_size=12).hexdigest()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A mistake of ours in a task must be heard of; the call itself goes on by its deadlines."""
        self._tasks.discard(task)
        if not task.cancelled() and (mistake := task.exception()) is not None:
            self._mistaken(mistake)

    def _mistaken(self, mistake: BaseException, call_id: str = "") -> None:
        self._metrics.mistakes.inc()
        self._world.logger.error("task.failed", call_id=call_id, exc_info=mistake)

    def _journal_event(self, event: JournalEvent) -> None:
        self._metrics.journal[event.happening].inc()
        self._metrics.journal_queued.set(event.queued)
