"""gRPC as the world outside uses it: bytes both ways, no retries of the channel's own, quick to try again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import grpc

from loadtest.wire import CANCELLED, Answering, Conversing, Ended, Refusal, Server, Speaker, Stream

_aio: Any = grpc.aio  # its type stubs lack what is used here
MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
_OVER: Final = (grpc.RpcError, asyncio.InvalidStateError, asyncio.CancelledError)
_OPTIONS: Final = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", 4 * MESSAGE_BYTES_MAX),  # a test may send more than an ingress takes
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),
]


class GrpcWire:
    """One channel to each address, which connects when it is first used."""

    def __init__(self) -> None:
        self._channels: dict[str, Any] = {}

    def open(self, address: str, path: str) -> Stream:
        """See Wire."""
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = _aio.insecure_channel(address, options=_OPTIONS)
        return _Opened(channel.stream_stream(path)())

    async def serve(
        self, address: str, conversations: Mapping[str, Conversing], questions: Mapping[str, Answering]
    ) -> Server:
        """See Wire. Nobody shares the port."""
        server = _aio.server(options=[("grpc.so_reuseport", 0)])
        handlers = {path: grpc.stream_stream_rpc_method_handler(_leading(lead)) for path, lead in conversations.items()}
        handlers |= {path: grpc.unary_unary_rpc_method_handler(_asking(answer)) for path, answer in questions.items()}
        for path, handler in handlers.items():
            service, method = path.strip("/").split("/")
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        port = server.add_insecure_port(address)
        await server.start()
        return _Bound(server, f"{address.rpartition(':')[0]}:{port}")

    async def close(self) -> None:
        """See Wire."""
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()


class _Opened:
    def __init__(self, call: Any) -> None:
        self._call = call
        self._speaker = Speaker(call.write, call.done_writing, _OVER)

    async def read(self) -> bytes | None:
        try:
            raw = await self._call.read()
            if raw is not _aio.EOF:
                return bytes(raw)
            code, details = await self._call.code(), await self._call.details()
        except grpc.aio.AioRpcError as error:
            raise Ended(error.code().name, error.details() or "") from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise Ended(CANCELLED, "from this side") from None  # it is the stream that was cancelled
        if code is grpc.StatusCode.OK:
            return None
        raise Ended(code.name, details or "")

    def say(self, message: bytes) -> None:
        self._speaker.say(message)

    def finish(self) -> None:
        self._speaker.say(None)

    def cancel(self) -> None:
        self._call.cancel()


class _Served:
    def __init__(self, context: Any) -> None:
        self._context = context

    async def read(self) -> bytes | None:
        raw = await self._context.read()
        return None if raw is _aio.EOF else bytes(raw)

    async def write(self, message: bytes) -> None:
        await self._context.write(message)


class _Bound:
    def __init__(self, server: Any, address: str) -> None:
        self.address = address
        self._server = server

    async def stop(self) -> None:
        await self._server.stop(0)


def _leading(lead: Conversing) -> Any:
    async def converse(_: Any, context: Any) -> None:
        try:
            await lead(_Served(context))
        except Refusal as refusal:
            await context.abort(grpc.StatusCode[refusal.status], refusal.details)

    return converse


def _asking(answer: Answering) -> Any:
    async def ask(raw: bytes, context: Any) -> bytes:
        try:
            return await answer(raw)
        except Refusal as refusal:
            await context.abort(grpc.StatusCode[refusal.status], refusal.details)
            raise

    return ask
