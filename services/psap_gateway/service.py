"""The gateway's life, and the conductors' streams: one `Deliver` is one attempt (protocol.md R1).

What may happen is decided in `services/domain/switchboard.py`; here its effects are carried out, its timer is kept, and
each step of an attempt goes to the conductor and on record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from throughline.v1 import delivery_pb2, place_pb2

from services.domain.attachments import Offence, Row
from services.domain.deliveries import FINAL, Delivery, Outcome
from services.domain.events import Failure, Where
from services.domain.patching import Became, Cancel, Connect, Effect, Offer, Release, Unlink
from services.domain.switchboard import AlreadyInHand, Switchboard
from services.host.dialogue import Dialogue
from services.host.network import Broken, Converses, Refuse, Server, Status, Stream
from services.host.region import load_directory
from services.host.world import World
from services.psap_gateway.lines import REASON_CHARS_MAX, Lines
from services.psap_gateway.metrics import PsapGatewayMetrics
from services.psap_gateway.settings import PsapGatewaySettings
from services.psap_gateway.witness import Witness
from services.wire.deliveries import rejection_of
from services.wire.methods import ATTACH, DELIVER, Unreadable

OFFER_WITHIN_S: Final = 2.0
NAME_CHARS_MAX: Final = 256

Up = delivery_pb2.DeliverRequest
Down = delivery_pb2.DeliverResponse


class _Session:
    """One attempt's stream, and what is known of it."""

    __slots__ = ("began", "dialogue", "offer", "outcome", "reason", "rung_after_s", "where")

    def __init__(self, offer: delivery_pb2.RingOffer, dialogue: Dialogue[Up, Down], began: float) -> None:
        self.offer = offer
        self.where = Where(offer.psap_id)
        self.dialogue = dialogue
        self.began = began
        self.rung_after_s: float | None = None
        self.outcome: Outcome | None = None
        self.reason = ""


