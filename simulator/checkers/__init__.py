"""What must hold after every schedule, whatever was hurt in it.

The evidence is put together by call once (evidence.py); each checker then looks at it and yields what does not hold.
All take time linear in what was seen. A checker that cannot fail would be worse than none:
tests/simulation/test_checkers.py makes each of them fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from simulator.checkers import (
    alarms,
    books,
    bounds,
    canaries,
    deaths,
    order,
    policies,
    rest,
    spools,
    steps,
    talks,
    ways,
    witnesses,
)
from simulator.checkers.evidence import Evidence, gather
from simulator.checkers.finding import Finding
from simulator.run import Observed

CHECKERS: Final[tuple[Callable[[Evidence], Iterator[Finding]], ...]] = (
    witnesses.agree,
    rest.came_to_rest,
    rest.made_no_mistake,
    books.end_once,
    books.balance,
    books.ledger_agrees,
    books.closes_rightly,
    talks.one_at_a_time,
    talks.with_a_caller,
    talks.only_by_the_stream,
    talks.rung_back_once,
    steps.legal,
    spools.empty,
    spools.kept_until_landed,
    bounds.waits,
    alarms.raised,
    deaths.only_the_dead,
    deaths.soon_enough,
    deaths.late_by_its_own_clock,
    deaths.not_too_early,
    deaths.tried_three_times,
    ways.hung_up,
    ways.answered,
    ways.believed,
    ways.rings_on,
    ways.two_rings,
    ways.climbed,
    ways.as_before,
    ways.keeps_channels,
    order.in_order,
    order.lies_in_order,
    order.says_its_age,
    policies.screened,
    canaries.answers_its_share,
)


def judge(seen: Observed) -> tuple[list[Finding], list[str]]:
    """All that does not hold; and the kinds of the injuries that somebody had to hear of."""
    evidence = gather(seen)
    return [finding for checker in CHECKERS for finding in checker(evidence)], list(alarms.asked(evidence))


def check(seen: Observed) -> list[Finding]:
    """All that does not hold."""
    return judge(seen)[0]


__all__ = ["CHECKERS", "Finding", "check", "judge"]
