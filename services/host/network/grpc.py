"""The network over grpc.aio.

Bytes are parsed here, not by gRPC's deserializer: a message that a stub cannot parse would never reach our code (P6).
Channel retries are off: retries belong to the call's state machine. `grpc.so_reuseport` is off: two servers would
silently share a port.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, TypeVar

# Before the import, which reads it. The core's own lines are no JSON and say nothing that a status does not.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.host.network import Answers, Broken, OpenedStream, PortTaken, Refuse, Served, Server, Status, Stream
from services.wire.methods import TRANSPORT_BYTES_MAX, Conversation, Question, Unreadable, parse

In = TypeVar("In", bound=Message)
Out = TypeVar("Out", bound=Message)

_SIZES: Final = [
    ("grpc.max_receive_message_length", TRANSPORT_BYTES_MAX),
    ("grpc.max_send_message_length", TRANSPORT_BYTES_MAX),
]
_CHANNEL_OPTIONS: Final = [
    *_SIZES,
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),
]
_SERVER_OPTIONS: Final = [*_SIZES, ("grpc.so_reuseport", 0)]


def _status(code: Any) -> Status:
    name = getattr(code, "name", "UNKNOWN")
    return Status(name) if name in Status.__members__ else Status.UNKNOWN


def _broken(error: grpc.RpcError) -> Broken:
    if isinstance(error, grpc.aio.AioRpcError):
        return Broken(_status(error.code()), error.details() or "")
    return Broken(Status.UNKNOWN, str(error))


class _Opened(Generic[In, Out]):
    """The opening end of a stream."""

    def __init__(self, address: str, call: Any, down: type[In]) -> None:
        self.peer = address
        self._call = call
        self._down = down
        self._sending = asyncio.Lock()

    async def read(self) -> In | None:
        try:
            raw = await self._call.read()
        except grpc.RpcError as error:
            raise _broken(error) from None
        except asyncio.CancelledError:
            if self._call.cancelled():
                raise Broken(Status.CANCELLED, "cancelled from this side") from None
            raise
        if raw is grpc.aio.EOF:
            code = await self._call.code()
            if code is not grpc.StatusCode.OK:
                raise Broken(_status(code), await self._call.details() or "")
            return None
        try:
            return parse(self._down, raw, TRANSPORT_BYTES_MAX)
        except Unreadable as error:
            self._call.cancel()
            raise Broken(Status.INTERNAL, f"{self.peer} sent {error.why}") from error

    async def write(self, message: Out) -> None:
        async with self._sending:
            try:
                await self._call.write(message.SerializeToString())
            except grpc.RpcError as error:
                raise _broken(error) from None
            except asyncio.InvalidStateError as error:
                raise Broken(Status.UNAVAILABLE, str(error)) from None
            except asyncio.CancelledError:
                if self._call.cancelled():
                    raise Broken(Status.CANCELLED, "cancelled from this side") from None
                raise

    async def done_writing(self) -> None:
        async with self._sending:
            try:
                await self._call.done_writing()
            except (grpc.RpcError, asyncio.InvalidStateError):
                return  # over already: what ended it shows at the next read

    def cancel(self) -> None:
        self._call.cancel()


class _Served(Generic[In, Out]):
    """The serving end of a stream."""

    def __init__(self, context: Any, up: type[In]) -> None:
        self._context = context
        self._up = up
        self._sending = asyncio.Lock()

    @property
    def peer(self) -> str:
        return str(self._context.peer())

    async def read(self) -> In | None:
        raw = await self._context.read()
        if raw is grpc.aio.EOF:
            return None
        return parse(self._up, raw)

    async def write(self, message: Out) -> None:
        async with self._sending:
            try:
                await self._context.write(message.SerializeToString())
            except (grpc.RpcError, grpc.aio.UsageError, asyncio.InvalidStateError) as error:
                raise Broken(Status.CANCELLED, f"the other side is gone: {error}") from None
            except grpc.aio.InternalError as error:
                raise Broken(Status.INTERNAL, str(error)) from None


Behaviour = Callable[[Any, Any], Awaitable[Any]]


def _answering(served: Answers[Any, Any]) -> Behaviour:
    async def behaviour(raw: bytes, context: Any) -> bytes:
        try:
            answer = await served.handler(parse(served.question.asks, raw))
        except Refuse as refusal:
            await context.abort(grpc.StatusCode[refusal.status], refusal.detail)
        except Unreadable as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.why)
        return bytes(answer.SerializeToString())

    return behaviour


def _conversing(served: Any) -> Behaviour:
    async def behaviour(_: Any, context: Any) -> None:
        try:
            await served.handler(_Served(context, served.conversation.up))
        except Refuse as refusal:
            await context.abort(grpc.StatusCode[refusal.status], refusal.detail)
        except Unreadable as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.why)

    return behaviour


class GrpcServer:
    """A bound gRPC server with health and reflection."""

    def __init__(self, server: Any, address: str, checks: health.aio.HealthServicer, names: Sequence[str]) -> None:
        self.address = address
        self._server = server
        self._checks = checks
        self._names = names
        self._settings: set[asyncio.Task[None]] = set()

    def set_ready(self, ready: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        task = asyncio.ensure_future(self._set(status))
        self._settings.add(task)
        task.add_done_callback(self._settings.discard)

    async def _set(self, status: Any) -> None:
        for name in ("", *self._names):
            await self._checks.set(name, status)

    async def stop(self, grace_s: float) -> None:
        await self._server.stop(grace_s)


class GrpcNetwork:
    """Channels by address, kept open; one event loop a process."""

    def __init__(self) -> None:
        self._channels: dict[str, Any] = {}
        self._stubs: dict[tuple[str, str], Any] = {}

    def _stub(self, address: str, path: str, kind: str) -> Any:
        stub = self._stubs.get((address, path))
        if stub is None:
            channel = self._channels.get(address)
            if channel is None:
                channel = self._channels[address] = grpc.aio.insecure_channel(address, options=_CHANNEL_OPTIONS)
            stub = self._stubs[address, path] = getattr(channel, kind)(path)
        return stub

    async def ask(self, address: str, question: Question[Out, In], said: Out, *, within_s: float) -> In:
        stub = self._stub(address, question.path, "unary_unary")
        try:
            raw = await stub(said.SerializeToString(), timeout=within_s)
            return parse(question.answers, raw, TRANSPORT_BYTES_MAX)
        except grpc.RpcError as error:
            raise _broken(error) from None
        except Unreadable as error:
            raise Broken(Status.INTERNAL, f"{address} answered with {error.why}") from error

    def open(self, address: str, conversation: Conversation[Out, In]) -> OpenedStream[In, Out]:
        call = self._stub(address, conversation.path, "stream_stream")()
        return _Opened(address, call, conversation.down)

    async def serve(self, address: str, served: Sequence[Served]) -> Server:
        server = grpc.aio.server(options=_SERVER_OPTIONS)
        methods: dict[str, dict[str, Any]] = {}
        for each in served:
            path = each.question.path if isinstance(each, Answers) else each.conversation.path
            _, service, method = path.split("/")
            methods.setdefault(service, {})[method] = (
                grpc.unary_unary_rpc_method_handler(_answering(each))
                if isinstance(each, Answers)
                else grpc.stream_stream_rpc_method_handler(_conversing(each))
            )
        for service, handlers in methods.items():
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        checks = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(checks, server)
        reflection.enable_server_reflection([*methods, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
        try:
            port = server.add_insecure_port(address)
        except RuntimeError as error:
            raise PortTaken(f"cannot listen on {address}: is another server there? choose another port") from error
        await server.start()
        bound = GrpcServer(server, f"{address.rpartition(':')[0]}:{port}", checks, list(methods))
        bound.set_ready(True)
        return bound

    async def close(self) -> None:
        channels, self._channels = self._channels, {}
        self._stubs.clear()
        for channel in channels.values():
            await channel.close()


__all__ = ["GrpcNetwork", "GrpcServer", "Stream"]
