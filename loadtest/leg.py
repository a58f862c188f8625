"""One leg of a call as the originating network holds it: a `PlaceCall` stream and what is heard on it (P1, P4).

One task reads and one timer stands beside it: a leg on which nothing is heard for a second is broken, and a caller
whose patience ends hangs up. What the network may do wrong on a leg is done here too, each in its moment.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from google.protobuf.message import DecodeError
from throughline.v1 import call_pb2, place_pb2

from loadtest.diary import Account
from loadtest.wire import Ended, Wire

PLACE_CALL: Final = "/throughline.v1.IngressService/PlaceCall"
SILENCE_S: Final = 1.0
ENDS_WITHIN_S: Final = 1.0
HELD_UP_S: Final = 0.05
"""A timer that comes later than this: we were held up ourselves, and read first what has waited."""
A_MOMENT_S: Final = 0.005
HANGS_UP_AFTER_S: Final = 0.5
READS_AFTER_S: Final = 5.0
GARBAGE: Final = b"\xff\xff\xff\xff"
_PERMANENT: Final = frozenset({"PERMISSION_DENIED", "UNIMPLEMENTED"})
Say = call_pb2.PlaceCallRequest


class NetworkMischief(StrEnum):
    """What an originating network does wrong with one call, once: with its first leg, or in the first such moment."""

    NONE = "none"
    BREAKS_RINGING = "breaks_ringing"
    """Its stream breaks when the caller hears it ring, and the next leg is offered."""
    BREAKS_CONFIRMED = "breaks_confirmed"
    """Its stream breaks a moment after it has confirmed, and the next leg is offered."""
    OFFERS_TWICE = "offers_twice"
    """The same leg at two ingresses; what the second one says is heard by nobody (P8)."""
    NEVER_CONFIRMS = "never_confirms"
    """Not once, whoever answers."""
    CONFIRMS_ANOTHER = "confirms_another"
    """It confirms an attempt that is not the one proposed."""
    HANGS_UP_CONFIRMED = "hangs_up_confirmed"
    HANGS_UP_UNCONNECTED = "hangs_up_unconnected"
    """The caller hears nobody half a second after it confirmed, and hangs up."""
    WALKS_AWAY = "walks_away"
    """The caller hears it ring, and the stream is closed without a word."""
    OFFERS_ONCE = "offers_once"
    """It offers one leg and no other: when that breaks, the caller is gone."""
    GARBAGE = "garbage"
    """The offer's bytes are no message, though its fields are whole (P6)."""
    READS_NOTHING = "reads_nothing"
    """It reads the first word after five seconds."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is offered; `call_id` is this network's own."""

    call_id: str
    caller: str
    service_urn: str
    place: place_pb2.Place
    source: str
    mischief: NetworkMischief = NetworkMischief.NONE


class LegEnd(StrEnum):
    """How a leg ended."""

    CONNECTED = "connected"
    HUNG_UP = "hung_up"
    WALKED_AWAY = "walked_away"
    BROKEN = "broken"
    REFUSED = "refused"


class Carried:
    """One call under way: what is known of it over all its legs."""

    def __init__(self, call: Call, diary: Account, began: float, patience_ends: float) -> None:
        self.call = call
        self.leg = 0
        self.patience_ends = patience_ends
        self.confirmed = ""
        self.where: dict[str, place_pb2.Where] = {}
        self._mischief = call.mischief
        self._diary = diary
        self._began = began

    def sins(self, mischief: NetworkMischief) -> bool:
        """Whether this is to be done wrong now; true once, and then it stands in the account."""
        if self._mischief is not mischief:
            return False
        if mischief is not NetworkMischief.NEVER_CONFIRMS:
            self._mischief = NetworkMischief.NONE
        self.write("misbehaved", mischief=str(mischief))
        return True

    def offer(self) -> bytes:
        """The first word of the leg that begins."""
        call = self.call
        offer = call_pb2.Offer(
            call_id=call.call_id,
            leg=self.leg,
            caller=call.caller,
            service_urn=call.service_urn,
            place=call.place,
            source=call.source,
            attestation=call_pb2.ATTESTATION_A,
            confirmed_attempt=self.confirmed,
            confirmed_where=self.where.get(self.confirmed),
        )
        return Say(offer=offer).SerializeToString() + GARBAGE * self.sins(NetworkMischief.GARBAGE)

    def write(self, event: str, **seen: Any) -> None:
        after_ms = round((asyncio.get_running_loop().time() - self._began) * 1000, 1)
        self._diary.write(event, call_id=self.call.call_id, leg=self.leg, after_ms=after_ms, **seen)


