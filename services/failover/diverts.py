"""The conductors' streams: one `Divert` is one hunt through an owner's lines (protocol.md R1).

It also remembers, for whoever asks later, which attempts were connected here and which were let go (P5).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from throughline.v1 import delivery_pb2

from services.domain.deliveries import FINAL, Became, Outcome
from services.domain.events import Failure
from services.domain.gateways.attachments import call_of
from services.domain.gateways.rings import Stage
from services.domain.where import Where
from services.failover.lines import Exchange, Hunting
from services.failover.metrics import FailoverMetrics
from services.host.attempt import Attempt, Misspoken, offered
from services.host.network import Broken, Refuse, Status, Stream
from services.host.world import World
from services.journal import Topic
from services.journal.journal import Journal
from services.wire import deliveries

REMEMBERED_MAX: Final = 10_000


class InHand:
    """An attempt, its hunt, and the event of its end."""

    __slots__ = ("attempt", "hunting", "over")

    def __init__(self, attempt: Attempt, hunting: Hunting) -> None:
        self.attempt = attempt
        self.hunting = hunting
        self.over = asyncio.Event()

    @property
    def stage(self) -> Stage:
        return self.hunting.stage


class Diverts:
    """See the module."""

    def __init__(self, world: World, exchange: Exchange, journal: Journal, metrics: FailoverMetrics) -> None:
        self.draining = False
        self.idle = asyncio.Event()
        """Set while nothing is in hand."""
        self.idle.set()
        self._world = world
        self._exchange = exchange
        self._journal = journal
        self._metrics = metrics
        self._in_hand: dict[str, InHand] = {}
        self._connected: OrderedDict[str, tuple[str, Where]] = OrderedDict()
        self._let_go: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._in_hand)

    async def lead(self, stream: Stream[delivery_pb2.DivertRequest, delivery_pb2.DivertResponse]) -> None:
        """Leads a conductor's stream from its offer to the end of the attempt."""
        if self.draining:
            raise Refuse(Status.UNAVAILABLE, "draining")
        try:
            attempt = await offered(stream, delivery_pb2.DivertResponse)
            if attempt.name in self._in_hand:
                raise Misspoken(Status.ALREADY_EXISTS, f"{attempt.name} is in hand here already")
            await self._hunt(attempt)
        except Misspoken:
            self._metrics.misspoken.inc()
            raise

    def end_all(self, refusal: Refuse) -> None:
        """Ends what is in hand at once."""
        for each in list(self._in_hand.values()):
            each.attempt.end(refusal)

    # What is known of attempts.

    def get(self, name: str) -> InHand | None:
        return self._in_hand.get(name)

    def connected(self, call_id: str) -> tuple[str, Where] | None:
        """The attempt that connected this call here, and where."""
        return self._connected.get(call_id)

    def let_go(self, name: str) -> None:
        """This attempt is not to be connected any more, whoever comes late for it; nor is it, where it was."""
        call_id = call_of(name)
        if self._connected.get(call_id, ("",))[0] == name:
            del self._connected[call_id]
        self._let_go[name] = None
        if len(self._let_go) > REMEMBERED_MAX:
            self._let_go.popitem(last=False)

    # One attempt.

    async def _hunt(self, attempt: Attempt) -> None:
        hunting = Hunting(attempt, self._exchange, lambda step: self._became(attempt, step))
        in_hand = self._in_hand[attempt.name] = InHand(attempt, hunting)
        self.idle.clear()
        self._metrics.offered.inc()
        self._metrics.in_hand.set(len(self._in_hand))
        try:
            if attempt.name in self._let_go:
                self._became(attempt, Became(attempt.name, Outcome.FAILED, Failure.SUPERSEDED, "let_go"))
            else:
                hunting.begin()
            await attempt.lead(connect=hunting.connect, release=hunting.release)
        except Broken:
            return  # the conductor is gone, as below
        finally:
            hunting.release("stream_broken")
            in_hand.over.set()
            del self._in_hand[attempt.name]
            if not self._in_hand:
                self.idle.set()
            self._metrics.in_hand.set(len(self._in_hand))
            self._world.logger.info("attempt.over", line=attempt.where.line, **attempt.summary())

    def _became(self, attempt: Attempt, step: Became) -> None:
        """One step of an attempt: to the conductor, and on record."""
        record = attempt.became(step, self._world.name, self._world.wall_ms())
        self._journal.append_soon(Topic.DELIVERIES, record.call_id, deliveries.encode(record))
        self._metrics.outcomes[step.outcome].inc()
        if step.failure is not None:
            self._metrics.failed[step.failure].inc()
        if step.outcome is Outcome.CONNECTED:
            self._connected[record.call_id] = (attempt.name, attempt.where)
            if len(self._connected) > REMEMBERED_MAX:
                self._connected.popitem(last=False)
        if step.outcome in FINAL and (in_hand := self._in_hand.get(attempt.name)) is not None:
            in_hand.over.set()
