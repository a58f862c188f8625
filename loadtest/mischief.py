"""A PSAP that does wrong beyond failing: whatever it does, only its own calls may suffer for it (R2).

The honest answering point's words stand; the sin is added in its moment, and stands in the account as `misbehaved`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from throughline.v1 import delivery_pb2

from loadtest.answering_point import AnsweringPoint, Ask
from loadtest.ring import Line, Ring, call_of

FLOOD_MESSAGES: Final = 1_000
SHOUT_CHARS: Final = 100_000
CONNECTED_AFTER_S: Final = 3.0


class Mischief(StrEnum):
    """What it does with each call that rings there."""

    NONE = "none"
    ANSWERS_TWICE = "answers_twice"
    ANSWERS_AFTER_CANCEL = "answers_after_cancel"
    CONNECTS_LATE = "connects_late"
    """It says `connected` when nobody waits for that any more."""
    ANSWERS_FOR_ANOTHER = "answers_for_another"
    """It says that it answers the attempt that rang last at some other PSAP; so do the next two."""
    REJECTS_FOR_ANOTHER = "rejects_for_another"
    ENDS_FOR_ANOTHER = "ends_for_another"
    CLAIMS_TO_HAVE = "claims_to_have"
    CONNECTS_UNASKED = "connects_unasked"
    SAYS_HELLO_AGAIN = "says_hello_again"
    FLOODS = "floods"
    SHOUTS = "shouts"
    GARBAGE = "garbage"


def _say(**said: Any) -> list[bytes]:
    return [Ask(**said).SerializeToString()]


Sin = Callable[[str, str, str], Iterable[bytes]]
"""(PSAP, the attempt that rings there, the attempt that rang last elsewhere) -> what it says."""
_WHEN_IT_RINGS: Final[Mapping[Mischief, Sin]] = {
    Mischief.ANSWERS_FOR_ANOTHER: lambda psap_id, here, there: _say(answer=delivery_pb2.Answer(attempt=there)),
    Mischief.REJECTS_FOR_ANOTHER: lambda psap_id, here, there: _say(
        reject=delivery_pb2.Rejected(attempt=there, rejection=delivery_pb2.REJECTION_FULL)
    ),
    Mischief.ENDS_FOR_ANOTHER: lambda psap_id, here, there: _say(ended=delivery_pb2.Ended(attempt=there)),
    Mischief.CLAIMS_TO_HAVE: lambda psap_id, here, there: _say(
        have=delivery_pb2.Have(call_id=call_of(here), attempt=here)
    ),
    Mischief.CONNECTS_UNASKED: lambda psap_id, here, there: _say(connected=delivery_pb2.ConnectDone(attempt=here)),
    Mischief.SAYS_HELLO_AGAIN: lambda psap_id, here, there: _say(hello=delivery_pb2.Hello(psap_id=psap_id)),
    Mischief.FLOODS: lambda psap_id, here, there: _say(heartbeat=delivery_pb2.PsapHeartbeat()) * FLOOD_MESSAGES,
    Mischief.SHOUTS: lambda psap_id, here, there: _say(
        state=delivery_pb2.PsapState(service_state="x" * SHOUT_CHARS)
    ),
    Mischief.GARBAGE: lambda psap_id, here, there: [b"\xff\xff\xff\xff"],
}  # fmt: skip


class MischievousPoint(AnsweringPoint):
    """Honest until `mischief` is set. `overheard` is shared by all: PSAP id -> the attempt that rang there last."""

    def __init__(self, *those_of_a_psap: Any, overheard: dict[str, str], **more: Any) -> None:
        super().__init__(*those_of_a_psap, **more)
        self.mischief = Mischief.NONE
        self._overheard = overheard

    def _ring(self, ring: Ring, ring_ms: int) -> None:
        super()._ring(ring, ring_ms)
        self._overheard[self.psap_id] = ring.attempt
        sin = _WHEN_IT_RINGS.get(self.mischief)
        if sin is None or ring.line is None:
            return
        elsewhere = (attempt for psap_id, attempt in self._overheard.items() if psap_id != self.psap_id)
        self._own_up(ring.attempt)
        for message in sin(self.psap_id, ring.attempt, next(elsewhere, "nobody/1/1")):
            ring.line.say_bytes(message)

    def _answer(self, ring: Ring) -> None:
        super()._answer(ring)
        if self.mischief is Mischief.ANSWERS_TWICE:
            self._answer_again(ring.line, ring.attempt)

    def _stopped(self, line: Line, word: delivery_pb2.Cancel | delivery_pb2.Release) -> None:
        super()._stopped(line, word)
        if self.mischief is Mischief.ANSWERS_AFTER_CANCEL:
            self._answer_again(line, word.attempt)

    def _say(self, line: Line | None, message: delivery_pb2.AttachRequest) -> None:
        if self.mischief is Mischief.CONNECTS_LATE and message.HasField("connected"):
            self._own_up(message.connected.attempt)
            asyncio.get_running_loop().call_later(CONNECTED_AFTER_S, super()._say, line, message)
        else:
            super()._say(line, message)

    def _answer_again(self, line: Line | None, attempt: str) -> None:
        self._own_up(attempt)
        self._say(line, Ask(answer=delivery_pb2.Answer(attempt=attempt)))

    def _own_up(self, attempt: str) -> None:
        self._write("misbehaved", call_of(attempt), attempt, mischief=str(self.mischief))