class Leg:
    """One stream to one ingress."""

    def __init__(self, carried: Carried, wire: Wire, address: str) -> None:
        self._carried = carried
        self._address = address
        self._stream = wire.open(address, PLACE_CALL)
        self._loop = asyncio.get_running_loop()
        self._heard = self._due = self._loop.time()
        self._watching: asyncio.TimerHandle | None = None
        self._accepted = False
        self._end: LegEnd | None = None
        self._broken_why = ""

    async def live(self, about: dict[str, Any]) -> LegEnd:
        """The leg's life; the stream is over when this returns. `about` goes into its `offered` line."""
        self._stream.say(self._carried.offer())
        self._carried.write("offered", ingress=self._address, **about)
        try:
            if self._carried.sins(NetworkMischief.READS_NOTHING):
                await asyncio.sleep(READS_AFTER_S)
                self._heard = self._loop.time()
            self._watch_on()
            while (raw := await self._stream.read()) is not None:
                self._heard = self._loop.time()
                if self._end is None:
                    self._hear(raw)
            return self._end or self._broken("ended_without_connection")
        except Ended as ended:
            return self._end or self._ended(ended)
        finally:
            self._watch_off()
            self._stream.cancel()

    # The timer: whether anything is heard, and whether the caller waits still.

    def _watch_on(self) -> None:
        self._due = min(self._heard + SILENCE_S, self._carried.patience_ends)
        self._watching = self._loop.call_at(self._due, self._watch)

    def _watch_off(self) -> None:
        if self._watching is not None:
            self._watching.cancel()

    def _watch(self) -> None:
        # Judged by the instant that was due, not by the clock: a timer may come a little early.
        if self._due == self._carried.patience_ends:
            self._hang_up()
        elif self._heard + SILENCE_S > self._due:
            self._watch_on()
        elif self._loop.time() - self._due > HELD_UP_S:
            self._due = min(self._loop.time() + HELD_UP_S, self._carried.patience_ends)
            self._watching = self._loop.call_at(self._due, self._watch)
        else:
            self._break("silent")

    # What is heard.

    def _hear(self, raw: bytes) -> None:
        carried = self._carried
        try:
            message = call_pb2.PlaceCallResponse.FromString(raw)
        except DecodeError:
            carried.write("unreadable")
            return
        match message.WhichOneof("said"):
            case "accepted":
                self._accepted = True
                durability = call_pb2.Durability.Name(message.accepted.durability).removeprefix("DURABILITY_").lower()
                carried.write("accepted", durability=durability)
            case "ringing":
                carried.where[message.ringing.attempt] = message.ringing.where
                carried.write("ringing", attempt=message.ringing.attempt, **_place(message.ringing.where))
                self._rings()
            case "connecting":
                self._proposed(message.connecting.attempt)
            case "connected":
                carried.write("connected", attempt=message.connected.attempt, **_place(message.connected.where))
                self._finish(LegEnd.CONNECTED)
            case "waiting":
                carried.write("waiting", reason=message.waiting.reason)
            case "diverting":
                carried.write("diverting", reason=message.diverting.reason)
            case _:
                return  # a heartbeat, or a word that we do not know yet: either way somebody is there

    def _rings(self) -> None:
        if self._carried.sins(NetworkMischief.BREAKS_RINGING):
            self._break("broke")
        elif self._carried.sins(NetworkMischief.WALKS_AWAY):
            self._carried.write("gave_up")
            self._end = LegEnd.WALKED_AWAY
            self._stream.cancel()

    def _proposed(self, attempt: str) -> None:
        """Somebody has answered: the newest proposal is confirmed (P4)."""
        carried = self._carried
        if carried.sins(NetworkMischief.NEVER_CONFIRMS):
            return
        if carried.sins(NetworkMischief.CONFIRMS_ANOTHER):
            nobodys = f"{carried.call.call_id}/{carried.leg}/0"
            self._confirm(next((each for each in carried.where if each != attempt), nobodys))
            return
        carried.confirmed = attempt
        carried.write("confirmed", attempt=attempt)
        self._confirm(attempt)
        if carried.sins(NetworkMischief.BREAKS_CONFIRMED):
            self._loop.call_later(A_MOMENT_S, self._break, "broke")
        elif carried.sins(NetworkMischief.HANGS_UP_CONFIRMED):
            self._hang_up()
        elif carried.sins(NetworkMischief.HANGS_UP_UNCONNECTED):
            self._loop.call_later(HANGS_UP_AFTER_S, self._hang_up_unconnected)

    def _confirm(self, attempt: str) -> None:
        self._stream.say(Say(confirm=call_pb2.Confirm(attempt=attempt)).SerializeToString())

    # How it ends.

    def _hang_up_unconnected(self) -> None:
        if self._end is None and not self._broken_why:
            self._hang_up()

    def _hang_up(self) -> None:
        self._carried.write("hung_up")
        self._stream.say(Say(hangup=call_pb2.Hangup()).SerializeToString())
        self._finish(LegEnd.HUNG_UP)

    def _finish(self, end: LegEnd) -> None:
        """Lets the ingress end the stream in its own time, within a bound; what still comes means nothing any more."""
        self._end = end
        self._stream.finish()
        self._watch_off()
        self._watching = self._loop.call_later(ENDS_WITHIN_S, self._stream.cancel)

    def _break(self, why: str) -> None:
        if self._end is None:
            self._broken_why = why
            self._stream.cancel()

    def _ended(self, ended: Ended) -> LegEnd:
        if self._broken_why:
            return self._broken(self._broken_why)
        if ended.status in _PERMANENT:
            self._carried.write("refused", why=ended.status, details=ended.details)
            return LegEnd.REFUSED
        if ended.status == "RESOURCE_EXHAUSTED" and not self._accepted:
            self._carried.write("turned_away", why=ended.status, details=ended.details)
            return LegEnd.BROKEN
        return self._broken(ended.status, ended.details)

    def _broken(self, why: str, details: str = "") -> LegEnd:
        self._carried.write("leg_broken", why=why, details=details)
        return LegEnd.BROKEN


def _place(where: place_pb2.Where) -> dict[str, str]:
    return {"psap_id": where.psap_id, "line": where.line}
