"""The network inside one process: for tests and the simulator, under virtual time.

Messages cross as bytes, so that what could not cross a wire cannot cross here; ends and breaks come in the order and
with the statuses of gRPC (tests/contract/test_network.py). One `MemoryNetwork` is the whole network; every host of it
shares the instance.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Generic, TypeVar

from google.protobuf.message import Message

from services.host.network import Answers, Broken, OpenedStream, PortTaken, Refuse, Served, Server, Status
from services.wire.methods import TRANSPORT_BYTES_MAX, Conversation, Question, Unreadable, parse

In = TypeVar("In", bound=Message)
Out = TypeVar("Out", bound=Message)

CLEAN_UP_S: Final = 1.0
_END = None  # in a pipe: nothing more comes


class _Pipe:
    """One direction: bytes with a delay, an end, or a break."""

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s
        self._queue: asyncio.Queue[bytes | Broken | None] = asyncio.Queue()
        self._under_way: deque[bytes | Broken | None] = deque()
        self._at_end: Callable[[], None] | None = None

    def end(self, then: Callable[[], None]) -> None:
        """Ends; calls `then` once whoever was reading has been woken by that."""
        self._at_end = then
        self.put(_END)

    def put(self, item: bytes | Broken | None) -> None:
        if self._latency_s:
            # Timers of one instant fire in any order; the head of the line is delivered, whichever timer comes first.
            self._under_way.append(item)
            asyncio.get_running_loop().call_later(self._latency_s, self._deliver)
        else:
            self._arrive(item)

    def _deliver(self) -> None:
        self._arrive(self._under_way.popleft())

    def _arrive(self, item: bytes | Broken | None) -> None:
        self._queue.put_nowait(item)
        if item is _END and self._at_end is not None:
            asyncio.get_running_loop().call_soon(self._at_end)

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
        self._reading = False
        self._half_closed = False
        self._served: _Served[Any, Any] | None = None
        self._task = network.start(self._lead(network, address, conversation))

    async def _lead(self, network: MemoryNetwork, address: str, conversation: Conversation[Out, In]) -> None:
        try:
            if network.latency_s:
                await asyncio.sleep(network.latency_s)
            served = network.find(address, conversation.path)
        except Broken as nobody:
            self._down.put(nobody)
            return
        self._served = _Served(self._up, self._down, served.conversation.up)
        end = await network.handle(address, served.handler(self._served))
        self._served.over = True
        self._down.put(end)

    async def read(self) -> In | None:
        if self._over is not None:
            raise self._over
        assert not self._reading, "one task reads a stream"
        self._reading = True
        try:
            item = await self._down.get()
        except asyncio.CancelledError:
            self.cancel()
            raise
        finally:
            self._reading = False
        if isinstance(item, Broken):
            self._over = item
            raise item
        if item is None:
            return None
        try:
            return parse(self._down_kind, item, TRANSPORT_BYTES_MAX)
        except Unreadable as error:
            self.cancel()
            raise Broken(Status.INTERNAL, f"{self.peer} sent {error.why}") from error

    async def write(self, message: Out) -> None:
        assert not self._half_closed, "nothing is said after done_writing"
        if self._over is not None or self._task.done():
            raise self._over or Broken(Status.UNAVAILABLE, "the conversation is over")
        raw = message.SerializeToString()
        if len(raw) > TRANSPORT_BYTES_MAX:
            self.cancel()
            raise _too_large(raw)
        self._up.put(raw)
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancel()
            raise

    async def done_writing(self) -> None:
        self._half_closed = True
        self._up.put(_END)

    def cancel(self) -> None:
        if self._over is None and not self._task.done():
            self._over = Broken(Status.CANCELLED, "cancelled from this side")
            self._down.put(self._over)
            self._up.end(self._gone)  # as gRPC: a pending read returns first, then the handler is cancelled

    def _gone(self) -> None:
        """What happens on the serving side when this one has walked away."""
        if self._served is not None:
            self._served.over = True
        self._task.cancel()


class _Served(Generic[In, Out]):
    def __init__(self, up: _Pipe, down: _Pipe, kind: type[In]) -> None:
        self.peer = "memory"
        self.over = False
        self._up = up
        self._down = down
        self._kind = kind
        self._reading = False

    async def read(self) -> In | None:
        assert not self._reading, "one task reads a stream, and not after a read was cancelled"
        self._reading = True
        item = await self._up.get()
        self._reading = False
        return parse(self._kind, item) if isinstance(item, bytes) else None

    async def write(self, message: Out) -> None:
        raw = message.SerializeToString()
        if len(raw) > TRANSPORT_BYTES_MAX:
            raise _too_large(raw)
        if self.over:
            raise Broken(Status.CANCELLED, "the other side is gone")
        self._down.put(raw)
        await asyncio.sleep(0)


class MemoryServer:
    """A name in the network's table, and the handlers that run behind it."""

    def __init__(self, network: MemoryNetwork, address: str) -> None:
        self.address = address
        self.ready = True
        self._network = network

    def set_ready(self, ready: bool) -> None:
        """See Server."""
        self.ready = ready

    async def stop(self, grace_s: float) -> None:
        """See Server."""
        self.ready = False
        in_hand = self._network.remove(self.address)
        if in_hand:
            await asyncio.wait(in_hand, timeout=grace_s)
        for task in in_hand:
            task.cancel()
        if in_hand:
            await asyncio.wait(in_hand, timeout=CLEAN_UP_S)


