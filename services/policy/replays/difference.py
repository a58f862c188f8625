"""What changes if the candidate goes live: counts by rule, place and PSAP, examples, and what speaks against it. Pure.

`Tally` takes one call after the other with both verdicts and ends in a `Difference`, which holds no caller's number
except in the inputs of its examples. Counting is deterministic: the same calls in the same order give the same
difference. Only how long a decision took is not, and no finding but `slower` comes of that.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from services.domain.policy import Divert, Flag, Pass, Verdict
from services.policy.attributes import Value
from services.policy.verdicts.breakers import Trip
from services.policy.verdicts.guards import repeats
from services.policy.verdicts.inputs import identity_in

EXAMPLES_MAX: Final = 5
"""Of one change by one rule."""
BUCKET_MS: Final = 60_000
"""A minute: the grain in which the difference is told over time."""


class Change(StrEnum):
    """What the candidate's verdict is to the live one's."""

    SAME = "same"
    NEWLY_DIVERTED = "newly_diverted"
    NO_LONGER_DIVERTED = "no_longer_diverted"
    OTHER_DESK = "other_desk"
    NEWLY_FLAGGED = "newly_flagged"
    NO_LONGER_FLAGGED = "no_longer_flagged"
    OTHER_SCORE = "other_score"


def change(live: Verdict, candidate: Verdict) -> Change:
    """How the two differ for the caller; that another rule says the same is no change."""
    match live, candidate:
        case Divert(), Divert():
            return Change.SAME if live.desk == candidate.desk else Change.OTHER_DESK
        case Divert(), _:
            return Change.NO_LONGER_DIVERTED
        case _, Divert():
            return Change.NEWLY_DIVERTED
        case Flag(), Flag():
            return Change.SAME if live.score == candidate.score else Change.OTHER_SCORE
        case Flag(), _:
            return Change.NO_LONGER_FLAGGED
        case _, Flag():
            return Change.NEWLY_FLAGGED
    return Change.SAME


@dataclass(frozen=True, slots=True)
class Call:
    """One call to be replayed: what the rules are given of it, its window counts among them."""

    call_id: str
    at_ms: int
    inputs: Mapping[str, Value]
    first: bool = False
    """Whether nobody of its identity called within the longest window before it."""

    def text(self, name: str) -> str:
        """An input that is a text; empty where it is not there."""
        value = self.inputs.get(name, "")
        return value if isinstance(value, str) else ""

    @property
    def caller(self) -> str:
        """Its identity (services/domain/identity.py)."""
        return identity_in(self.inputs)

    @property
    def ordinary(self) -> bool:
        """Whether its caller does not repeat: those are the callers whom the limits protect."""
        return not repeats(self.inputs)


@dataclass(frozen=True, slots=True)
class Judged:
    """One bundle's word on one call, and what stands between it and the caller."""

    proposed: Verdict
    kept_from: str = ""
    """The guard that keeps the call from it; empty where none does."""
    breaker: str = ""
    """The scope whose breaker would keep it too: `state`, `psap:P1`."""
    errors: tuple[tuple[str, str], ...] = ()
    """Rules that could not be evaluated, and why; each counted as not true."""
    took_ns: int = 0

    @property
    def verdict(self) -> Verdict:
        """What the bundle wants of this call as the guards let it. Breakers are no part of it: they end a fault."""
        return Pass() if self.kept_from else self.proposed

    @property
    def rule(self) -> str:
        """The rule that spoke; empty where none did."""
        return "" if isinstance(self.proposed, Pass) else self.proposed.rule


@dataclass(slots=True)
class RuleTally:
    """What one rule did: calls for which it spoke, those diverted, those a guard kept, and whose they were."""

    calls: int = 0
    ordinary: int = 0
    """Those of callers who do not repeat."""
    diverted: int = 0
    kept: int = 0
    callers: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Share:
    """Calls of one place, PSAP or stretch of time, and how many of them each bundle diverts."""

    calls: int = 0
    live: int = 0
    candidate: int = 0
    newly: int = 0
    no_longer: int = 0


@dataclass(frozen=True, slots=True)
class Tripped:
    """A breaker that would have tripped, at which call, and how many had been diverted by then."""

    trip: Trip
    call_id: str
    at_ms: int
    diverted: int


@dataclass(slots=True)
class Side:
    """Everything counted of one bundle."""

    proposed: int = 0
    """Calls that its rules would divert."""
    diverted: int = 0
    """Those of them that no guard kept."""
    ordinary: int = 0
    """Those proposed whose callers do not repeat."""
    broken: int = 0
    """Those diverted that a breaker would have kept: what is left is what callers would have met."""
    flagged: int = 0
    trips: list[Tripped] = field(default_factory=list)
    rules: dict[str, RuleTally] = field(default_factory=lambda: defaultdict(RuleTally))
    kept: Counter[str] = field(default_factory=Counter)
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    took_ns: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Example:
    """One call of which the two bundles say different things."""

    change: Change
    call: Call
    live: Judged
    candidate: Judged

    @property
    def rule(self) -> str:
        """The rule that made the change: the candidate's, or the live one's where that has fallen silent."""
        return self.candidate.rule or self.live.rule


