"""What services hold: a log that a call never waits for beyond a budget, and that never makes a call fail.

Ringing never waits for durability (protocol.md J4). An append that is not acknowledged within the budget is
*unknown*: its record goes to a bounded queue in memory as well, and to the spool on disk where there is one (J5, J6);
a fact that opens or settles a call is also given to a failover replica to keep. The caller hears how safe that is.
A back-fill appends the queue again, in the order of each key, when the log is back, re-stamped with its age. An
unknown append that is acknowledged after all leaves queue and spool, so most of them make no duplicate; readers drop
the rest by event id. While the log is well, nothing but the log is touched.

A leader that was over budget three times in a row is not waited for (`leaders.py`): its records go straight to the
queue, and the back-fill is the probe.

Records that nobody waits for leave together, each GATHER_S or with the next one that somebody waits for: one request
to the log instead of five for a call, and none of that work between a call's steps (docs/decisions/0019).

When the queue is full, the oldest facts stay and the new one is counted and dropped. The oldest facts open debts and
the newer ones mostly settle them: to lose an opening is to forget a caller, to lose a settlement is to ring somebody
back for nothing. Each topic fills a room of its own, so what Kafka refuses for good costs no fact of a call its place.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from types import MappingProxyType

from services.domain.durability import Durability
from services.journal import Follower, Log, Topic
from services.journal.backfill import WINDOW_MAX as BACKFILL_WINDOW_MAX
from services.journal.backfill import Backfill, Restamp, landed, rejected
from services.journal.backlog import Append, Backlog, Key, Room
from services.journal.happenings import Happening, JournalEvent
from services.journal.leaders import Leaders
from services.journal.safekeeping import Keep, Safekeeping
from services.journal.spool import Spool
from services.journal.topics import TOPICS

__all__ = ["BACKFILL_WINDOW_MAX", "GATHERED_MAX", "GATHER_S", "Happening", "Journal", "JournalEvent", "Keep"]

GATHER_S = 0.020
GATHERED_MAX = 256
SPOOLED_FACTS_MAX = 50_000
"""Facts in memory that are on disk too: some 4,500 calls. See `Backlog` for what one costs."""
LATE_S = 0.020
GRACE_S = 0.010
"""A loop that comes so late to a budget's end reads first what has waited meanwhile, then judges (L2)."""
CLOSE_S = 5.0
CLOSE_SPOOLED_S = 2.0
"""What has not landed by then is the next process's, out of the spool."""


def _drop_event(event: JournalEvent) -> None:
    """Nobody listens."""


def _no_wall_ms() -> int:
    raise AssertionError("a journal with a spool needs wall_ms: what is spooled carries the instant it was first said")