class PsapGateway:
    """See the package."""

    def __init__(self, world: World, settings: PsapGatewaySettings) -> None:
        self.address = ""
        self._world = world
        self._settings = settings
        self._metrics = PsapGatewayMetrics(world.registry)
        self._board = Switchboard()
        self._witness = Witness(world, self._metrics, settings.status_every_ms / 1000, self._rows)
        self._sessions: dict[str, _Session] = {}
        self._lines: Lines | None = None
        self._server: Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def start(self) -> None:
        """Reads the directory, binds, serves; Kafka may come later."""
        directory = await load_directory(self._world.files, self._settings)
        self._lines = Lines(self._settings.name, directory, self._board, self._metrics, self._act, self._log_unlinked)
        await self._witness.journal.start()
        self._server = await self._world.network.serve(
            self._settings.listen, [Converses(DELIVER, self._deliver), Converses(ATTACH, self._lines.attach)]
        )
        self.address = self._server.address
        self._witness.begin(self._settings.advertise or self.address)

    def troubles(self) -> Sequence[str]:
        """Why this gateway should get no new calls."""
        return ["draining"] if self._draining else []

    def remarks(self) -> Sequence[str]:
        """What an operator should know though calls are rung."""
        trouble = self._witness.journal.health()
        return [f"journal: {trouble}"] if trouble else []

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
            self._world.logger.warning("attempts.cut_by_drain", attempts=len(self._sessions))
        self._witness.end()
        for session in list(self._sessions.values()):
            session.dialogue.end(refusal)
        self._lines.end_all(refusal)
        await self._server.stop(0.2)
        if self._timer is not None:
            self._timer.cancel()
        await self._witness.journal.close()

    # One attempt.

    async def _deliver(self, stream: Stream[Up, Down]) -> None:
        """Leads a conductor's stream from its offer to the end of the attempt."""
        if self._draining:
            raise Refuse(Status.UNAVAILABLE, "draining")
        offer = await self._offer(stream)
        loop = asyncio.get_running_loop()
        dialogue: Dialogue[Up, Down] = Dialogue(stream)
        attempt = offer.attempt
        if attempt in self._sessions:
            raise self._misspoken(Status.ALREADY_EXISTS, f"{attempt} is in hand here already")
        session = self._sessions[attempt] = _Session(offer, dialogue, loop.time())
        self._idle.clear()
        self._metrics.offered.inc()
        try:
            effects = self._board.offer(attempt, offer.call_id, offer.psap_id, session.began)
        except AlreadyInHand:
            raise AssertionError("an attempt in hand has its session") from None
        try:
            self._act(effects)
            await dialogue.lead(partial(self._hear, session))
        except Unreadable as unreadable:
            raise self._misspoken(Status.INVALID_ARGUMENT, unreadable.why) from None
        except Broken:
            pass  # the conductor is gone: what that means is said below
        finally:
            self._act(self._board.release(attempt, "stream_broken", loop.time()))
            del self._sessions[attempt]
            if not self._sessions:
                self._idle.set()
            self._log(session, loop.time())

    async def _offer(self, stream: Stream[Up, Down]) -> delivery_pb2.RingOffer:
        """The first word, checked; raises Refuse."""
        try:
            async with asyncio.timeout(OFFER_WITHIN_S):
                first = await stream.read()
        except TimeoutError:
            raise self._misspoken(Status.DEADLINE_EXCEEDED, f"no offer within {OFFER_WITHIN_S} s") from None
        except Unreadable as unreadable:
            raise self._misspoken(Status.INVALID_ARGUMENT, unreadable.why) from None
        if first is None or first.WhichOneof("said") != "offer":
            raise self._misspoken(Status.INVALID_ARGUMENT, "expected an offer as the first word")
        offer = first.offer
        for field, value in (("attempt", offer.attempt), ("call_id", offer.call_id), ("psap_id", offer.psap_id)):
            if not 0 < len(value) <= NAME_CHARS_MAX:
                why = f"{field}: expected 1 to {NAME_CHARS_MAX} characters, got {len(value)}"
                raise self._misspoken(Status.INVALID_ARGUMENT, why)
        return offer

    def _hear(self, session: _Session, message: Up | None) -> None:
        """One message of the conductor; None when it says no more."""
        attempt = session.offer.attempt
        now = asyncio.get_running_loop().time()
        said = None if message is None else message.WhichOneof("said")
        if message is not None and said == "connect" and message.connect.attempt == attempt:
            self._act(self._board.connect(attempt, now))
        elif message is not None and said == "release" and message.release.attempt == attempt:
            self._act(self._board.release(attempt, message.release.reason[:REASON_CHARS_MAX], now))
        elif message is None:
            session.dialogue.end()
        else:
            refusal = self._misspoken(
                Status.INVALID_ARGUMENT, f"expected connect or release of {attempt}, got {said} of another or nothing"
            )
            session.dialogue.end(refusal)

    def _misspoken(self, status: Status, why: str) -> Refuse:
        self._metrics.misspoken.inc()
        return Refuse(status, why)

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
                    lines.offer(link, self._sessions[attempt].offer)
                case Connect(link, attempt):
                    lines.connect(link, attempt)
                case Cancel(link, attempt, reason):
                    lines.cancel(link, attempt, reason)
                case Release(link, attempt, reason):
                    lines.release(link, attempt, reason)
                case Unlink():
                    lines.unlink(effect)
        if self._board.rows_changed:
            self._board.rows_changed = False
            self._witness.status_changed()
        self._set_timer()

    def _became(self, effect: Became) -> None:
        """One step of an attempt: to the conductor, and on record."""
        session = self._sessions[effect.attempt]
        offer, where = session.offer, session.where
        match effect.outcome:
            case Outcome.RINGING:
                session.rung_after_s = asyncio.get_running_loop().time() - session.began
                self._metrics.take_up.observe(session.rung_after_s)
                there = place_pb2.Where(psap_id=where.psap_id)
                session.dialogue.say(Down(ringing=delivery_pb2.Rung(attempt=effect.attempt, where=there)))
            case Outcome.ANSWERED:
                session.dialogue.say(Down(answer=delivery_pb2.Answer(attempt=effect.attempt)))
            case Outcome.CONNECTED:
                there = place_pb2.Where(psap_id=where.psap_id)
                session.dialogue.say(Down(connected=delivery_pb2.ConnectDone(attempt=effect.attempt, where=there)))
            case Outcome.FAILED:
                failure = effect.failure or Failure.REFUSED
                self._metrics.failed[failure].inc()
                rejected = delivery_pb2.Rejected(
                    attempt=effect.attempt, rejection=rejection_of(failure), reason=effect.reason
                )
                session.dialogue.say(Down(rejected=rejected))
            case Outcome.RELEASED:
                pass  # the conductor has said so itself, or is gone
        self._metrics.outcomes[effect.outcome].inc()
        self._metrics.in_hand.set(self._board.in_hand)
        if effect.outcome in FINAL:
            session.outcome = effect.outcome
            session.reason = effect.failure or effect.reason
            session.dialogue.end()
        self._witness.record(
            Delivery(
                offer.call_id,
                offer.leg,
                effect.attempt,
                self._settings.name,
                where,
                effect.outcome,
                effect.failure,
                effect.reason,
                self._world.wall_ms(),
            )
        )

    def _set_timer(self) -> None:
        """Wakes at the switchboard's next deadline. A timer that comes too early is harmless."""
        deadline = self._board.deadline()
        if deadline is None or (self._timer is not None and self._timer.when() <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(deadline, self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        self._act(self._board.pass_time(asyncio.get_running_loop().time()))

    def _rows(self) -> list[Row]:
        """What is published of the PSAPs; when this gateway stops it reaches nobody."""
        rows = self._board.rows(asyncio.get_running_loop().time())
        if self._draining:
            return [Row(row.psap_id, False, "gateway_draining", row.ringing, row.connected) for row in rows]
        return rows

    def _log(self, session: _Session, now: float) -> None:
        """The one line of an attempt."""
        offer = session.offer
        self._world.logger.info(
            "attempt.over",
            call_id=offer.call_id,
            attempt=offer.attempt,
            psap_id=offer.psap_id,
            outcome=session.outcome,
            reason=session.reason,
            rung_after_ms=None if session.rung_after_s is None else round(session.rung_after_s * 1000),
            took_ms=round((now - session.began) * 1000),
        )

    def _log_unlinked(self, psap_id: str, offence: Offence, reason: str) -> None:
        self._world.logger.warning("psap.unlinked", psap_id=psap_id, offence=offence, reason=reason)
