"""Bare grpc.aio and bare aiokafka, set as the services set them: the same limits, acknowledgements and topics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import grpc
from aiokafka import AIOKafkaProducer
from google.protobuf.message import Message

from bench.child import say

SIZES = [("grpc.max_receive_message_length", 16 * 1024 * 1024), ("grpc.max_send_message_length", 16 * 1024 * 1024)]
Behaviour = Callable[[Any, Any], Any]


def now_ms() -> int:
    """Wall clock, for records."""
    return time.time_ns() // 1_000_000


def stub(address: str, kind: str, path: str, asks: type[Message], answers: type[Message]) -> Any:
    """A method of a neighbour, on a channel of its own; `kind` as in grpc: unary_unary or stream_stream."""
    channel = grpc.aio.insecure_channel(address, options=[*SIZES, ("grpc.enable_retries", 0)])
    make = getattr(channel, kind)
    return make(path, request_serializer=asks.SerializeToString, response_deserializer=answers.FromString)


def answering(behaviour: Behaviour, asks: type[Message], answers: type[Message]) -> Any:
    """A unary method to serve."""
    return grpc.unary_unary_rpc_method_handler(behaviour, asks.FromString, answers.SerializeToString)


def conversing(behaviour: Behaviour, up: type[Message], down: type[Message]) -> Any:
    """A stream to serve."""
    return grpc.stream_stream_rpc_method_handler(behaviour, up.FromString, down.SerializeToString)


async def serve(service: str, methods: dict[str, Any]) -> None:
    """Binds a free port, says it to the parent and serves for ever."""
    server = grpc.aio.server(options=[*SIZES, ("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    say({"listening": f"127.0.0.1:{port}"})
    await server.wait_for_termination()


class Publisher:
    """A producer whose records are acknowledged by all in-sync replicas, and whose order survives a retry."""

    def __init__(self, kafka: str) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=kafka, acks="all", enable_idempotence=True, linger_ms=0, request_timeout_ms=5_000
        )

    async def start(self) -> None:
        """Connects."""
        await self._producer.start()

    async def publish(self, topic: str, call_id: str, message: Message) -> asyncio.Future[Any]:
        """Sends, and returns what will be the acknowledgement, for whoever wants it."""
        value = message.SerializeToString()
        sent: asyncio.Future[Any] = await self._producer.send(topic, value, call_id.encode())
        return sent
