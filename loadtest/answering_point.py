"""One PSAP as its callers find it: call-takers, what rings, who talks, and what can be wrong with it (R2, R3, R5).

It hears `AttachResponse` messages from any of its streams and says `AttachRequest` messages on them; how those travel
is attachment.py's part. Call-takers are finite: what rings while all are busy waits for one, and past a queue of the
same length the PSAP says that it is full.

One stream at a time has a ring: the one that offered it last, or that asked for it. What any other says of it, a
gateway that was left behind, neither stops nor connects it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

from throughline.v1 import delivery_pb2, holding_pb2, place_pb2

from loadtest.call_takers import CallTakers
from loadtest.diary import Account, silent
from loadtest.humans import PICK_UP, TALK, Humans
from loadtest.ring import Line, Ring, Stage, call_of, order_of

ORPHAN_S: Final = 2.0
"""A ring whose stream is gone rings on for this long (R5)."""
UNCONFIRMED_S: Final = 3.0
"""An answer that nobody follows up is given up; the gateway's own second comes first (P4)."""
RING_SLACK_S: Final = 1.0
LATE_S: Final = 0.5
STRIKES_AFTER_S: Final = 0.05
"""A fault that waits for a ring strikes when the gateway has heard of it."""

Ask = delivery_pb2.AttachRequest


class Fault(StrEnum):
    """What can be wrong with a PSAP."""

    NONE = "heal"
    CUT = "cut"
    """Its streams break and it cannot attach."""
    SILENT = "silent"
    """Its streams stand, and nothing is said on them any more."""
    REJECT = "reject"
    FULL = "full"
    LATE = "late"
    """It connects at once, and says so half a second later: time for others to die in between."""


