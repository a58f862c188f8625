"""What a firewall hears of others: their screenings, and what became of the calls that were diverted.

It begins by the longest window back (J7), so that a restart loses nothing that matters; until that is read no call is
diverted. What was read before the end is folded in the order in which it happened, then each record as it comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from throughline.v1 import screening_pb2

from services.domain.events import Fact, FactKind
from services.firewall.metrics import FirewallMetrics
from services.firewall.policies.source import Policies
from services.firewall.screening import Screener
from services.host.readers import Readers
from services.host.world import World
from services.journal import Follower, Record, Topic
from services.journal.journal import Journal
from services.policy.verdicts.answers import UNANSWERED_S
from services.policy.verdicts.windows import LONGEST_S
from services.wire import facts, screenings
from services.wire.methods import Unreadable

HISTORY_MAX: Final = 50_000
"""Records of before the start that are folded at most, the newest."""
_FOLDED_AT_ONCE: Final = 100
_ANSWERED: Final = frozenset({FactKind.ANSWERED, FactKind.DIVERTED, FactKind.CALLED_BACK, FactKind.RECONNECTED})
_GAVE_UP: Final = frozenset({FactKind.ABANDONED, FactKind.CALLER_LOST})
_UNANSWERED: Final = frozenset({FactKind.ABANDONED, FactKind.CALLER_LOST, FactKind.CALLBACK_DUE})


class Following:
    """Two followers, for as long as the firewall lives."""

    def __init__(
        self, world: World, journal: Journal, screener: Screener, policies: Policies, metrics: FirewallMetrics
    ) -> None:
        self._world = world
        self._journal = journal
        self._screener = screener
        self._policies = policies
        self._metrics = metrics
        self._readers = Readers(self._ended)
        self._early: list[screening_pb2.Screening] = []
        self._folded = False
        """Whether what was there at the start has been taken in, and each record is as it comes."""
        self._failed = ""
        self._read: dict[int, float] = {}  # by partition of `calls`, when it was heard of last

    async def start(self) -> None:
        """Begins; nothing is waited for."""
        wall_ms = self._world.wall_ms()
        told = self._journal.follow(Topic.SCREENINGS, wall_ms - round(LONGEST_S * 1000))
        calls = self._journal.follow(Topic.CALLS, wall_ms - round(UNANSWERED_S * 1000))
        self._readers.follow(told, calls)
        self._readers.begin(self._follow(told, self._take), "firewall follows screenings")
        self._readers.begin(self._follow(calls, self._take_fact), "firewall follows calls")
        self._readers.begin(self._note_end(told), "firewall reads its history")

    async def stop(self) -> None:
        """Follows no longer."""
        await self._readers.stop()

    def remarks(self) -> list[str]:
        """What an operator should know."""
        if self._failed:
            return [f"history: {self._failed} has ended by a mistake of ours; the log has it"]
        return [] if self._screener.history else ["history: `screenings` is not read yet: no call is diverted"]

    async def _follow(self, follower: Follower, take: Callable[[Record], None]) -> None:
        await follower.start()  # a moment where Kafka is away, and both read from before now
        async for batch in follower:
            for record in batch:
                try:
                    take(record)
                except Unreadable as unreadable:
                    self._world.logger.warning("record.unreadable", topic=record.topic, why=unreadable.why)
            self._screener.tell_trips()

    async def _note_end(self, follower: Follower) -> None:
        await follower.caught_up.wait()
        while self._early:
            early, self._early = sorted(self._early, key=lambda told: told.at_ms), []
            for begin in range(0, len(early), _FOLDED_AT_ONCE):
                for told in early[begin : begin + _FOLDED_AT_ONCE]:
                    self._hear(told)
                await asyncio.sleep(0)
        self._folded = True
        self._screener.history = not self._failed
        self._screener.tell_trips()

    def _take(self, record: Record) -> None:
        told = screenings.read(record.value)
        if self._folded:
            self._hear(told)
            return
        self._early.append(told)
        if len(self._early) > 2 * HISTORY_MAX:
            self._early = sorted(self._early, key=lambda each: each.at_ms)[-HISTORY_MAX:]

    def _hear(self, told: screening_pb2.Screening) -> None:
        age_s = (self._world.wall_ms() - told.at_ms) / 1000
        now = asyncio.get_running_loop().time()
        standing = (self._policies.live(), self._policies.candidate())
        spoke = next((each for each in standing if each is not None and each.digest == told.bundle), None)
        if self._screener.calls.heard(told, spoke, now, age_s):
            self._metrics.heard.inc()
        self._policies.heard(told)

    def _take_fact(self, record: Record) -> None:
        """Each partition has a writer each half second (T1): one from which nothing comes is away, and `calls` is read
        only as far as that one."""
        now = asyncio.get_running_loop().time()
        breakers = self._screener.calls.breakers
        self._read[record.partition] = now
        fact = facts.read(record.value)
        if isinstance(fact, Fact) and (fact.kind in _ANSWERED or fact.kind in _UNANSWERED):
            breakers.ended(fact.call_id, fact.kind in _ANSWERED, now, fact.kind in _GAVE_UP)
        breakers.read_calls(min(self._read.values()))

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (mistake := task.exception()) is not None:
            self._failed = task.get_name()
            self._screener.history = False  # it knows of others no more: nobody is diverted, until it is started again
            self._world.logger.error("firewall.mistake", exc_info=mistake)
