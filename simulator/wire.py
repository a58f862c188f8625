"""The world outside on the services' own network port: its bytes cross as they are, nothing is parsed on the way.

So loadtest's networks, PSAPs and trunks, which know no port of the services, run beside the real shells under virtual
time; whatever the network does to messages, it does to theirs too.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

from google.protobuf.message import Message

from loadtest.wire import Answering, Conversing, Ended, Refusal, Server, Stream
from services.host.network import Answers, Broken, Converses, Refuse, Served, Status
from services.host.network import Server as BoundServer
from services.host.network import Stream as ServedStream
from services.host.network.memory import MemoryHost
from services.host.network.memory_stream import MemoryStream
from services.wire.methods import Conversation, Question


class Raw:
    """Bytes in the dress of a message."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes = b"") -> None:
        self.raw = raw

    def SerializeToString(self) -> bytes:
        return self.raw

    def ParseFromString(self, raw: bytes) -> None:
        self.raw = raw


_RAW = cast(type[Message], Raw)


class NetworkWire:
    """A `Wire` on one host of a memory network."""

    def __init__(self, network: MemoryHost) -> None:
        self._network = network
        self._conversations: dict[str, Conversation[Any, Any]] = {}

    def open(self, address: str, path: str) -> Stream:
        """See Wire."""
        conversation = self._conversations.get(path)
        if conversation is None:
            conversation = self._conversations[path] = Conversation(path, _RAW, _RAW)
        return _Opened(self._network.open(address, conversation))

    async def serve(
        self, address: str, conversations: Mapping[str, Conversing], questions: Mapping[str, Answering]
    ) -> Server:
        """See Wire."""
        served: list[Served] = [
            *(Converses(Conversation(path, _RAW, _RAW), _leading(lead)) for path, lead in conversations.items()),
            *(Answers(Question(path, _RAW, _RAW), _asking(answer)) for path, answer in questions.items()),
        ]
        return _Bound(await self._network.serve(address, served))

    async def close(self) -> None:
        """The network is closed by whoever made it."""


class _Opened:
    def __init__(self, stream: MemoryStream[Any, Any]) -> None:
        self._stream = stream
        self.cancel = stream.cancel
        self.finish = stream.finish

    async def read(self) -> bytes | None:
        try:
            message = await self._stream.read()
        except Broken as broken:
            raise Ended(broken.status.value, broken.detail) from broken
        return None if message is None else message.raw

    def say(self, message: bytes) -> None:
        with suppress(Broken):  # its reader hears why
            self._stream.say(cast(Message, Raw(message)))


class _Served:
    def __init__(self, stream: ServedStream[Any, Any]) -> None:
        self._stream = stream

    async def read(self) -> bytes | None:
        message = await self._stream.read()
        return None if message is None else message.raw

    async def write(self, message: bytes) -> None:
        await self._stream.write(Raw(message))


class _Bound:
    def __init__(self, server: BoundServer) -> None:
        self.address = server.address
        self._server = server

    async def stop(self) -> None:
        await self._server.stop(0.0)


def _leading(lead: Conversing) -> Any:
    async def converse(stream: ServedStream[Any, Any]) -> None:
        try:
            await lead(_Served(stream))
        except Refusal as refusal:
            raise Refuse(Status(refusal.status), refusal.details) from refusal

    return converse


def _asking(answer: Answering) -> Any:
    async def ask(asked: Any) -> Any:
        try:
            return Raw(await answer(asked.raw))
        except Refusal as refusal:
            raise Refuse(Status(refusal.status), refusal.details) from refusal

    return ask
