"""Those who watch whether this process lives: failover replicas (protocol.md T1).

Each holds a stream and hears this start's incarnation at once and then each WORD_EVERY_S, from one task that does
nothing else. A broken stream tells a replica that we are gone, a silent one that we may be; so a word must not wait for
anybody: a watcher that does not read holds up no other, and is cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from prometheus_client import Gauge
from throughline.v1 import call_pb2

from services.host.dialogue import Dialogue
from services.host.heartbeat import beat
from services.host.network import Refuse, Status, Stream
from services.wire.methods import Unreadable

WORD_EVERY_S: Final = 0.2
"""Sooner than the 250 ms that are promised, by what a busy loop may be late."""
UNREAD_MAX: Final = 20
FIRST_WORD_WITHIN_S: Final = 2.0
WATCH_STREAM = Stream[call_pb2.WatchRequest, call_pb2.WatchResponse]


class Watchers:
    """All of one ingress's. `watch` serves one stream; `beat` is the one task."""

    def __init__(self, incarnation: str, watching: Gauge, mistaken: Callable[[Exception], None]) -> None:
        self._word = call_pb2.WatchResponse(incarnation=incarnation)
        self._watching = watching
        self._mistaken = mistaken
        self._streams: dict[Dialogue[call_pb2.WatchRequest, call_pb2.WatchResponse], None] = {}

    async def watch(self, stream: WATCH_STREAM) -> None:
        """Serves one watcher until it goes, or does not read."""
        try:
            async with asyncio.timeout(FIRST_WORD_WITHIN_S):
                first = await stream.read()
        except TimeoutError:
            raise Refuse(Status.DEADLINE_EXCEEDED, "no word came; the first says who watches") from None
        except Unreadable as unreadable:
            raise Refuse(Status.INVALID_ARGUMENT, unreadable.why) from None
        if first is None:
            return
        dialogue = Dialogue(stream, waiting_max=UNREAD_MAX)
        dialogue.say(self._word)
        self._streams[dialogue] = None
        self._watching.inc()
        try:
            await dialogue.lead(lambda said: dialogue.end() if said is None else None)
        finally:
            self._streams.pop(dialogue, None)
            self._watching.dec()

    async def beat(self) -> None:
        """Says to all of them that we live, until cancelled."""
        await beat(WORD_EVERY_S, lambda: self._streams, self._say, lambda mistake, _: self._mistaken(mistake))

    def _say(self, dialogue: Dialogue[call_pb2.WatchRequest, call_pb2.WatchResponse]) -> None:
        if not dialogue.say(self._word):
            dialogue.end(Refuse(Status.RESOURCE_EXHAUSTED, "the words of this stream are not read"))

    def end(self, refusal: Refuse) -> None:
        """Ends every stream: this process stops by its own will."""
        for dialogue in list(self._streams):
            dialogue.end(refusal)
