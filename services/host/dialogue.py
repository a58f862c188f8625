"""Both directions of a served conversation at once: what comes in is heard, what is to be said goes out in order.

A served stream is led by one coroutine. Two services must listen and speak on it independently, and must be able to end
it from outside (a newer stream, a flood) without waiting for the other side. One reading task a stream, none a message.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from google.protobuf.message import Message

from services.host.network import Refuse, Stream
from services.wire.methods import Unreadable

In = TypeVar("In", bound=Message)
Out = TypeVar("Out", bound=Message)

WORDS_WAITING_MAX: Final = 1024


class Dialogue(Generic[In, Out]):
    """One served stream. `say` and `end` may be called before `lead`, and from anywhere in the loop's thread."""

    def __init__(self, stream: Stream[In, Out], waiting_max: int = WORDS_WAITING_MAX) -> None:
        self._stream = stream
        self._waiting_max = waiting_max
        self._words: deque[Out] = deque()
        self._over = False
        self._refusal: Refuse | None = None
        self._idle: asyncio.Future[None] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._unreadable: Unreadable | None = None

    @property
    def over(self) -> bool:
        return self._over

    def say(self, word: Out) -> bool:
        """Queues a word. False when the other side has not read so many that this one has no room."""
        if self._over:
            return True
        if len(self._words) >= self._waiting_max:
            return False
        self._words.append(word)
        self._wake()
        return True

    def end(self, refusal: Refuse | None = None) -> None:
        """Ends the stream: OK after what is queued, or at once with a refusal. The first call counts."""
        if self._over:
            return
        self._over = True
        self._refusal = refusal
        if refusal is not None and self._writing is not None:
            self._writing.cancel()  # it may wait for a reader that never reads
        self._wake()

    async def lead(self, hear: Callable[[In | None], None]) -> None:
        """Returns when the stream was ended; `hear` gets each message, and None once when no more will come.

        Raises the Refuse that `end` was given, Broken when a word could not be sent, Unreadable when what came could
        not be read, and CancelledError when the other side is gone.
        """
        reader = asyncio.ensure_future(self._read(hear))
        reader.add_done_callback(lambda _: self._wake())
        try:
            while True:
                if self._words and self._refusal is None:
                    await self._write(self._words.popleft())
                elif self._over:
                    break
                elif self._unreadable is not None:
                    raise self._unreadable
                elif reader.done() and reader.exception() is not None:
                    reader.result()  # a mistake in `hear`: as loud as in any handler
                else:
                    self._idle = asyncio.get_running_loop().create_future()
                    await self._idle
        finally:
            self._over = True
            reader.cancel()
        if self._refusal is not None:
            raise self._refusal

    async def _write(self, word: Out) -> None:
        self._writing = asyncio.current_task()
        try:
            await self._stream.write(word)
        except asyncio.CancelledError:
            if self._refusal is None or self._writing is None:
                raise
            self._writing.uncancel()
        finally:
            self._writing = None

    async def _read(self, hear: Callable[[In | None], None]) -> None:
        while not self._over:
            try:
                said = await self._stream.read()
            except Unreadable as unreadable:
                self._unreadable = unreadable
                return
            if self._over:
                return
            hear(said)
            if said is None:
                return

    def _wake(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
