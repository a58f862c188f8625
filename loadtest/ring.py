"""One call at an answering point: how far it has come, under which attempt, on which stream, and its timers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, Protocol

from throughline.v1 import delivery_pb2, holding_pb2


class Line(Protocol):
    """A PSAP's stream to one gateway."""

    gateway: str

    def say(self, message: delivery_pb2.AttachRequest) -> None:
        """Sends, in order, without waiting."""

    def say_bytes(self, message: bytes) -> None:
        """The same, whatever the bytes are."""

    def drop(self) -> None:
        """Ends the stream; it is attached anew as soon as the PSAP may."""


class Stage(StrEnum):
    """How far a call has come at a PSAP."""

    RINGING = "ringing"
    ANSWERED = "answered"
    CONNECTED = "connected"


_STANDING: Final = {
    Stage.RINGING: holding_pb2.STANDING_RINGING,
    Stage.ANSWERED: holding_pb2.STANDING_ANSWERED,
    Stage.CONNECTED: holding_pb2.STANDING_CONNECTED,
}


class Ring:
    """One call at this PSAP. `order` is (leg, n) of its newest attempt; `line` is None while its stream is lost."""

    __slots__ = ("_timers", "attempt", "call_id", "line", "order", "stage", "told_on")

    def __init__(self, call_id: str, attempt: str, line: Line | None) -> None:
        self.call_id = call_id
        self.attempt = attempt
        self.order = order_of(attempt)
        self.line = line
        self.told_on: set[Line] = set()
        """Streams on which it was said that it is connected here."""
        self.stage = Stage.RINGING
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def has(self) -> delivery_pb2.Has:
        """How it stands, for who asks (T3)."""
        return delivery_pb2.Has(call_id=self.call_id, attempt=self.attempt, standing=_STANDING[self.stage])

    def start(self, timer: str, delay_s: float, then: Callable[..., None], *what: Any) -> None:
        """Starts a timer of this name, in place of an older one."""
        self.stop(timer)
        self._timers[timer] = asyncio.get_running_loop().call_later(delay_s, then, *what)

    def stop(self, *timers: str) -> None:
        for name in timers:
            timer = self._timers.pop(name, None)
            if timer is not None:
                timer.cancel()

    def stop_all(self) -> None:
        self.stop(*list(self._timers))


def order_of(attempt: str) -> tuple[int, int]:
    """(leg, n) of call_id/leg/n; zeros where it is written otherwise."""
    _, *numbers = attempt.rsplit("/", 2)
    if len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
        return 0, 0
    return int(numbers[0]), int(numbers[1])


def call_of(attempt: str) -> str:
    """The call_id of call_id/leg/n."""
    return attempt.rsplit("/", 2)[0]
