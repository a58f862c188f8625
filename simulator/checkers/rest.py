"""When all is healed, everything comes to rest by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from simulator.checkers.evidence import Evidence
from simulator.checkers.finding import Finding

DATABASE: Final = frozenset({"database_slow", "database_fails"})


def came_to_rest(evidence: Evidence) -> Iterator[Finding]:
    """No call is in progress, every process is ready, and has nothing to say against itself."""
    seen = evidence.seen
    if not seen.settled:
        for why in seen.unsettled or ("the run did not reach its end",):
            yield Finding("at_rest", "", why)


def made_no_mistake(evidence: Evidence) -> Iterator[Finding]:
    """No exception that nobody waited for, and no process that ended by itself; but a ledger may that comes up while
    its database is away: it says so, ends, and is started again."""
    hurt = any(injury.kind in DATABASE for injury in evidence.seen.schedule.injuries)
    for mistake in evidence.seen.mistakes:
        if not (hurt and ": StoreTrouble: " in mistake):
            yield Finding("no_mistake", "", mistake)
