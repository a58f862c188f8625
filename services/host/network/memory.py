"""The network inside one process: for tests and the simulator, under virtual time.

Messages cross as bytes, so that what could not cross a wire cannot cross here; ends and breaks come in the order and
with the statuses of gRPC (tests/contract/test_network.py). A `MemoryNetwork` is the whole network, and a `Network` for
whoever needs no name; each process that can be cut off, paused or killed has a `host` of its own on it. What serves
runs in the context of whoever served it, what travels in that of the network.

`links` says how long a message takes from whom to whom, and that it does not pass: then it waits until `flush`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import copy_context
from itertools import count
from typing import Any, Final, Protocol, TypeVar

from google.protobuf.message import Message

from services.host.network import Answers, Broken, PortTaken, Served, Server, Status
from services.host.network.memory_stream import MemoryStream, handled, too_large
from services.wire.methods import TRANSPORT_BYTES_MAX, Conversation, Question, parse

In = TypeVar("In", bound=Message)
Out = TypeVar("Out", bound=Message)

CLEAN_UP_S: Final = 1.0


class Links(Protocol):
    """What lies between hosts. The side that opens is named as its host, the side that serves by its address."""

    def delay_s(self, sender: str, receiver: str) -> float | None:
        """Seconds that a message takes that is sent now; None where nothing passes."""


class Even:
    """Everybody is equally far from everybody."""

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s

    def delay_s(self, sender: str, receiver: str) -> float | None:
        return self._latency_s


class MemoryServer:
    """A name in the network's table, and the handlers that run behind it."""

    def __init__(self, network: MemoryNetwork, host: MemoryHost, address: str, served: Sequence[Served]) -> None:
        self.address = address
        self.host = host
        self.ready = True
        self.served = {(s.question if isinstance(s, Answers) else s.conversation).path: s for s in served}
        self.in_hand: dict[asyncio.Task[Any], None] = {}
        self.context = copy_context()
        self._network = network

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A handler's task, in the context of whoever serves."""
        task = asyncio.get_running_loop().create_task(work, context=self.context.copy())
        self.in_hand[task] = None
        return task

    def ended(self, handling: asyncio.Task[None] | None) -> None:
        """The last word of a handler's task: a callback behind each would cost another turn of the loop."""
        if handling is not None:
            self.in_hand.pop(handling, None)

    def find(self, path: str) -> Any:
        """Who serves `path`; raises Broken as an unknown method would."""
        if path not in self.served:
            raise Broken(Status.UNIMPLEMENTED, path)
        return self.served[path]

    def set_ready(self, ready: bool) -> None:
        """See Server."""
        self.ready = ready

    async def stop(self, grace_s: float) -> None:
        """See Server."""
        self.ready = False
        self._network.remove(self)
        in_hand = [task for task in self.in_hand if not task.done()]  # who was cancelled before it began says no word
        if in_hand:
            await asyncio.wait(in_hand, timeout=grace_s)
        for task in in_hand:
            task.cancel()
        if in_hand:
            await asyncio.wait(in_hand, timeout=CLEAN_UP_S)


class MemoryHost:
    """One process's view of the network."""

    def __init__(self, network: MemoryNetwork, name: str) -> None:
        self.name = name
        self.alive = True
        self.born: Final = network.births()
        """Its place among all hosts and streams, in the order in which they began."""
        self.streams: dict[MemoryStream[Any, Any], None] = {}
        """What this host has opened, and what it serves, as long as it lasts."""
        self._network = network

    async def ask(self, address: str, question: Question[Out, In], said: Out, *, within_s: float) -> In:
        """See Network."""
        raw = said.SerializeToString()
        if len(raw) > TRANSPORT_BYTES_MAX:
            raise too_large(raw)
        asked = _Asked(self._network, self.name, address, question, raw)
        expiry = asyncio.get_running_loop().call_later(within_s, asked.expire, within_s)
        try:
            answer = await asked.answer
        finally:
            expiry.cancel()
            asked.give_up()
        if isinstance(answer, Broken):
            raise answer
        return parse(question.answers, answer, TRANSPORT_BYTES_MAX)

    def open(self, address: str, conversation: Conversation[Out, In]) -> MemoryStream[In, Out]:
        """See Network."""
        return MemoryStream(self._network, self, address, conversation)

    async def serve(self, address: str, served: Sequence[Served]) -> Server:
        """See Network."""
        return self._network.bind(self, address, served)

    async def close(self) -> None:
        """See Network."""
        for stream in list(self.streams):
            if stream.opener is self:
                stream.cancel()


