"""`throughline callbacks`: the list of people to ring back, for the people who do.

Exit codes: 0 the list was read, whoever is on it; 1 nothing was done for want of a yes; 64 settings that cannot be
used; 69 the database cannot be read.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.host.clock import wall_ms
from services.host.exits import EXIT_SETTINGS, EXIT_UNAVAILABLE
from services.host.settings import Bad, load
from services.ledger.callbacks import Entry, entries
from services.ledger.settings import LedgerSettings
from services.ledger.sql import SqlStore
from services.ledger.store import StoreTrouble

_WIDE: Final = 200
"""Columns where there is no terminal, so that a search finds a line whole."""

T = TypeVar("T")
Database = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="The ledger's database as an SQLAlchemy URL. Default: THROUGHLINE_LEDGER_DATABASE."
    ),
]

callbacks = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="The list of people to ring back. Example: throughline callbacks list",
)


@callbacks.command("list")
def list_callbacks(
    database: Database = None,
    closed: Annotated[bool, typer.Option("--all", help="Also those who are owed a callback no more.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program instead of a table.")] = False,
) -> None:
    """Who is owed a callback: one entry a caller, urgent ones first, then the longest wait.

    Urgent: the caller was cut off when a process of ours died, and nobody else has the call.

    Numbers that cannot be rung back are kept, and marked so. Shows what the ledger has read of the journal so far.

    Examples: throughline callbacks list; throughline callbacks list --all --json;
    throughline callbacks list --database sqlite:///ledger.db
    """
    found = entries(_with_store(database, lambda store: store.callbacks(closed=closed), read_only=True))
    if as_json:
        typer.echo(json.dumps([_as_json(entry) for entry in found], indent=2))
    elif not found:
        typer.echo("nobody is owed a callback")
    else:
        Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE).print(_page(found, wall_ms()))


@callbacks.command("rebuild")
def rebuild(
    database: Database = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it.")] = False,
) -> None:
    """Empty the ledger's tables, so that it makes them again from the journal.

    A ledger that runs on this database meanwhile notices and stops; start it again. The journal must still hold what
    the books should show.

    Example: throughline callbacks rebuild --yes
    """
    if not yes:
        typer.echo(
            "this empties the ledger's tables until it has read the journal again: give --yes to do it", err=True
        )
        raise typer.Exit(1)
    _with_store(database, lambda store: store.forget(), read_only=False)
    typer.echo("the tables are empty; the ledger fills them again when it starts")


def _with_store(database: str | None, work: Callable[[SqlStore], T], *, read_only: bool) -> T:
    try:
        settings = load(LedgerSettings, **({} if database is None else {"database": database}))
        store = SqlStore(settings.database, read_only=read_only)
        try:
            return work(store)
        finally:
            store.close()
    except Bad as bad:
        for each in bad.lines:
            typer.echo(each, err=True)
        raise typer.Exit(EXIT_SETTINGS) from None
    except StoreTrouble as trouble:
        typer.echo(f"{trouble}. Has a ledger run on this database? Say which with --database URL", err=True)
        raise typer.Exit(EXIT_UNAVAILABLE) from None


def _page(found: list[Entry], now_ms: int) -> Table:
    table = Table(
        "since", "waits", "number", "calls", "why", "last call", box=None, pad_edge=False, header_style="bold"
    )
    for entry in found:
        last = entry.calls[-1]
        number = _plain(entry.number) or "none"
        ring = number if entry.can_be_rung_back else f"{number} (cannot be rung back)"
        why = f"{'URGENT: ' * entry.urgent}{last.why}" if entry.open else f"closed: {last.closed_why}"
        waits = _waits(now_ms - entry.opened_at_ms) if entry.open else "-"
        row = (_when(entry.opened_at_ms), waits, ring, str(len(entry.calls)), _plain(why), _plain(last.call_id))
        table.add_row(*map(Text, row), style="bold" if entry.urgent else "" if entry.open else "dim")
    return table


def _as_json(entry: Entry) -> dict[str, Any]:
    return {
        "open": entry.open,
        "urgent": entry.urgent,
        "number": entry.number,
        "can_be_rung_back": entry.can_be_rung_back,
        "opened_at_ms": entry.opened_at_ms,
        "calls": [
            {
                "call_id": call.call_id,
                "opened_at_ms": call.opened_at_ms,
                "why": call.why,
                "urgent": call.urgent,
                "closed_at_ms": call.closed_at_ms,
                "closed_why": call.closed_why,
            }
            for call in entry.calls
        ],
    }


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else "�" for character in text)


def _when(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000).astimezone().isoformat(" ", "seconds")


def _waits(ms: int) -> str:
    seconds = max(0, ms) // 1000
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
