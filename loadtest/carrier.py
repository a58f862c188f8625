"""An originating network: carries a call to an ingress and holds on to it, as docs/clients.md says (P1 to P4).

One call is one or more legs, each a `PlaceCall` stream. A leg that breaks, or on which nothing is heard for a second,
is cancelled, and the next leg is offered to another ingress. The newest proposal is confirmed; media follows
`Connected`. The caller stays on the line through all of it, and hears it ring.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from throughline.v1 import call_pb2, place_pb2

from loadtest.channels import EOF, Speaker, open_channel
from loadtest.diary import Diary

PLACE_CALL: Final = "/throughline.v1.IngressService/PlaceCall"
SILENCE_S: Final = 1.0
AGAIN_AFTER_S: Final = (0.0, 1.0, 2.0, 4.0)
STOOD_S: Final = 4.0
"""A leg that stood for this long was well: its end is no repetition."""
JITTER: Final = 0.25
ENDS_WITHIN_S: Final = 1.0
_PERMANENT: Final = frozenset({grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED})
Say = call_pb2.PlaceCallRequest


@dataclass(frozen=True, slots=True)
class Call:
    """What is offered; `call_id` is this network's own."""

    call_id: str
    caller: str
    service_urn: str
    place: place_pb2.Place
    source: str


class Outcome(StrEnum):
    """How a call ended for the caller."""

    CONNECTED = "connected"
    HUNG_UP = "hung_up"
    GAVE_UP = "gave_up"
    """The caller left while no stream stood on which to say so."""
    REFUSED = "refused"
    """An ingress said that it will never take this call, or any from this network."""


class _LegEnd(StrEnum):
    CONNECTED = "connected"
    HUNG_UP = "hung_up"
    BROKEN = "broken"
    REFUSED = "refused"


class Carrier:
    """One originating network and the ingresses that it knows. Every event goes to `diary` as it is seen.

    With `legs_max` it offers no more legs than that: a network that does not do its part (P2), whose callers are gone
    when their stream breaks.
    """

    def __init__(
        self, ingresses: Sequence[str], diary: Diary, by: random.Random, *, legs_max: int | None = None
    ) -> None:
        assert ingresses, "expected at least one ingress"
        self._place = [(address, open_channel(address)) for address in ingresses]
        self._diary = diary
        self._random = by
        self._legs_max = legs_max

    async def carry(self, call: Call, patience_s: float, **about: Any) -> Outcome:
        """Carries one call to its end. `about` goes into the first `offered` line."""
        loop = asyncio.get_running_loop()
        carried = _Carried(call, self._diary, loop.time(), loop.time() + patience_s)
        first = self._random.randrange(len(self._place))
        failures = 0
        while True:
            carried.leg += 1
            address, channel = self._place[(first + carried.leg - 1) % len(self._place)]
            began = loop.time()
            end = await carried.try_leg(channel, address, about if carried.leg == 1 else {})
            if end is _LegEnd.CONNECTED:
                return Outcome.CONNECTED
            if end is _LegEnd.HUNG_UP:
                return Outcome.HUNG_UP
            if end is _LegEnd.REFUSED:
                return Outcome.REFUSED
            if carried.leg == self._legs_max:
                carried.write("gave_up")
                return Outcome.GAVE_UP
            failures = 1 if loop.time() - began >= STOOD_S else failures + 1
            pause_s = AGAIN_AFTER_S[min(failures, len(AGAIN_AFTER_S)) - 1]
            pause_s *= self._random.uniform(1 - JITTER, 1 + JITTER)
            if loop.time() + pause_s >= carried.patience_ends:
                await asyncio.sleep(max(0.0, carried.patience_ends - loop.time()))
                carried.write("gave_up")
                return Outcome.GAVE_UP
            await asyncio.sleep(pause_s)

    async def close(self) -> None:
        for _, channel in self._place:
            await channel.close()


