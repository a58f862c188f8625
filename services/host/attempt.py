"""The serving end of one attempt: what a gateway's `Deliver` and failover's `Divert` have in common (protocol.md R1).

Both take an offer, tell the conductor each step, and hear `connect` or `release`; only where they ring differs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from google.protobuf.message import Message
from throughline.v1 import delivery_pb2, place_pb2

from services.domain.deliveries import FINAL, Became, Delivery, Outcome
from services.domain.events import Failure
from services.domain.where import Where
from services.host.dialogue import Dialogue
from services.host.network import Refuse, Status, Stream
from services.wire.deliveries import rejection_of
from services.wire.methods import Unreadable

OFFER_WITHIN_S: Final = 2.0
NAME_CHARS_MAX: Final = 256
REASON_CHARS_MAX: Final = 256


class Misspoken(Refuse):
    """A conductor said what this protocol has no room for, or nothing at all."""


async def offered(stream: Stream[Any, Any], down: type[Message]) -> Attempt:
    """The attempt that a conductor's stream begins with, checked; `down` is what is said on it. Raises Misspoken."""
    try:
        async with asyncio.timeout(OFFER_WITHIN_S):
            first = await stream.read()
    except TimeoutError:
        raise Misspoken(Status.DEADLINE_EXCEEDED, f"no offer within {OFFER_WITHIN_S} s") from None
    except Unreadable as unreadable:
        raise Misspoken(Status.INVALID_ARGUMENT, unreadable.why) from None
    if first is None or first.WhichOneof("said") != "offer":
        raise Misspoken(Status.INVALID_ARGUMENT, "expected an offer as the first word")
    offer = first.offer
    for field, value in (("attempt", offer.attempt), ("call_id", offer.call_id), ("psap_id", offer.psap_id)):
        if not 0 < len(value) <= NAME_CHARS_MAX:
            raise Misspoken(
                Status.INVALID_ARGUMENT, f"{field}: expected 1 to {NAME_CHARS_MAX} characters, got {len(value)}"
            )
    return Attempt(offer, stream, down)


class Attempt:
    """One attempt in hand. `became` tells a step; `lead` keeps the stream until the attempt is over."""

    __slots__ = ("_began", "_dialogue", "_down", "name", "offer", "outcome", "reason", "rung_after_s", "where")

    def __init__(self, offer: delivery_pb2.RingOffer, stream: Stream[Any, Any], down: Any) -> None:
        self.name = offer.attempt
        self.offer = offer
        self.where = Where(offer.psap_id)
        """Where it rings now."""
        self.outcome: Outcome | None = None
        self.reason = ""
        self.rung_after_s: float | None = None
        self._down = down
        self._dialogue: Dialogue[Any, Any] = Dialogue(stream)
        self._began = asyncio.get_running_loop().time()

    def became(self, step: Became, by: str, at_ms: int) -> Delivery:
        """Tells the conductor, ends the stream after a final step, and returns the record for `deliveries`."""
        self.tell(step.outcome, step.failure, step.reason)
        return Delivery(
            self.offer.call_id,
            self.offer.leg,
            self.name,
            by,
            self.where,
            step.outcome,
            step.failure,
            step.reason,
            at_ms,
        )

    def tell(self, outcome: Outcome, failure: Failure | None = None, reason: str = "") -> None:
        """Tells the conductor a step, and ends the stream after a final one."""
        say, down = self._dialogue.say, self._down
        match outcome:
            case Outcome.RINGING:
                if self.rung_after_s is None:
                    self.rung_after_s = asyncio.get_running_loop().time() - self._began
                say(down(ringing=delivery_pb2.Rung(attempt=self.name, where=self._there())))
            case Outcome.ANSWERED:
                say(down(answer=delivery_pb2.Answer(attempt=self.name)))
            case Outcome.CONNECTED:
                say(down(connected=delivery_pb2.ConnectDone(attempt=self.name, where=self._there())))
            case Outcome.FAILED:
                rejection = rejection_of(failure or Failure.REFUSED)
                say(down(rejected=delivery_pb2.Rejected(attempt=self.name, rejection=rejection, reason=reason)))
            case Outcome.RELEASED:
                pass  # the conductor has said so itself, or is gone
        if outcome in FINAL:
            self.outcome = outcome
            self.reason = failure or reason
            self._dialogue.end()

    def doubt(self) -> None:
        """Tells the conductor that the PSAP has fallen silent; a gateway's word alone (R2)."""
        self._dialogue.say(self._down(doubted=delivery_pb2.Doubted(attempt=self.name)))

    def takes_over(self, older: Attempt) -> None:
        """This stream goes on with the attempt of an older one, which ends (R5)."""
        self.where = older.where
        older.tell(Outcome.FAILED, Failure.SUPERSEDED, "taken_over")

    async def lead(self, connect: Callable[[], None], release: Callable[[str], None]) -> None:
        """Returns when the attempt is over; a conductor that falls silent for good is the caller's to release.

        Raises Misspoken for a word out of place, the Refuse that `end` was given, Broken and CancelledError where the
        conductor is gone.
        """
        try:
            await self._dialogue.lead(partial(self._hear, connect, release))
        except Unreadable as unreadable:
            raise Misspoken(Status.INVALID_ARGUMENT, unreadable.why) from None

    def end(self, refusal: Refuse) -> None:
        """Ends the stream at once."""
        self._dialogue.end(refusal)

    def summary(self) -> dict[str, Any]:
        """The fields of the one line that is logged of it."""
        took_s = asyncio.get_running_loop().time() - self._began
        return {
            "call_id": self.offer.call_id,
            "attempt": self.name,
            "psap_id": self.where.psap_id,
            "outcome": self.outcome,
            "reason": self.reason,
            "rung_after_ms": None if self.rung_after_s is None else round(self.rung_after_s * 1000),
            "took_ms": round(took_s * 1000),
        }

    def _hear(self, connect: Callable[[], None], release: Callable[[str], None], message: Any) -> None:
        """One message of the conductor; None when it says no more."""
        said = None if message is None else message.WhichOneof("said")
        if said == "connect" and message.connect.attempt == self.name:
            connect()
        elif said == "release" and message.release.attempt == self.name:
            release(message.release.reason[:REASON_CHARS_MAX])
        elif message is None:
            self._dialogue.end()
        else:
            self._dialogue.end(
                Misspoken(Status.INVALID_ARGUMENT, f"expected connect or release of {self.name}, got {said} of another")
            )

    def _there(self) -> place_pb2.Where:
        return place_pb2.Where(psap_id=self.where.psap_id, line=self.where.line)