class Journal:
    """See the module. `restamp` has for each topic whose records carry their age how it is written into one. Records of
    other topics are back-filled as they are.

    `queue_facts_max` and `queue_bytes_max` are for each topic. With a `spool` (and `wall_ms`, the world's) what is
    queued outlives this process, and the queue holds more of calls: up to SPOOLED_FACTS_MAX facts, and the spool's
    `bytes_max` of values. `keep` has a fact kept by a failover replica."""

    def __init__(
        self,
        log: Log,
        *,
        restamp: Mapping[Topic, Restamp] = MappingProxyType({}),
        budget_s: float = 0.050,
        queue_facts_max: int = 10_000,
        queue_bytes_max: int = 64 * 1024 * 1024,
        gather_s: float = GATHER_S,
        on_event: Callable[[JournalEvent], None] = _drop_event,
        spool: Spool | None = None,
        keep: Keep | None = None,
        wall_ms: Callable[[], int] = _no_wall_ms,
    ) -> None:
        self._log = log
        self._budget_s = budget_s
        self._gather_s = gather_s
        self._on_event = on_event
        self._gathered: list[Append] = []  # that nobody waits for, not yet handed to the log
        self._gather_timer: asyncio.TimerHandle | None = None
        self._under_way = 0  # appends within their budget
        self._budgets: deque[Append] = deque()  # in order of `begun`, and so of their budgets' ends
        self._running: dict[Key, dict[Append, None]] = {}  # those within their budgets, by key, in their order
        self._budget_timer: asyncio.TimerHandle | None = None
        self._in_grace = False
        calls = others = Room(queue_facts_max, queue_bytes_max)
        if spool is not None:
            calls = Room(max(queue_facts_max, SPOOLED_FACTS_MAX), max(queue_bytes_max, spool.bytes_max))
        self._backlog = Backlog(calls, others)
        self._overflowing: dict[Topic, None] = {}  # nothing has left their full rooms since
        self._leaders = Leaders()
        self._backfill = Backfill(log, self._backlog, restamp, self._leave_queue, self._answered_in_s)
        self._safe = Safekeeping(spool, keep, wall_ms, self._tell, self._recovered)
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    @property
    def queued(self) -> int:
        """How many records wait in memory."""
        return len(self._backlog)

    async def start(self) -> None:
        """Take up what a former process left in the spool, and start the log. Does not raise because the log is absent
        or the disk broken; raises FolderTaken where another process holds the spool's folder."""
        await self._safe.open()
        await self._log.start()

    async def append(self, topic: Topic, key: str, value: bytes, *, keep: bool = False) -> Durability:
        """Append, and wait for the acknowledgement within the budget, then a moment for the spool's and the keeper's.

        `keep`: the fact opens or settles a call (J4). Never raises. The record goes its way even if the caller is
        cancelled meanwhile.
        """
        return await self.append_now(topic, key, value, keep=keep)

    def append_now(self, topic: Topic, key: str, value: bytes, *, keep: bool = False) -> asyncio.Future[Durability]:
        """The same, begun when this returns: what is appended next comes behind it, whoever waits for the answer."""
        self._hand_over()
        loop = asyncio.get_running_loop()
        append = Append(topic, key, value, loop.time(), keep)
        append.caller = loop.create_future()
        self._begin(append)
        return append.caller

    def append_soon(self, topic: Topic, key: str, value: bytes, *, keep: bool = False) -> None:
        """Append in the same way, with nobody waiting: after GATHER_S at most, and at once where followers build a view
        of it (compacted topics). `close` waits for it."""
        loop = asyncio.get_running_loop()
        self._gathered.append(Append(topic, key, value, loop.time(), keep))
        if self._closed or TOPICS[topic].compacted or len(self._gathered) == GATHERED_MAX:
            self._hand_over()
        elif self._gather_timer is None:
            self._idle.clear()
            self._gather_timer = loop.call_later(self._gather_s, self._hand_over)

    def follow(
        self, topic: Topic, since_ms: int | None = None, *, offsets: Mapping[int, int] | None = None
    ) -> Follower:
        """See `Log.follow`."""
        return self._log.follow(topic, since_ms, offsets=offsets)

    def health(self) -> str | None:
        """None when well, else the reason in one line, for `/readyz`."""
        reasons = [reason for reason in (self._log.health(), self._safe.trouble) if reason is not None]
        waited_for = {self._log.leader_of(*key) for key in self._backlog.heads}
        slow = [leader for leader in self._leaders.shunned if leader in waited_for]
        if slow:
            reasons.append(f"leaders slow to acknowledge: {', '.join(slow)}")
        if self._backlog:
            where = "in the spool" if self._safe.has_spool and self._safe.trouble is None else "in memory"
            reasons = reasons or ["the log was away"]
            reasons.append(f"{len(self._backlog)} facts wait {where}")
        reasons.extend(f"no room for more of {topic}: what comes is lost" for topic in self._overflowing)
        return "; ".join(reasons) or None

    async def close(self, limit_s: float | None = None) -> int:
        """Drain what is under way and queued, within the limit, then close spool and log.

        Returns how many records were lost; what stays in the spool is not.
        """
        self._hand_over()
        if limit_s is None:
            limit_s = CLOSE_SPOOLED_S if self._safe.has_spool else CLOSE_S
        try:
            async with asyncio.timeout(limit_s):
                await self._idle.wait()
        except TimeoutError:
            pass  # what did not land in time is counted below
        self._hand_over()
        if self._safe.has_spool:
            self._end_budgets(at_once=True)
        self._closed = True
        await self._backfill.stop()
        await self._safe.close()
        lost = self._under_way
        for append in list(self._backlog):
            lost += not append.on_disk
            self._backlog.remove(append)
            self._tell(Happening.LEFT if append.on_disk else Happening.OVERFLOWED, append)
        await self._log.close()
        return lost

    def _hand_over(self) -> None:
        """Begin what was gathered, in its order."""
        if self._gather_timer is not None:
            self._gather_timer.cancel()
            self._gather_timer = None
        gathered, self._gathered = self._gathered, []
        now = asyncio.get_running_loop().time()
        for append in gathered:
            append.begun = now  # its budget begins now
            self._begin(append)

    def _begin(self, append: Append) -> None:
        """Hand a record to the log, or straight to the queue."""
        if self._closed or self._backlog.holds_key(append.topic, append.key):
            self._enqueue(append, Happening.HELD_BACK)
            return
        if self._leaders.in_doubt and self._leaders.is_open(self._log.leader_of(append.topic, append.key)):
            self._enqueue_with_others(append, Happening.BYPASSED)
            return
        self._idle.clear()
        self._under_way += 1
        append.within_budget = True
        self._running.setdefault((append.topic, append.key), {})[append] = None
        append.acked = self._log.append(append.topic, append.key, append.value)
        append.acked.add_done_callback(lambda acked: self._acked(append, acked))
        self._budgets.append(append)
        if self._budget_timer is None:
            loop = asyncio.get_running_loop()
            self._budget_timer = loop.call_at(append.begun + self._budget_s, self._end_budgets)

    def _acked(self, append: Append, acked: asyncio.Future[None]) -> None:
        """The log has answered the first attempt, within the budget or long after it."""
        well = landed(acked)
        if append in self._backlog:
            if well:
                self._leave_queue(append, Happening.ACKED_LATE)
        elif append.within_budget:
            if well:
                self._no_longer_running(append)
                if self._leaders.in_doubt:
                    self._in_time(self._log.leader_of(append.topic, append.key), append)
                self._tell(Happening.ACKED, append)
                append.answer(Durability.DURABLE)
            elif rejected(acked):
                self._no_longer_running(append)
                self._tell(Happening.REJECTED, append)
                append.answer(Durability.NOT_DURABLE)
            else:
                append.acked = None
                self._enqueue_with_others(append, Happening.UNAVAILABLE)
            self._note_idle()

    def _end_budgets(self, at_once: bool = False) -> None:
        """Stop waiting for what is over its budget. One timer serves all appends, since their budgets end in order."""
        loop = asyncio.get_running_loop()
        if self._budget_timer is not None:
            self._budget_timer.cancel()
            self._budget_timer = None
        while self._budgets:
            append = self._budgets[0]
            if append.within_budget:
                ends_at = append.begun + self._budget_s
                if ends_at > loop.time() and not at_once:
                    self._budget_timer = loop.call_at(ends_at, self._end_budgets)
                    break
                if loop.time() - ends_at > LATE_S and not self._in_grace and not at_once:
                    self._in_grace = True
                    self._budget_timer = loop.call_later(GRACE_S, self._end_budgets)
                    return
                self._enqueue_with_others(append, Happening.OVER_BUDGET)
                if self._leaders.over_budget(self._log.leader_of(append.topic, append.key)):
                    self._tell(Happening.BREAKER_OPENED, append)
            self._budgets.popleft()
        self._in_grace = False
        self._note_idle()

    def _no_longer_running(self, append: Append) -> None:
        """Its budget is over, in whatever way."""
        self._under_way -= 1
        append.within_budget = False
        key = (append.topic, append.key)
        del self._running[key][append]
        if not self._running[key]:
            del self._running[key]

    def _enqueue_with_others(self, append: Append, why: Happening) -> None:
        """What is under way of the same key waits with it, at once and each in its place: else a later one would be on
        the disk before an earlier, and a process that is killed then would leave a hole in a call (J5)."""
        running = list(self._running.get((append.topic, append.key), ()))
        for each in running if append.within_budget else (*running, append):
            if each.within_budget:
                self._no_longer_running(each)
            self._enqueue(each, why if each is append else Happening.HELD_BACK)

    def _enqueue(self, append: Append, why: Happening) -> None:
        older = self._backlog.older_version(append)
        if older is not None:
            self._leave_queue(older, Happening.REPLACED)
        has_room = self._backlog.has_room(append)
        if self._closed or not has_room:
            if not has_room:
                self._overflowing[append.topic] = None
            self._tell(Happening.OVERFLOWED, append)
            append.answer(Durability.NOT_DURABLE)
            return
        self._put(append)
        self._tell(why, append)
        self._safe.take(append)

    def _recovered(self, appends: list[Append]) -> None:
        """What a former process left goes first: whatever is said of these calls from now on waits behind it."""
        for append in appends:
            self._put(append)
            self._tell(Happening.RECOVERED, append)

    def _put(self, append: Append) -> None:
        self._idle.clear()
        self._backlog.put(append, self._log.partition_of(append.topic, append.key))
        self._backfill.wake(self._backlog.lane_of(append.topic, append.key))

    def _leave_queue(self, append: Append, why: Happening) -> None:
        self._backlog.remove(append)
        self._overflowing.pop(append.topic, None)
        self._safe.give_back(append)
        self._tell(why, append)
        if why is not Happening.REJECTED and why is not Happening.REPLACED:
            append.answer(Durability.DURABLE)
        self._note_idle()

    def _answered_in_s(self, leader: str, seconds: float) -> None:
        """What the back-fill, which is the probe, has seen of a leader."""
        if seconds <= self._budget_s and self._leaders.in_time(leader):
            now = asyncio.get_running_loop().time()
            self._tell(Happening.BREAKER_CLOSED, Append(Topic.CALLS, "", b"", now - seconds))

    def _in_time(self, leader: str, append: Append) -> None:
        if self._leaders.in_time(leader):
            self._tell(Happening.BREAKER_CLOSED, append)

    def _note_idle(self) -> None:
        if not self._under_way and not self._backlog and not self._gathered:
            self._idle.set()

    def _tell(self, happening: Happening, append: Append) -> None:
        waited_s = asyncio.get_running_loop().time() - append.begun
        self._on_event(JournalEvent(happening, append.topic, waited_s, len(self._backlog)))
