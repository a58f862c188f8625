"""One attempt as the conductor sees it: a conversation with a gateway (Deliver) or with failover (Divert).

Whatever breaks on the way is an AttemptFailed for the machine; nothing is tried again here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from throughline.v1 import delivery_pb2, place_pb2

from services.domain.calls.exchange import AttemptFailed, Doubted, Input, PersonAnswered, PersonConnected, Rang, Ring
from services.domain.calls.ladder import RingPsap
from services.domain.events import Failure
from services.domain.offer import Offer
from services.domain.where import Where
from services.host.network import Broken, OpenedStream
from services.ingress.neighbours import Neighbours
from services.wire.methods import DELIVER, DIVERT
from services.wire.offers import TEXT_CHARS_MAX

RELEASE_WITHIN_S: Final = 1.0
FIRST_WORD_S: Final = 0.5
"""A failover replica that has said nothing for so long may be dialling a line that does not ring, or may hang: it is
asked whether it is there, and left within another half second if it is not."""
RINGS_ON: Final = 2
"""A place may ring for this many times the ring time-out: at the first the next rung is rung too, and it rings on (R6).
The conductor releases it; this is for a conductor that is gone."""
_FAILURE: Final = {
    delivery_pb2.REJECTION_FULL: Failure.FULL,
    delivery_pb2.REJECTION_REFUSED: Failure.REFUSED,
    delivery_pb2.REJECTION_NO_ANSWER: Failure.NO_ANSWER,
    delivery_pb2.REJECTION_UNREACHABLE: Failure.UNREACHABLE,
    delivery_pb2.REJECTION_NOT_ATTACHED: Failure.NOT_ATTACHED,
    delivery_pb2.REJECTION_SUPERSEDED: Failure.SUPERSEDED,
    delivery_pb2.REJECTION_EXPIRED: Failure.EXPIRED,
}


class RingLine:
    """One attempt's stream. `hear` is told what happens, at most one AttemptFailed or PersonConnected last."""

    def __init__(
        self,
        ring: Ring,
        neighbours: Neighbours,
        hear: Callable[[Input], None],
        start: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self.attempt = ring.attempt
        self._ring = ring
        self._neighbours = neighbours
        self._hear = hear
        self._start = start
        self._released = False
        self._heard = self._rang = False
        self._stream: OpenedStream[Any, Any] | None = None
        self._request: Any = (
            delivery_pb2.DeliverRequest if isinstance(ring.rung, RingPsap) else delivery_pb2.DivertRequest
        )

    async def run(self, offer: Offer, place: Any, suspicion: int, ring_s: float) -> None:
        """Offers, and tells `hear` what comes back, until the attempt is over."""
        rung = self._ring.rung
        target = rung.psap_id if isinstance(rung, RingPsap) else rung.owner
        ring_offer = delivery_pb2.RingOffer(
            attempt=self.attempt,
            call_id=offer.call_id,
            leg=offer.leg,
            psap_id=target,
            caller=offer.caller,
            place=place,
            service_urn=offer.service_urn,
            reason=rung.reason,
            ring_ms=int(ring_s * 1000 * RINGS_ON),
            suspicion=suspicion,
            maybe_connected=self._ring.maybe_connected,
        )
        if isinstance(rung, RingPsap):
            try:
                await self._converse(self._neighbours.network.open(rung.gateway, DELIVER), ring_offer)
            except Broken as broken:
                if not self._released:
                    self._neighbours.broke(rung.gateway)
                self._fail(Failure.UNREACHABLE, f"stream_{broken.status.lower()}", broke=True)
            return
        diallers = self._neighbours.diallers
        for address in diallers.in_turn():
            stream = self._neighbours.network.open(address, DIVERT)
            silent = asyncio.get_running_loop().call_later(FIRST_WORD_S, self._wonder, address, stream)
            try:
                await self._converse(stream, ring_offer)
            except Broken as broken:
                if self._released:
                    return
                diallers.doubt(address)
                if self._rang:
                    self._fail(Failure.UNREACHABLE, f"stream_{broken.status.lower()}")
                    return
            else:
                return
            finally:
                silent.cancel()
        self._fail(Failure.UNREACHABLE, "no_failover_is_well")

    async def connect(self) -> None:
        """The caller has confirmed."""
        await self._say(self._request(connect=delivery_pb2.Connect(attempt=self.attempt)))

    async def release(self, reason: str) -> None:
        """Not wanted any more: says so, and cuts the stream if the other side does not end it within a second."""
        self._released = True
        await self._say(self._request(release=delivery_pb2.Release(attempt=self.attempt, reason=reason)))
        await asyncio.sleep(RELEASE_WITHIN_S)
        self.cut()

    def cut(self) -> None:
        """Walks away; to the other side that is a release as well."""
        self._released = True
        if self._stream is not None:
            self._stream.cancel()

    def report_to(self, hear: Callable[[Input], None]) -> None:
        """Tells another conductor from now on: the call's next leg goes on with this attempt (P7)."""
        self._hear = hear

    def _wonder(self, address: str, stream: OpenedStream[Any, Any]) -> None:
        if not self._heard:
            self._start(self._leave_unless_there(address, stream))

    async def _leave_unless_there(self, address: str, stream: OpenedStream[Any, Any]) -> None:
        if not await self._neighbours.diallers.answers(address) and not self._heard:
            stream.cancel()  # the reading side goes on with the next replica

    async def _say(self, message: Any) -> None:
        if self._stream is None:
            return
        try:
            await self._stream.write(message)
        except Broken:
            return  # the reading side tells the machine

    async def _converse(self, stream: OpenedStream[Any, Any], offer: delivery_pb2.RingOffer) -> None:
        """Until the neighbour has brought the attempt to its end; raises Broken where it is gone before that."""
        self._stream = stream
        try:
            if self._released:
                return
            await stream.write(self._request(offer=offer))
            while (message := await stream.read()) is not None:
                if self._said(message):
                    return
        finally:
            stream.cancel()
        self._fail(Failure.UNREACHABLE, "stream_ended", broke=True)

    def _said(self, message: Any) -> bool:
        """Passes one word on; True where it is the last."""
        self._heard = True
        match message.WhichOneof("said"):
            case "ringing":
                self._rang = True
                self._hear(Rang(self.attempt, _where(message.ringing.where)))
            case "answer":
                self._hear(PersonAnswered(self.attempt))
            case "doubted":
                self._hear(Doubted(self.attempt))
            case "connected":
                self._hear(PersonConnected(self.attempt, _where(message.connected.where)))
                return True
            case "rejected":
                rejected = message.rejected
                self._fail(_FAILURE.get(rejected.rejection, Failure.REFUSED), rejected.reason[:TEXT_CHARS_MAX])
                return True
        return False

    def _fail(self, failure: Failure, reason: str, *, broke: bool = False) -> None:
        if not self._released:
            self._hear(AttemptFailed(self.attempt, failure, reason, broke))


def _where(message: place_pb2.Where) -> Where:
    return Where(message.psap_id[:TEXT_CHARS_MAX], message.line[:TEXT_CHARS_MAX])
