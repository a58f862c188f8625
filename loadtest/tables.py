"""The two tables of a run, the same while it goes on and at its end: calls by phase, and the PSAPs that fail.

Both fit a terminal of 80 columns with every heading and figure whole; names of PSAPs may be cut there.
"""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.table import Table
from rich.text import Text

from loadtest.scene import FaultSeen, Scene, Went, each_phase, in_words
from loadtest.story import FAULT_TEXTS

PSAP_COLUMNS = 17


def phases_table(scene: Scene) -> Table:
    """Calls by outcome and the delay that callers felt, a row a phase and one for all."""
    table = _table("What callers felt, by phase; milliseconds from the first offer", between=0)
    table.add_column("phase", no_wrap=True)
    for heading in ("\ncalls", "own\nPSAP", "other\nPSAP", "admin\nline", "hung\nup", "in\nhand"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("ringing\nmedian", "\nworst", "answer\nmedian", "\nworst"):
        table.add_column(heading, justify="right", no_wrap=True)
    for phase in each_phase():
        if phase is None:
            table.add_section()
        went = scene.outcomes(phase)
        lines = went[Went.OWN_LINE] + went[Went.ALTERNATE_LINE] + went[Went.REGION_LINE]
        left = went[Went.LEFT] + went[Went.REFUSED]
        counts = (sum(went.values()), went[Went.OWN], went[Went.ALTERNATE], lines, left, went[Went.IN_HAND])
        ringing, answer = scene.to_ringing(phase), scene.to_answer(phase)
        delays = (ringing.median_ms, ringing.worst_ms, answer.median_ms, answer.worst_ms)
        cells = ["-" if delay is None else f"{delay:,}" for delay in delays]
        table.add_row(phase.name if phase is not None else "all", *map(str, counts), *cells)
    return table


def failures_table(scene: Scene) -> Table:
    """Where the calls of the PSAPs that fail went."""
    table = _table("Where the calls of the four PSAPs went", between=1)
    table.add_column("PSAP", no_wrap=True, max_width=PSAP_COLUMNS)
    table.add_column("what fails", no_wrap=True)
    for heading in ("rang when\nit failed", "new, while\nit failed", "new, since\nit is back"):
        table.add_column(heading, no_wrap=True)
    for fault in scene.faults.values():
        table.add_row(
            f"{fault.stricken.psap_id} {fault.stricken.name}",
            _state(fault),
            _stacked(scene.went_in_hand(fault)),
            _stacked(scene.went_while(fault)),
            _stacked(scene.went_after(fault)),
        )
    return table


def _table(title: str, *, between: int) -> Table:
    """`between`: blanks more than one between two columns."""
    return Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, between, 0, 0),
        pad_edge=False,
        show_edge=False,
    )


def _state(fault: FaultSeen) -> Text:
    text = FAULT_TEXTS[fault.stricken.fault]
    if fault.struck_s is None:
        return Text(fault.state)
    if fault.healed_s is None:
        return Text(f"{text}\nsince {fault.struck_s:.0f} s", style="bold red")
    return Text(f"{text}\n{fault.struck_s:.0f} to {fault.healed_s:.0f} s")


def _stacked(went: Mapping[Went, int]) -> str:
    return in_words(went).replace(", ", "\n")
