"""What the world outside needs of a wire: streams of bytes to open and to serve, whatever carries them.

`channels.py` carries them by gRPC; a simulator brings a wire of its own, under virtual time. Networks, PSAPs and trunks
are given one and know no other: none of them names gRPC.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

CANCELLED = "CANCELLED"


class Ended(Exception):
    """A stream that did not end well. `status` is gRPC's name of why; CANCELLED where this side walked away."""

    def __init__(self, status: str, details: str) -> None:
        super().__init__(f"{status}: {details}")
        self.status = status
        self.details = details


class Refusal(Exception):
    """Raised by who serves, to end with this status."""

    def __init__(self, status: str, details: str) -> None:
        super().__init__(f"{status}: {details}")
        self.status = status
        self.details = details


class Stream(Protocol):
    """A stream that this side has opened."""

    async def read(self) -> bytes | None:
        """The next message, or None at an orderly end; raises Ended at any other. One task reads, and a read that is
        given up gives the stream up: a timer belongs beside it."""

    def say(self, message: bytes) -> None:
        """Sends, in order and without waiting; on a stream that is over it says nothing."""

    def finish(self) -> None:
        """Half-closes the stream when all has been said."""

    def cancel(self) -> None:
        """Walks away at once."""


class Served(Protocol):
    """A stream that somebody else has opened; whoever leads it is cancelled when that one is gone."""

    async def read(self) -> bytes | None:
        """The next message; None when nothing more comes."""

    async def write(self, message: bytes) -> None:
        """Sends."""


Conversing = Callable[[Served], Awaitable[None]]
Answering = Callable[[bytes], Awaitable[bytes]]


class Server(Protocol):
    """A bound address; host:port as bound."""

    address: str

    async def stop(self) -> None:
        """Ends what is in hand, at once."""


class Wire(Protocol):
    """What carries the streams."""

    def open(self, address: str, path: str) -> Stream:
        """Opens a stream; never blocks: who is gone shows at the first read."""

    async def serve(
        self, address: str, conversations: Mapping[str, Conversing], questions: Mapping[str, Answering]
    ) -> Server:
        """Binds host:port (port 0: any free one) and serves these, by path."""

    async def close(self) -> None:
        """Ends all that was opened here."""


class Speaker:
    """Says messages on a stream, in order. Whoever speaks does not wait: a peer that hangs is found by its silence.

    `over` are the errors by which the stream says that nothing can be said on it any more; its reader hears why.
    """

    def __init__(
        self,
        write: Callable[[bytes], Awaitable[object]],
        done_writing: Callable[[], Awaitable[object]],
        over: tuple[type[BaseException], ...],
    ) -> None:
        self._write = write
        self._done_writing = done_writing
        self._over = over
        self._unsaid: deque[bytes | None] = deque()
        self._saying: asyncio.Task[None] | None = None

    def say(self, message: bytes | None) -> None:
        """None half-closes the stream, once all before it has been said."""
        self._unsaid.append(message)
        if self._saying is None or self._saying.done():
            self._saying = asyncio.ensure_future(self._say_all())

    async def _say_all(self) -> None:
        try:
            while self._unsaid:
                message = self._unsaid.popleft()
                await (self._done_writing() if message is None else self._write(message))
        except self._over:
            self._unsaid.clear()
