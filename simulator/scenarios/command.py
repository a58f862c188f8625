"""`throughline scenario`: an outage that happened, played again before a plain filter and before Throughline."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from simulator.scenarios.catalogue import SCENARIOS
from simulator.scenarios.figures import Figures
from simulator.scenarios.playing import play
from simulator.scenarios.promises import ALWAYS, PROMISES, broken
from simulator.scenarios.scenario import Told

EXIT_BROKEN: Final = 1
EXIT_USAGE: Final = 64
FORMAT: Final = 1
_WIDE: Final = 120
_NOTE_LINES_MAX: Final = 3
_ROWS: Final = {
    "offered": "calls offered, redials too",
    "reached_psap": "reached a PSAP",
    "diverted_answered": "diverted, answered by a person",
    "diverted_hung_up": "diverted, hung up first",
    "hung_up": "hung up first, on the callback list",
    "lost": "lost",
    "touched": "touched by a policy",
    "passes_after_s": "s until everything passes",
    "ringing_p50_ms": "ms to ringing, median",
    "ringing_p99_ms": "ms to ringing, p99",
    "quiet_p99_ms": "the same before the strike",
    "answer_p99_ms": "ms to a person, p99",
}
_STRIKES_NOWHERE: Final = ("passes_after_s", "quiet_p99_ms")
assert set(_ROWS) == {each.name for each in fields(Figures)}


def scenario(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which; --list names them.")] = "",
    listed: Annotated[bool, typer.Option("--list", help="Only say which there are.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program instead.")] = False,
) -> None:
    """Play an outage that happened: the same callers before a plain fail-closed filter, and before Throughline.

    The services are the real ones, under virtual time, so that two minutes take seconds; the same run each time. Exit
    code 0 where every promise of the scenario holds, 1 where one does not.

    \b
    Examples:
      throughline scenario --list
      throughline scenario massachusetts-2024
      throughline scenario flood --json
    """
    if listed:
        _list(as_json)
        return
    chosen = SCENARIOS.get(name)
    if chosen is None:
        near = difflib.get_close_matches(name, SCENARIOS)
        meant = f"did you mean {' or '.join(near)}?" if near else "throughline scenario --list names them"
        typer.echo(f"throughline scenario: expected a scenario, got {name!r}; {meant}", err=True)
        raise typer.Exit(EXIT_USAGE)
    told = play(chosen)
    failed = broken(told)
    if as_json:
        typer.echo(json.dumps(as_data(told, failed), indent=2))
    else:
        _show(told, failed, Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE))
    raise typer.Exit(EXIT_BROKEN if failed else 0)


def as_data(told: Told, failed: list[str]) -> Mapping[str, Any]:
    """Everything as plain data."""
    sides = {
        "plain_filter": told.filtered,
        "throughline": told.throughline,
        "throughline_without_flood": told.quiet,
        "plain_filter_flood": told.filtered_flood,
        "throughline_flood": told.flood,
    }
    return {
        "format": FORMAT,
        "scenario": told.scenario.name,
        "holds": not failed,
        "promises": [
            {"promise": each.words, "holds": each.words not in failed}
            for each in (*ALWAYS, *PROMISES[told.scenario.name])
        ],
        "figures": {side: asdict(figures) for side, figures in sides.items() if figures is not None},
        "notes": dict(told.notes),
    }


def _list(as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({each.name: each.here for each in SCENARIOS.values()}, indent=2))
        return
    for each in SCENARIOS.values():
        typer.echo(f"{each.name:<20} {each.here}")


def _show(told: Told, failed: list[str], console: Console) -> None:
    console.print(f"[bold]{told.scenario.name}[/]\nThen: {told.scenario.then}\nHere: {told.scenario.here}\n")
    sides = {"plain filter": told.filtered, "Throughline": told.throughline}
    if told.filtered_flood is not None and told.flood is not None and told.quiet is not None:
        sides = {f"{side}, ordinary": figures for side, figures in sides.items()}
        sides |= {"plain filter, flood": told.filtered_flood, "Throughline, flood": told.flood}
        sides["Throughline, no flood"] = told.quiet
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for side in sides:
        table.add_column(side, justify="right")
    left_out = _STRIKES_NOWHERE if told.scenario.floods else ()
    for name, words in _ROWS.items():
        if name in left_out:
            continue
        table.add_row(words, *(_figure(getattr(figures, name)) for figures in sides.values()))
    console.print(table)
    console.print()
    for key, value in told.notes.items():
        if key != "mistakes" or value:
            console.print(f"{key}: {_note(value)}", markup=False)
    console.print()
    for each in (*ALWAYS, *PROMISES[told.scenario.name]):
        console.print(f"{'BROKEN' if each.words in failed else 'holds '}  {each.words}", markup=False)


def _figure(value: float | None) -> str:
    return "not in this run" if value is None else f"{value:,}"


def _note(value: object) -> str:
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        more = f" (and {len(value) - _NOTE_LINES_MAX} more)" if len(value) > _NOTE_LINES_MAX else ""
        return "; ".join(value[:_NOTE_LINES_MAX]) + more
    return str(value)
