"""What was told of one call, by each of the three witnesses, for their comparer (witness.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Connection:
    """A caller and a person, under which attempt and where. Two witnesses agree when theirs are equal."""

    attempt: str
    psap_id: str
    line: str

    @classmethod
    def of(cls, entry: Entry) -> Connection:
        return cls(entry.get("attempt", ""), entry.get("psap_id", ""), entry.get("line", ""))

    def __str__(self) -> str:
        return f"{self.attempt} at {self.psap_id}" + (f" line {self.line}" if self.line else "")


@dataclass(slots=True)
class CallTold:
    """All that was seen of one call, by witness."""

    call_id: str
    caller: list[Entry] = field(default_factory=list)
    far_end: list[Entry] = field(default_factory=list)
    facts: list[Entry] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)

    def heard(self, *events: str) -> list[Entry]:
        return [entry for entry in self.caller if entry["event"] in events]

    def seen(self, *events: str) -> list[Entry]:
        return [entry for entry in self.far_end if entry["event"] in events]

    def kept(self, *kinds: str) -> list[Entry]:
        return [fact for fact in self.facts if fact["kind"] in kinds]
