"""The PSAPs' streams: who may hold one, what comes over it, what is sent (protocol.md R2).

One stream is one link, by number. What is heard is given to the switchboard; what a switchboard wants sent comes back
through `offer`, `connect`, `cancel`, `release`, `take_up`, `ask` and `unlink`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Final

from throughline.v1 import delivery_pb2

from services.domain.events import Failure
from services.domain.gateways.attachments import Offence
from services.domain.gateways.patching import Effect, Unlink
from services.domain.gateways.switchboard import Switchboard
from services.host.dialogue import Dialogue
from services.host.network import Broken, Refuse, Status, Stream
from services.places.directory import Directory
from services.psap_gateway.metrics import PsapGatewayMetrics
from services.wire.deliveries import failure_of
from services.wire.holding import standing_to_domain
from services.wire.methods import Unreadable

HELLO_WITHIN_S: Final = 2.0
HEARTBEAT_S: Final = 1.0
RINGING_HEARTBEAT_S: Final = 0.25
"""Of a PSAP, while anything rings there by the stream; ours are not there to be missed so soon."""
REASON_CHARS_MAX: Final = 256
LOST: Final = "stream_lost"

Up = delivery_pb2.AttachRequest
Down = delivery_pb2.AttachResponse

_HEARTBEAT: Final = Down(heartbeat=delivery_pb2.PsapHeartbeat())
_NOT_ITS_TO_SAY: Final = frozenset({Failure.UNREACHABLE, Failure.NOT_ATTACHED})
"""Whoever says so of itself is there."""
_STATUS: Final = {
    Offence.NO_HELLO: Status.INVALID_ARGUMENT,
    Offence.WRONG_CREDENTIAL: Status.PERMISSION_DENIED,
    Offence.OUT_OF_TURN: Status.INVALID_ARGUMENT,
    Offence.ANOTHERS_ID: Status.PERMISSION_DENIED,
    Offence.FLOOD: Status.RESOURCE_EXHAUSTED,
    Offence.UNREADABLE: Status.INVALID_ARGUMENT,
    Offence.DEAF: Status.RESOURCE_EXHAUSTED,
    Offence.REPLACED: Status.ALREADY_EXISTS,
}


class Lines:
    """All links of one gateway."""

    def __init__(
        self,
        name: str,
        directory: Callable[[], Directory],
        board: Switchboard,
        metrics: PsapGatewayMetrics,
        act: Callable[[Sequence[Effect]], None],
        log_unlinked: Callable[[str, Offence, str], None],
    ) -> None:
        self._welcome = Down(
            welcome=delivery_pb2.Welcome(
                gateway=name,
                heartbeat_ms=int(HEARTBEAT_S * 1000),
                ringing_heartbeat_ms=int(RINGING_HEARTBEAT_S * 1000),
            ),
        )
        self._directory = directory
        self._board = board
        self._metrics = metrics
        self._act = act
        self._log_unlinked = log_unlinked
        self._numbers = count(1)
        self._links: dict[int, Dialogue[Up, Down]] = {}
        self._names: dict[int, str] = {}
        self._closed: Refuse | None = None

    # A PSAP's stream, from hello to its end.

    async def attach(self, stream: Stream[Up, Down]) -> None:
        """Leads one stream of a PSAP; raises Refuse where the gateway ends it."""
        if self._closed is not None:
            raise self._closed
        hello = await self._hello(stream)
        loop = asyncio.get_running_loop()
        link = next(self._numbers)
        line = self._links[link] = Dialogue(stream)
        self._names[link] = hello.psap_id
        line.say(self._welcome)
        self._act(
            self._board.attach(
                link,
                hello.psap_id,
                hello.ringing,
                hello.held,
                loop.time(),
                beats_while_ringing=hello.beats_while_ringing,
            )
        )
        self._metrics.attached.set(self._board.attached)
        loop.call_later(HEARTBEAT_S, self._beat, link)
        try:
            await line.lead(partial(self._hear, link))
        except Unreadable as unreadable:
            self._act(self._board.accuse(link, Offence.UNREADABLE, unreadable.why, loop.time()))
            raise self._refusal(hello.psap_id, Offence.UNREADABLE, unreadable.why) from None
        except Broken:
            return  # it is gone, as below
        finally:
            self._act(self._board.detach(link, LOST, loop.time()))
            del self._links[link], self._names[link]
            self._metrics.attached.set(self._board.attached)

    async def _hello(self, stream: Stream[Up, Down]) -> delivery_pb2.Hello:
        """The first word, checked; raises Refuse."""
        try:
            async with asyncio.timeout(HELLO_WITHIN_S):
                first = await stream.read()
        except TimeoutError:
            raise self._refusal("", Offence.NO_HELLO, f"no hello within {HELLO_WITHIN_S} s") from None
        except Unreadable as unreadable:
            raise self._refusal("", Offence.UNREADABLE, unreadable.why) from None
        if first is None or first.WhichOneof("said") != "hello":
            raise self._refusal("", Offence.NO_HELLO, "expected hello as the first word")
        hello = first.hello
        directory = self._directory()
        if not directory.admits(hello.psap_id, hello.credential):
            psap_id = hello.psap_id if hello.psap_id in directory.psaps else "unknown"
            raise self._refusal(psap_id, Offence.WRONG_CREDENTIAL, "this credential is not one of that PSAP's")
        return hello

    def _refusal(self, psap_id: str, offence: Offence, reason: str) -> Refuse:
        self._metrics.unlinked[offence].inc()
        self._log_unlinked(psap_id, offence, reason)
        return Refuse(_STATUS[offence], reason)

    def _beat(self, link: int) -> None:
        if link in self._links and not self._links[link].over:
            self._say(link, _HEARTBEAT)
            asyncio.get_running_loop().call_later(HEARTBEAT_S, self._beat, link)

    def _hear(self, link: int, message: Up | None) -> None:
        """One message of a PSAP; None at the end of its stream."""
        board = self._board
        now = asyncio.get_running_loop().time()
        if message is None:
            self._links[link].end()
            self._act(board.detach(link, LOST, now))
            return
        match message.WhichOneof("said"):
            case "heartbeat":
                effects = board.beat(link, now)
            case "ringing":
                effects = board.rings(link, message.ringing.attempt, now)
            case "answer":
                effects = board.answers(link, message.answer.attempt, now)
            case "connected":
                effects = board.connects(link, message.connected.attempt, now)
            case "reject":
                said = message.reject
                reason = said.reason[:REASON_CHARS_MAX]
                failure = failure_of(said.rejection)
                if failure in _NOT_ITS_TO_SAY:
                    failure = Failure.REFUSED
                effects = board.rejects(link, said.attempt, failure, reason, now)
            case "have":
                effects = board.have(link, message.have.call_id, message.have.attempt, now)
            case "has":
                has = message.has
                effects = board.has(link, has.call_id, has.attempt, standing_to_domain(has.standing), now)
            case "ended":
                effects = board.ended(link, message.ended.attempt, now)
            case "state":
                effects = board.says_state(link, message.state.service_state[:REASON_CHARS_MAX], now)
            case "hello":
                effects = board.accuse(link, Offence.OUT_OF_TURN, "a second hello", now)
            case _:
                effects = board.beat(link, now)  # a word of a newer version: it lives, and counts as a message
        self._act(effects)

    # What the switchboard wants sent.

    def offer(self, link: int, offer: delivery_pb2.RingOffer) -> None:
        self._say(link, Down(offer=offer))

    def connect(self, link: int, attempt: str) -> None:
        self._say(link, Down(connect=delivery_pb2.Connect(attempt=attempt)))

    def cancel(self, link: int, attempt: str, reason: str) -> None:
        self._say(link, Down(cancel=delivery_pb2.Cancel(attempt=attempt, reason=reason)))

    def release(self, link: int, attempt: str, reason: str) -> None:
        self._say(link, Down(release=delivery_pb2.Release(attempt=attempt, reason=reason)))

    def take_up(self, link: int, attempt: str) -> None:
        self._say(link, Down(resume=delivery_pb2.Resume(attempt=attempt)))

    def ask(self, link: int, call_id: str) -> None:
        self._say(link, Down(who_has=delivery_pb2.WhoHas(call_id=call_id)))

    def unlink(self, effect: Unlink) -> None:
        """Ends a stream, with the status that fits the offence."""
        line = self._links.get(effect.link)
        if line is not None and not line.over:
            line.end(self._refusal(self._names[effect.link], effect.offence, effect.reason))

    def close(self, refusal: Refuse) -> None:
        """No new streams."""
        self._closed = refusal

    def end_all(self, refusal: Refuse) -> None:
        """Ends every stream: the gateway stops."""
        for line in self._links.values():
            line.end(refusal)

    def _say(self, link: int, word: Down) -> None:
        line = self._links.get(link)
        if line is not None and not line.say(word):
            now = asyncio.get_running_loop().time()
            self._act(self._board.accuse(link, Offence.DEAF, "it does not read what it is sent", now))
