"""What must hold after every schedule, whatever was hurt in it.

Each checker looks once at what a run left (`Observed`) and yields what does not hold. All take time linear in what was
seen. A checker that cannot fail would be worse than none: tests/simulation/test_checkers.py makes each of them fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from simulator.checkers import rest, witnesses
from simulator.checkers.finding import Finding
from simulator.run import Observed

CHECKERS: Final[tuple[Callable[[Observed], Iterator[Finding]], ...]] = (
    witnesses.agree,
    rest.came_to_rest,
    rest.made_no_mistake,
)


def check(seen: Observed) -> list[Finding]:
    """All that does not hold."""
    return [finding for checker in CHECKERS for finding in checker(seen)]


__all__ = ["CHECKERS", "Finding", "check"]
