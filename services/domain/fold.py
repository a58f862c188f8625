"""A call's story: the fold of its facts (protocol.md J2).

A call is the *set* of its facts. They come twice, in any order, from several writers and over several legs, and every
reader must reach the same story. So each fact becomes a small story of its own, and stories are merged by operations
that do not care about order or repeats: least, greatest, union, and "of the higher leg". That makes the fold
commutative, associative and idempotent by construction; tests/domain/test_books_fold.py holds it to that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce
from typing import Final, TypeVar

from services.domain.durability import Durability
from services.domain.events import CLOSED, CONNECTED, Fact, FactKind
from services.domain.where import Where


class Outcome(StrEnum):
    """What became of a call: exactly one of these at any moment (J3)."""

    ANSWERED = "answered"
    DIVERTED = "diverted"
    CALLBACK_OPEN = "callback_open"
    CALLBACK_CLOSED = "callback_closed"
    IN_PROGRESS = "in_progress"


@dataclass(frozen=True, slots=True, order=True)
class Connect:
    """An attempt that connected caller and person. Ordered by instant: the first one is the call's outcome."""

    at_ms: int
    kind: FactKind
    attempt: str
    leg: int
    psap_id: str
    line: str

    @property
    def where(self) -> Where:
        return Where(self.psap_id, self.line)


@dataclass(frozen=True, slots=True, order=True)
class Told:
    """An instant, the kind of fact that told it, and its reason."""

    at_ms: int
    kind: FactKind
    reason: str


@dataclass(frozen=True, slots=True, order=True)
class Latest:
    """The newest fact of a leg, by its writer's clock: it says until when another one is owed."""

    at_ms: int
    seq: int
    writer: str
    due_in_ms: int


@dataclass(frozen=True, slots=True, order=True)
class Heard:
    """A word of the caller's that may differ between legs: the highest leg that knew it is believed."""

    leg: int
    text: str


_NOTHING_HEARD: Final = Heard(0, "")


@dataclass(frozen=True, slots=True)
class CallStory:
    """What the facts of one call say together. Small: it does not grow with the number of facts."""

    call_id: str
    leg: int
    """The highest leg of which there is a fact."""
    latest: Latest
    """Of the highest leg."""
    test: bool
    """Whether every fact says that this is a test call: a real call is never hidden among tests."""
    first_at_ms: int
    offered_at_ms: int | None = None
    rang_at_ms: int | None = None
    """The first ringing at a PSAP or a line: the call *reached* somebody (J3)."""
    connects: tuple[Connect, ...] = ()
    """The earliest word of each attempt that connected, in order of time."""
    closure: Told | None = None
    """The earliest fact by which nothing more is owed: called back, rung back, closed by a person, or a settlement
    of a kind that this version does not know (J1)."""
    inferred: Told | None = None
    """The earliest reconnection of the highest leg that was inferred from another call; those of lower legs are void,
    since the caller has called again."""
    leg_at_ms: int = 0
    """The earliest fact of the highest leg: it was offered no later."""
    opening: Told | None = None
    """The earliest Abandoned or CallbackDue of the highest leg; those of lower legs are void."""
    lost: Told | None = None
    """The earliest CallerLost of the highest leg."""
    caller_hash: Heard = _NOTHING_HEARD
    number: Heard = _NOTHING_HEARD
    not_durable: bool = False
    """An offer of it was accepted while it stood in memory alone (J6)."""
    at_risk: bool = False
    """An offer of it was accepted while it stood in one place alone (J4)."""
    offers: frozenset[tuple[int, str]] = frozenset()
    """(leg, writer) of each Offered."""
    urgent: bool = False
    """A CallbackDue of the highest leg is urgent: nobody conducts the call any more (T3)."""

    @property
    def outcome(self) -> Outcome:
        """J2: a connection of any leg; else a closure; else the state of the highest leg."""
        if self.connects:
            return Outcome.ANSWERED if self.connects[0].kind is FactKind.ANSWERED else Outcome.DIVERTED
        if self.closed is not None:
            return Outcome.CALLBACK_CLOSED
        if self.opening is not None:
            hung_up_on_a_test = self.test and self.opening.kind is FactKind.ABANDONED
            return Outcome.CALLBACK_CLOSED if hung_up_on_a_test else Outcome.CALLBACK_OPEN
        return Outcome.IN_PROGRESS

    @property
    def closed(self) -> Told | None:
        """By what the call, or its highest leg, is closed."""
        return _least(self.closure, self.inferred)

    @property
    def connected_at_ms(self) -> int | None:
        return self.connects[0].at_ms if self.connects else None

    @property
    def connected_twice(self) -> bool:
        """Two different attempts connected. A connection told without its attempt is not counted as another one."""
        return sum(1 for connect in self.connects if connect.attempt) > 1

    @property
    def leg_conflict(self) -> bool:
        """One leg was taken by two processes (P8)."""
        return len({leg for leg, _ in self.offers}) < len(self.offers)

    @property
    def due_at_ms(self) -> int | None:
        """Until when another fact is owed; None where the call is settled, on the list, or owes none.

        A lost caller is owed a word in any case, if nothing else is said from the instant of the loss.
        """
        if self.outcome is not Outcome.IN_PROGRESS:
            return None
        if self.latest.due_in_ms > 0:
            return self.latest.at_ms + self.latest.due_in_ms
        return self.lost.at_ms if self.lost is not None else None


