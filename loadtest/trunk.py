"""A trunk to the public telephone network: it dials ten-digit lines, whose channels are finite, and people answer (R7).

The trunk is the authority on its channels: whether one is free is decided and the channel taken in one step, so that
two failover replicas can never both count on the last one. It also says from its own mouth who has a call, lets go of
an attempt that a caller has come back for, and, where it is asked to ring a caller back, rings the caller's telephone
once a person at the line has answered (P5, T3). How its words travel is trunk_server.py's part.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, Final

from throughline.v1 import delivery_pb2, holding_pb2, trunk_pb2

from loadtest.diary import Account
from loadtest.humans import CALLER_PICK_UP, LINE_PICK_UP, TALK, Humans
from loadtest.region_tables import AdminLine
from loadtest.ring import Ring, Stage

RING_SLACK_S: Final = 1.0
UNCONFIRMED_S: Final = 3.0
CALLER_RINGS_S: Final = 30.0
LATE_S: Final = 0.5
STANDING: Final = {
    Stage.RINGING: holding_pb2.STANDING_RINGING,
    Stage.ANSWERED: holding_pb2.STANDING_ANSWERED,
    Stage.CONNECTED: holding_pb2.STANDING_CONNECTED,
}
Said = trunk_pb2.DialResponse


class TrunkFault(StrEnum):
    """What can be wrong with a trunk."""

    NONE = "heal"
    GONE = "gone"
    """Nobody serves; what was under way is cut, and people who talk go on."""
    HUNG = "hung"
    """Whatever it is asked, no word comes."""
    FULL = "full"
    LATE = "late"
    """It connects at once, and says so half a second later."""
    MUTE = "mute"
    """It dials as ever, and whoever asks it who has a call hears nothing."""


class Dialled(Ring):
    """A ring at a line: what is to be said on its stream, None being the stream's end."""

    __slots__ = ("callback", "caller", "number", "unsaid", "where")

    def __init__(self, dial: trunk_pb2.DialNumber) -> None:
        super().__init__(dial.call_id, dial.attempt, None)
        self.where = dial.where
        self.number = dial.where.line
        self.callback = dial.callback
        self.caller = dial.caller
        self.unsaid: asyncio.Queue[trunk_pb2.DialResponse | None] = asyncio.Queue()


