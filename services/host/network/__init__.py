"""The network port: how a service asks its neighbours and is asked by them.

Two backends play the part and pass the same contract (tests/contract/test_network.py): `grpc` between processes, and
`memory` inside one process, under virtual time. Services see only what stands here.

How a conversation ends. For the side that opened it: `read` returns None at an orderly end and raises Broken at any
other. For the side that serves it: `read` returns None when nothing more comes, and when the other side is gone its
handler is *cancelled*, just after a read that was pending has returned None. So None alone never means an orderly end
there (P6). A break is never an answer: what it means is the caller's to decide.

One task reads a stream. Cancelling a read or write that is pending gives the conversation up: the opening side has
then walked away, and the serving side can only end. A timer belongs around the whole, or beside a task that reads.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from google.protobuf.message import Message

from services.wire.methods import Conversation, Question

In = TypeVar("In", bound=Message)
Out = TypeVar("Out", bound=Message)
In_co = TypeVar("In_co", bound=Message, covariant=True)
Out_contra = TypeVar("Out_contra", bound=Message, contravariant=True)


class Status(StrEnum):
    """gRPC's own status names, those that the protocol uses."""

    ALREADY_EXISTS = "ALREADY_EXISTS"
    CANCELLED = "CANCELLED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    INTERNAL = "INTERNAL"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNAVAILABLE = "UNAVAILABLE"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    UNKNOWN = "UNKNOWN"


class Broken(Exception):
    """A question or conversation that did not end well: an operating failure, for the caller to handle as a value."""

    def __init__(self, status: Status, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail


class Refuse(Exception):
    """Raised by a handler to end with this status; the other side sees Broken with the same."""

    def __init__(self, status: Status, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail


class PortTaken(Exception):
    """The address cannot be bound: another server holds it, or it is none of this machine's."""


class Stream(Protocol[In_co, Out_contra]):
    """One end of a conversation. Writes are sent whole and in order, whichever tasks write."""

    @property
    def peer(self) -> str:
        """The other side's address, for a log."""

    async def read(self) -> In_co | None:
        """The next message, or None at the end; raises Unreadable (serving side) or Broken (opening side)."""

    async def write(self, message: Out_contra) -> None:
        """Sends; raises Broken when the conversation is over, or the message larger than the transport carries."""


class OpenedStream(Stream[In_co, Out_contra], Protocol[In_co, Out_contra]):
    """The end of the one who opened: it can half-close, or walk away."""

    async def done_writing(self) -> None:
        """Half-closes: nothing more will be said from here."""

    def cancel(self) -> None:
        """Walks away at once; a pending read raises Broken(CANCELLED)."""


@dataclass(frozen=True, slots=True)
class Answers(Generic[Out, In]):
    """A question and who answers it."""

    question: Question[Out, In]
    handler: Callable[[Out], Awaitable[In]]


@dataclass(frozen=True, slots=True)
class Converses(Generic[Out, In]):
    """A conversation and who leads it on the serving side."""

    conversation: Conversation[Out, In]
    handler: Callable[[Stream[Out, In]], Awaitable[None]]


Served = Answers[Any, Any] | Converses[Any, Any]


class Server(Protocol):
    """A bound server."""

    @property
    def address(self) -> str:
        """host:port as bound; the port is real where 0 was asked for."""

    def set_ready(self, ready: bool) -> None:
        """What gRPC health says of it."""

    async def stop(self, grace_s: float) -> None:
        """No new calls; those in hand get `grace_s` seconds, then are cancelled. Returns when their handlers ended."""


class Network(Protocol):
    """What a service holds to reach others and be reached."""

    async def ask(self, address: str, question: Question[Out, In], said: Out, *, within_s: float) -> In:
        """Asks and waits at most `within_s` seconds; raises Broken, never anything else of the transport's."""

    def open(self, address: str, conversation: Conversation[Out, In]) -> OpenedStream[In, Out]:
        """Opens a conversation; never blocks: a neighbour that is gone shows at the first read or write."""

    async def serve(self, address: str, served: Sequence[Served]) -> Server:
        """Binds host:port (port 0: any free one); raises PortTaken."""

    async def close(self) -> None:
        """Drops every connection that this side opened; nothing is asked or opened after it."""
