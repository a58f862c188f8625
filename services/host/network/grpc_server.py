"""The serving end of the network over grpc.aio, with health and reflection on every server.

`grpc.so_reuseport` is off: two servers would silently share a port. A handler is a coroutine on `context.read/write`: a
cancel reaches a generator as GeneratorExit, and a coroutine as CancelledError (P6).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, TypeVar

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.host.network import Answers, Broken, PortTaken, Refuse, Served, Status
from services.host.network.keepalive import KEEPALIVE_ANSWER_MS, KEEPALIVE_MS
from services.wire.methods import TRANSPORT_BYTES_MAX, Unreadable, parse

In = TypeVar("In", bound=Message)
Out = TypeVar("Out", bound=Message)
Behaviour = Callable[[Any, Any], Awaitable[Any]]

_SERVER_OPTIONS: Final = [
    ("grpc.max_receive_message_length", TRANSPORT_BYTES_MAX),
    ("grpc.max_send_message_length", TRANSPORT_BYTES_MAX),
    ("grpc.so_reuseport", 0),
    # A caller, a PSAP or a conductor whose machine has vanished, or whose process hangs, sends no end of its streams.
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_ANSWER_MS),  # the core does not look at its own keepalive_timeout_ms
    ("grpc.http2.max_pings_without_data", 0),
    # Our own clients do the same to us.
    ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_MS // 2),
]
_EOF: Final[object] = grpc.aio.EOF  # type: ignore[attr-defined]  # the stubs do not know it
_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
LAST_WORDS_S: Final = 0.05
"""Seconds that a stop leaves, once every handler has ended, for their last messages to be sent."""
CLEAN_UP_S: Final = 1.0
"""Seconds that handlers get after a stop has cancelled them, to say their last words elsewhere."""


async def bind(address: str, served: Sequence[Served]) -> GrpcServer:
    """Serves at host:port; raises PortTaken."""
    server = grpc.aio.server(options=_SERVER_OPTIONS)
    in_hand = _InHand()
    methods: dict[str, dict[str, Any]] = {}
    for each in served:
        path = each.question.path if isinstance(each, Answers) else each.conversation.path
        _, service, method = path.split("/")
        methods.setdefault(service, {})[method] = (
            grpc.unary_unary_rpc_method_handler(in_hand.tracked(_answering(each)))
            if isinstance(each, Answers)
            else grpc.stream_stream_rpc_method_handler(in_hand.tracked(_conversing(each)))
        )
    for service, handlers in methods.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    checks = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs do not know it
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    reflection.enable_server_reflection([*methods, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise PortTaken(f"cannot listen on {address}: is another server there? choose another port") from error
    for name in methods:
        await checks.set(name, _SERVING)
    await server.start()
    return GrpcServer(server, f"{address.rpartition(':')[0]}:{port}", checks, list(methods), in_hand)


class GrpcServer:
    """A bound gRPC server."""

    def __init__(self, server: Any, address: str, checks: Any, names: Sequence[str], in_hand: _InHand) -> None:
        self.address = address
        self._server = server
        self._checks = checks
        self._names = ("", *names)
        self._in_hand = in_hand
        self._settings: set[asyncio.Task[None]] = set()

    def set_ready(self, ready: bool) -> None:
        """See Server."""
        task = asyncio.ensure_future(self._tell(_SERVING if ready else _NOT_SERVING))
        self._settings.add(task)
        task.add_done_callback(self._settings.discard)

    async def _tell(self, status: Any) -> None:
        for name in self._names:
            await self._checks.set(name, status)

    async def stop(self, grace_s: float) -> None:
        """See Server. Does not wait for those who watch our health: only for the calls of our own methods."""
        await self._checks.enter_graceful_shutdown()
        stopping = asyncio.ensure_future(self._server.stop(grace_s))
        idle = asyncio.ensure_future(self._in_hand.idle.wait())
        await asyncio.wait({stopping, idle}, return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        await asyncio.wait({stopping}, timeout=LAST_WORDS_S)
        if not stopping.done():  # somebody watches our health, which never ends by itself
            await self._server.stop(None)
            await stopping
        try:
            async with asyncio.timeout(CLEAN_UP_S):
                await self._in_hand.idle.wait()
        except TimeoutError:
            self._in_hand.cut()


class _InHand:
    """The handlers that run."""

    def __init__(self) -> None:
        self.idle = asyncio.Event()
        self.idle.set()
        self._tasks: set[asyncio.Task[Any]] = set()

    def tracked(self, behaviour: Behaviour) -> Behaviour:
        """The same behaviour, known here while it runs."""

        async def run(first: Any, context: Any) -> Any:
            task = asyncio.current_task()
            assert task is not None, "a handler runs in a task"
            self._tasks.add(task)
            self.idle.clear()
            try:
                return await behaviour(first, context)
            finally:
                self._tasks.discard(task)
                if not self._tasks:
                    self.idle.set()

        return run

    def cut(self) -> None:
        """Cancels those that still run."""
        for task in self._tasks:
            task.cancel()


def _answering(served: Answers[Any, Any]) -> Behaviour:
    async def behaviour(raw: bytes, context: Any) -> bytes:
        try:
            answer = await served.handler(parse(served.question.asks, raw, served.question.bytes_max))
        except (Refuse, Broken, Unreadable) as why:
            await _abort(context, why)
        return bytes(answer.SerializeToString())

    return behaviour


def _conversing(served: Any) -> Behaviour:
    async def behaviour(_: Any, context: Any) -> None:
        try:
            await served.handler(_Served(context, served.conversation.up))
        except (Refuse, Broken, Unreadable) as why:
            await _abort(context, why)

    return behaviour


async def _abort(context: Any, why: Refuse | Broken | Unreadable) -> None:
    """Ends the call with a status. A Broken that a handler lets through is its mistake, or its caller is gone."""
    if isinstance(why, Refuse):
        status, detail = grpc.StatusCode[why.status], why.detail
    elif isinstance(why, Unreadable):
        status, detail = grpc.StatusCode.INVALID_ARGUMENT, why.why
    else:
        status, detail = grpc.StatusCode.INTERNAL, f"while serving: {why}"
    await context.abort(status, detail)


class _Served(Generic[In, Out]):
    """The serving end of a stream."""

    def __init__(self, context: Any, up: type[In]) -> None:
        self._context = context
        self._up = up
        self._sending = asyncio.Lock()
        self._reading = False
        self._torn = False

    @property
    def peer(self) -> str:
        return str(self._context.peer())

    async def read(self) -> In | None:
        # A second reader, and one that comes after a cancelled read, would be told "end of stream" by grpc.aio.
        assert not self._reading, "one task reads a stream, and not after a read was cancelled"
        self._reading = True
        try:
            raw = await self._context.read()
        except grpc.aio.BaseError:
            raw = _EOF  # the handler itself has ended it, or the server has stopped
        self._reading = False
        return None if raw is _EOF else parse(self._up, raw)

    async def write(self, message: Out) -> None:
        raw = message.SerializeToString()
        if len(raw) > TRANSPORT_BYTES_MAX:
            raise Broken(Status.RESOURCE_EXHAUSTED, f"{len(raw)} bytes, more than {TRANSPORT_BYTES_MAX}")
        async with self._sending:
            if self._torn:
                raise Broken(Status.CANCELLED, "a write was cut off midway")
            try:
                await self._context.write(raw)
            except (grpc.aio.BaseError, asyncio.InvalidStateError) as error:
                raise Broken(Status.CANCELLED, f"the other side is gone: {error}") from None
            except asyncio.CancelledError:
                self._torn = True
                raise
