"""gRPC as the world outside uses it: bytes both ways, no retries of the channel's own, quick to try again."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

import grpc

_aio: Any = grpc.aio  # its type stubs lack what is used here
EOF: Final = _aio.EOF
"""What a read returns at an orderly end of a stream."""
MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
_OPTIONS: Final = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", 4 * MESSAGE_BYTES_MAX),  # a test may send more than an ingress takes
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),
]


def open_channel(address: str) -> Any:
    """A channel to host:port; it connects when it is first used."""
    return _aio.insecure_channel(address, options=_OPTIONS)


def new_server() -> Any:
    """A server whose port nobody shares."""
    return _aio.server(options=[("grpc.so_reuseport", 0)])


class Speaker:
    """Says messages on a stream, in order. Whoever speaks does not wait: a peer that hangs is found by its silence."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._unsaid: deque[bytes | None] = deque()
        self._saying: asyncio.Task[None] | None = None

    def say(self, message: bytes) -> None:
        self._put(message)

    def finish(self) -> None:
        """Half-closes the stream when all has been said."""
        self._put(None)

    def _put(self, message: bytes | None) -> None:
        self._unsaid.append(message)
        if self._saying is None or self._saying.done():
            self._saying = asyncio.ensure_future(self._say_all())

    async def _say_all(self) -> None:
        try:
            while self._unsaid:
                message = self._unsaid.popleft()
                await (self._stream.done_writing() if message is None else self._stream.write(message))
        except (grpc.RpcError, asyncio.InvalidStateError, asyncio.CancelledError):
            self._unsaid.clear()  # the stream is over: its reader notices and says so
