"""A PSAP that does wrong beyond failing: whatever it does, only its own calls may suffer for it (R2).

The honest answering point's words stand; the sin is added in its moment, and stands in the account as `misbehaved`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from throughline.v1 import delivery_pb2

from loadtest.answering_point import AnsweringPoint, Ask
from loadtest.ring import Line, Ring, call_of

FLOOD_MESSAGES: Final = 1_000
GARBAGE: Final = b"\xff\xff\xff\xff"
HEARTBEAT: Final = Ask(heartbeat=delivery_pb2.PsapHeartbeat())


class Mischief(StrEnum):
    """What it does with each call that it is offered."""

    NONE = "none"
    ANSWERS_TWICE = "answers_twice"
    ANSWERS_FOR_ANOTHER = "answers_for_another"
    """It says that it answers the attempt that rang last at some other PSAP."""
    ANSWERS_AFTER_CANCEL = "answers_after_cancel"
    FLOODS = "floods"
    GARBAGE = "garbage"


class MischievousPoint(AnsweringPoint):
    """Honest until `mischief` is set. `overheard` is shared by all: PSAP id -> the attempt that rang there last."""

    def __init__(self, *those_of_a_psap: Any, overheard: dict[str, str], **more: Any) -> None:
        super().__init__(*those_of_a_psap, **more)
        self.mischief = Mischief.NONE
        self._overheard = overheard

    def _ring(self, ring: Ring, ring_ms: int) -> None:
        super()._ring(ring, ring_ms)
        self._overheard[self.psap_id] = ring.attempt
        if ring.line is None or self.mischief is Mischief.NONE:
            return
        match self.mischief:
            case Mischief.ANSWERS_FOR_ANOTHER:
                others = (attempt for psap_id, attempt in self._overheard.items() if psap_id != self.psap_id)
                self._answer_falsely(ring.line, ring.attempt, next(others, "nobody/1/1"))
            case Mischief.FLOODS:
                self._own_up(ring.attempt)
                for _ in range(FLOOD_MESSAGES):
                    self._say(ring.line, HEARTBEAT)
            case Mischief.GARBAGE:
                self._own_up(ring.attempt)
                ring.line.say_bytes(GARBAGE)

    def _answer(self, ring: Ring) -> None:
        super()._answer(ring)
        if self.mischief is Mischief.ANSWERS_TWICE:
            self._answer_falsely(ring.line, ring.attempt, ring.attempt)

    def _stopped(self, line: Line, attempt: str, reason: str) -> None:
        super()._stopped(line, attempt, reason)
        if self.mischief is Mischief.ANSWERS_AFTER_CANCEL:
            self._answer_falsely(line, attempt, attempt)

    def _answer_falsely(self, line: Line | None, at: str, attempt: str) -> None:
        self._own_up(at)
        self._say(line, Ask(answer=delivery_pb2.Answer(attempt=attempt)))

    def _own_up(self, attempt: str) -> None:
        self._write("misbehaved", call_of(attempt), attempt, mischief=str(self.mischief))
