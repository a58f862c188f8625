"""The two tables of a run, the same while it goes on and at its end: calls by phase, and the PSAPs that fail."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from loadtest.scene import FaultSeen, Scene, Went, each_phase, in_words
from loadtest.story import FAULT_TEXTS


def phases_table(scene: Scene) -> Table:
    """Calls by outcome and the delay that callers felt, a row a phase and one for all."""
    table = Table(title="What callers felt, by phase; milliseconds from the first offer", title_justify="left")
    table.add_column("phase")
    for heading in ("calls", "own\nPSAP", "other\nPSAP", "admin.\nline", "hung\nup", "in\nhand"):
        table.add_column(heading, justify="right")
    for heading in ("to ringing:\nmedian", "\nworst", "to answer:\nmedian", "\nworst"):
        table.add_column(heading, justify="right")
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
    table = Table(title="Where the calls of the four PSAPs went", title_justify="left")
    for heading in (
        "PSAP",
        "what fails",
        "rang there when\nit failed",
        "called while\nit failed",
        "called since\nit is back",
    ):
        table.add_column(heading)
    for fault in scene.faults.values():
        table.add_row(
            f"{fault.stricken.name} ({fault.stricken.psap_id})",
            _state(fault),
            _stacked(scene.went_in_hand(fault)),
            _stacked(scene.went_while(fault)),
            _stacked(scene.went_after(fault)),
        )
    return table


def _state(fault: FaultSeen) -> Text:
    text = FAULT_TEXTS[fault.stricken.fault]
    if fault.struck_s is None:
        return Text(fault.state)
    if fault.healed_s is None:
        return Text(f"{text}, since {fault.struck_s:.0f} s", style="bold red")
    return Text(f"{text}, {fault.struck_s:.0f} to {fault.healed_s:.0f} s")


def _stacked(went: Mapping[Went, int]) -> str:
    return in_words(went).replace(", ", "\n")