@dataclass(frozen=True, slots=True)
class Slower:
    """A call for which the candidate took clearly longer than the live bundle; nanoseconds."""

    call: Call
    live_ns: int
    candidate_ns: int


@dataclass(frozen=True, slots=True)
class Difference:
    """The result of a replay."""

    calls: int
    ordinary: int
    """Those of callers who do not repeat."""
    first_ms: int
    last_ms: int
    live: Side
    candidate: Side
    changes: Mapping[Change, int]
    areas: Mapping[str, Share]
    psaps: Mapping[str, Share]
    cells: Mapping[str, Share]
    buckets: Mapping[int, Share]
    """By the number of the minute since 1970."""
    examples: Sequence[Example]
    slower: Sequence[Slower]

    def share(self, calls: int) -> float:
        """Of all replayed calls, 0 to 1."""
        return calls / self.calls if self.calls else 0.0

    def ordinary_share(self, calls: int) -> float:
        """Of the replayed calls whose callers do not repeat, 0 to 1."""
        return calls / self.ordinary if self.ordinary else 0.0


class Tally:
    """Counts one replay; `heard` takes each call in order."""

    def __init__(self) -> None:
        self._calls = self._ordinary = 0
        self._first_ms = self._last_ms = 0
        self._live, self._candidate = Side(), Side()
        self._changes: Counter[Change] = Counter()
        self._areas: dict[str, Share] = defaultdict(Share)
        self._psaps: dict[str, Share] = defaultdict(Share)
        self._cells: dict[str, Share] = defaultdict(Share)
        self._buckets: dict[int, Share] = defaultdict(Share)
        self._examples: list[Example] = []
        self._told: Counter[tuple[Change, str]] = Counter()
        self._slower: list[Slower] = []

    def heard(self, call: Call, live: Judged, candidate: Judged) -> None:
        """One call, and what each bundle says of it."""
        self._first_ms = min(self._first_ms, call.at_ms) if self._calls else call.at_ms
        self._last_ms = max(self._last_ms, call.at_ms)
        self._calls += 1
        self._ordinary += call.ordinary
        _count(self._live, call, live)
        _count(self._candidate, call, candidate)
        changed = change(live.verdict, candidate.verdict)
        self._changes[changed] += 1
        shares = (
            self._areas[call.text("area")],
            self._psaps[call.text("psap")],
            self._cells[call.text("cell")],
            self._buckets[call.at_ms // BUCKET_MS],
        )
        for share in shares:
            share.calls += 1
            share.live += isinstance(live.verdict, Divert)
            share.candidate += isinstance(candidate.verdict, Divert)
            share.newly += changed is Change.NEWLY_DIVERTED
            share.no_longer += changed is Change.NO_LONGER_DIVERTED
        if changed is not Change.SAME:
            self._remember(Example(changed, call, live, candidate))

    def tripped(self, of_candidate: bool, call: Call, trips: Iterable[Trip]) -> None:
        """Breakers that this call would have tripped."""
        side = self._candidate if of_candidate else self._live
        side.trips += [Tripped(trip, call.call_id, call.at_ms, side.diverted - side.broken) for trip in trips]

    def took_longer(self, call: Call, live_ns: int, candidate_ns: int) -> None:
        """A call on which the candidate is slower; the slowest few are kept."""
        self._slower.append(Slower(call, live_ns, candidate_ns))
        self._slower.sort(key=lambda each: (each.live_ns - each.candidate_ns, each.call.call_id))
        del self._slower[EXAMPLES_MAX:]

    def difference(self) -> Difference:
        """What was heard so far."""
        return Difference(
            self._calls,
            self._ordinary,
            self._first_ms,
            self._last_ms,
            self._live,
            self._candidate,
            self._changes,
            self._areas,
            self._psaps,
            self._cells,
            self._buckets,
            tuple(self._examples),
            tuple(self._slower),
        )

    def _remember(self, example: Example) -> None:
        kind = (example.change, example.rule)
        self._told[kind] += 1
        if self._told[kind] <= EXAMPLES_MAX:
            self._examples.append(example)


def _count(side: Side, call: Call, judged: Judged) -> None:
    side.took_ns.append(judged.took_ns)
    for error in judged.errors:
        side.errors[error] += 1
    if isinstance(judged.proposed, Divert):
        side.proposed += 1
        side.ordinary += call.ordinary
    if judged.rule:
        tally = side.rules[judged.rule]
        tally.calls += 1
        tally.ordinary += call.ordinary
        tally.callers.add(call.caller)
        tally.kept += bool(judged.kept_from)
        tally.diverted += isinstance(judged.verdict, Divert)
    if judged.kept_from:
        side.kept[judged.kept_from] += 1
    if isinstance(judged.verdict, Divert):
        side.diverted += 1
        side.broken += bool(judged.breaker)
    side.flagged += isinstance(judged.verdict, Flag)