class _Carried:
    """One call under way: what is known of it over all its legs."""

    def __init__(self, call: Call, diary: Diary, began: float, patience_ends: float) -> None:
        self.leg = 0
        self.leg_accepted = False
        self.patience_ends = patience_ends
        self._call = call
        self._diary = diary
        self._began = began
        self._confirmed = ""
        self._where: dict[str, place_pb2.Where] = {}

    async def try_leg(self, channel: Any, address: str, about: dict[str, Any]) -> _LegEnd:
        """One leg's life; the stream is over when this returns."""
        self.leg_accepted = False
        stream = channel.stream_stream(PLACE_CALL)()
        speaker = Speaker(stream)
        speaker.say(Say(offer=self._offer()).SerializeToString())
        self.write("offered", ingress=address, **about)
        try:
            return await self._listen(stream, speaker)
        finally:
            stream.cancel()

    async def _listen(self, stream: Any, speaker: Speaker) -> _LegEnd:
        loop = asyncio.get_running_loop()
        heard = loop.time()
        while True:
            reading = asyncio.ensure_future(stream.read())
            until = min(heard + SILENCE_S, self.patience_ends)
            done, _ = await asyncio.wait({reading}, timeout=until - loop.time())
            if not done:
                if until == self.patience_ends:  # not by the clock: a timer may come a little early
                    return await self._hang_up(stream, speaker, reading)
                await _abandon(stream, reading)
                self.write("leg_broken", why="silent")
                return _LegEnd.BROKEN
            try:
                raw = reading.result()
            except grpc.RpcError as error:
                return self._broken(error)
            except asyncio.CancelledError:
                self.write("leg_broken", why="cancelled")
                return _LegEnd.BROKEN
            if raw is EOF:
                return await self._ended(stream)
            heard = loop.time()
            if self._hear(raw, speaker):
                speaker.finish()
                await _await_end(stream, asyncio.ensure_future(stream.read()))
                return _LegEnd.CONNECTED

    def _hear(self, raw: bytes, speaker: Speaker) -> bool:
        """Acts on one message; True when caller and person are connected."""
        try:
            message = call_pb2.PlaceCallResponse.FromString(raw)
        except DecodeError:
            self.write("unreadable")
            return False
        match message.WhichOneof("said"):
            case "accepted":
                self.leg_accepted = True
                durability = call_pb2.Durability.Name(message.accepted.durability).removeprefix("DURABILITY_").lower()
                self.write("accepted", durability=durability)
            case "ringing":
                self._where[message.ringing.attempt] = message.ringing.where
                self.write("ringing", attempt=message.ringing.attempt, **_place(message.ringing.where))
            case "connecting":
                self._confirmed = message.connecting.attempt
                self.write("confirmed", attempt=self._confirmed)
                speaker.say(Say(confirm=call_pb2.Confirm(attempt=self._confirmed)).SerializeToString())
            case "connected":
                self.write("connected", attempt=message.connected.attempt, **_place(message.connected.where))
                return True
            case "waiting":
                self.write("waiting", reason=message.waiting.reason)
            case "diverting":
                self.write("diverting", reason=message.diverting.reason)
            case _:
                return False  # a heartbeat, or a word that we do not know yet: either way somebody is there
        return False

    async def _hang_up(self, stream: Any, speaker: Speaker, reading: asyncio.Future[Any]) -> _LegEnd:
        """Says so, and gives the ingress a moment to hear it before the stream is closed."""
        self.write("hung_up")
        speaker.say(Say(hangup=call_pb2.Hangup()).SerializeToString())
        speaker.finish()
        await _await_end(stream, reading)
        return _LegEnd.HUNG_UP

    async def _ended(self, stream: Any) -> _LegEnd:
        code = await stream.code()
        if code is grpc.StatusCode.OK:
            self.write("leg_broken", why="ended_without_connection")
            return _LegEnd.BROKEN
        return self._broken_by(code, await stream.details())

    def _broken(self, error: grpc.RpcError) -> _LegEnd:
        assert isinstance(error, grpc.aio.AioRpcError), error
        return self._broken_by(error.code(), error.details())

    def _broken_by(self, code: grpc.StatusCode, details: str | None) -> _LegEnd:
        if code in _PERMANENT:
            self.write("refused", why=code.name, details=details)
            return _LegEnd.REFUSED
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED and not self.leg_accepted:
            self.write("turned_away", why=code.name, details=details)
        else:
            self.write("leg_broken", why=code.name, details=details)
        return _LegEnd.BROKEN

    def _offer(self) -> call_pb2.Offer:
        call = self._call
        return call_pb2.Offer(
            call_id=call.call_id,
            leg=self.leg,
            caller=call.caller,
            service_urn=call.service_urn,
            place=call.place,
            source=call.source,
            attestation=call_pb2.ATTESTATION_A,
            confirmed_attempt=self._confirmed,
            confirmed_where=self._where.get(self._confirmed),
        )

    def write(self, event: str, **seen: Any) -> None:
        after_ms = round((asyncio.get_running_loop().time() - self._began) * 1000, 1)
        self._diary.write(event, call_id=self._call.call_id, leg=self.leg, after_ms=after_ms, **seen)


async def _await_end(stream: Any, reading: asyncio.Future[Any]) -> None:
    """Lets the ingress end the stream in its own time, within a bound; what still comes means nothing any more."""
    loop = asyncio.get_running_loop()
    until = loop.time() + ENDS_WITHIN_S
    while True:
        done, _ = await asyncio.wait({reading}, timeout=until - loop.time())
        if not done:
            await _abandon(stream, reading)
            return
        if reading.cancelled() or reading.exception() is not None or reading.result() is EOF:
            return
        reading = asyncio.ensure_future(stream.read())


async def _abandon(stream: Any, reading: asyncio.Future[Any]) -> None:
    """Walks away from a stream with a read under way."""
    stream.cancel()
    await asyncio.wait({reading}, timeout=SILENCE_S)


def _place(where: place_pb2.Where) -> dict[str, str]:
    return {"psap_id": where.psap_id, "line": where.line}