class AnsweringPoint:
    """A PSAP with `positions` call-takers."""

    def __init__(
        self, psap_id: str, positions: int, humans: Humans, diary: Account, tell: Callable[..., None] = silent
    ) -> None:
        self.psap_id = psap_id
        self.fault = Fault.NONE
        self.well = asyncio.Event()
        self.well.set()
        self.lines: list[Line] = []
        self._where = place_pb2.Where(psap_id=psap_id)
        self._takers = CallTakers(positions, lambda ring: humans.waits(PICK_UP, ring.call_id, psap_id), self._answer)
        self._humans = humans
        self._diary = diary
        self._tell = tell
        self._rings: dict[str, Ring] = {}
        self._waiting: dict[str, Ring] = {}  # those that are not connected
        self._armed = Fault.NONE

    # What its streams bring.

    def hello(self, credential: str) -> delivery_pb2.Hello:
        """Its first word on a stream: who it is, and what rings and talks there at this moment (R5)."""
        told = delivery_pb2.Hello(psap_id=self.psap_id, credential=credential, beats_while_ringing=True)
        for ring in self._rings.values():
            (told.held if ring.stage is Stage.CONNECTED else told.ringing).append(ring.attempt)
        return told

    def welcomed(self, line: Line, hello: delivery_pb2.Hello) -> None:
        """A stream is up: rings that lost theirs, and that its hello named, say again on it how they stand (R5)."""
        self.lines.append(line)
        for ring in self._rings.values():
            if ring.attempt in hello.held:
                ring.told_on.add(line)
            if ring.line is not None or ring.attempt not in (*hello.ringing, *hello.held):
                continue
            ring.line = line
            if ring.stage is not Stage.CONNECTED:
                ring.stop("orphan")
                self._repeat(ring)

    def lost(self, line: Line) -> None:
        """A stream is gone: what rang on it rings on for two seconds (R5)."""
        if line in self.lines:
            self.lines.remove(line)
        for ring in list(self._rings.values()):
            if ring.line is line:
                ring.line = None
                if ring.stage is not Stage.CONNECTED:
                    ring.start("orphan", ORPHAN_S, self._cancel, ring, "stream_lost")

    def waits_on(self, line: Line) -> bool:
        """Whether anything that this stream has rings here, or is answered and not connected yet (R2)."""
        return any(ring.line is line for ring in self._waiting.values())

    def hear(self, line: Line, message: delivery_pb2.AttachResponse) -> None:
        """Acts on one message of a gateway. One that is silent acts on nothing."""
        if self.fault is Fault.SILENT:
            return
        match message.WhichOneof("said"):
            case "offer":
                self._offered(line, message.offer)
            case "connect":
                self._connect(line, message.connect.attempt)
            case "cancel":
                self._stopped(line, message.cancel)
            case "release":
                self._stopped(line, message.release)
            case "resume":
                self._resume(line, message.resume.attempt)
            case "who_has":
                self._who_has(line, message.who_has.call_id)
            case _:
                return  # welcome and heartbeat are the stream's own; a word we do not know asks nothing of us

    def _offered(self, line: Line, offer: delivery_pb2.RingOffer) -> None:
        self._write("offered", offer.call_id, offer.attempt, gateway=line.gateway, reason=offer.reason)
        ring = self._rings.get(offer.call_id)
        if ring is not None and ring.stage is Stage.CONNECTED:
            self._write("have", ring.call_id, offer.attempt, held=ring.attempt)
            self._have(line, ring)
        elif ring is not None and order_of(offer.attempt) < ring.order:
            self._reject(line, offer.call_id, offer.attempt, delivery_pb2.REJECTION_SUPERSEDED, "a newer attempt rings")
        elif ring is not None:
            self._replace(ring, line, offer.attempt)
        elif (refusal := self._refusal()) is not None:
            self._reject(line, offer.call_id, offer.attempt, *refusal)
        else:
            self._ring(Ring(offer.call_id, offer.attempt, line), offer.ring_ms)

    def _refusal(self) -> tuple[delivery_pb2.Rejection.ValueType, str] | None:
        if self.fault is Fault.REJECT:
            return delivery_pb2.REJECTION_REFUSED, "this centre takes no calls"
        if self.fault is Fault.FULL:
            return delivery_pb2.REJECTION_FULL, "every position is taken"
        if self._takers.full:
            return delivery_pb2.REJECTION_FULL, "every position is taken, and as many calls wait"
        return None

    def _ring(self, ring: Ring, ring_ms: int) -> None:
        self._rings[ring.call_id] = self._waiting[ring.call_id] = ring
        self._repeat(ring)
        ring.start("ring", (ring_ms or 60_000) / 1000 + RING_SLACK_S, self._unanswered, ring)
        self._takers.ring(ring)
        if self._armed is not Fault.NONE:
            fault, self._armed = self._armed, Fault.NONE
            asyncio.get_running_loop().call_later(STRIKES_AFTER_S, self.strike, fault)

    def _replace(self, ring: Ring, line: Line, attempt: str) -> None:
        """The same call under a newer attempt: it goes on ringing, or stays answered, where it is (R3).

        The same attempt through another gateway goes on there just so (R5).
        """
        if ring.attempt != attempt:  # written down also where no stream is left to say it on
            self._reject(
                ring.line, ring.call_id, ring.attempt, delivery_pb2.REJECTION_SUPERSEDED, "a newer attempt rings"
            )
            ring.line = None
        ring.attempt, ring.order = attempt, order_of(attempt)
        self._move(ring, line)

    def _move(self, ring: Ring, line: Line) -> None:
        """From now on this stream has the ring; the one that had it is told."""
        if ring.line is not None and ring.line is not line:
            elsewhere = delivery_pb2.Rejected(
                attempt=ring.attempt, rejection=delivery_pb2.REJECTION_SUPERSEDED, reason="another gateway has it"
            )
            self._say(ring.line, Ask(reject=elsewhere))
        ring.stop("orphan")
        ring.line = line
        self._repeat(ring)

    def _connect(self, line: Line, attempt: str) -> None:
        ring = self._ring_of(attempt)
        if ring is None or ring.stage is Stage.RINGING or (ring.stage is Stage.ANSWERED and ring.line is not line):
            call_id = call_of(attempt)
            self._reject(
                line, call_id, attempt, delivery_pb2.REJECTION_EXPIRED, "nobody here has answered this attempt"
            )
            return
        if ring.stage is Stage.ANSWERED:
            ring.stage = Stage.CONNECTED
            self._waiting.pop(ring.call_id, None)
            ring.stop("unconfirmed", "orphan")
            self._write("connected", ring.call_id, attempt)
            ring.start("talk", self._humans.waits(TALK, ring.call_id), self._hang_up, ring)
        ring.told_on.add(line)
        done = Ask(connected=delivery_pb2.ConnectDone(attempt=attempt, where=self._where))
        if self.fault is Fault.LATE:
            asyncio.get_running_loop().call_later(LATE_S, self._say, line, done)
        else:
            self._say(line, done)

    def _stopped(self, line: Line, word: delivery_pb2.Cancel | delivery_pb2.Release) -> None:
        """It rings no more. A talk is ended by a release alone: who says cancel had not heard of it (R5)."""
        ring = self._ring_of(word.attempt)
        talks = ring is not None and ring.stage is Stage.CONNECTED
        if ring is None or ring.line is not line or (talks and isinstance(word, delivery_pb2.Cancel)):
            return
        self._cancel(ring, word.reason or "released")
        gone = delivery_pb2.Rejected(attempt=word.attempt, rejection=delivery_pb2.REJECTION_EXPIRED, reason="released")
        for other in self.lines:
            if other is not line and other in ring.told_on:  # its gateway thinks that it is connected here (R5)
                self._say(other, Ask(reject=gone))

    def _resume(self, line: Line, attempt: str) -> None:
        """A gateway asks for this attempt: from now on its stream has it, if it is here."""
        ring = self._ring_of(attempt)
        if ring is None:
            rejected = delivery_pb2.Rejected(
                attempt=attempt, rejection=delivery_pb2.REJECTION_EXPIRED, reason="not with us"
            )
            self._say(line, Ask(reject=rejected))
        elif ring.stage is Stage.CONNECTED:
            self._have(line, ring)
        else:
            self._move(ring, line)

    def _who_has(self, line: Line, call_id: str) -> None:
        """Says how the call stands here, on the stream that asks (T3)."""
        ring = self._rings.get(call_id)
        has = delivery_pb2.Has(call_id=call_id, standing=holding_pb2.STANDING_NONE)
        self._say(line, Ask(has=ring.has() if ring is not None else has))

    # What its people do.

    def _answer(self, ring: Ring) -> None:
        if self.fault is Fault.SILENT:
            return
        ring.stage = Stage.ANSWERED
        ring.stop("ring")
        self._write("answered", ring.call_id, ring.attempt)
        ring.start("unconfirmed", UNCONFIRMED_S, self._cancel, ring, "unconfirmed")
        self._say(ring.line, Ask(answer=delivery_pb2.Answer(attempt=ring.attempt)))

    def _unanswered(self, ring: Ring) -> None:
        if ring.line is None or self.fault is Fault.SILENT:
            self._cancel(ring, "rang_unheard")
            return
        self._reject(ring.line, ring.call_id, ring.attempt, delivery_pb2.REJECTION_NO_ANSWER, "rang long enough")
        self._forget(ring)

    def _hang_up(self, ring: Ring) -> None:
        self._write("ended", ring.call_id, ring.attempt)
        for line in self.lines:
            self._say(line, Ask(ended=delivery_pb2.Ended(attempt=ring.attempt)))
        self._forget(ring)

    def hang_up_all(self) -> None:
        """Whoever talks here has said all."""
        for ring in [ring for ring in self._rings.values() if ring.stage is Stage.CONNECTED]:
            self._hang_up(ring)

    def _cancel(self, ring: Ring, reason: str) -> None:
        self._write("cancelled", ring.call_id, ring.attempt, reason=reason, stage=str(ring.stage))
        self._forget(ring)

    def _forget(self, ring: Ring) -> None:
        ring.stop_all()
        self._rings.pop(ring.call_id, None)
        self._waiting.pop(ring.call_id, None)
        self._takers.leave(ring)

    # What can be wrong with it.

    def arm(self, fault: Fault) -> None:
        """Strikes when the next call rings here, so that a call in hand is hit."""
        self._armed = fault

    def strike(self, fault: Fault) -> None:
        """From now on this is wrong; what rings at this moment is hit by it."""
        self.fault, self._armed = fault, Fault.NONE
        self.well.clear()
        ringing = [ring for ring in self._rings.values() if ring.stage is Stage.RINGING]
        self._tell("fault_struck", psap_id=self.psap_id, fault=str(fault), ringing=[ring.call_id for ring in ringing])
        match fault:
            case Fault.CUT:
                for line in list(self.lines):
                    line.drop()
            case Fault.REJECT | Fault.FULL:
                for ring in ringing:
                    self._refuse_in_hand(ring, fault)
            case Fault.SILENT | Fault.LATE | Fault.NONE:
                return

    def heal(self) -> None:
        """All is well again. Streams are attached anew: whatever was missed on the old ones is asked for again (R5)."""
        was, self.fault, self._armed = self.fault, Fault.NONE, Fault.NONE
        self.well.set()
        if was is Fault.SILENT:
            for ring in [ring for ring in self._rings.values() if ring.stage is not Stage.CONNECTED]:
                self._cancel(ring, "was_silent")
        if was in (Fault.SILENT, Fault.CUT):
            for line in list(self.lines):
                line.drop()
        self._tell("fault_healed", psap_id=self.psap_id, fault=str(was))

    def _refuse_in_hand(self, ring: Ring, fault: Fault) -> None:
        rejection = delivery_pb2.REJECTION_FULL if fault is Fault.FULL else delivery_pb2.REJECTION_REFUSED
        self._reject(ring.line, ring.call_id, ring.attempt, rejection, "given back while it rang")
        self._forget(ring)

    # Small words.

    def _have(self, line: Line, ring: Ring) -> None:
        """It is connected here; what the stream says that had it so far neither stops nor connects it any more."""
        ring.line = line
        ring.told_on.add(line)
        self._say(line, Ask(have=delivery_pb2.Have(call_id=ring.call_id, attempt=ring.attempt)))

    def _repeat(self, ring: Ring) -> None:
        """Says how a ring stands, on the stream that it has now."""
        if ring.line is None:
            return
        self._write("ringing", ring.call_id, ring.attempt, gateway=ring.line.gateway)
        self._say(ring.line, Ask(ringing=delivery_pb2.Rung(attempt=ring.attempt, where=self._where)))
        if ring.stage is Stage.ANSWERED:
            self._write("answered", ring.call_id, ring.attempt)
            self._say(ring.line, Ask(answer=delivery_pb2.Answer(attempt=ring.attempt)))

    def _say(self, line: Line | None, message: delivery_pb2.AttachRequest) -> None:
        if line is not None and self.fault is not Fault.SILENT:
            line.say(message)

    def _reject(
        self, line: Line | None, call_id: str, attempt: str, rejection: delivery_pb2.Rejection.ValueType, reason: str
    ) -> None:
        name = delivery_pb2.Rejection.Name(rejection).removeprefix("REJECTION_").lower()
        self._write("rejected", call_id, attempt, rejection=name, reason=reason)
        self._say(line, Ask(reject=delivery_pb2.Rejected(attempt=attempt, rejection=rejection, reason=reason)))

    def _ring_of(self, attempt: str) -> Ring | None:
        ring = self._rings.get(call_of(attempt))
        return ring if ring is not None and ring.attempt == attempt else None

    def _write(self, event: str, call_id: str, attempt: str, **more: Any) -> None:
        self._diary.write(event, call_id=call_id, attempt=attempt, psap_id=self.psap_id, **more)
