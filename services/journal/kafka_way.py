"""One producer, and the appends on their way through it.

aiokafka's idempotent producer retries for ever, stays broken after one error in its sequence numbers, and does not
stop while there is something that it cannot deliver. So each append has a deadline here. A partition that misses one is
*stuck*: what lies in the producer for it may land yet, so nothing more is handed over there (it would only be appended
twice), and the other partitions go on. One that ends an append with an error has lost its place in the sequence, and so
has one that stays stuck for long: the producer must be replaced, and serves the other partitions until the next one is
there. Only a producer whose sender has ended is of no use at all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from aiokafka.partitioner import murmur2
from aiokafka.structs import TopicPartition

from services.journal import Topic, Unavailable, Unknown
from services.journal.kafka_access import PAPER
from services.journal.kafka_ending import stop_client

STUCK_DEADLINES: Final = 4
"""A partition stuck for so many deadlines costs the producer its life: a new connection may find what this one lost."""
FORBIDDEN_TOLD_S: Final = 10.0
"""After so long without a try nobody knows any more whether an ACL forbids it."""

_FORBIDDEN: Final = f"{{}}: no ACL of Kafka's lets us write there ({PAPER})"

Place = tuple[Topic, int]


class _Sent:
    """An append that was handed to the producer. `acked` is the caller's."""

    __slots__ = ("acked", "gives_up_at", "missed", "place")

    def __init__(self, place: Place, acked: asyncio.Future[None], gives_up_at: float) -> None:
        self.place = place
        self.acked = acked
        self.gives_up_at = gives_up_at
        self.missed = False