class Trunk:
    """Every line of the region. `busy` says whether a caller's telephone is off the hook, where anybody here knows."""

    def __init__(
        self,
        lines: Iterable[AdminLine],
        humans: Humans,
        diary: Account,
        busy: Callable[[str], bool] = lambda caller: False,
    ) -> None:
        self.fault = TrunkFault.NONE
        self._channels = {line.number: line.channels for line in lines}
        self._taken: dict[str, dict[str, Dialled]] = {number: {} for number in self._channels}  # number -> call_id ->
        self._humans = humans
        self._diary = diary
        self._busy = busy

    def who_has(self, request: holding_pb2.WhoHasRequest) -> holding_pb2.WhoHasResponse:
        """How far a call has come at any line. What is not here is surely not: every channel is ours."""
        ring = self._furthest(request.call_id)
        if ring is None:
            return holding_pb2.WhoHasResponse(standing=holding_pb2.STANDING_NONE)
        return holding_pb2.WhoHasResponse(standing=STANDING[ring.stage], attempt=ring.attempt, where=ring.where)

    def resume(self, request: holding_pb2.ResumeRequest) -> holding_pb2.ResumeResponse:
        """Connected it stays, unless it is unwanted; else the attempt's line stops ringing before the answer."""
        ring = self._furthest(request.call_id)
        if ring is not None and request.unwanted and ring.attempt == request.attempt:
            self._part(ring, "unwanted")
            ring = None
        if ring is not None and ring.stage is Stage.CONNECTED and not ring.callback:
            connected = holding_pb2.STANDING_CONNECTED
            return holding_pb2.ResumeResponse(standing=connected, attempt=ring.attempt, where=ring.where)
        for calls in self._taken.values():
            found = calls.get(request.call_id)
            if found is not None and found.attempt == request.attempt:
                self.give_back(found, "resumed")
        return holding_pb2.ResumeResponse(standing=holding_pb2.STANDING_NONE)

    def _furthest(self, call_id: str) -> Dialled | None:
        rings = [calls[call_id] for calls in self._taken.values() if call_id in calls]
        return max(rings, key=lambda ring: list(STANDING).index(ring.stage), default=None)

    def dial(self, dial: trunk_pb2.DialNumber) -> Dialled:
        """Takes a channel and rings, or refuses; atomic, since nothing is awaited."""
        ring = Dialled(dial)
        self._write("offered", ring, reason=dial.reason)
        calls = self._taken.get(ring.number)
        known = calls.get(ring.call_id) if calls is not None else None
        if self.fault is TrunkFault.FULL:
            self._reject(ring, delivery_pb2.REJECTION_FULL, "no channel is free")
        elif calls is None:
            self._reject(ring, delivery_pb2.REJECTION_UNREACHABLE, "no such number")
        elif known is not None and known.stage is Stage.CONNECTED and not known.callback:
            self._reject(ring, delivery_pb2.REJECTION_SUPERSEDED, known.attempt)
        elif known is not None and (known.stage is Stage.CONNECTED or known.order >= ring.order):
            self._reject(ring, delivery_pb2.REJECTION_SUPERSEDED, f"with us already as {known.attempt}")
        elif known is None and self._channels[ring.number] - len(calls) <= dial.keep_free:
            self._reject(ring, delivery_pb2.REJECTION_FULL, "no channel is free for this reason")
        else:
            if known is not None:
                self._forget(known)
                self._reject(known, delivery_pb2.REJECTION_SUPERSEDED, "a newer attempt rings")
            calls[ring.call_id] = ring
            self._ring(ring, dial.ring_ms)
        return ring

    def _ring(self, ring: Dialled, ring_ms: int) -> None:
        self._write("ringing", ring)
        ring.unsaid.put_nowait(Said(ringing=delivery_pb2.Rung(attempt=ring.attempt, where=ring.where)))
        ring.start("ring", (ring_ms or 60_000) / 1000 + RING_SLACK_S, self._unanswered, ring)
        ring.start("pick_up", self._humans.waits(LINE_PICK_UP, ring.call_id, ring.number), self._answer, ring)

    def _answer(self, ring: Dialled) -> None:
        ring.stage = Stage.ANSWERED
        ring.stop("ring")
        self._write("answered", ring)
        ring.unsaid.put_nowait(Said(answer=delivery_pb2.Answer(attempt=ring.attempt)))
        ring.start("unconfirmed", UNCONFIRMED_S, self.give_back, ring, "unconfirmed")

    def connect(self, ring: Dialled) -> None:
        """Joins the person who has answered with the caller, or refuses."""
        if ring.stage is not Stage.ANSWERED or self._taken[ring.number].get(ring.call_id) is not ring:
            self._reject(ring, delivery_pb2.REJECTION_EXPIRED, "nobody here has answered this attempt")
            return
        if ring.callback:
            self._ring_caller(ring)
            return
        self._join(ring, "connected")

    def _ring_caller(self, ring: Dialled) -> None:
        """The person at the line waits while the caller's telephone rings."""
        ring.stop_all()
        if self._busy(ring.caller) or self.on_the_phone(ring.caller, but=ring):
            self._caller_not_reached(ring, "busy")  # it does not ring
            return
        self._write("rings_caller", ring)
        fate = self._humans.rung_back(ring.caller, ring.call_id, ring.attempt)
        if fate == "busy":
            self._caller_not_reached(ring, "busy")
        elif fate == "no_answer":
            ring.start("caller", self._humans.passes(CALLER_RINGS_S), self._caller_not_reached, ring, fate)
        else:
            picks_up_s = self._humans.waits(CALLER_PICK_UP, ring.caller, ring.call_id)
            ring.start("caller", picks_up_s, self._caller_picks_up, ring)

    def on_the_phone(self, caller: str, but: Dialled | None = None) -> bool:
        """Whether this caller's one telephone rings or is talked on already, because another line rang it back."""
        return any(
            ring.callback and ring.caller == caller and ring.stage is not Stage.RINGING and ring is not but
            for calls in self._taken.values()
            for ring in calls.values()
        )

    def _caller_picks_up(self, ring: Dialled) -> None:
        """Unless they dial themselves by now."""
        if self._busy(ring.caller):
            self._caller_not_reached(ring, "busy")
        else:
            self._join(ring, "rung_back")

    def _caller_not_reached(self, ring: Dialled, why: str) -> None:
        self._forget(ring)
        self._reject(ring, delivery_pb2.REJECTION_NO_ANSWER, f"caller_{why}")

    def _join(self, ring: Dialled, event: str) -> None:
        ring.stage = Stage.CONNECTED
        ring.stop_all()
        self._write(event, ring)
        done = Said(connected=delivery_pb2.ConnectDone(attempt=ring.attempt, where=ring.where))
        if self.fault is TrunkFault.LATE:
            asyncio.get_running_loop().call_later(LATE_S, self._say_last, ring, done)
        else:
            self._say_last(ring, done)
        ring.start("talk", self._humans.waits(TALK, ring.call_id), self._hang_up, ring)

    def hang_up_all(self) -> None:
        """Whoever talks at a line has said all."""
        for calls in self._taken.values():
            for ring in [ring for ring in calls.values() if ring.stage is Stage.CONNECTED]:
                self._hang_up(ring)

    def _hang_up(self, ring: Dialled) -> None:
        self._write("ended", ring)
        self._forget(ring)

    def _unanswered(self, ring: Dialled) -> None:
        self._forget(ring)
        self._reject(ring, delivery_pb2.REJECTION_NO_ANSWER, "rang long enough")

    def give_back(self, ring: Dialled, reason: str) -> None:
        """Stops a ring that is not connected; its channel is free again."""
        if ring.stage is not Stage.CONNECTED:
            self._part(ring, reason)

    def _part(self, ring: Dialled, reason: str) -> None:
        if self._forget(ring):
            self._write("cancelled", ring, reason=reason, stage=str(ring.stage))
            ring.unsaid.put_nowait(None)

    def _forget(self, ring: Dialled) -> bool:
        """Frees the channel; False when it was not taken by this ring."""
        ring.stop_all()
        calls = self._taken.get(ring.number, {})
        if calls.get(ring.call_id) is not ring:
            return False
        del calls[ring.call_id]
        return True

    def _reject(self, ring: Dialled, rejection: delivery_pb2.Rejection.ValueType, reason: str) -> None:
        name = delivery_pb2.Rejection.Name(rejection).removeprefix("REJECTION_").lower()
        self._write("rejected", ring, rejection=name, reason=reason)
        rejected = delivery_pb2.Rejected(attempt=ring.attempt, rejection=rejection, reason=reason)
        self._say_last(ring, Said(rejected=rejected))

    def _say_last(self, ring: Dialled, word: trunk_pb2.DialResponse) -> None:
        ring.unsaid.put_nowait(word)
        ring.unsaid.put_nowait(None)

    def _write(self, event: str, ring: Dialled, **more: Any) -> None:
        owner = ring.where.psap_id
        self._diary.write(event, call_id=ring.call_id, attempt=ring.attempt, psap_id=owner, line=ring.number, **more)
