"""The books, read from the journal alone (protocol.md J3): the second opinion on the ledger's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from services.domain.books import Books, Columns, Delays, Finding, Stories, books, books_by, overdue
from services.domain.events import Fact, Tick
from services.domain.fold import CallStory
from services.journal import Log, Record, Topic
from services.readers.reading import ANSWERS_WITHIN_S, read_to_end
from services.wire import facts
from services.wire.methods import Unreadable


@dataclass(slots=True)
class Read:
    """What was read of `calls`."""

    stories: Stories = field(default_factory=Stories)
    records: int = 0
    unreadable: int = 0
    _first_offsets: dict[int, int] = field(default_factory=dict)
    _partition_of: dict[str, int] = field(default_factory=dict)

    def take(self, records: Sequence[Record]) -> None:
        for record in records:
            self.records += 1
            self._first_offsets.setdefault(record.partition, record.offset)
            try:
                fact = facts.read(record.value)
            except Unreadable:
                self.unreadable += 1
                continue
            if isinstance(fact, Tick):
                continue
            self._partition_of.setdefault(fact.call_id, record.partition)
            self.stories.add(fact)

    def begun_before(self, story: CallStory) -> bool:
        """Whether the call's offer may stand before what was read: it and the partition's beginning are missing."""
        return story.offered_at_ms is None and self._first_offsets[self._partition_of[story.call_id]] > 0


@dataclass(frozen=True, slots=True)
class Balance:
    """The books and what they were made from."""

    books: Books
    windows: dict[int, Books]
    """By the start of the window in which the call was offered, wall milliseconds; empty where none were asked for."""
    overdue: Finding
    begun_before: int
    """Calls that began before what was read: in no sum."""
    records: int
    unreadable: int


async def balance(
    log: Log,
    now_ms: int,
    since_ms: int | None = None,
    window_ms: int | None = None,
    answers_within_s: float = ANSWERS_WITHIN_S,
) -> Balance:
    """Reads `calls` to the end that it has now and adds up; raises NoJournal."""
    read = Read()
    await read_to_end(log, Topic.CALLS, read.take, since_ms, answers_within_s)
    stories = list(read.stories.by_call.values())
    counted = [story for story in stories if not read.begun_before(story)]
    windows: dict[int, Books] = {}
    if window_ms is not None:
        by_window = books_by(counted, lambda story: (story.offered_at_ms or story.first_at_ms) // window_ms * window_ms)
        windows = dict(sorted(by_window.items()))
    return Balance(
        books(counted), windows, overdue(counted, now_ms), len(stories) - len(counted), read.records, read.unreadable
    )


async def facts_of(
    log: Log, call_id: str, since_ms: int | None = None, answers_within_s: float = ANSWERS_WITHIN_S
) -> list[Fact]:
    """Every fact of one call, copies left out, in the order of their writers' clocks; raises NoJournal."""
    found: dict[tuple[str, int, int, str], Fact] = {}

    def take(records: Sequence[Record]) -> None:
        for record in records:
            fact = facts.fact_in(record.value) if record.key == call_id else None
            if fact is not None:
                found.setdefault(fact.identity, fact)

    await read_to_end(log, Topic.CALLS, take, since_ms, answers_within_s)
    return sorted(found.values(), key=lambda fact: (fact.at_ms, fact.leg, fact.seq))


def as_json(result: Balance) -> dict[str, Any]:
    """The balance as plain data; delays in milliseconds."""
    return {
        "sound": result.books.sound,
        "calls": _columns(result.books.real),
        "tests": _columns(result.books.tests),
        "overdue": _finding(result.overdue),
        "begun_before": result.begun_before,
        "records": result.records,
        "unreadable": result.unreadable,
        "windows": [
            {"from_ms": from_ms, "calls": _columns(each.real), "tests": _columns(each.tests)}
            for from_ms, each in result.windows.items()
        ],
    }


def _columns(columns: Columns) -> dict[str, Any]:
    return {
        "offered": columns.offered,
        **{outcome.value: count for outcome, count in columns.outcomes.items()},
        "balanced": columns.balanced,
        "at_risk": columns.at_risk,
        "not_durable": columns.not_durable,
        "connected_twice": _finding(columns.connected_twice),
        "never_offered": _finding(columns.never_offered),
        "leg_conflicts": _finding(columns.leg_conflicts),
        "to_ringing_ms": _delays(columns.reached),
        "to_answer_ms": _delays(columns.answered),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {"count": finding.count, "call_ids": finding.call_ids}


def _delays(delays: Delays) -> dict[str, Any]:
    return {
        "calls": len(delays.ms),
        "p50": delays.median,
        "p90": delays.at(0.9),
        "p99": delays.at(0.99),
        "worst": delays.worst,
        "within_15_s": delays.share_within(15_000),
        "within_20_s": delays.share_within(20_000),
    }
