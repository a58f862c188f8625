"""What was seen, put together by call once, so that each checker looks at every entry a fixed number of times.

The entries of one call are in the order in which they were written down: by time for callers and far end, by offset for
the journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator.checkers.weather import Weather
from simulator.run import Observed

Entry = Mapping[str, Any]


@dataclass(slots=True)
class OfCall:
    """One call by each witness."""

    call_id: str
    caller: list[Entry] = field(default_factory=list)
    far_end: list[Entry] = field(default_factory=list)
    facts: list[Entry] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)

    def misbehaved(self) -> set[str]:
        """What its network did wrong with it."""
        return {entry["mischief"] for entry in self.caller if entry["event"] == "misbehaved"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """A run, by call, and what was hurt in it when."""

    seen: Observed
    calls: Mapping[str, OfCall]
    weather: Weather


def gather(seen: Observed) -> Evidence:
    """Entries without a call are a witness's remarks on itself, and are left out."""
    calls: dict[str, OfCall] = {}

    def of(entry: Entry) -> OfCall:
        call_id = entry["call_id"]
        known = calls.get(call_id)
        if known is None:
            known = calls[call_id] = OfCall(call_id)
        return known

    for entry in seen.callers:
        if "call_id" in entry:
            of(entry).caller.append(entry)
    for entry in seen.far_end:
        if "call_id" in entry:
            of(entry).far_end.append(entry)
    for entry in seen.journal:
        if entry["event"] == "fact":
            of(entry).facts.append(entry)
        else:
            of(entry).outcomes.append(entry["outcome"])
    return Evidence(seen, calls, Weather(seen.injuries, seen.began_ms))
