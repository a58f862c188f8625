"""Makes a failing schedule small: what can be left out, shortened or done right while it still fails is.

The order follows what a reader is spared: injuries first, then what networks did wrong, then calls by halves, then the
injuries' length. Pure but for `still_fails`, which runs a schedule; the number of runs is bounded, and whatever is in
hand when it is used up still fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from loadtest.leg import NetworkMischief
from simulator.schedule import Schedule

RUNS_MAX: Final = 60
SHORTEST_S: Final = 0.05
SHARES: Final = (0.25, 0.5, 0.8)
"""To which share of its length an injury is shortened, the boldest first."""
Tell = Callable[[str], None]
StillFails = Callable[[Schedule], bool]


def shrink(
    schedule: Schedule, still_fails: StillFails, *, runs_max: int = RUNS_MAX, tell: Tell = lambda _: None
) -> Schedule:
    """The smallest schedule that was found to fail; `schedule` itself is taken to. `tell` hears of each step down.

    No injury of it can be left out, where the runs sufficed to try.
    """
    return _Shrinking(schedule, still_fails, runs_max, tell).run()


class _Shrinking:
    """One schedule on its way down."""

    def __init__(self, schedule: Schedule, still_fails: StillFails, runs_max: int, tell: Tell) -> None:
        self._least = schedule
        self._still_fails = still_fails
        self._left = runs_max
        self._tell = tell
        self._in_vain: set[object] = set()
        """What was tried and did not fail."""

    def run(self) -> Schedule:
        self._without_injuries()
        self._plain()
        self._fewer_calls()
        self._plain()
        self._without_injuries()  # one may have been needed for a call that is gone
        self._shorter()
        self._without_injuries()
        return self._least

    def _try(self, smaller: Schedule) -> bool:
        """Whether this one fails too; then it is the least."""
        key = (smaller.injuries, tuple((call.call_id, call.mischief) for call in smaller.calls))
        if self._left <= 0 or key in self._in_vain:
            return False
        self._left -= 1
        if not self._still_fails(smaller):
            self._in_vain.add(key)
            return False
        self._least = smaller
        self._tell(f"{smaller.size} still fail; at most {self._left} more runs")
        return True

    def _without_injuries(self) -> None:
        """All at once, then one by one, until none can go."""
        if self._least.injuries and self._try(self._least.only(injuries=())):
            return
        n = 0
        kept_since = 0
        while self._least.injuries and kept_since < len(self._least.injuries):
            n %= len(self._least.injuries)
            others = [each for each in range(len(self._least.injuries)) if each != n]
            if self._try(self._least.only(injuries=others)):
                kept_since = 0
            else:
                kept_since += 1
                n += 1

    def _fewer_calls(self) -> None:
        """By halves, quarters, and so on; at least one call stays."""
        size = len(self._least.calls) // 2
        while size and self._left:
            at = 0
            while at < len(self._least.calls) and len(self._least.calls) > 1:
                count = len(self._least.calls)
                rest = [n for n in range(count) if not at <= n < at + size]
                if not rest or not self._try(self._least.only(calls=rest)):
                    at += size
            size //= 2

    def _plain(self) -> None:
        """Networks that do all right: at once, then call by call."""
        wrong = [n for n, call in enumerate(self._least.calls) if call.mischief is not NetworkMischief.NONE]
        if wrong and not self._try(self._right(wrong)):
            for n in wrong if len(wrong) > 1 else ():
                self._try(self._right([n]))

    def _right(self, numbers: list[int]) -> Schedule:
        calls = list(self._least.calls)
        for n in numbers:
            calls[n] = replace(calls[n], mischief=NetworkMischief.NONE)
        return replace(self._least, calls=tuple(calls))

    def _shorter(self) -> None:
        for n in range(len(self._least.injuries)):
            while any(self._try(each) for each in self._shortened(n)):
                pass

    def _shortened(self, n: int) -> Iterator[Schedule]:
        injuries = self._least.injuries
        for share in SHARES:
            lasts_s = round(injuries[n].lasts_s * share, 3)
            if lasts_s >= SHORTEST_S:
                shorter = replace(injuries[n], lasts_s=lasts_s)
                yield replace(self._least, injuries=(*injuries[:n], shorter, *injuries[n + 1 :]))
