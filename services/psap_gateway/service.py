"""The gateway's life, and the conductors' streams: one `Deliver` is one attempt (protocol.md R1).

What may happen is decided in `services/domain/gateways/switchboard.py`; here its effects are carried out, its timer is
kept, and each step of an attempt goes to the conductor and on record. Questions about calls are in attestations.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from throughline.v1 import delivery_pb2

from services.domain.deliveries import FINAL, Became, Outcome
from services.domain.gateways.attachments import Offence, Row
from services.domain.gateways.patching import (
    Again,
    Ask,
    Attested,
    Cancel,
    Connect,
    Doubted,
    Effect,
    Offer,
    Release,
    TakeUp,
    Unlink,
)
from services.domain.gateways.switchboard import Switchboard
from services.host.alarm import Alarm
from services.host.attempt import Attempt, Misspoken, offered
from services.host.network import Answers, Broken, Converses, Refuse, Server, Status, Stream
from services.host.region import DIRECTORY
from services.host.region_feed import RegionFeed
from services.host.world import World
from services.psap_gateway.attestations import Attestations
from services.psap_gateway.lines import Lines
from services.psap_gateway.metrics import PsapGatewayMetrics
from services.psap_gateway.settings import PsapGatewaySettings
from services.psap_gateway.witness import Witness
from services.wire.methods import ATTACH, DELIVER, RESUME, WHO_HAS


class PsapGateway:
    """See the package."""

    def __init__(self, world: World, settings: PsapGatewaySettings) -> None:
        self.address = ""
        self._world = world
        self._settings = settings
        self._metrics = PsapGatewayMetrics(world.registry)
        self._directories = RegionFeed(world, settings, DIRECTORY)
        self._board = Switchboard()
        self._witness = Witness(world, self._metrics, settings.status_every_ms / 1000, self._rows)
        self._attestations = Attestations(self._board, self._metrics, self._act)
        self._attempts: dict[str, Attempt] = {}
        """Those that are not over, each with its newest stream, which may be gone."""
        self._lines: Lines | None = None
        self._server: Server | None = None
        self._alarm = Alarm(self._time_passed)
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def start(self) -> None:
        """Reads the directory, binds, serves; Kafka may come later."""
        await asyncio.gather(self._directories.start(), self._witness.journal.start())
        self._lines = Lines(
            self._settings.name,
            self._directories.newest,
            self._board,
            self._metrics,
            self._act,
            self._log_unlinked,
        )
        self._server = await self._world.network.serve(
            self._settings.listen,
            [
                Converses(DELIVER, self._deliver),
                Converses(ATTACH, self._lines.attach),
                Answers(WHO_HAS, self._attestations.who_has),
                Answers(RESUME, self._attestations.resume),
            ],
        )
        self._board.open(asyncio.get_running_loop().time())
        self.address = self._server.address
        self._witness.begin(self._settings.advertise or self.address)

    def troubles(self) -> Sequence[str]:
        """Why this gateway should get no new calls."""
        return ["draining"] if self._draining else []

    def remarks(self) -> Sequence[str]:
        """What an operator should know though calls are rung."""
        trouble = self._witness.journal.health()
        return [*([f"journal: {trouble}"] if trouble else []), *self._directories.remarks()]

    async def stop(self, grace_s: float) -> None:
        """Says that no PSAP is reached from here any more, lets attempts in hand finish, then ends all streams."""
        assert self._lines is not None
        assert self._server is not None
        self._draining = True
        self._server.set_ready(False)
        self._witness.publish_status()
        refusal = Refuse(Status.UNAVAILABLE, "draining")
        self._lines.close(refusal)
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            self._world.logger.warning("attempts.cut_by_drain", attempts=len(self._attempts))
        self._witness.end()
        for attempt in list(self._attempts.values()):
            attempt.end(refusal)
        self._lines.end_all(refusal)
        await self._server.stop(0.2)
        self._alarm.clear()
        await self._directories.stop()
        await self._witness.journal.close()

    # One attempt.

    async def _deliver(self, stream: Stream[delivery_pb2.DeliverRequest, delivery_pb2.DeliverResponse]) -> None:
        """Leads a conductor's stream from its offer to the end of the attempt."""
        if self._draining:
            raise Refuse(Status.UNAVAILABLE, "draining")
        try:
            attempt = await offered(stream, delivery_pb2.DeliverResponse)
            self._take_over(attempt)
            await self._ring(attempt)
        except Misspoken:
            self._metrics.misspoken.inc()
            raise

    def _take_over(self, attempt: Attempt) -> None:
        """One in hand here goes on with its newest stream: the older one may be gone, and not have ended (R5)."""
        older = self._attempts.get(attempt.name)
        if older is None:
            return
        ours, theirs = attempt.offer, older.offer
        if (ours.psap_id, ours.call_id) != (theirs.psap_id, theirs.call_id):
            raise Misspoken(Status.ALREADY_EXISTS, f"{attempt.name} is in hand here already, for another call or PSAP")
        self._metrics.taken_over.inc()
        attempt.takes_over(older)
        self._world.logger.info("attempt.taken_over", **older.summary())

    async def _ring(self, attempt: Attempt) -> None:
        name, offer = attempt.name, attempt.offer
        loop = asyncio.get_running_loop()
        self._attempts[name] = attempt
        self._idle.clear()
        self._metrics.offered.inc()
        try:
            self._act(self._board.offer(name, offer.call_id, offer.psap_id, loop.time()))
            await attempt.lead(
                connect=lambda: self._act(self._board.connect(name, loop.time())),
                release=lambda reason: self._act(self._board.release(name, reason, loop.time())),
            )
        except Broken:
            return  # the conductor is gone, as below
        finally:
            if self._attempts.get(name) is attempt:
                self._act(self._board.abandon(name, loop.time()))

    # What the switchboard wants.

    def _act(self, effects: Sequence[Effect]) -> None:
        """Carries out effects, in order; sets the timer; lets a changed standing out."""
        lines = self._lines
        assert lines is not None, "no stream comes before start"
        for effect in effects:
            match effect:
                case Became():
                    self._became(effect)
                case Offer(link, attempt):
                    lines.offer(link, self._attempts[attempt].offer)
                case Connect(link, attempt):
                    lines.connect(link, attempt)
                case Cancel(link, attempt, reason):
                    lines.cancel(link, attempt, reason)
                case Release(link, attempt, reason):
                    lines.release(link, attempt, reason)
                case Unlink():
                    lines.unlink(effect)
                case TakeUp(link, attempt):
                    lines.take_up(link, attempt)
                case Ask(link, call_id):
                    lines.ask(link, call_id)
                case Again(attempt, outcome):
                    self._attempts[attempt].tell(outcome)
                    self._is_over(attempt, outcome)
                case Doubted(attempt):
                    self._metrics.doubts.inc()
                    self._attempts[attempt].doubt()
                case Attested(question, holding):
                    self._attestations.attested(question, holding)
        if self._board.take_changed():
            self._witness.status_changed()
        self._alarm.no_later_than(self._board.deadline())

    def _became(self, step: Became) -> None:
        """One step of an attempt: to the conductor, and on record."""
        attempt = self._attempts[step.attempt]
        self._witness.record(attempt.became(step, self._settings.name, self._world.wall_ms()))
        self._metrics.outcomes[step.outcome].inc()
        self._metrics.in_hand.set(self._board.in_hand)
        if step.outcome is Outcome.RINGING and attempt.rung_after_s is not None:
            self._metrics.take_up.observe(attempt.rung_after_s)
        if step.failure is not None:
            self._metrics.failed[step.failure].inc()
        self._is_over(step.attempt, step.outcome)

    def _is_over(self, name: str, outcome: Outcome) -> None:
        """After its last step an attempt is not in hand any more."""
        if outcome in FINAL:
            self._world.logger.info("attempt.over", **self._attempts.pop(name).summary())
            if not self._attempts:
                self._idle.set()

    def _time_passed(self) -> None:
        self._act(self._board.pass_time(asyncio.get_running_loop().time()))

    def _rows(self) -> list[Row]:
        """What is published of the PSAPs; when this gateway stops it reaches nobody."""
        rows = self._board.rows(asyncio.get_running_loop().time())
        if self._draining:
            return [Row(row.psap_id, False, "gateway_draining", row.ringing, row.connected) for row in rows]
        return rows

    def _log_unlinked(self, psap_id: str, offence: Offence, reason: str) -> None:
        self._world.logger.warning("psap.unlinked", psap_id=psap_id, offence=offence, reason=reason)
