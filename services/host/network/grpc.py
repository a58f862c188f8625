"""The network over grpc.aio: channels, questions and the opening end. The serving end is grpc_server.py.

Bytes are parsed here, not by gRPC's deserializer: a message that a stub cannot parse would never reach our code (P6).
Channel retries are off: retries belong to the call's state machine.

What grpc.aio does by itself and services must not see: cancelling a task that reads also cancels the whole call, and a
call that was cancelled raises CancelledError into tasks that nobody cancelled. `_cancelled_here` tells the two apart.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any, Final, Generic, TypeVar

# Before the import, which reads them. The core's own lines are no JSON and say nothing that a status does not. Its fork
# handlers crash the child before it becomes another program, one time of seven under load; nobody here forks for else.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")

import grpc
from google.protobuf.message import Message

from services.host.network import Broken, OpenedStream, Served, Server, Status
from services.host.network.grpc_server import GrpcServer, bind
from services.host.network.keepalive import KEEPALIVE_ANSWER_MS, KEEPALIVE_MS, KEPT_ALIVE
from services.wire.methods import (
    TRANSPORT_BYTES_MAX,
    Conversation,
    Question,
    Unreadable,
    parse,
)

In = TypeVar("In", bound=Message)
Out = TypeVar("Out", bound=Message)

_CHANNEL_OPTIONS: Final = [
    ("grpc.max_receive_message_length", TRANSPORT_BYTES_MAX),
    ("grpc.max_send_message_length", TRANSPORT_BYTES_MAX),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),
]
_KEEPALIVE_OPTIONS: Final = [
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_ANSWER_MS),  # the core does not look at its own keepalive_timeout_ms
    ("grpc.http2.max_pings_without_data", 0),
]
_EOF: Final[object] = grpc.aio.EOF  # type: ignore[attr-defined]  # the stubs do not know it


class GrpcNetwork:
    """Channels by address, kept open; one event loop a process."""

    def __init__(self) -> None:
        self._channels: dict[tuple[str, bool], grpc.aio.Channel] = {}
        self._stubs: dict[tuple[str, str], Any] = {}
        self._closed = False

    async def ask(self, address: str, question: Question[Out, In], said: Out, *, within_s: float) -> In:
        """See Network."""
        raw = said.SerializeToString()
        if len(raw) > TRANSPORT_BYTES_MAX:
            raise _too_large(raw)
        stub = self._stub(address, question.path, "unary_unary")
        cancels = _cancels()
        try:
            return parse(question.answers, await stub(raw, timeout=within_s), TRANSPORT_BYTES_MAX)
        except grpc.RpcError as error:
            raise _broken(error) from None
        except asyncio.CancelledError:
            if _cancelled_here(cancels):
                raise
            raise Broken(Status.CANCELLED, f"the connection to {address} was closed from this side") from None
        except Unreadable as error:
            raise Broken(Status.INTERNAL, f"{address} answered with {error.why}") from error

    def open(self, address: str, conversation: Conversation[Out, In]) -> OpenedStream[In, Out]:
        """See Network."""
        return _Opened(address, self._stub(address, conversation.path, "stream_stream")(), conversation.down)

    async def serve(self, address: str, served: Sequence[Served]) -> Server:
        """See Network."""
        return await bind(address, served)

    async def close(self) -> None:
        """See Network."""
        self._closed = True
        channels, self._channels = self._channels, {}
        self._stubs.clear()
        for channel in channels.values():
            await channel.close(None)

    def _stub(self, address: str, path: str, kind: str) -> Any:
        stub = self._stubs.get((address, path))
        if stub is None:
            assert not self._closed, f"this network is closed, and {path} at {address} was wanted"
            kept_alive = path in KEPT_ALIVE
            channel = self._channels.get((address, kept_alive))
            if channel is None:
                options = _CHANNEL_OPTIONS + (_KEEPALIVE_OPTIONS if kept_alive else [])
                channel = self._channels[address, kept_alive] = grpc.aio.insecure_channel(address, options=options)
            stub = self._stubs[address, path] = getattr(channel, kind)(path)
        return stub


class _Opened(Generic[In, Out]):
    """The opening end of a stream."""

    def __init__(self, address: str, call: Any, down: type[In]) -> None:
        self.peer = address
        self._call = call
        self._down = down
        self._sending = asyncio.Lock()
        self._reading = False
        self._half_closed = False
        # A call that is cancelled before its connection stands would let its writer wait for that connection for ever.
        call.add_done_callback(lambda ended: ended._metadata_sent.set())

    async def read(self) -> In | None:
        assert not self._reading, "one task reads a stream"
        self._reading = True
        cancels = _cancels()
        try:
            raw = await self._call.read()  # raises at any end but an orderly one
        except grpc.RpcError as error:
            raise _broken(error) from None
        except asyncio.CancelledError:
            if _cancelled_here(cancels):
                raise
            raise _walked_away() from None
        finally:
            self._reading = False
        if raw is _EOF:
            return None
        try:
            return parse(self._down, raw, TRANSPORT_BYTES_MAX)
        except Unreadable as error:
            self._call.cancel()
            raise Broken(Status.INTERNAL, f"{self.peer} sent {error.why}") from error

    async def write(self, message: Out) -> None:
        assert not self._half_closed, "nothing is said after done_writing"
        raw = message.SerializeToString()
        if len(raw) > TRANSPORT_BYTES_MAX:
            self._call.cancel()
            raise _too_large(raw)
        cancels = _cancels()
        async with self._sending:
            try:
                if self._call.done():
                    raise _over()
                await self._call.wait_for_connection()
                # Not `call.write`: where that fails it replaces the status that the other side sent by an INTERNAL of
                # its own, and what was received and not yet read is lost with it.
                await self._call._cython_call.send_serialized_message(raw)
            except grpc.RpcError as error:
                raise _broken(error) from None
            except grpc.aio.BaseError:
                raise _over() from None
            except asyncio.CancelledError:
                self._call.cancel()  # half a message may be on its way
                if _cancelled_here(cancels):
                    raise
                raise _walked_away() from None

    async def done_writing(self) -> None:
        self._half_closed = True
        cancels = _cancels()
        async with self._sending:
            try:
                await self._call.done_writing()
            except (grpc.RpcError, grpc.aio.BaseError):
                return  # over already: what ended it shows at the next read
            except asyncio.CancelledError:
                if _cancelled_here(cancels):
                    raise

    def cancel(self) -> None:
        self._call.cancel()


def _cancels() -> int:
    """How often somebody asked to cancel the running task."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def _cancelled_here(before: int) -> bool:
    """Whether a CancelledError means that somebody cancelled the running task since it was cancelled `before` times."""
    return _cancels() > before


def _walked_away() -> Broken:
    return Broken(Status.CANCELLED, "cancelled from this side")


def _over() -> Broken:
    return Broken(Status.UNAVAILABLE, "the conversation is over; how it ended shows at the next read")


def _too_large(raw: bytes) -> Broken:
    return Broken(Status.RESOURCE_EXHAUSTED, f"{len(raw)} bytes, more than the transport's {TRANSPORT_BYTES_MAX}")


def _broken(error: grpc.RpcError) -> Broken:
    if not isinstance(error, grpc.aio.AioRpcError):
        return Broken(Status.UNKNOWN, str(error))
    name, detail = error.code().name, error.details() or ""
    return Broken(Status(name) if name in Status.__members__ else Status.UNKNOWN, detail)


__all__ = ["GrpcNetwork", "GrpcServer"]
