"""What services hold: a log that a call never waits for beyond a budget, and that never makes a call fail.

Ringing never waits for durability (protocol.md J4). An append that is not acknowledged within the budget is
*unknown*: its record goes to a bounded queue in memory as well (J5, J6) and the caller hears `not_durable`. One
back-fill task appends the queue again, in the order of each key, when the log is back, re-stamped with its age. An
unknown append that is acknowledged after all leaves the queue, so most of them make no duplicate; readers drop the
rest by event id.

Records that nobody waits for leave together, each GATHER_S or with the next one that somebody waits for: one request
to the log instead of five for a call, and none of that work between a call's steps (docs/decisions/0019).

When the queue is full, the oldest facts stay and the new one is counted and dropped. The oldest facts open debts and
the newer ones mostly settle them: to lose an opening is to forget a caller, to lose a settlement is to ring somebody
back for nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from services.journal import Durability, Follower, Log, Rejected, Topic
from services.journal.backlog import Append, Backlog
from services.journal.topics import TOPICS

GATHER_S = 0.020
GATHERED_MAX = 256
BACKFILL_PAUSE_FIRST_S = 0.05
BACKFILL_PAUSE_MAX_S = 1.0
BACKFILL_WINDOW_MAX = 256


class Happening(StrEnum):
    """What became of a record, for metrics and logs."""

    ACKED = "acked"  # within the budget
    ACKED_LATE = "acked_late"  # after the budget: it left the queue without being appended again
    OVER_BUDGET = "over_budget"  # unknown for now: it went to the queue as well
    UNAVAILABLE = "unavailable"  # surely not written, or the log gave up: it went to the queue
    HELD_BACK = "held_back"  # an earlier record of its key waits in the queue: it went straight there
    BACKFILLED = "backfilled"
    REPLACED = "replaced"  # a newer record of its key took its place in the queue (compacted topics only)
    OVERFLOWED = "overflowed"  # the queue was full, or the journal closed: this record is lost
    REJECTED = "rejected"  # the log will never take it: this record is lost


@dataclass(frozen=True, slots=True)
class JournalEvent:
    """`waited_s`: since the append began. `queued`: the records in the queue now."""

    happening: Happening
    topic: Topic
    waited_s: float
    queued: int


def _drop_event(event: JournalEvent) -> None:
    """Nobody listens."""


class Journal:
    """See the module. `restamp` has for each topic whose records carry their age how it is written into one:
    `(value, age_ms) -> value`, which must not raise. Records of other topics are back-filled as they are."""

    def __init__(
        self,
        log: Log,
        *,
        restamp: Mapping[Topic, Callable[[bytes, int], bytes]] = MappingProxyType({}),
        budget_s: float = 0.050,
        queue_facts_max: int = 10_000,
        queue_bytes_max: int = 64 * 1024 * 1024,
        gather_s: float = GATHER_S,
        on_event: Callable[[JournalEvent], None] = _drop_event,
    ) -> None:
        self._log = log
        self._restamp = restamp
        self._budget_s = budget_s
        self._gather_s = gather_s
        self._on_event = on_event
        self._gathered: list[tuple[Topic, str, bytes]] = []  # that nobody waits for, not yet handed to the log
        self._gather_timer: asyncio.TimerHandle | None = None
        self._under_way = 0  # appends within their budget
        self._budgets: deque[Append] = deque()  # in order of `begun`, and so of their budgets' ends
        self._budget_timer: asyncio.TimerHandle | None = None
        self._backlog = Backlog(queue_facts_max, queue_bytes_max)
        self._backfill: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    @property
    def queued(self) -> int:
        """How many records wait in memory."""
        return len(self._backlog)

    async def start(self) -> None:
        """Start the log. Does not raise because it is absent."""
        await self._log.start()

    async def append(self, topic: Topic, key: str, value: bytes) -> Durability:
        """Append, and wait for the acknowledgement within the budget.

        Never raises. The record goes its way even if the caller is cancelled meanwhile.
        """
        self._hand_over()
        append = self._begin(topic, key, value)
        if not append.within_budget:
            return Durability.NOT_DURABLE
        append.caller = asyncio.get_running_loop().create_future()
        return await append.caller

    def append_soon(self, topic: Topic, key: str, value: bytes) -> None:
        """Append in the same way, with nobody waiting: after GATHER_S at most, and at once where followers build a view
        of it (compacted topics). `close` waits for it."""
        self._gathered.append((topic, key, value))
        if self._closed or TOPICS[topic].compacted or len(self._gathered) == GATHERED_MAX:
            self._hand_over()
        elif self._gather_timer is None:
            self._idle.clear()
            self._gather_timer = asyncio.get_running_loop().call_later(self._gather_s, self._hand_over)

    def follow(
        self, topic: Topic, since_ms: int | None = None, *, offsets: Mapping[int, int] | None = None
    ) -> Follower:
        """See `Log.follow`."""
        return self._log.follow(topic, since_ms, offsets=offsets)

    def health(self) -> str | None:
        """None when well, else the reason in one line, for `/readyz`."""
        reason = self._log.health()
        if self._backlog:
            return f"{reason or 'the log was away'}; {len(self._backlog)} facts wait in memory"
        return reason

    async def close(self, limit_s: float = 5.0) -> int:
        """Drain what is under way and queued, at most `limit_s`, then close the log.

        Returns how many records were lost.
        """
        self._hand_over()
        try:
            async with asyncio.timeout(limit_s):
                await self._idle.wait()
        except TimeoutError:
            pass  # what did not land in time is counted below
        self._closed = True
        if self._backfill is not None:
            self._backfill.cancel()
            await asyncio.wait({self._backfill})
        lost = len(self._backlog) + self._under_way + len(self._gathered)
        self._hand_over()
        for append in list(self._backlog):
            self._leave_queue(append, Happening.OVERFLOWED)
        await self._log.close()
        return lost

    def _hand_over(self) -> None:
        """Begin what was gathered, in its order."""
        if self._gather_timer is not None:
            self._gather_timer.cancel()
            self._gather_timer = None
        gathered, self._gathered = self._gathered, []
        for topic, key, value in gathered:
            self._begin(topic, key, value)

    def _begin(self, topic: Topic, key: str, value: bytes) -> Append:
        """Hand a record to the log, or straight to the queue."""
        loop = asyncio.get_running_loop()
        append = Append(topic, key, value, loop.time())
        if self._closed or self._backlog.holds_key(topic, key):
            self._enqueue(append, Happening.HELD_BACK)
            return append
        self._idle.clear()
        self._under_way += 1
        append.within_budget = True
        append.acked = self._log.append(topic, key, value)
        append.acked.add_done_callback(lambda acked: self._acked(append, acked))
        self._budgets.append(append)
        if self._budget_timer is None:
            self._budget_timer = loop.call_at(append.begun + self._budget_s, self._end_budgets)
        return append

    def _acked(self, append: Append, acked: asyncio.Future[None]) -> None:
        """The log has answered the first attempt, within the budget or long after it."""
        well = _landed(acked)
        if append in self._backlog:
            if well:
                self._leave_queue(append, Happening.ACKED_LATE)
        elif append.within_budget:
            self._under_way -= 1
            append.within_budget = False
            if well:
                self._tell(Happening.ACKED, append)
                append.answer(Durability.DURABLE)
            else:
                if _rejected(acked):
                    self._tell(Happening.REJECTED, append)
                else:
                    self._enqueue(append, Happening.UNAVAILABLE)
                append.answer(Durability.NOT_DURABLE)
            self._note_idle()

    def _end_budgets(self) -> None:
        """Stop waiting for what is over its budget. One timer serves all appends, since their budgets end in order."""
        loop = asyncio.get_running_loop()
        self._budget_timer = None
        while self._budgets:
            append = self._budgets[0]
            if append.within_budget:
                ends_at = append.begun + self._budget_s
                if ends_at > loop.time():
                    self._budget_timer = loop.call_at(ends_at, self._end_budgets)
                    break
                self._under_way -= 1
                append.within_budget = False
                self._enqueue(append, Happening.OVER_BUDGET)
                append.answer(Durability.NOT_DURABLE)
            self._budgets.popleft()
        self._note_idle()

    def _enqueue(self, append: Append, why: Happening) -> None:
        older = self._backlog.older_version(append)
        if older is not None:
            self._leave_queue(older, Happening.REPLACED)
        if self._closed or not self._backlog.put(append):
            self._tell(Happening.OVERFLOWED, append)
            return
        self._idle.clear()
        self._tell(why, append)
        if self._backfill is None or self._backfill.done():
            self._backfill = asyncio.get_running_loop().create_task(self._drain(), name="journal back-fill")
            self._backfill.add_done_callback(_raise_in_the_open)

    def _leave_queue(self, append: Append, why: Happening) -> None:
        self._backlog.remove(append)
        self._tell(why, append)
        self._note_idle()

    async def _drain(self) -> None:
        """Append the queue again until it is empty: one record as a probe, then larger windows while all goes well."""
        pause_s = BACKFILL_PAUSE_FIRST_S
        window_max = 1
        while self._backlog:
            if await self._drain_window(window_max):
                pause_s = BACKFILL_PAUSE_FIRST_S
                window_max = min(window_max * 2, BACKFILL_WINDOW_MAX)
            else:
                window_max = 1
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, BACKFILL_PAUSE_MAX_S)

    async def _drain_window(self, window_max: int) -> bool:
        """Append one window and wait for the log's answers. True if all of it left the queue.

        Where the first attempt is still unknown, its answer is waited for: appending again meanwhile would only make
        the duplicate certain. The log's own deadline bounds this.
        """
        window = self._backlog.next_window(window_max)
        answers = [self._answer_to(append) for append in window]
        await asyncio.wait(answers)
        for append, answer in zip(window, answers, strict=True):
            if append in self._backlog and (_landed(answer) or _rejected(answer)):
                self._leave_queue(append, Happening.BACKFILLED if _landed(answer) else Happening.REJECTED)
        return not any(append in self._backlog for append in window)

    def _answer_to(self, append: Append) -> asyncio.Future[None]:
        if append.acked is None or append.acked.done():
            age_ms = int((asyncio.get_running_loop().time() - append.begun) * 1000)
            restamp = self._restamp.get(append.topic)
            value = append.value if restamp is None else restamp(append.value, age_ms)
            append.acked = self._log.append(append.topic, append.key, value)
            append.acked.add_done_callback(_landed)  # looked at even if this task is cancelled meanwhile
        return append.acked

    def _note_idle(self) -> None:
        if not self._under_way and not self._backlog and not self._gathered:
            self._idle.set()

    def _tell(self, happening: Happening, append: Append) -> None:
        waited_s = asyncio.get_running_loop().time() - append.begun
        self._on_event(JournalEvent(happening, append.topic, waited_s, len(self._backlog)))


def _landed(acked: asyncio.Future[None]) -> bool:
    return not acked.cancelled() and acked.exception() is None


def _rejected(acked: asyncio.Future[None]) -> bool:
    return not acked.cancelled() and isinstance(acked.exception(), Rejected)


def _raise_in_the_open(task: asyncio.Task[None]) -> None:
    """A mistake in `restamp` reaches the loop's exception handler at once, not when the garbage is collected."""
    if not task.cancelled():
        task.result()
