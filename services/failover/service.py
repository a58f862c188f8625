"""A failover replica's life: what it serves, what it follows, and the look that it takes ten times a second."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from services.domain.events import Conductor, Tick
from services.domain.hunting.lines import Trunks
from services.domain.take_overs.debts import WINDOW_MS
from services.failover.asking import Attesters
from services.failover.diverts import Diverts
from services.failover.holding import LineHolding
from services.failover.keeping import Keeper
from services.failover.lines import Exchange
from services.failover.metrics import FailoverMetrics
from services.failover.mistakes import Mistakes
from services.failover.parts import Parts
from services.failover.ringing_back import RingingBack
from services.failover.settings import FailoverSettings
from services.failover.taking_over import LOOK_EVERY_S, TakingOver
from services.failover.view import SERVICE, View
from services.failover.watching import Watching
from services.host.network import Answers, Converses, Refuse, Server, Status
from services.host.region import DIRECTORY
from services.host.region_feed import RegionFeed
from services.host.world import World
from services.journal import Follower, Topic
from services.journal.journal import Journal, JournalEvent
from services.journal.spool import Spool, Ticket
from services.journal.ticks import Ticker
from services.wire import facts
from services.wire.methods import DIVERT, KEEP, RESUME

BACK_MS: Final = WINDOW_MS + 60_000
"""How far back the journal is read at the start; older debts are the ledger's (J7). A little further than debts last:
of a copy that comes up from the disk meanwhile it must be read whether it was settled."""


class Failover:
    """See the package."""

    def __init__(self, world: World, settings: FailoverSettings) -> None:
        self.address = ""
        self._world = world
        self._settings = settings
        self._metrics = FailoverMetrics(world.registry)
        folder, room = settings.spool_dir / settings.name, settings.spool_bytes_max
        self._journal = Journal(
            world.log,
            restamp={Topic.CALLS: facts.restamp},
            on_event=self._journal_event,
            spool=Spool(world.disk, folder, world.random, bytes_max=room),
            wall_ms=world.wall_ms,
        )
        self._view = View(settings.name)
        kept = Spool(world.disk, folder / "kept", world.random, bytes_max=room)
        self._keeper = Keeper(world, self._view, kept, self._journal, self._metrics)
        self._attesters = Attesters(world.network, settings.gateways, settings.trunks)
        self._watching = Watching(world.network, self._view.watch, settings.name)
        self._ticker = Ticker(world.log, self._tick)
        self._directories = RegionFeed(world, settings, DIRECTORY)
        self._trunks = Trunks(settings.trunks)
        self._exchange: Exchange | None = None
        self._diverts: Diverts | None = None
        self._taking_over: TakingOver | None = None
        self._ringing_back: RingingBack | None = None
        self._server: Server | None = None
        self._mistakes = Mistakes(world, self._metrics)
        self._parts = Parts(self._mistakes)

    async def start(self) -> None:
        """Reads the directory, takes up what it kept, binds, serves; Kafka may come later."""
        world, metrics, journal = self._world, self._metrics, self._journal
        await asyncio.gather(self._directories.start(), journal.start())
        self._exchange = Exchange(world.network, self._directories.newest, self._trunks, metrics)
        self._diverts = Diverts(world, self._exchange, journal, metrics)
        await self._keeper.start()
        holding = LineHolding(self._diverts, self._attesters, metrics)
        self._taking_over = TakingOver(
            world, self._view, self._watching, self._keeper, self._attesters, journal, metrics, self._mistakes
        )
        self._ringing_back = RingingBack(
            world, self._view, self._exchange, self._attesters, self._taking_over, journal, metrics, self._mistakes
        )
        self._server = await world.network.serve(
            self._settings.listen,
            [
                Converses(DIVERT, self._diverts.lead),
                Answers(KEEP, self._keeper.answer),
                Answers(RESUME, holding.resume),
            ],
        )
        self.address = self._server.address
        self._ticker.start()
        self._parts.begin("failover reads the journal", self._read)
        self._parts.begin("failover looks what is due", self._look)

    def troubles(self) -> Sequence[str]:
        """Why this replica should get no new calls."""
        if self._diverts is not None and self._diverts.draining:
            return ["draining"]
        return [] if len(self._trunks) else ["no trunk is configured: set THROUGHLINE_FAILOVER_TRUNKS"]

    def remarks(self) -> Sequence[str]:
        """What an operator should know though lines are dialled."""
        remarks = [*self._parts.remarks(), *filter(None, [self._mistakes.remark()])]
        for name, trouble in (("journal", self._journal.health()), ("kept copies", self._keeper.trouble())):
            if trouble:
                remarks.append(f"{name}: {trouble}")
        remarks += self._directories.remarks()
        if self._taking_over is not None and not self._taking_over.read_to_end:
            remarks.append("the journal has not been read to its end yet: debts are taken up after that")
        if self._view.take_overs.suspects:
            remarks.append("so many ingresses are silent at once that this replica doubts its own view (T5)")
        return remarks

    async def stop(self, grace_s: float) -> None:
        """Takes nothing up any more, lets attempts in hand finish, then ends their streams (L4)."""
        assert self._server is not None, "stop comes after start"
        assert self._diverts is not None and self._exchange is not None
        assert self._taking_over is not None and self._ringing_back is not None
        self._diverts.draining = True
        self._server.set_ready(False)
        await self._ticker.stop()
        await self._parts.stop()
        await self._watching.stop()
        await self._taking_over.stop()
        try:
            async with asyncio.timeout(grace_s):
                await self._diverts.idle.wait()
        except TimeoutError:
            self._world.logger.warning("attempts.cut_by_drain", attempts=len(self._diverts))
        await self._ringing_back.stop()
        self._diverts.end_all(Refuse(Status.UNAVAILABLE, "draining"))
        await self._server.stop(0.2)
        await self._exchange.close()
        await self._directories.stop()
        await self._keeper.stop()
        await self._journal.close()

    # Its own tasks.

    async def _read(self) -> None:
        """Folds the journal, for ever. Begun again it reads what it knows once more, which changes nothing (J2)."""
        loop = asyncio.get_running_loop()
        follower = self._journal.follow(Topic.CALLS, self._world.wall_ms() - BACK_MS)
        await follower.start()
        noting = loop.create_task(self._note_end(follower), name="failover waits for the journal's end")
        noting.add_done_callback(partial(self._mistakes.ended, noting.get_name()))
        try:
            async for records in follower:
                drop: list[Ticket] = []
                for record in records:
                    try:
                        drop += self._view.read(record, loop.time())
                    except Exception as mistake:
                        self._mistakes.note("reading the journal", mistake)
                self._keeper.drop(drop)
        finally:
            noting.cancel()
            await follower.stop()

    async def _note_end(self, follower: Follower) -> None:
        await follower.caught_up.wait()
        assert self._taking_over is not None
        self._view.tidy(asyncio.get_running_loop().time())  # what was read of before the window is nobody's debt here
        self._taking_over.read_to_end = True

    async def _look(self) -> None:
        """Looks what there is to do, and knows by how much it comes late."""
        assert self._taking_over is not None and self._ringing_back is not None and self._diverts is not None
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            now = loop.time()
            try:
                self._taking_over.look(now - due)
                self._ringing_back.look()
            except Exception as mistake:
                self._mistakes.note("looking what is due", mistake)
            due = max(due + LOOK_EVERY_S, now)
            await asyncio.sleep(due - loop.time())

    def _tick(self) -> bytes:
        world = self._world
        conductor = Conductor(self.address, world.incarnation)
        return facts.encode_tick(Tick(f"{world.name}/{world.incarnation}", SERVICE, conductor, world.wall_ms()))

    def _journal_event(self, event: JournalEvent) -> None:
        self._metrics.journal[event.happening].inc()
        self._metrics.journal_queued.set(event.queued)