_LIST: Final = frozenset({FactKind.ABANDONED, FactKind.CALLBACK_DUE})


def story(fact: Fact) -> CallStory:
    """The story that one fact tells."""
    kind = fact.kind
    told = Told(fact.at_ms, kind, fact.reason)
    offer = fact.offer
    offered = kind is FactKind.OFFERED
    connects: tuple[Connect, ...] = ()
    if kind in CONNECTED:
        where = fact.where or Where("")
        connects = (Connect(fact.at_ms, kind, fact.attempt, fact.leg, where.psap_id, where.line),)
    closes = (kind in CLOSED and not fact.inferred) or (kind is FactKind.UNKNOWN and fact.settled)
    return CallStory(
        fact.call_id,
        fact.leg,
        Latest(fact.at_ms, fact.seq, fact.writer, fact.due_in_ms),
        fact.test,
        fact.at_ms,
        fact.at_ms if offered else None,
        fact.at_ms if kind is FactKind.RINGING else None,
        connects,
        told if closes else None,
        told if fact.inferred else None,
        fact.at_ms,
        told if kind in _LIST else None,
        told if kind is FactKind.CALLER_LOST else None,
        Heard(fact.leg, fact.caller_hash) if fact.caller_hash else _NOTHING_HEARD,
        Heard(fact.leg, offer.caller) if offer is not None and offer.caller else _NOTHING_HEARD,
        offered and fact.durability is Durability.NOT_DURABLE,
        offered and fact.durability is Durability.AT_RISK,
        frozenset({(fact.leg, fact.writer)}) if offered else frozenset(),
        kind is FactKind.CALLBACK_DUE and fact.urgent,
    )


def merge(one: CallStory, other: CallStory) -> CallStory:
    """The story that the facts of both tell. Both are of the same call."""
    assert one.call_id == other.call_id, f"stories of two calls, {one.call_id!r} and {other.call_id!r}, do not merge"
    high, low = (one, other) if one.leg >= other.leg else (other, one)
    same = high.leg == low.leg
    return CallStory(
        one.call_id,
        high.leg,
        max(high.latest, low.latest) if same else high.latest,
        one.test and other.test,
        min(one.first_at_ms, other.first_at_ms),
        _least(one.offered_at_ms, other.offered_at_ms),
        _least(one.rang_at_ms, other.rang_at_ms),
        _first_of_each_attempt(one.connects, other.connects),
        _least(one.closure, other.closure),
        _least(one.inferred, other.inferred) if same else high.inferred,
        min(high.leg_at_ms, low.leg_at_ms) if same else high.leg_at_ms,
        _least(one.opening, other.opening) if same else high.opening,
        _least(one.lost, other.lost) if same else high.lost,
        max(one.caller_hash, other.caller_hash),
        max(one.number, other.number),
        one.not_durable or other.not_durable,
        one.at_risk or other.at_risk,
        one.offers | other.offers,
        high.urgent or (same and low.urgent),
    )


def fold(facts: Iterable[Fact]) -> CallStory:
    """The story of the facts of one call; at least one fact."""
    return reduce(merge, map(story, facts))


T = TypeVar("T", int, Told)


def _least(one: T | None, other: T | None) -> T | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _first_of_each_attempt(one: tuple[Connect, ...], other: tuple[Connect, ...]) -> tuple[Connect, ...]:
    if not one or not other:
        return one or other
    first: dict[str, Connect] = {}
    for connect in (*one, *other):
        known = first.get(connect.attempt)
        if known is None or connect < known:
            first[connect.attempt] = connect
    return tuple(sorted(first.values()))
