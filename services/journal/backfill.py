"""Appends the queue again when the log is back, in the order of each key (protocol.md J5, J6).

One drain for each partition: a probe, then growing windows while all goes well. One that hangs or refuses stops its own
drain alone, and the first record that a leader acknowledges in time closes its breaker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from services.domain.durability import Durability
from services.journal import Log, Rejected, Topic
from services.journal.backlog import Append, Backlog, Lane
from services.journal.happenings import Happening

PAUSE_FIRST_S: Final = 0.05
PAUSE_MAX_S: Final = 1.0
WINDOW_MAX: Final = 128
"""Of one partition: a producer's batch has room for 2 KB of each."""

Restamp = Callable[[bytes, int, Durability | None], bytes]
"""(value, age_ms, how safe somebody was told that it is) -> value; must not raise."""


class Backfill:
    """`leaves` takes a record out of the queue, with the reason; `answered_in_s` hears how long a leader took."""

    def __init__(
        self,
        log: Log,
        backlog: Backlog,
        restamp: Mapping[Topic, Restamp],
        leaves: Callable[[Append, Happening], None],
        answered_in_s: Callable[[str, float], None],
    ) -> None:
        self._log = log
        self._backlog = backlog
        self._restamp = restamp
        self._leaves = leaves
        self._answered_in_s = answered_in_s
        self._drains: dict[Lane, asyncio.Task[None]] = {}

    def wake(self, lane: Lane) -> None:
        """Something waits in this lane."""
        if lane not in self._drains:
            task = asyncio.get_running_loop().create_task(
                self._drain(lane), name=f"journal back-fill {lane.topic}/{lane.partition}"
            )
            self._drains[lane] = task
            task.add_done_callback(_raise_in_the_open)

    async def stop(self) -> None:
        """Stops appending; what is on its way stays on it."""
        drains = list(self._drains.values())
        for task in drains:
            task.cancel()
        if drains:
            await asyncio.wait(drains)

    async def _drain(self, lane: Lane) -> None:
        try:
            pause_s = PAUSE_FIRST_S
            window_max = 1
            while self._backlog.has_lane(lane):
                window = self._backlog.next_window(lane, window_max)
                if await self._append_again(window):
                    pause_s = PAUSE_FIRST_S
                    window_max = min(window_max * 2, WINDOW_MAX)
                else:
                    self._backlog.defer(window)
                    window_max = 1
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, PAUSE_MAX_S)
        finally:
            del self._drains[lane]

    async def _append_again(self, window: list[Append]) -> bool:
        """Append one window and wait for the log's answers. True if all of it left the queue.

        Where the first attempt is still unknown, its answer is waited for: appending again meanwhile would only make
        the duplicate certain. The log's own deadline bounds this.
        """
        await asyncio.wait([self._answer_to(append) for append in window])
        await asyncio.sleep(0)  # each answer's own callback comes first
        return not any(append in self._backlog for append in window)

    def _answer_to(self, append: Append) -> asyncio.Future[None]:
        if append.acked is None or append.acked.done():
            now = asyncio.get_running_loop().time()
            restamp = self._restamp.get(append.topic)
            age_ms = int((now - append.begun) * 1000)
            value = append.value if restamp is None else restamp(append.value, age_ms, append.told)
            leader = self._log.leader_of(append.topic, append.key)
            append.acked = self._log.append(append.topic, append.key, value)
            append.acked.add_done_callback(partial(self._answered, leader, append, now))
        return append.acked

    def _answered(self, leader: str, append: Append, asked: float, acked: asyncio.Future[None]) -> None:
        if landed(acked):
            self._answered_in_s(leader, asyncio.get_running_loop().time() - asked)
        elif append.acked is acked:
            append.acked = None  # a failure tells nothing more, and costs memory while the log is away
        if append in self._backlog and (landed(acked) or rejected(acked)):
            self._leaves(append, Happening.BACKFILLED if landed(acked) else Happening.REJECTED)


def landed(acked: asyncio.Future[None]) -> bool:
    return not acked.cancelled() and acked.exception() is None


def rejected(acked: asyncio.Future[None]) -> bool:
    return not acked.cancelled() and isinstance(acked.exception(), Rejected)


def _raise_in_the_open(task: asyncio.Task[None]) -> None:
    """A mistake in `restamp` reaches the loop's exception handler at once, not when the garbage is collected."""
    if not task.cancelled():
        task.result()
