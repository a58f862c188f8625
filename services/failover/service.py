"""A failover replica's life, and the conductors' streams: one `Divert` is one hunt through an owner's lines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from throughline.v1 import delivery_pb2

from services.domain.deliveries import Became
from services.domain.lines import Trunks
from services.failover.lines import Exchange, Hunting
from services.failover.metrics import FailoverMetrics
from services.failover.settings import FailoverSettings
from services.host.attempt import Attempt, Misspoken, offered
from services.host.network import Broken, Converses, Refuse, Server, Status, Stream
from services.host.region import DIRECTORY
from services.host.region_feed import RegionFeed
from services.host.world import World
from services.journal import Topic
from services.journal.journal import Journal, JournalEvent
from services.wire import deliveries
from services.wire.methods import DIVERT


class Failover:
    """See the package. Taking up the debts of dead conductors, and keeping copies of their facts, come beside this."""

    def __init__(self, world: World, settings: FailoverSettings) -> None:
        self.address = ""
        self._world = world
        self._settings = settings
        self._metrics = FailoverMetrics(world.registry)
        self._journal = Journal(world.log, on_event=self._journal_event)
        self._directories = RegionFeed(world, settings, DIRECTORY)
        self._trunks = Trunks(settings.trunks)
        self._exchange: Exchange | None = None
        self._server: Server | None = None
        self._attempts: dict[str, Attempt] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False

    async def start(self) -> None:
        """Reads the directory, binds, serves; Kafka may come later."""
        await asyncio.gather(self._directories.start(), self._journal.start())
        self._exchange = Exchange(self._world.network, self._directories.newest, self._trunks, self._metrics)
        self._server = await self._world.network.serve(self._settings.listen, [Converses(DIVERT, self._divert)])
        self.address = self._server.address

    def troubles(self) -> Sequence[str]:
        """Why this replica should get no new calls."""
        if self._draining:
            return ["draining"]
        return [] if len(self._trunks) else ["no trunk is configured: set THROUGHLINE_FAILOVER_TRUNKS"]

    def remarks(self) -> Sequence[str]:
        """What an operator should know though lines are dialled."""
        trouble = self._journal.health()
        return [*([f"journal: {trouble}"] if trouble else []), *self._directories.remarks()]

    async def stop(self, grace_s: float) -> None:
        """Lets attempts in hand finish, then ends their streams (L4)."""
        assert self._server is not None, "stop comes after start"
        assert self._exchange is not None
        self._draining = True
        self._server.set_ready(False)
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            self._world.logger.warning("attempts.cut_by_drain", attempts=len(self._attempts))
        for attempt in list(self._attempts.values()):
            attempt.end(Refuse(Status.UNAVAILABLE, "draining"))
        await self._server.stop(0.2)
        await self._exchange.close()
        await self._directories.stop()
        await self._journal.close()

    async def _divert(self, stream: Stream[delivery_pb2.DivertRequest, delivery_pb2.DivertResponse]) -> None:
        """Leads a conductor's stream from its offer to the end of the attempt."""
        if self._draining:
            raise Refuse(Status.UNAVAILABLE, "draining")
        try:
            attempt = await offered(stream, delivery_pb2.DivertResponse)
            if attempt.name in self._attempts:
                raise Misspoken(Status.ALREADY_EXISTS, f"{attempt.name} is in hand here already")
            await self._hunt(attempt)
        except Misspoken:
            self._metrics.misspoken.inc()
            raise

    async def _hunt(self, attempt: Attempt) -> None:
        assert self._exchange is not None, "no stream comes before start"
        self._attempts[attempt.name] = attempt
        self._idle.clear()
        self._metrics.offered.inc()
        self._metrics.in_hand.set(len(self._attempts))
        hunting = Hunting(attempt, self._exchange, lambda step: self._became(attempt, step))
        try:
            hunting.begin()
            await attempt.lead(connect=hunting.connect, release=hunting.release)
        except Broken:
            return  # the conductor is gone, as below
        finally:
            hunting.release("stream_broken")
            del self._attempts[attempt.name]
            if not self._attempts:
                self._idle.set()
            self._metrics.in_hand.set(len(self._attempts))
            self._world.logger.info("attempt.over", line=attempt.where.line, **attempt.summary())

    def _became(self, attempt: Attempt, step: Became) -> None:
        """One step of an attempt: to the conductor, and on record."""
        record = attempt.became(step, self._settings.name, self._world.wall_ms())
        self._journal.append_soon(Topic.DELIVERIES, record.call_id, deliveries.encode(record))
        self._metrics.outcomes[step.outcome].inc()
        if step.failure is not None:
            self._metrics.failed[step.failure].inc()

    def _journal_event(self, event: JournalEvent) -> None:
        self._metrics.journal[event.happening].inc()
        self._metrics.journal_queued.set(event.queued)
