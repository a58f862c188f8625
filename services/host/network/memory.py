"""The network inside one process: for tests and the simulator, under virtual time.

Messages cross as bytes, so that what could not cross a wire cannot cross here. One `MemoryNetwork` is the whole network;
every host of it shares the instance.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from services.host.network import Answers, Broken, OpenedStream, PortTaken, Refuse, Served, Server, Status
from services.wire.methods import TRANSPORT_BYTES_MAX, Conversation, Question, Unreadable, parse

In = TypeVar("In", bound=Message)
Out = TypeVar("Out", bound=Message)

_END = None  # in a pipe: nothing more comes


class _Pipe:
    """One direction: bytes with a delay, an end, or a break."""

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s
        self._queue: asyncio.Queue[bytes | Broken | None] = asyncio.Queue()
        self._under_way: deque[bytes | Broken | None] = deque()
        self.closed = False

    def put(self, item: bytes | Broken | None) -> None:
        if self._latency_s:
            # Timers of one instant fire in any order; the head of the line is delivered, whichever timer comes first.
            self._under_way.append(item)
            asyncio.get_running_loop().call_later(self._latency_s, self._deliver)
        else:
            self._queue.put_nowait(item)

    def _deliver(self) -> None:
        self._queue.put_nowait(self._under_way.popleft())

    async def get(self) -> bytes | Broken | None:
        item = await self._queue.get()
        if not isinstance(item, bytes):
            self._queue.put_nowait(item)  # an end stays the end, however often it is read
        return item


class _Opened(Generic[In, Out]):
    def __init__(self, network: MemoryNetwork, address: str, conversation: Conversation[Out, In]) -> None:
        self.peer = address
        self._down_kind = conversation.down
        self._up = _Pipe(network.latency_s)
        self._down = _Pipe(network.latency_s)
        self._over: Broken | None = None
        self._task = network.start(self._lead(network, address, conversation))

    async def _lead(self, network: MemoryNetwork, address: str, conversation: Conversation[Out, In]) -> None:
        try:
            if network.latency_s:
                await asyncio.sleep(network.latency_s)
            served = network.find(address, conversation.path)
            await served.handler(_Served(self._up, self._down, conversation.up))
            self._down.put(_END)
        except Refuse as refusal:
            self._down.put(Broken(refusal.status, refusal.detail))
        except Broken as broken:
            self._down.put(broken)
        except Unreadable as error:
            self._down.put(Broken(Status.INVALID_ARGUMENT, error.why))
        except asyncio.CancelledError:
            self._down.put(Broken(Status.CANCELLED, "the stream was cut"))
        except (
            Exception
        ) as error:  # as gRPC: a handler's mistake reaches the other side as UNKNOWN, and the log as itself
            self._down.put(Broken(Status.UNKNOWN, repr(error)))
            raise

    async def read(self) -> In | None:
        if self._over is not None:
            raise self._over
        item = await self._down.get()
        if isinstance(item, Broken):
            self._over = item
            raise item
        return None if item is None else parse(self._down_kind, item, TRANSPORT_BYTES_MAX)

    async def write(self, message: Out) -> None:
        if self._over is not None or self._task.done():
            raise self._over or Broken(Status.UNAVAILABLE, "the stream is over")
        self._up.put(message.SerializeToString())
        await asyncio.sleep(0)

    async def done_writing(self) -> None:
        self._up.put(_END)

    def cancel(self) -> None:
        self._over = self._over or Broken(Status.CANCELLED, "cancelled from this side")
        self._down.put(self._over)
        self._task.cancel()


class _Served(Generic[In, Out]):
    def __init__(self, up: _Pipe, down: _Pipe, kind: type[In]) -> None:
        self.peer = "memory"
        self._up = up
        self._down = down
        self._kind = kind

    async def read(self) -> In | None:
        item = await self._up.get()
        if item is None or isinstance(item, Broken):
            return None
        return parse(self._kind, item)

    async def write(self, message: Out) -> None:
        self._down.put(message.SerializeToString())
        await asyncio.sleep(0)


class MemoryServer:
    """A name in the network's table."""

    def __init__(self, network: MemoryNetwork, address: str) -> None:
        self.address = address
        self.ready = True
        self._network = network

    def set_ready(self, ready: bool) -> None:
        self.ready = ready

    async def stop(self, grace_s: float) -> None:
        self._network.remove(self.address)


class MemoryNetwork:
    """The whole network. `latency_s` is one way, for every message."""

    def __init__(self, latency_s: float = 0.0) -> None:
        self.latency_s = latency_s
        self._served: dict[str, dict[str, Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ports = iter(range(40000, 65536))

    def find(self, address: str, path: str) -> Any:
        """Who serves `path` at `address`; raises Broken as a closed port or an unknown method would."""
        if address not in self._served:
            raise Broken(Status.UNAVAILABLE, f"nobody listens on {address}")
        if path not in self._served[address]:
            raise Broken(Status.UNIMPLEMENTED, path)
        return self._served[address][path]

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs a handler's task, held until it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def remove(self, address: str) -> None:
        """Nobody listens there any more."""
        self._served.pop(address, None)

    async def ask(self, address: str, question: Question[Out, In], said: Out, *, within_s: float) -> In:
        try:
            async with asyncio.timeout(within_s):
                served = self.find(address, question.path)
                await asyncio.sleep(self.latency_s)
                answer = await served.handler(parse(question.asks, said.SerializeToString()))
                await asyncio.sleep(self.latency_s)
        except TimeoutError:
            raise Broken(Status.DEADLINE_EXCEEDED, f"no answer within {within_s} s") from None
        except Refuse as refusal:
            raise Broken(refusal.status, refusal.detail) from None
        except Unreadable as error:
            raise Broken(Status.INVALID_ARGUMENT, error.why) from None
        return parse(question.answers, answer.SerializeToString(), TRANSPORT_BYTES_MAX)

    def open(self, address: str, conversation: Conversation[Out, In]) -> OpenedStream[In, Out]:
        return _Opened(self, address, conversation)

    async def serve(self, address: str, served: Sequence[Served]) -> Server:
        host, _, port = address.rpartition(":")
        bound = f"{host}:{next(self._ports)}" if port == "0" else address
        if bound in self._served:
            raise PortTaken(f"cannot listen on {bound}: another server is there; choose another port")
        self._served[bound] = {(s.question if isinstance(s, Answers) else s.conversation).path: s for s in served}
        return MemoryServer(self, bound)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
