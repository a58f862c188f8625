"""What is said to one caller's side, in order: the only part of a call that the caller's side can hold up.

A word that cannot be sent for five seconds is one that nobody reads; after the call is over its last words get a
second. Then the stream is cut, so that no handler waits for somebody who has gone to another ingress long ago (P2).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from throughline.v1 import call_pb2

from services.host.network import Refuse, Status, Stream

WORDS_MAX: Final = 64
"""A caller's side that has not read this many words is gone."""
UNREAD_S: Final = 5.0
LAST_WORDS_S: Final = 1.0
NOT_READ: Final = "the words of this stream are not read; offer the next leg"
Down = call_pb2.PlaceCallResponse
HEARTBEAT: Final = Down(heartbeat=call_pb2.Heartbeat())


class Outbox:
    """One call's. `not_read` is told once the caller's side does not read; the stream is cut then."""

    def __init__(self, not_read: Callable[[], None]) -> None:
        self._not_read = not_read
        self._loop = asyncio.get_running_loop()
        self._last_said = self._loop.time()
        self._words: deque[Down] = deque()
        self._something = asyncio.Event()
        self._speaking: asyncio.Task[Any] | None = None
        self._writing = False
        self._over = False
        self._refusal: Refuse | None = None

    async def speak(self, stream: Stream[Any, Down]) -> None:
        """Says what is to be said until the end; raises what `cut` was given, and Broken where the stream is."""
        self._speaking = asyncio.current_task()
        while True:
            while self._words and self._refusal is None:
                self._last_said = self._loop.time()
                await self._write(stream, self._words.popleft())
            if self._refusal is not None:
                raise self._refusal
            if self._over:
                return
            self._something.clear()
            await self._something.wait()

    def say(self, word: Down) -> None:
        """Queues a word."""
        self._words.append(word)
        self._something.set()
        if len(self._words) > WORDS_MAX:
            self._loop.call_soon(self._give_up)

    def beat(self, silent_s: float) -> None:
        """Says that the call is still in hand, if nothing was said for `silent_s` seconds."""
        silence_s = self._loop.time() - self._last_said
        if self._writing and silence_s >= UNREAD_S:
            self._give_up()
        elif not self._words and silence_s >= silent_s:
            self.say(HEARTBEAT)

    def end(self) -> None:
        """Nothing more is to be said: the stream ends after what is queued."""
        self._over = True
        self._something.set()
        if self._writing:
            self._loop.call_later(LAST_WORDS_S, self._end_unread)

    def cut(self, refusal: Refuse) -> None:
        """Ends the stream at once with this word, though nobody may be reading it."""
        self._refusal = refusal
        if self._writing and self._speaking is not None:
            self._speaking.cancel()
        self._something.set()

    def _give_up(self) -> None:
        if self._refusal is None:
            self._not_read()
            self.cut(Refuse(Status.RESOURCE_EXHAUSTED, NOT_READ))

    def _end_unread(self) -> None:
        if self._writing:
            self.cut(Refuse(Status.RESOURCE_EXHAUSTED, NOT_READ))

    async def _write(self, stream: Stream[Any, Down], word: Down) -> None:
        self._writing = True
        try:
            await stream.write(word)
        except asyncio.CancelledError:
            if self._refusal is None or self._speaking is None:
                raise
            self._speaking.uncancel()
        finally:
            self._writing = False
