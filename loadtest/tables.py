"""The tables of a run, the same while it goes on and at its end: calls by phase, the PSAPs that fail, what dies.

Each fits a terminal of 80 columns with every heading and figure whole; names of PSAPs may be cut there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple

from rich import box
from rich.table import Table
from rich.text import Text

from loadtest.call_seen import Went
from loadtest.deaths import DeathSeen
from loadtest.policy_pushed import PushTold
from loadtest.scene import FaultSeen, Scene, in_words
from loadtest.story import FAULT_TEXTS, Phase

PSAP_COLUMNS = 17


def phases_table(scene: Scene, phases: Sequence[Phase] | None = None) -> Table:
    """Calls by outcome and the delay that callers felt: a row for each phase, or for each of `phases`; one for all."""
    table = _table("What callers felt, by phase; milliseconds from the first offer", between=0)
    table.add_column("phase", no_wrap=True)
    for heading in ("\ncalls", "own\nPSAP", "other\nPSAP", "admin\nline", "hung\nup", "in\nhand"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("ringing\nmedian", "\nworst", "answer\nmedian", "\nworst"):
        table.add_column(heading, justify="right", no_wrap=True)
    for phase in (*(scene.phases if phases is None else phases), None):
        if phase is None:
            table.add_section()
        went = scene.outcomes(phase)
        lines = went[Went.OWN_LINE] + went[Went.ALTERNATE_LINE] + went[Went.REGION_LINE]
        left = went[Went.LEFT] + went[Went.REFUSED]
        counts = (sum(went.values()), went[Went.OWN], went[Went.ALTERNATE], lines, left, went[Went.IN_HAND])
        ringing, answer = scene.to_ringing(phase), scene.to_answer(phase)
        delays = (ringing.median_ms, ringing.worst_ms, answer.median_ms, answer.worst_ms)
        table.add_row(phase.name if phase is not None else "all", *map(str, counts), *map(_figure, delays))
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


def deaths_table(scene: Scene) -> Table:
    """What was killed, and what callers felt: the calls in hand at that moment and those offered until it was back.

    How many of them had to do without what, in the order of `Degraded`; and how long it took at worst until somebody
    rang for them, or rang again.
    """
    table = _table("What died, and what callers felt; milliseconds to ringing", between=0)
    table.add_column("what\ndied", no_wrap=True)
    table.add_column("gone from\nto, s", no_wrap=True)
    headings = ("in\nhand", "new\ncalls", "not\nscreened", "own\natlas", "second\nleg", "at\nrisk", "not\ndurable")
    for heading in (*headings, "ringing\nworst"):
        table.add_column(heading, justify="right", no_wrap=True)
    for death in scene.deaths.values():
        struck = scene.struck(death)
        counts = (len(death.in_hand), len(struck) - len(death.in_hand), *astuple(scene.degraded_in(death)))
        cells = ["-"] * 8 if death.died_ms is None else [*map(_figure, (*counts, scene.felt_of(death).worst_ms))]
        table.add_row(death.killing.victim, _gone(scene, death), *cells)
    return table


def policy_words(push: PushTold) -> str:
    """What the bad policy could do, and what became of it."""
    seen = push.seen
    codes = ["not given" if each is None else f"exit code {each.code}" for each in (seen.replay, seen.unforced)]
    gates = (
        f"A bad policy, by its gates: replay {codes[0]}, promote {codes[1]}; {push.touched} live calls were touched."
    )
    if seen.live_ms is None:
        return f"{gates} [red]Forced past them it never came live.[/]"
    if seen.reverted_ms is None:
        return f"{gates} [red]Forced past them it diverted {push.diverted} calls, and was never taken back.[/]"
    lasted_s = (seen.reverted_ms - seen.live_ms) / 1000
    forced = (
        f"Forced past them by two people it was live for {lasted_s:.1f} s and diverted {push.diverted} calls: a person "
        f"answered {push.answered}, {push.hung_up} hung up. Then it was taken back by itself, and of "
        f"{push.calls_since} calls since {push.diverted_since} were diverted."
    )
    return f"{gates} {forced if push.held else f'[red]{forced}[/]'}"


def _gone(scene: Scene, death: DeathSeen) -> Text:
    if death.died_ms is None:
        return Text("-")
    died_s = scene.second(death.died_ms)
    if death.back_ms is None:
        return Text(f"{died_s:.0f}", style="bold red")
    return Text(f"{died_s:.0f} to {scene.second(death.back_ms):.0f}")


def _figure(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


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
