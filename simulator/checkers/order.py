"""The facts of one leg come to the journal in their order (J5, J6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from loadtest.witness import NUMBERED_BY_KIND
from simulator.checkers.evidence import Evidence
from simulator.checkers.finding import Finding
from simulator.injuries import FAMILIES

EXCUSED: Final = frozenset(
    kind.name
    for family in ("process", "kafka", "disk", "network", "clock")
    for kind in FAMILIES[family]
    if kind.name not in ("kafka_gone", "kafka_deaf", "kafka_late", "compacted", "clock_skew", "clock_jump")
)
"""A process that dies leaves facts in several hands, and a Kafka that answers some appends and not others takes a later
one before an earlier one is known to be refused."""


def in_order(evidence: Evidence) -> Iterator[Finding]:
    """A key's later facts wait behind its earlier ones."""
    if any(injury.kind in EXCUSED for injury in evidence.seen.injuries):
        return
    for call in evidence.calls.values():
        newest: dict[tuple[int, str], int] = {}
        for fact in call.facts:  # by offset, each where it came first
            key = (fact["leg"], fact["writer"])
            if fact["writer"] in NUMBERED_BY_KIND:
                continue
            if fact["seq"] < newest.get(key, -1):
                words = f"fact {fact['seq']} of leg {fact['leg']} by {fact['writer']} came behind fact {newest[key]}"
                yield Finding("order", call.call_id, words)
            newest[key] = max(fact["seq"], newest.get(key, -1))
