"""What the ledger's own tables say, held against what the journal comes to: people ring back by the list in these
tables, not by the journal. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Entry = Mapping[str, Any]
OWED: Final = "callback_open"


@dataclass(frozen=True, slots=True)
class Tables:
    """Of some calls: the outcome of each, and those on the callback list, as often as they are there. Or what it is for
    which they cannot be read."""

    outcomes: Mapping[str, str]
    listed: Sequence[str]
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Compared:
    """How many calls the tables hold, how many of these their list has, and what is not as in the journal."""

    calls: int
    listed: int
    differences: tuple[str, ...]


def folded(journal: Iterable[Entry]) -> dict[str, str]:
    """The outcome of each call, by the journal."""
    return {entry["call_id"]: entry["outcome"] for entry in journal if entry["event"] == "outcome"}


def compared(journal: Iterable[Entry], tables: Tables) -> Compared:
    """Outcomes call by call, so that sums are equal too; and the list, where each call that is owed stands once."""
    if tables.trouble:
        return Compared(0, 0, (tables.trouble,))
    by_journal = folded(journal)
    differences = [
        f"{call_id}: the journal has it {told or 'nowhere'}, the ledger's tables {kept or 'nowhere'}"
        for call_id in sorted(by_journal.keys() | tables.outcomes.keys())
        if (told := by_journal.get(call_id, "")) != (kept := tables.outcomes.get(call_id, ""))
    ]
    owed = {call_id for call_id, outcome in by_journal.items() if outcome == OWED}
    times = Counter(tables.listed)
    for call_id in sorted(owed | times.keys()):
        if call_id not in times:
            differences.append(f"{call_id}: a callback is owed, and the ledger's list does not have it")
        elif call_id not in owed:
            differences.append(f"{call_id}: it is on the ledger's list, and no callback is owed")
        elif times[call_id] > 1:
            differences.append(f"{call_id}: it is on the ledger's list {times[call_id]} times")
    return Compared(len(tables.outcomes), len(tables.listed), tuple(differences))


def uneven(by_journal: Iterable[str], sums: Mapping[str, int]) -> list[str]:
    """Of the outcomes of all calls there are: which of them the tables have more often or less often."""
    told = Counter(by_journal)
    return [
        f"the journal has {told[outcome]} calls {outcome}, the ledger's tables {sums.get(outcome, 0)}"
        for outcome in sorted(told.keys() | sums.keys())
        if told[outcome] != sums.get(outcome, 0)
    ]
