"""A conversation on the memory network: two ways, each in its order, and an end that each side learns in its time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from google.protobuf.message import Message

from services.host.network import Broken, Refuse, Status
from services.wire.methods import TRANSPORT_BYTES_MAX, Conversation, Unreadable, parse

if TYPE_CHECKING:
    from services.host.network.memory import MemoryHost, MemoryNetwork, MemoryServer

In = TypeVar("In", bound=Message)
Out = TypeVar("Out", bound=Message)


class _Mark(Enum):
    KNOCK = "knock"
    """The stream is opened."""
    END = "end"
    """Nothing more comes."""
    GONE = "gone"
    """Nothing more comes, and nobody hears anything there."""


_Item = bytes | Broken | _Mark
_RESET: Final = "the connection was reset"


class _Way:
    """One direction: messages in their order, each with its delay, and those that cannot pass now."""

    __slots__ = ("_arrive", "_held", "_last_s", "_network", "_receiver", "_sender", "_under_way")

    def __init__(self, network: MemoryNetwork, sender: str, receiver: str, arrive: Callable[[_Item], None]) -> None:
        self._network = network
        self._sender = sender
        self._receiver = receiver
        self._arrive = arrive
        self._under_way: deque[_Item] = deque()
        self._held = 0
        self._last_s = 0.0

    def put(self, item: _Item) -> None:
        self._under_way.append(item)
        if self._held:
            self._held += 1  # the head of the line is stuck
        else:
            self._send()

    def _send(self) -> None:
        delay_s = self._network.links.delay_s(self._sender, self._receiver)
        if delay_s is None:
            self._held += 1
            if self._held == 1:
                self._network.hold(self._resume)
            return
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        self._last_s = max(self._last_s, now_s + delay_s)
        if self._last_s > now_s:
            loop.call_at(self._last_s, self._deliver, context=self._network.context)
        else:
            self._deliver()

    def _resume(self) -> None:
        held, self._held = self._held, 0
        for _ in range(held):
            if self._held:
                self._held += 1
            else:
                self._send()

    def _deliver(self) -> None:
        # Timers of one instant fire in any order; the head of the line is delivered, whichever timer comes first.
        self._arrive(self._under_way.popleft())


class _Inbox:
    """What has arrived at one side and was not read yet; one task reads."""

    __slots__ = ("_items", "_reader", "reading")

    def __init__(self) -> None:
        self._items: deque[_Item] = deque()
        self._reader: asyncio.Future[None] | None = None
        self.reading = False

    def put(self, item: _Item) -> None:
        self._items.append(item)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def get(self) -> _Item:
        while not self._items:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        item = self._items[0]
        return self._items.popleft() if isinstance(item, bytes) else item  # an end stays, however often it is read


class MemoryStream(Generic[In, Out]):
    """The end of the one who opened it; the serving end is its `served`."""

    def __init__(
        self, network: MemoryNetwork, opener: MemoryHost, address: str, conversation: Conversation[Out, In]
    ) -> None:
        self.peer = address
        self.opener = opener
        self.conversation = conversation
        self.served: ServedStream[Any, Any] | None = None
        self.server: MemoryServer | None = None
        self._network = network
        self._born = network.births()
        self._up = _Way(network, opener.name, address, self._arrive_up)
        self._down = _Way(network, address, opener.name, self._arrive_down)
        self._heard = _Inbox()
        self._said = _Inbox()
        self._handling: asyncio.Task[None] | None = None
        self._over: Broken | None = None
        self._end_arrived = False
        self._half_closed = False
        opener.streams[self] = None
        self._up.put(_Mark.KNOCK)

    # The opening side.

    async def read(self) -> In | None:
        if self._over is not None:
            raise self._over
        assert not self._heard.reading, "one task reads a stream"
        self._heard.reading = True
        try:
            item = await self._heard.get()
        except asyncio.CancelledError:
            self.cancel()
            raise
        finally:
            self._heard.reading = False
        if isinstance(item, Broken):
            self._over = item
            raise item
        if not isinstance(item, bytes):
            return None
        try:
            return parse(self.conversation.down, item, TRANSPORT_BYTES_MAX)
        except Unreadable as error:
            self.cancel()
            raise Broken(Status.INTERNAL, f"{self.peer} sent {error.why}") from error

    def say(self, message: Out) -> None:
        """As `write`, for whoever does not wait until it is said."""
        assert not self._half_closed, "nothing is said after done_writing"
        if self._over is not None or self._end_arrived:
            raise self._over or Broken(Status.UNAVAILABLE, "the conversation is over")
        raw = message.SerializeToString()
        if len(raw) > TRANSPORT_BYTES_MAX:
            self.cancel()
            raise too_large(raw)
        self._up.put(raw)

    async def write(self, message: Out) -> None:
        self.say(message)
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancel()
            raise

    def finish(self) -> None:
        """As `done_writing`, in the same way."""
        self._half_closed = True
        self._up.put(_Mark.END)

    async def done_writing(self) -> None:
        self.finish()

    def cancel(self) -> None:
        if self._over is None and not self._end_arrived and self.opener.alive:
            self._break_opener(Broken(Status.CANCELLED, "cancelled from this side"))
            self._up.put(_Mark.GONE)  # as gRPC: a pending read returns first, then the handler is cancelled

    # What may happen to it.

    def side_died(self, host: MemoryHost) -> None:
        """The process of one side is gone: the other learns of it when the word of its system arrives."""
        host.streams.pop(self, None)
        if host is self.opener:
            self._up.put(_Mark.GONE)
        else:
            self._down.put(Broken(Status.UNAVAILABLE, _RESET))

    def lose(self, *, opener: bool = True, server: bool = True) -> None:
        """The connection is lost, as each of these sides finds by itself, now."""
        if opener and self._over is None and not self._end_arrived:
            self._break_opener(Broken(Status.UNAVAILABLE, _RESET))
        if server:
            self._arrive_up(_Mark.GONE)

    def _break_opener(self, broken: Broken) -> None:
        self._over = broken
        self._heard.put(broken)
        self.opener.streams.pop(self, None)

    def _arrive_down(self, item: _Item) -> None:
        if self._over is not None:
            return
        if not isinstance(item, bytes):
            self._end_arrived = True
            self.opener.streams.pop(self, None)
        self._heard.put(item)

    def _arrive_up(self, item: _Item) -> None:
        if item is _Mark.KNOCK:
            self._knock()
            return
        self._said.put(item)
        if item is _Mark.GONE and self.server is not None:
            # In the server's own queue: a pending read returns first, then the handler is cancelled.
            asyncio.get_running_loop().call_soon(self._gone, context=self.server.context)

    def _knock(self) -> None:
        try:
            server = self._network.find(self.peer)
            served = server.find(self.conversation.path)
        except Broken as nobody:
            self._down.put(nobody)
            return
        if self._over is not None and server.host.born > self._born:
            return  # given up while it waited for a machine that was gone: nobody makes that connection any more
        self.server = server
        self.served = ServedStream(self._said, self._down, served.conversation.up)
        server.host.streams[self] = None
        self._handling = server.start(self._handle(served))

    async def _handle(self, served: Any) -> None:
        assert self.served is not None and self.server is not None
        end = await handled(self.peer, served.handler(self.served))
        self.server.ended(self._handling)
        self._over_there()
        self._down.put(end or _Mark.END)

    def _gone(self) -> None:
        """What happens on the serving side when the opening one is not there any more."""
        self._over_there()
        if self._handling is not None:
            self._handling.cancel()

    def _over_there(self) -> None:
        if self.served is not None and self.server is not None:
            self.served.over = True
            if self.server.host is not self.opener:
                self.server.host.streams.pop(self, None)


class ServedStream(Generic[In, Out]):
    """The end of the one who serves."""

    def __init__(self, said: _Inbox, down: _Way, kind: type[In]) -> None:
        self.peer = "memory"
        self.over = False
        self._said = said
        self._down = down
        self._kind = kind

    async def read(self) -> In | None:
        assert not self._said.reading, "one task reads a stream, and not after a read was cancelled"
        self._said.reading = True
        item = await self._said.get()
        self._said.reading = False
        return parse(self._kind, item) if isinstance(item, bytes) else None

    async def write(self, message: Out) -> None:
        raw = message.SerializeToString()
        if len(raw) > TRANSPORT_BYTES_MAX:
            raise too_large(raw)
        if self.over:
            raise Broken(Status.CANCELLED, "the other side is gone")
        self._down.put(raw)
        await asyncio.sleep(0)


async def handled(address: str, handling: Coroutine[Any, Any, None]) -> Broken | None:
    """Runs a handler of the server at `address`; returns how the other side sees its end, None for a good one."""
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
    return None


def too_large(raw: bytes) -> Broken:
    """What its sender hears of such a message."""
    return Broken(Status.RESOURCE_EXHAUSTED, f"{len(raw)} bytes, more than the transport's {TRANSPORT_BYTES_MAX}")
