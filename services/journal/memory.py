"""A log in memory, for tests and the simulator: partitions, offsets, followers, and the ways in which a real one fails.

It passes the same contract suite as Kafka. Its only clock is the given `now_ms`, and its only waiting is the event
loop's timers, so that it runs under a virtual-time loop. One `MemoryBroker` holds the records and says what is wrong
for everybody; each process of a simulated installation has a `MemoryLog` of its own on it, with `Faults` of its own:
one process can be cut off, made deaf or killed while the others go on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from random import Random
from typing import Final

from services.journal import Topic, Unavailable, Unknown
from services.journal.memory_broker import BrokerState, MemoryBroker
from services.journal.memory_faults import WELL, Fate, Faults
from services.journal.memory_follower import MemoryFollower
from services.journal.topics import TOPICS, too_large

__all__ = ["BrokerState", "Faults", "MemoryBroker", "MemoryLog"]

UNANSWERED_S: Final = 1.0
DEAF_S: Final = 10.0
"""After so long `health` tells of it, as the real one does."""


class _Sent:
    """An append on its way."""

    __slots__ = ("acked", "fate", "key", "lands_at", "sent_at", "value")

    def __init__(
        self, key: str, value: bytes, acked: asyncio.Future[None], sent_at: float, lands_at: float, fate: Fate
    ) -> None:
        self.key = key
        self.value = value
        self.acked = acked
        self.sent_at = sent_at
        self.lands_at = lands_at
        self.fate = fate


class _Queue:
    """What this client has on its way to one partition. What was appended later never lands earlier."""

    __slots__ = ("acked_at", "number", "sent", "timer", "topic")

    def __init__(self, topic: Topic, number: int) -> None:
        self.topic = topic
        self.number = number
        self.sent: deque[_Sent] = deque()
        self.timer: asyncio.TimerHandle | None = None
        self.acked_at = 0.0


class MemoryLog:
    """One client's view of a `MemoryBroker`: a `Log`. `deadline_s` bounds each append, as in the real one.

    `random` is needed where chance is: by shares that are neither none nor all, and drawn delays. With it, some of what
    is on its way when the process is killed never arrives. `way_s`: what a message takes to a broker that is well, and
    one back, drawn between the two: an append takes both, and what has landed is read after one."""

    def __init__(
        self,
        broker: MemoryBroker,
        *,
        deadline_s: float = 5.0,
        random: Random | None = None,
        way_s: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        assert random is not None or not way_s[1], "a drawn way needs a Random"
        self._broker = broker
        self._deadline_s = deadline_s
        self._random = random
        self._way_s = way_s
        self._faults = WELL
        self._deaf_since: float | None = None
        self._queues: dict[tuple[Topic, int], _Queue] = {}
        self._due: list[_Queue] = []  # something of theirs lands at this very instant
        self._unanswered: dict[asyncio.Future[None], tuple[float, asyncio.TimerHandle]] = {}  # with when it was sent
        self._unheard: list[_Sent] = []  # landed while this client was cut off
        self._followers: list[MemoryFollower] = []
        self._closed = False
        self._killed = False
        broker.join(self._land_what_may)

    @property
    def faults(self) -> Faults:
        """The present faults. Change them with `fail` or `suffer`."""
        return self._faults

    def fail(self, *, absent: bool = False, delay_s: float = 0.0, lost: bool = False, hung: Iterable[str] = ()) -> None:
        """Set all faults at once, by the plain ones; `fail()` makes the log well again."""
        self.suffer(Faults(absent=absent, delay_s=delay_s, lose_share=float(lost), hung=frozenset(hung)))

    def suffer(self, faults: Faults) -> None:
        """Set all faults at once. A log whose process was killed stays as it is."""
        assert self._random is not None or not faults.needs_chance, "shares and drawn delays need a Random"
        if self._killed:
            return
        self._faults = faults
        self._deaf_since = (self._deaf_since or asyncio.get_running_loop().time()) if faults.deaf else None
        if not faults.absent:
            unheard, self._unheard = self._unheard, []
            for sent in unheard:
                self._acknowledge(sent)
        self._broker.wake()

    def kill(self) -> None:
        """Its process is killed: nothing is answered any more and its followers stand still for ever. Of what was on
        its way, to each partition a part arrives: all that was sent before some instant, and nothing where its leader
        is gone, or goes before that."""
        self._killed = self._closed = True
        for queue in self._queues.values():
            arrive = self._random.randint(0, len(queue.sent)) if self._random is not None else len(queue.sent)
            while len(queue.sent) > arrive:
                queue.sent.pop()
        self._lose_what_waits()
        for _, timer in self._unanswered.values():
            timer.cancel()
        self._unanswered.clear()
        for follower in self._followers:
            follower.kill()

    async def start(self) -> None:
        """Nothing to connect to."""

    def append(self, topic: Topic, key: str, value: bytes, *, partition: int | None = None) -> asyncio.Future[None]:
        """See `Log.append`. Nothing is acknowledged before the caller's next turn of the loop, as in the real one."""
        loop = asyncio.get_running_loop()
        acked: asyncio.Future[None] = loop.create_future()
        if len(value) > TOPICS[topic].value_bytes_max:
            acked.set_exception(too_large(topic, value))
            return acked
        number = self._broker.partition_of(topic, key) if partition is None else partition
        why_not = self._why_not(topic, number)
        if why_not is not None:
            acked.set_exception(Unavailable(why_not))
            return acked
        faults, now = self._faults, loop.time()
        fate = faults.fate(self._random)
        lands_at = now + self._takes_s() + faults.lands_after_s(self._random)
        if fate is Fate.REFUSED:
            loop.call_at(lands_at, self._refuse, acked, context=self._broker.context)
        elif fate is Fate.LOST:
            self._expect(acked, now)
        else:
            self._send(topic, number, _Sent(key, value, acked, now, lands_at, fate))
        return acked

    def leader_of(self, topic: Topic, key: str) -> str:
        """See `Log.leader_of`."""
        number = self._broker.partition_of(topic, key)
        no_leader = self._faults.absent or self._broker.state(topic, number) is BrokerState.GONE
        return "" if no_leader else self._broker.leader(topic, number)

    def partition_of(self, topic: Topic, key: str) -> int:
        """See `Log.partition_of`."""
        return self._broker.partition_of(topic, key)

    def partitions(self, topic: Topic) -> range:
        """See `Log.partitions`."""
        return self._broker.partitions(topic)

    def follow(
        self, topic: Topic, since_ms: int | None = None, *, offsets: Mapping[int, int] | None = None
    ) -> MemoryFollower:
        """See `Log.follow`."""
        assert since_ms is None or offsets is None, "follow() takes an instant or offsets; both were given"
        follower = MemoryFollower(self._broker, lambda: self._faults, topic, since_ms, offsets, self._takes_s)
        self._followers = [*(each for each in self._followers if not each.has_ended), follower]
        return follower

    def health(self) -> str | None:
        """See `Log.health`."""
        if self._faults.absent or self._broker.is_gone:
            return "no broker answers (memory log)"
        for topic, number in self._broker.without_leader():
            return f"{topic}/{number} has no leader (memory log)"
        if not self._unanswered and self._deaf_since is None:
            return None
        now = asyncio.get_running_loop().time()
        if any(now - sent_at > UNANSWERED_S for sent_at, _ in self._unanswered.values()):
            return f"an append has not been acknowledged for {UNANSWERED_S} s (memory log)"
        if self._deaf_since is not None and now - self._deaf_since > DEAF_S:
            return f"nothing was read for {DEAF_S} s (memory log)"
        return None

    async def close(self) -> None:
        """See `Log.close`. What is on its way still lands, as with a broker that has already received it."""
        self._closed = True
        self._lose_what_waits()

    def _takes_s(self) -> float:
        return self._random.uniform(*self._way_s) if self._random is not None and self._way_s[1] else 0.0

    def _why_not(self, topic: Topic, number: int) -> str | None:
        if self._closed:
            return "expected an open log; this one is closed"
        if self._faults.absent or self._broker.is_gone:
            return "expected a broker; none answers (memory log)"
        if self._broker.state(topic, number) is BrokerState.GONE:
            return f"{topic}/{number} has no leader (memory log)"
        return None

    def _hangs(self, queue: _Queue) -> bool:
        """A leader that is gone hangs too: what was sent to it before is sent again to the next one."""
        if self._broker.state(queue.topic, queue.number) is not BrokerState.WELL:
            return True
        hung = self._faults.hung
        return bool(hung) and self._broker.leader(queue.topic, queue.number) in hung

    def _send(self, topic: Topic, number: int, sent: _Sent) -> None:
        queue = self._queues.get((topic, number))
        if queue is None:
            queue = self._queues[topic, number] = _Queue(topic, number)
        takes_long = sent.lands_at + self._faults.acked_after_s - sent.sent_at > min(UNANSWERED_S, self._deadline_s)
        if sent.fate is Fate.UNACKED or takes_long or self._hangs(queue):
            self._expect(sent.acked, sent.sent_at)
        if queue.sent:
            sent.lands_at = max(sent.lands_at, queue.sent[-1].lands_at)
            queue.sent.append(sent)
            return  # its turn comes after theirs
        queue.sent.append(sent)
        if sent.lands_at > sent.sent_at:
            self._arm(queue)
            return
        self._due.append(queue)
        if len(self._due) == 1:
            asyncio.get_running_loop().call_soon(self._land_due, context=self._broker.context)

    def _arm(self, queue: _Queue) -> None:
        if queue.timer is not None:
            queue.timer.cancel()
        queue.timer = asyncio.get_running_loop().call_at(
            queue.sent[0].lands_at, self._land, queue, context=self._broker.context
        )

    def _land_due(self) -> None:
        due, self._due = self._due, []
        for queue in due:
            self._land(queue)

    def _lose_what_waits(self) -> None:
        """What a leader that is gone did not take is sent again by its client alone, and this one has ended."""
        for queue in self._queues.values():
            if self._broker.state(queue.topic, queue.number) is BrokerState.GONE:
                for sent in queue.sent:
                    self._expect(sent.acked, sent.sent_at)
                queue.sent.clear()

    def _land_what_may(self) -> None:
        if self._closed:
            self._lose_what_waits()
        for queue in self._queues.values():
            self._land(queue)

    def _land(self, queue: _Queue) -> None:
        now = asyncio.get_running_loop().time()
        while queue.sent and queue.sent[0].lands_at <= now:
            if self._hangs(queue):
                for sent in queue.sent:
                    self._expect(sent.acked, sent.sent_at)
                return
            sent = queue.sent.popleft()
            self._broker.land(queue.topic, sent.key, sent.value, queue.number)
            self._answer(queue, sent)
        if queue.sent:
            self._arm(queue)

    def _answer(self, queue: _Queue, sent: _Sent) -> None:
        loop = asyncio.get_running_loop()
        if sent.fate is Fate.TWICE:
            again_s = self._random.uniform(0.0, self._deadline_s) if self._random is not None else 0.0
            loop.call_later(again_s, self._land_again, queue, sent, context=self._broker.context)
        if self._killed:
            return
        if sent.fate is Fate.UNACKED:
            self._expect(sent.acked, sent.sent_at)
        elif back_s := self._takes_s() + self._faults.acked_after_s:
            queue.acked_at = max(queue.acked_at, loop.time() + back_s)  # in the order of the appends
            loop.call_at(queue.acked_at, self._come_back, sent, context=self._broker.context)
        else:
            self._come_back(sent)

    def _come_back(self, sent: _Sent) -> None:
        if self._faults.absent and not self._killed:
            self._unheard.append(sent)
            self._expect(sent.acked, sent.sent_at)
        else:
            self._acknowledge(sent)

    def _acknowledge(self, sent: _Sent) -> None:
        if sent.acked in self._unanswered:
            self._unanswered.pop(sent.acked)[1].cancel()
        if not sent.acked.done() and not self._killed:
            sent.acked.set_result(None)

    def _land_again(self, queue: _Queue, sent: _Sent) -> None:
        if not self._hangs(queue):
            self._broker.land(queue.topic, sent.key, sent.value, queue.number)

    def _refuse(self, acked: asyncio.Future[None]) -> None:
        if not acked.done() and not self._killed:
            acked.set_exception(Unavailable("the record was refused (memory log)"))

    def _expect(self, acked: asyncio.Future[None], sent_at: float) -> None:
        """Its acknowledgement may never come."""
        if acked not in self._unanswered and not acked.done() and not self._killed:
            timer = asyncio.get_running_loop().call_at(sent_at + self._deadline_s, self._give_up, acked)
            self._unanswered[acked] = (sent_at, timer)

    def _give_up(self, acked: asyncio.Future[None]) -> None:
        self._unanswered.pop(acked, None)
        if not acked.done():
            acked.set_exception(Unknown(f"no acknowledgement within {self._deadline_s} s; the record may land later"))
