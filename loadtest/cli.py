"""The load tester's commands: `throughline demo` and `throughline replay`."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.kafka import CannotStart
from loadtest.children import ChildEnded
from loadtest.demo import Demo, Told, Wanted
from loadtest.report import as_json, show
from loadtest.view import View
from services.launch.child import ChildFailed
from services.readers.reading import NoJournal

PLAIN_WIDTH = 110
EXIT_NOT_SOUND = 1
EXIT_NOT_TOLD = 2
EXIT_INTERRUPTED = 130


class Witness(StrEnum):
    """Whose account is to lose a record."""

    CALLER = "caller"
    FAR_END = "far-end"
    JOURNAL = "journal"


def demo(
    seed: Annotated[int, typer.Option(help="Of places, people's delays and which PSAPs fail.")] = 1,
    report: Annotated[Path | None, typer.Option(help="Write everything there as JSON (docs/report.md).")] = None,
    lie: Annotated[
        Witness | None, typer.Option(help="Leave one record out of this witness; must be found out.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Run in this new folder and keep it: logs, witnesses' files.")
    ] = None,
    plain: Annotated[bool, typer.Option(help="Lines instead of the live view, on a terminal too.")] = False,
) -> None:
    """A real Kafka, every service, a storm of callers, four failing PSAPs, three witnesses: in under two minutes.

    Exit code 0 only if every accepted call is accounted for by all three and the books balance.
    Example: throughline demo --seed 3 --report build/report.json
    """
    console = Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)
    try:
        told = asyncio.run(_demo(Wanted(seed, lie.value if lie else None, folder), console, plain))
    except KeyboardInterrupt:
        console.print("interrupted; everything that was started has ended")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except (CannotStart, ChildFailed, ChildEnded, NoJournal, FileExistsError, ValueError) as error:
        console.print(f"[red]The story could not be told:[/] {error}", highlight=False)
        raise typer.Exit(EXIT_NOT_TOLD) from None
    show(told, console)
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(json.dumps(as_json(told), indent=2) + "\n")
    raise typer.Exit(0 if told.sound else EXIT_NOT_SOUND)


async def _demo(wanted: Wanted, console: Console, plain: bool) -> Told:
    """Runs it; SIGTERM ends it as Ctrl-C does."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    view: View | None = None
    story = Demo(wanted, lambda words: view.step(words) if view is not None else None)
    view = View(story.scene, wanted.seed, len(story.calls), console)
    try:
        async with view.shown(plain=plain):
            return await story.run()
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
