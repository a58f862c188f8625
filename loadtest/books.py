"""The third witness: the journal, read back from Kafka when all is over, and the books made from it.

This is the one part of the load tester that knows the backbone's own words; it hands the comparer plain entries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.domain.books import Books, Stories, books
from services.domain.events import Fact, Tick
from services.domain.fold import CallStory, Outcome
from services.journal import Log, Record, Topic
from services.readers.reading import read_to_end
from services.wire import facts
from services.wire.methods import Unreadable

SETTLES_WITHIN_S: Final = 4.0
AGAIN_AFTER_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Kept:
    """What the journal holds: entries for the comparer, the books, and records that nobody could read."""

    entries: list[Mapping[str, Any]]
    books: Books
    unreadable: int


async def read_journal(log: Log) -> Kept:
    """Reads `calls` from its beginning; again for a few seconds while a call is in progress. Raises NoJournal."""
    loop = asyncio.get_running_loop()
    until = loop.time() + SETTLES_WITHIN_S
    while True:
        kept = await _read_once(log)
        columns = (kept.books.real, kept.books.tests)
        if not any(each.outcomes[Outcome.IN_PROGRESS] for each in columns) or loop.time() > until:
            return kept
        await asyncio.sleep(AGAIN_AFTER_S)


async def _read_once(log: Log) -> Kept:
    reading = Reading()
    await read_to_end(log, Topic.CALLS, reading.take)
    return reading.kept()


class Reading:
    """Takes the records of `calls` as they come, and says what they hold."""

    def __init__(self) -> None:
        self._stories = Stories()
        self._found: dict[tuple[str, int, int, str], Fact] = {}
        self.unreadable = 0
        self.copies = 0
        """Records that said again what another had said: an append of which nobody knew whether it was written (J5)."""

    def take(self, records: Iterable[Record]) -> None:
        for record in records:
            try:
                fact = facts.read(record.value)
            except Unreadable:
                self.unreadable += 1
                continue
            if isinstance(fact, Tick):
                continue
            self._stories.add(fact)
            self.copies += fact.identity in self._found
            self._found.setdefault(fact.identity, fact)

    @property
    def facts(self) -> int:
        """How many were taken so far, each counted once."""
        return len(self._found)

    def in_progress(self) -> set[str]:
        """The calls, tests apart, that are owed an outcome by what was taken so far."""
        stories = self._stories.by_call.values()
        return {each.call_id for each in stories if not each.test and each.outcome is Outcome.IN_PROGRESS}

    def books(self) -> Books:
        """The books of all that was taken so far."""
        return books(self._stories.by_call.values())

    def kept(self) -> Kept:
        """All that was taken so far."""
        entries = [*map(_of_fact, self._found.values()), *map(_of_story, self._stories.by_call.values())]
        return Kept(entries, self.books(), self.unreadable)


def _of_fact(fact: Fact) -> Mapping[str, Any]:
    where = fact.where
    return {
        "event": "fact",
        "call_id": fact.call_id,
        "leg": fact.leg,
        "seq": fact.seq,
        "writer": fact.writer,
        "kind": str(fact.kind),
        "at_ms": fact.at_ms,
        "reason": fact.reason,
        "attempt": fact.attempt,
        "psap_id": where.psap_id if where else "",
        "line": where.line if where else "",
    }


def _of_story(story: CallStory) -> Mapping[str, Any]:
    return {"event": "outcome", "call_id": story.call_id, "outcome": str(story.outcome)}
