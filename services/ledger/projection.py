"""Records of `calls` as what the tables take. Pure.

Reading never fails: what is no fact is set aside with its bytes and the reason, and the projection goes on past it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.domain.events import Fact, Tick
from services.domain.fold import CallStory, Outcome
from services.journal import Record
from services.wire import facts
from services.wire.methods import Unreadable

_INT64_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that one transaction takes."""

    facts: tuple[tuple[Record, Fact], ...]
    set_aside: tuple[tuple[Record, str], ...]
    """With the reason."""
    next_offsets: dict[int, int]
    """By partition, where to go on after these."""


def read(records: Sequence[Record]) -> Batch:
    """Sorts what came into facts and what is none."""
    read_facts: list[tuple[Record, Fact]] = []
    set_aside: list[tuple[Record, str]] = []
    next_offsets: dict[int, int] = {}
    for record in records:
        next_offsets[record.partition] = record.offset + 1
        try:
            fact = facts.read(record.value)
        except Unreadable as unreadable:
            set_aside.append((record, unreadable.why))
            continue
        if not isinstance(fact, Tick):
            read_facts.append((record, fact))
    return Batch(tuple(read_facts), tuple(set_aside), next_offsets)


def fact_row(record: Record, fact: Fact) -> dict[str, Any]:
    """A row of `facts`."""
    return {
        "call_id": fact.call_id,
        "leg": fact.leg,
        "seq": fact.seq,
        "writer": text(fact.writer),
        "kind": fact.kind.value,
        "at_ms": fact.at_ms,
        "age_ms": fact.age_ms,
        "reason": text(fact.reason),
        "attempt": text(fact.attempt),
        "psap_id": text(fact.where.psap_id) if fact.where else "",
        "line": text(fact.where.line) if fact.where else "",
        "partition": record.partition,
        "log_offset": record.offset,
        "log_ms": record.log_ms,
        "raw": record.value,
    }


def call_row(story: CallStory) -> dict[str, Any]:
    """A row of `calls`, but for its key."""
    connect = story.connects[0] if story.connects else None
    closed_at_ms, closed_why = _closed(story)
    due_at_ms = story.due_at_ms
    return {
        "leg": story.leg,
        "outcome": story.outcome.value,
        "test": story.test,
        "caller_hash": text(story.caller_hash.text),
        "number": text(story.number.text),
        "first_at_ms": story.first_at_ms,
        "offered_at_ms": story.offered_at_ms,
        "leg_at_ms": story.leg_at_ms,
        "rang_at_ms": story.rang_at_ms,
        "connected_at_ms": story.connected_at_ms,
        "psap_id": text(connect.psap_id) if connect else "",
        "line": text(connect.line) if connect else "",
        "opened_at_ms": story.opening.at_ms if story.opening else None,
        "opened_why": text(story.opening.reason or story.opening.kind.value) if story.opening else "",
        "closed_at_ms": closed_at_ms,
        "closed_why": text(closed_why),
        "due_at_ms": min(due_at_ms, _INT64_MAX) if due_at_ms is not None else None,
        "lost": story.lost is not None,
        "connected_twice": story.connected_twice,
        "not_durable": story.not_durable,
        "urgent": story.urgent,
    }


def set_aside_row(record: Record, why: str) -> dict[str, Any]:
    """A row of `set_aside`."""
    return {
        "topic": record.topic.value,
        "partition": record.partition,
        "log_offset": record.offset,
        "log_ms": record.log_ms,
        "key": text(record.key),
        "why": text(why),
        "raw": record.value,
    }


def text(said: str) -> str:
    """A text as a column takes it: some databases end a text at a zero character, or refuse it."""
    return said.replace("\0", "")


def _closed(story: CallStory) -> tuple[int | None, str]:
    if story.outcome in (Outcome.IN_PROGRESS, Outcome.CALLBACK_OPEN):
        return None, ""
    if story.connects:
        return story.connects[0].at_ms, story.connects[0].kind.value
    closed = story.closed
    if closed is not None:
        reason = f": {closed.reason}" if closed.reason else ""
        return closed.at_ms, f"{closed.kind.value}{reason}"
    assert story.opening is not None, "a call without connection or closure is closed only as a test that was hung up"
    return story.opening.at_ms, "test"
