"""What a soak came to: a table on the terminal, and a plot beside the samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from chaos.plot import svg
from chaos.soak import MEASURES, Growth, Sample

WIDTH: Final = 110
HEADINGS: Final = {
    "memory_mb": "resident memory, MB",
    "descriptors": "open file descriptors",
    "tasks": "tasks",
    "queued_facts": "facts that wait for Kafka",
    "spool_kb": "spool, kB",
}


def show_growth(grown: Sequence[Growth], samples: Sequence[Sample], folder: Path) -> None:
    """Prints the table, and writes soak.svg."""
    console = Console(width=WIDTH, highlight=False)
    table = Table("process", "what", title="after the warm-up, and at the end", title_justify="left")
    for column in ("begin", "end", "growth, %"):
        table.add_column(column, justify="right")
    table.add_column("")
    for each in grown:
        if each.begin or each.end:
            told = f"more than by {each.allowed:,.1f}" if each.leaks else ""
            numbers = (
                f"{each.begin:,.1f}",
                f"{each.end:,.1f}",
                f"{100 * each.share:+.1f}" if each.begin else "from nothing",
            )
            table.add_row(each.name, HEADINGS[each.measure], *numbers, told)
    console.print(table)
    (folder / "soak.svg").write_text(plotted(samples), "utf-8")
    console.print(f"samples and soak.svg: {folder}")


def plotted(samples: Sequence[Sample]) -> str:
    """One picture for each measure."""
    names = sorted({sample.name for sample in samples})
    pictures = {
        HEADINGS[measure]: {
            name: [(each.at_s, getattr(each, measure)) for each in samples if each.name == name] for name in names
        }
        for measure in MEASURES
    }
    minutes = max((sample.at_s for sample in samples), default=0.0) / 60
    return svg(f"Throughline under a steady load for {minutes:.0f} minutes", pictures)