class MemoryNetwork(MemoryHost):
    """The whole network. `latency_s` is one way, for every message, where no `links` are given."""

    def __init__(self, latency_s: float = 0.0, links: Links | None = None) -> None:
        self.births: Final = count().__next__
        super().__init__(self, "")
        self.links: Links = links or Even(latency_s)
        self.context = copy_context()
        self.hosts: list[MemoryHost] = [self]
        """Those that live, in the order in which they came."""
        self._servers: dict[str, MemoryServer] = {}
        self._held: list[Callable[[], None]] = []
        self._ports = iter(range(40000, 65536))

    def host(self, name: str) -> MemoryHost:
        """A new host of that name."""
        host = MemoryHost(self, name)
        self.hosts.append(host)
        return host

    def flush(self) -> None:
        """What could not pass tries again."""
        held, self._held = self._held, []
        for each in held:
            each()

    def died(self, host: MemoryHost) -> None:
        """The process of a host is gone: its system closes all that it had open, and nobody listens there."""
        host.alive = False
        self.hosts.remove(host)
        for server in [each for each in self._servers.values() if each.host is host]:
            self.remove(server)
        for stream in list(host.streams):
            stream.side_died(host)

    async def close(self) -> None:
        """Ends all that runs on this network, whoever began it."""
        await super().close()
        for server in list(self._servers.values()):
            self.remove(server)
            for task in list(server.in_hand):
                task.cancel()
            await asyncio.gather(*server.in_hand, return_exceptions=True)

    # For the classes around it.

    def bind(self, host: MemoryHost, address: str, served: Sequence[Served]) -> MemoryServer:
        """A server at an address that is free; raises PortTaken."""
        name, _, port = address.rpartition(":")
        bound = f"{name}:{next(self._ports)}" if port == "0" else address
        if bound in self._servers:
            raise PortTaken(f"cannot listen on {bound}: another server is there; choose another port")
        server = self._servers[bound] = MemoryServer(self, host, bound, served)
        return server

    def find(self, address: str) -> MemoryServer:
        """Who serves at `address`; raises Broken as a closed port would."""
        if address not in self._servers:
            raise Broken(Status.UNAVAILABLE, f"nobody listens on {address}")
        return self._servers[address]

    def remove(self, server: MemoryServer) -> None:
        """Nobody listens there any more."""
        if self._servers.get(server.address) is server:
            del self._servers[server.address]

    def hold(self, passing: Callable[[], None]) -> None:
        """Something does not pass now; it tries again at the next `flush`."""
        self._held.append(passing)

    def send(self, sender: str, receiver: str, arrive: Callable[[], object]) -> None:
        """A single message, which may overtake others."""
        delay_s = self.links.delay_s(sender, receiver)
        if delay_s is None:
            self.hold(lambda: self.send(sender, receiver, arrive))
        elif delay_s:
            asyncio.get_running_loop().call_later(delay_s, arrive, context=self.context)
        else:
            arrive()


class _Asked:
    """A question under way."""

    __slots__ = ("_address", "_handling", "_name", "_network", "_question", "_raw", "answer")

    def __init__(
        self, network: MemoryNetwork, name: str, address: str, question: Question[Any, Any], raw: bytes
    ) -> None:
        self.answer: asyncio.Future[bytes | Broken] = asyncio.get_running_loop().create_future()
        self._network = network
        self._name = name
        self._address = address
        self._question = question
        self._raw = raw
        self._handling: asyncio.Task[None] | None = None
        network.send(name, address, self._arrive)

    def expire(self, within_s: float) -> None:
        self._answered(Broken(Status.DEADLINE_EXCEEDED, f"no answer within {within_s} s"))

    def give_up(self) -> None:
        """Nobody waits for the answer any more: the handler hears so, in its time."""
        if not self.answer.done():
            self.answer.cancel()
        if self._handling is not None and not self._handling.done():
            self._network.send(self._name, self._address, self._handling.cancel)

    def _arrive(self) -> None:
        if self.answer.done():
            return
        try:
            server = self._network.find(self._address)
            served = server.find(self._question.path)
        except Broken as nobody:
            self._reply(nobody)
            return
        self._handling = server.start(self._handle(server, served))

    async def _handle(self, server: MemoryServer, served: Answers[Any, Any]) -> None:
        answers: list[bytes] = []

        async def answering() -> None:
            asked = parse(served.question.asks, self._raw, served.question.bytes_max)
            answers.append((await served.handler(asked)).SerializeToString())

        end = await handled(server.address, answering())
        server.ended(self._handling)
        self._reply(end or answers[0])

    def _reply(self, answer: bytes | Broken) -> None:
        self._network.send(self._address, self._name, lambda: self._answered(answer))

    def _answered(self, answer: bytes | Broken) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)
