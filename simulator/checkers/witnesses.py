"""Callers, far end and journal tell the same story of each call (loadtest/witness.py)."""

from __future__ import annotations

from collections.abc import Iterator

from loadtest.witness import judge
from simulator.checkers.evidence import Evidence
from simulator.checkers.finding import Finding


def agree(evidence: Evidence) -> Iterator[Finding]:
    """No call is lost, none is connected twice, nobody rings whom the others do not know."""
    for disagreement in judge(evidence.calls, evidence.weather.lost_what_they_wrote()).disagreements:
        yield Finding("three_witnesses", disagreement.call_id, disagreement.words)
