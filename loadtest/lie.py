"""A lie, to see that the comparer finds it out: an account less one record that somebody must miss."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from loadtest.call_told import Connection, Entry
from loadtest.witness import JOURNAL_CONNECTS

_MATTERS: Final[Mapping[str, Callable[[Entry], bool]]] = {
    "caller": lambda entry: entry["event"] in ("offered", "connected", "hung_up"),
    "far-end": lambda entry: entry["event"] == "connected",
    "journal": lambda entry: entry.get("kind") in ("offered", "answered", "diverted", "abandoned"),
}


def _told_once(entries: Sequence[Entry]) -> Callable[[Entry], bool]:
    """Whether an entry stands alone: a conductor's last fact before it died would be missed by nobody where it is its
    first too, nor would its connection where another has it as well."""
    facts = [entry for entry in entries if entry["event"] == "fact"]
    legs = Counter((fact["call_id"], fact["leg"], fact["writer"]) for fact in facts)
    connects = Counter((fact["call_id"], Connection.of(fact)) for fact in facts if fact["kind"] in JOURNAL_CONNECTS)

    def alone(entry: Entry) -> bool:
        if entry.get("kind") in JOURNAL_CONNECTS:
            return connects[entry["call_id"], Connection.of(entry)] == 1
        return entry.get("kind") != "offered" or legs[entry["call_id"], entry["leg"], entry["writer"]] > 1

    return alone


def without_one(witness: str, entries: Sequence[Entry], seed: int) -> tuple[list[Entry], Entry]:
    """The entries of `witness` less one that matters, and that one. Raises ValueError where there is none to drop."""
    alone = _told_once(entries)
    candidates = [index for index, entry in enumerate(entries) if _MATTERS[witness](entry) and alone(entry)]
    if not candidates:
        raise ValueError(f"the {witness} has no entry that could be left out")
    dropped = candidates[(seed * 7919) % len(candidates)]
    return [*entries[:dropped], *entries[dropped + 1 :]], entries[dropped]
