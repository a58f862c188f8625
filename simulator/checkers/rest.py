"""When all is healed, everything comes to rest by itself."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.checkers.evidence import Evidence
from simulator.checkers.finding import Finding


def came_to_rest(evidence: Evidence) -> Iterator[Finding]:
    """No call is in progress, every process is ready, and has nothing to say against itself."""
    seen = evidence.seen
    if not seen.settled:
        for why in seen.unsettled or ("the run did not reach its end",):
            yield Finding("at_rest", "", why)


def made_no_mistake(evidence: Evidence) -> Iterator[Finding]:
    """No exception that nobody waited for, and no process that ended by itself."""
    for mistake in evidence.seen.mistakes:
        yield Finding("no_mistake", "", mistake)
