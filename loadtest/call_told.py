"""What was told of one call, by each of the three witnesses, for whoever compares them (witness.py)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loadtest.tries import planned_as

Entry = Mapping[str, Any]
Lossy = Mapping[str, Sequence[tuple[float, float]]]
"""Writers that lost what they said, and from when to when they said it, in wall milliseconds."""


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

    @property
    def planned(self) -> str:
        """The planned call of which it is a try."""
        return planned_as(self.call_id)

    def heard(self, *events: str) -> list[Entry]:
        return [entry for entry in self.caller if entry["event"] in events]

    def seen(self, *events: str) -> list[Entry]:
        return [entry for entry in self.far_end if entry["event"] in events]

    def kept(self, *kinds: str) -> list[Entry]:
        return [fact for fact in self.facts if fact["kind"] in kinds]

    def misbehaved(self) -> set[str]:
        """What its network did wrong with it."""
        return {entry["mischief"] for entry in self.heard("misbehaved")}

    def may_be_lost(self, leg: int, writer: str, seq: int, lossy: Lossy) -> bool:
        """Whether a fact that is missing may have been said in the time of which its writer lost something; never the
        one that opens."""
        spans = lossy.get(writer.partition("/")[0], ())
        if seq == 0 or not spans:
            return False
        around = [fact for fact in self.facts if (fact["leg"], fact["writer"]) == (leg, writer)]
        before_ms = max((fact["at_ms"] for fact in around if fact["seq"] < seq), default=0)
        after_ms = min((fact["at_ms"] for fact in around if fact["seq"] > seq), default=before_ms)
        return any(from_ms <= after_ms and before_ms <= to_ms for from_ms, to_ms in spans)


def by_call(caller: Iterable[Entry], far_end: Iterable[Entry], journal: Iterable[Entry]) -> dict[str, CallTold]:
    """Joins the three on call_id. Entries without one are a witness's remarks on itself, and are left out. Each call's
    entries stay in the order in which they were given."""
    calls: dict[str, CallTold] = {}

    def of(entry: Entry) -> CallTold:
        call_id = entry["call_id"]
        known = calls.get(call_id)
        if known is None:
            known = calls[call_id] = CallTold(call_id)
        return known

    for entry in caller:
        if "call_id" in entry:
            of(entry).caller.append(entry)
    for entry in far_end:
        if "call_id" in entry:
            of(entry).far_end.append(entry)
    for entry in journal:
        if entry["event"] == "fact":
            of(entry).facts.append(entry)
        elif entry["event"] == "outcome":
            of(entry).outcomes.append(entry["outcome"])
    return calls