class MemoryNetwork:
    """The whole network. `latency_s` is one way, for every message."""

    def __init__(self, latency_s: float = 0.0) -> None:
        self.latency_s = latency_s
        self._served: dict[str, dict[str, Any]] = {}
        self._in_hand: dict[str, set[asyncio.Task[Any]]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ports = iter(range(40000, 65536))

    async def ask(self, address: str, question: Question[Out, In], said: Out, *, within_s: float) -> In:
        """See Network."""
        raw = said.SerializeToString()
        if len(raw) > TRANSPORT_BYTES_MAX:
            raise _too_large(raw)
        answering = self.start(self._answer(address, question, raw))
        try:
            await asyncio.wait({answering}, timeout=within_s)
        except asyncio.CancelledError:
            answering.cancel()
            raise
        if not answering.done():
            answering.cancel()
            raise Broken(Status.DEADLINE_EXCEEDED, f"no answer within {within_s} s")
        answer = answering.result()
        if isinstance(answer, Broken):
            raise answer
        return parse(question.answers, answer, TRANSPORT_BYTES_MAX)

    async def _answer(self, address: str, question: Question[Any, Any], raw: bytes) -> bytes | Broken:
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        answers: list[Message] = []
        try:
            served = self.find(address, question.path)
            end = await self.handle(address, _append(answers, served, raw))
        except Broken as nobody:
            end = nobody
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        return end or answers[0].SerializeToString()

    def open(self, address: str, conversation: Conversation[Out, In]) -> OpenedStream[In, Out]:
        """See Network."""
        return _Opened(self, address, conversation)

    async def serve(self, address: str, served: Sequence[Served]) -> Server:
        """See Network."""
        host, _, port = address.rpartition(":")
        bound = f"{host}:{next(self._ports)}" if port == "0" else address
        if bound in self._served:
            raise PortTaken(f"cannot listen on {bound}: another server is there; choose another port")
        self._served[bound] = {(s.question if isinstance(s, Answers) else s.conversation).path: s for s in served}
        self._in_hand[bound] = set()
        return MemoryServer(self, bound)

    async def close(self) -> None:
        """See Network."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # For the classes above.

    def find(self, address: str, path: str) -> Any:
        """Who serves `path` at `address`; raises Broken as a closed port or an unknown method would."""
        if address not in self._served:
            raise Broken(Status.UNAVAILABLE, f"nobody listens on {address}")
        if path not in self._served[address]:
            raise Broken(Status.UNIMPLEMENTED, path)
        return self._served[address][path]

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs a task, held until it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def handle(self, address: str, handling: Coroutine[Any, Any, None]) -> Broken | None:
        """Runs a handler of the server at `address`; returns how the other side sees its end, None for a good one."""
        in_hand, task = self._in_hand[address], asyncio.current_task()
        assert task is not None, "a handler runs in a task"
        in_hand.add(task)
        try:
            await handling
        except Refuse as refusal:
            return Broken(refusal.status, refusal.detail)
        except Broken as broken:
            return Broken(Status.INTERNAL, f"while serving: {broken}")
        except Unreadable as error:
            return Broken(Status.INVALID_ARGUMENT, error.why)
        except asyncio.CancelledError:
            return Broken(Status.UNAVAILABLE, "the server has stopped")
        except Exception as mistake:  # as gRPC: the other side hears UNKNOWN, and the log the mistake itself
            context = {"message": f"a handler at {address} failed", "exception": mistake}
            asyncio.get_running_loop().call_exception_handler(context)
            return Broken(Status.UNKNOWN, f"Unexpected {type(mistake).__name__}: {mistake}")
        finally:
            in_hand.discard(task)
        return None

    def remove(self, address: str) -> set[asyncio.Task[Any]]:
        """Nobody listens there any more; returns the tasks in hand."""
        self._served.pop(address, None)
        return set(self._in_hand.get(address, ()))


async def _append(answers: list[Message], served: Answers[Any, Any], raw: bytes) -> None:
    """Asks the handler, and keeps its answer."""
    answers.append(await served.handler(parse(served.question.asks, raw)))


def _too_large(raw: bytes) -> Broken:
    return Broken(Status.RESOURCE_EXHAUSTED, f"{len(raw)} bytes, more than the transport's {TRANSPORT_BYTES_MAX}")
