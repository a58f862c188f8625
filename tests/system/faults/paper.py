"""Writes the figures of build/failure-modes.json into the table of docs/failure-modes.md.

    python -m tests.system.faults.paper

Only what stands between the two marks is written; what a person wrote around it stays.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from services.host.settings import ROOT
from tests.system.faults.rig import FIGURES

PAPER = ROOT / "docs" / "failure-modes.md"
BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->\n"
DELAYS = {
    "added": "added",
    "to_ringing": "offer to ringing",
    "to_come": "offer to ringing, calls to come",
    "in_hand": "to the next ringing, calls ringing there",
    "rings_again": "to the next ringing, calls in hand",
    "to_the_list": "to the callback list",
}


def rows(figures: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """One line for each delay of each fault."""
    yield "| fault | delay | calls | median, ms | p99, ms | worst, ms | accepted | load |\n"
    yield "|---|---|---|---|---|---|---|---|\n"
    for fault, told in sorted(figures.items(), key=lambda each: each[0].lower()):
        accepted = ", ".join(f"{count} {word or 'never'}" for word, count in sorted(told.get("accepted", {}).items()))
        for name, words in DELAYS.items():
            if name in told:
                felt = told[name]
                numbers = " | ".join(f"{felt[key]:.0f}" for key in ("calls", "median_ms", "p99_ms", "worst_ms"))
                yield f"| {fault} | {words} | {numbers} | {accepted} | {told['load_average']} |\n"


def heading(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """When, where and how, in a sentence."""

    def each(key: str) -> str:
        return ", ".join(sorted({str(told[key]) for told in figures.values()}))

    return f"Measured {each('measured')} on {each('cores')} cores by `{each('command')}`, seed {each('seed')}.\n\n"


def main() -> None:
    figures = json.loads(FIGURES.read_text())
    before, _, rest = PAPER.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAPER.write_text("".join([before, BEGIN, "\n", heading(figures), *rows(figures), "\n", END, after]))


if __name__ == "__main__":
    main()
