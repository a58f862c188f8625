"""What was seen, put together by call once, so that each checker looks at every entry a fixed number of times.

The entries of one call are in the order in which they were written down: by time for callers and far end, by offset for
the journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loadtest.call_told import CallTold, by_call
from simulator.checkers.weather import Weather
from simulator.run import COMES_UP_S, Observed


@dataclass(frozen=True, slots=True)
class Evidence:
    """A run, by call, and what was hurt in it when."""

    seen: Observed
    calls: Mapping[str, CallTold]
    weather: Weather

    @property
    def ends_ms(self) -> int:
        """When the run was over, in wall milliseconds."""
        return self.seen.began_ms + round((self.seen.ends_s - COMES_UP_S) * 1000)


def gather(seen: Observed) -> Evidence:
    """Puts it together."""
    calls = by_call(seen.callers, seen.far_end, seen.journal)
    return Evidence(seen, calls, Weather(seen.injuries, seen.began_ms))