class _Stuck:
    """What is known of a partition that has missed a deadline: since when, and how many appends it owes."""

    __slots__ = ("owed", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.owed = 0


class Way:
    """`wears_out` is told why this producer must be replaced; `dead` says whether it still serves meanwhile."""

    def __init__(self, producer: AIOKafkaProducer, deadline_s: float, wears_out: Callable[[Way, str], None]) -> None:
        self._producer = producer
        self._cluster = producer.client.cluster
        self._deadline_s = deadline_s
        self._wears_out = wears_out
        self._sent: deque[_Sent] = deque()  # in the order of their deadlines
        self._deadline: asyncio.TimerHandle | None = None
        self._stuck: dict[Place, _Stuck] = {}
        self._forbidden: dict[Topic, float] = {}  # when a record of it was refused last
        self._lost: dict[Place, str] = {}  # partitions that this producer cannot serve any more, and why

    @property
    def dead(self) -> bool:
        """Whether its sender has ended, and with it every partition."""
        sender = self._producer._sender.sender_task
        return sender is None or bool(sender.done())

    def append(self, topic: Topic, key: str, value: bytes, partition: int | None) -> asyncio.Future[None]:
        """See `Log.append`. No task and no waiting: the producer takes the record at once, or it is not available."""
        loop = asyncio.get_running_loop()
        acked: asyncio.Future[None] = loop.create_future()
        place = self._place(topic, key) if partition is None else (topic, partition)
        why_not = self._why_not(topic, place)
        if place is None or why_not is not None:
            acked.set_exception(Unavailable(why_not or ""))
            return acked
        try:
            handed = _hand_over(self._producer, place, key, value)
        except KafkaError as error:  # its sender has ended
            self._wears_out(self, f"the producer refuses records ({error!r})")
            acked.set_exception(Unavailable(f"the producer refuses records ({error!r})"))
            return acked
        if handed is None:
            acked.set_exception(Unavailable(f"{topic}/{place[1]} is behind: its batch is full"))
            return acked
        sent = _Sent(place, acked, loop.time() + self._deadline_s)
        self._sent.append(sent)
        handed.add_done_callback(partial(self._answered, sent))
        if self._deadline is None:
            self._deadline = loop.call_at(sent.gives_up_at, self._end_deadlines)
        return acked

    def leader_of(self, topic: Topic, key: str) -> str:
        """See `Log.leader_of`."""
        place = self._place(topic, key)
        return "" if place is None else self._leader(place)

    def partitions(self, topic: Topic) -> int:
        """How many partitions the cluster says that the topic has; 0 where it does not say."""
        return len(self._cluster.partitions_for_topic(topic) or ())

    def trouble(self, silent_s: float) -> str | None:
        """What we may not write, and which partition is not served, or has been silent for so long; None where nothing
        is wrong."""
        now = asyncio.get_running_loop().time()
        told = [_FORBIDDEN.format(topic) for topic, at in self._forbidden.items() if now - at < FORBIDDEN_TOLD_S]
        unserved = self._unserved(now, silent_s)
        return "; ".join(told if unserved is None else [*told, unserved]) or None

    def _unserved(self, now: float, silent_s: float) -> str | None:
        for (topic, partition), why in self._lost.items():
            return f"{topic}/{partition}: {why}"
        for (topic, partition), stuck in self._stuck.items():
            waited_s = now - stuck.since + self._deadline_s
            return f"{topic}/{partition} has acknowledged nothing for {waited_s:.1f} s"
        first = next((sent for sent in self._sent if not sent.acked.done()), None)
        if first is not None and now - first.gives_up_at + self._deadline_s > silent_s:
            waited_s = now - first.gives_up_at + self._deadline_s
            return f"{first.place[0]}/{first.place[1]} has not acknowledged an append for {waited_s:.1f} s"
        for topic in sorted(self._cluster.topics()):
            without = self._cluster.partitions_for_topic(topic) - self._cluster.available_partitions_for_topic(topic)
            if without:
                return f"{topic}/{min(without)} has no leader"
        return None

    async def retire(self) -> None:
        """Hears what is still acknowledged, each append up to its deadline, then ends the producer."""
        waiting = [sent.acked for sent in self._sent if not sent.acked.done()]
        try:
            if waiting:
                await asyncio.wait(waiting)
        finally:
            await self.abandon("the producer was replaced")

    async def abandon(self, reason: str) -> None:
        """Ends the producer at once; what it has not delivered is unknown."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        for sent in self._sent:
            if not sent.acked.done():
                sent.acked.set_exception(Unknown(f"{reason}; the record may land later"))
        self._sent.clear()
        await end(self._producer)

    def _place(self, topic: Topic, key: str) -> Place | None:
        partitions = self._cluster.partitions_for_topic(topic)
        return None if not partitions else (topic, hash_of(key.encode()) % len(partitions))

    def _leader(self, place: Place) -> str:
        leader = self._cluster.leader_for_partition(TopicPartition(*place))
        return "" if leader is None or leader == -1 else str(leader)

    def _why_not(self, topic: Topic, place: Place | None) -> str | None:
        """Why nothing can be handed over for a partition now."""
        if place is None:
            self._producer.client.force_metadata_update()
            return f"topic {topic} is missing; run `throughline topics apply`"
        if place in self._lost:
            return f"{topic}/{place[1]}: {self._lost[place]}"
        if place in self._stuck:
            return f"{topic}/{place[1]} is stuck: an append of it is unknown"
        if not self._leader(place):
            # A batch that finds no leader expires, and costs the producer its place in the sequence.
            self._producer.client.force_metadata_update()
            return f"{topic}/{place[1]} has no leader"
        return None

    def _answered(self, sent: _Sent, handed: asyncio.Future[object]) -> None:
        error = "cancelled" if handed.cancelled() else handed.exception()
        if sent.missed:
            self._unstick(sent.place)
        forbidden = isinstance(error, TopicAuthorizationFailedError)
        if forbidden:
            self._forbidden[sent.place[0]] = asyncio.get_running_loop().time()
        elif error is None:
            self._forbidden.pop(sent.place[0], None)
        if not sent.acked.done():
            if error is None:
                sent.acked.set_result(None)
            elif forbidden:
                sent.acked.set_exception(Unavailable(_FORBIDDEN.format(sent.place[0])))
            else:
                sent.acked.set_exception(Unknown(f"no acknowledgement: {error!r}; the record may land later"))
        while self._sent and self._sent[0].acked.done():
            self._sent.popleft()
        if error is not None and not forbidden:  # where nothing may be written, there is no sequence to have a place in
            self._lose(sent.place, f"an append failed ({error!r})")

    def _end_deadlines(self) -> None:
        self._deadline = None
        loop = asyncio.get_running_loop()
        while self._sent and (self._sent[0].acked.done() or self._sent[0].gives_up_at <= loop.time()):
            sent = self._sent.popleft()
            if not sent.acked.done():
                sent.missed = True
                self._stick(sent.place)
                reason = f"no acknowledgement within {self._deadline_s} s"
                sent.acked.set_exception(Unknown(f"{reason}; the record may land later"))
        if self._sent:
            self._deadline = loop.call_at(self._sent[0].gives_up_at, self._end_deadlines)

    def _stick(self, place: Place) -> None:
        stuck = self._stuck.get(place)
        if stuck is None:
            loop = asyncio.get_running_loop()
            stuck = self._stuck[place] = _Stuck(loop.time())
            loop.call_later(STUCK_DEADLINES * self._deadline_s, self._end_stuck, place, stuck)
        stuck.owed += 1

    def _unstick(self, place: Place) -> None:
        stuck = self._stuck[place]
        stuck.owed -= 1
        if not stuck.owed:
            del self._stuck[place]

    def _end_stuck(self, place: Place, stuck: _Stuck) -> None:
        if self._stuck.get(place) is stuck:
            self._lose(place, "it was stuck for too long")

    def _lose(self, place: Place, why: str) -> None:
        if place not in self._lost:
            self._lost[place] = why
            self._wears_out(self, f"{place[0]}/{place[1]}: {why}")


def _hand_over(producer: AIOKafkaProducer, place: Place, key: str, value: bytes) -> asyncio.Future[object] | None:
    """Put a record into the producer's batch; None if there was no room.

    `send` is a coroutine only because it may have to wait for metadata or for room. We looked for the first and do not
    want to wait for the second, so it is run to its end at once, without a task. Closed while it waits, it has put
    nothing anywhere.
    """
    topic, partition = place
    sending = producer.send(str(topic), value, key.encode(), partition=partition)
    try:
        sending.send(None)
    except StopIteration as ended:
        handed: asyncio.Future[object] = ended.value
        return handed
    sending.close()
    return None


@lru_cache(maxsize=8192)
def hash_of(key: bytes) -> int:
    """As every client of Kafka spreads keys. A call's facts come close together, and aiokafka's is slow Python."""
    return int(murmur2(key)) & 0x7FFFFFFF


async def end(producer: AIOKafkaProducer) -> None:
    """End a producer without waiting for what it cannot deliver, which `stop` alone would do for ever.

    Its sender ends on a second cancellation: the first one makes it wait for its requests.
    """
    sender = producer._sender.sender_task
    while sender is not None and not sender.done():
        sender.cancel()
        await asyncio.wait({sender}, timeout=0.05)
    producer._message_accumulator.fail_all(KafkaError("the producer was given up"))
    await (await stop_client(producer.client, producer.stop()))
