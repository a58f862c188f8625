"""The books over many calls (protocol.md J3).

offered = answered + diverted + callback open + callback closed + in progress. *Offered* counts the calls that have an
Offered fact, the right side every call of which there is any fact: a call that ended somehow and was never offered is a
hole in the journal, and does not balance. A call whose end is missing stays in progress, and is overdue once the time
within which it owed another fact has passed. Test calls have columns of their own. Calls refused before `Accepted`
leave no fact; the callers' side counts them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from services.domain.events import Fact
from services.domain.fold import CallStory, Outcome, merge, story

NAMED_MAX = 10
"""How many call ids a finding names; it always counts them all."""

K = TypeVar("K")


@dataclass(slots=True)
class Finding:
    """Calls with something wrong about them: how many, and the first few by id."""

    count: int = 0
    call_ids: list[str] = field(default_factory=list)

    def note(self, call_id: str) -> None:
        self.count += 1
        if len(self.call_ids) < NAMED_MAX:
            self.call_ids.append(call_id)


@dataclass(frozen=True, slots=True)
class Delays:
    """Milliseconds from the first offer, ascending; one for each call that got so far."""

    ms: tuple[int, ...]

    def at(self, share: float) -> int | None:
        """The delay within which this share (0 to 1) of them stayed: the nearest rank. None where there are none."""
        assert 0 <= share <= 1, f"expected a share from 0 to 1; got {share}"
        if not self.ms:
            return None
        rank = -int(-share * len(self.ms) // 1)  # rounded up
        return self.ms[max(rank, 1) - 1]

    def share_within(self, limit_ms: int) -> float | None:
        """Which share of them stayed within the limit; NENA-STA-020 asks 0.90 within 15 s and 0.95 within 20 s."""
        if not self.ms:
            return None
        return sum(delay <= limit_ms for delay in self.ms) / len(self.ms)

    @property
    def median(self) -> int | None:
        return self.at(0.5)

    @property
    def worst(self) -> int | None:
        return self.ms[-1] if self.ms else None


@dataclass(frozen=True, slots=True)
class Columns:
    """The sums over one set of calls: the real ones, or the tests."""

    calls: int
    """Calls of which there is any fact."""
    offered: int
    outcomes: Mapping[Outcome, int]
    """Every outcome has its row, if only with 0."""
    at_risk: int
    """Accepted while the offer stood in one place alone (J4)."""
    not_durable: int
    """Accepted while the offer stood in memory alone (J6)."""
    reached: Delays
    """To the first ringing."""
    answered: Delays
    """To the first connection."""
    connected_twice: Finding
    never_offered: Finding
    leg_conflicts: Finding

    @property
    def balanced(self) -> bool:
        """Whether what was offered is what became of it."""
        return self.offered == sum(self.outcomes.values())


@dataclass(frozen=True, slots=True)
class Books:
    """Both sets, apart."""

    real: Columns
    tests: Columns

    @property
    def sound(self) -> bool:
        """They balance, and nobody is connected twice."""
        both = (self.real, self.tests)
        return all(columns.balanced and not columns.connected_twice.count for columns in both)


class Stories:
    """The stories of many calls while their facts come in, in any order and any number of times."""

    def __init__(self) -> None:
        self.by_call: dict[str, CallStory] = {}

    def add(self, fact: Fact) -> None:
        """Merges one fact into its call's story."""
        told = story(fact)
        known = self.by_call.get(fact.call_id)
        self.by_call[fact.call_id] = told if known is None else merge(known, told)


def books(stories: Iterable[CallStory]) -> Books:
    """The books of these calls."""
    apart: tuple[list[CallStory], list[CallStory]] = ([], [])
    for each in stories:
        apart[each.test].append(each)
    return Books(_columns(apart[False]), _columns(apart[True]))


def books_by(stories: Iterable[CallStory], key: Callable[[CallStory], K]) -> dict[K, Books]:
    """Books for each phase, window or whatever `key` says of a call, in the order in which the keys came."""
    groups: dict[K, list[CallStory]] = {}
    for each in stories:
        groups.setdefault(key(each), []).append(each)
    return {name: books(group) for name, group in groups.items()}


def overdue(stories: Iterable[CallStory], now_ms: int) -> Finding:
    """The calls in progress that owed another fact before `now_ms` (wall milliseconds)."""
    finding = Finding()
    for each in stories:
        due_at_ms = each.due_at_ms
        if due_at_ms is not None and due_at_ms < now_ms:
            finding.note(each.call_id)
    return finding


def _columns(stories: Sequence[CallStory]) -> Columns:
    outcomes = Counter(each.outcome for each in stories)
    twice, never_offered, conflicts = Finding(), Finding(), Finding()
    reached: list[int] = []
    answered: list[int] = []
    for each in stories:
        if each.connected_twice:
            twice.note(each.call_id)
        if each.leg_conflict:
            conflicts.note(each.call_id)
        if each.offered_at_ms is None:
            never_offered.note(each.call_id)
            continue
        if each.rang_at_ms is not None:
            reached.append(each.rang_at_ms - each.offered_at_ms)
        if each.connected_at_ms is not None:
            answered.append(each.connected_at_ms - each.offered_at_ms)
    return Columns(
        calls=len(stories),
        offered=len(stories) - never_offered.count,
        outcomes={outcome: outcomes[outcome] for outcome in Outcome},
        at_risk=sum(each.at_risk for each in stories),
        not_durable=sum(each.not_durable for each in stories),
        reached=Delays(tuple(sorted(reached))),
        answered=Delays(tuple(sorted(answered))),
        connected_twice=twice,
        never_offered=never_offered,
        leg_conflicts=conflicts,
    )
