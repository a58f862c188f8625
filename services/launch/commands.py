"""`throughline up`, `doctor` and `topics`: an operator's commands, at the edge of the world.

Exit codes: 0 all is well; 1 a child died, or the doctor found something; 64 settings that cannot be used; 66 no such
region, or a file that the settings name and that cannot be used; 69 Kafka does not answer or cannot be started; 70 a
service did not come up.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from services.host.addresses import checked
from services.host.exits import EXIT_FILE, EXIT_UNAVAILABLE
from services.host.stop import Stop

EXIT_WRONG: Final = 1
EXIT_CHILD: Final = 70
_KAFKA: Final = "127.0.0.1:9092"

Kafka = Annotated[
    str,
    typer.Option(
        envvar="THROUGHLINE_KAFKA",
        metavar="HOST:PORT",
        callback=checked,
        help="Bootstrap servers, separated by commas.",
    ),
]


def _hush() -> None:
    """Libraries say nothing to an operator's terminal: what matters of it is told in our words."""
    logging.disable(logging.CRITICAL)


def say(line: str) -> None:
    """Progress: standard output is for results."""
    print(line, file=sys.stderr, flush=True)


def up(
    kafka: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", callback=checked, help="Use this Kafka; otherwise one is started here."),
    ] = None,
    brokers: Annotated[int, typer.Option(help="Brokers of the Kafka that is started here: 1 or 3.")] = 1,
    trunk: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST:PORT", callback=checked, help="A trunk that dials lines; give it again for more."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where logs, tokens, ledger and Kafka's data stay; without it nothing stays.")
    ] = None,
    region: Annotated[Path | None, typer.Option(help="The region's folder. Default: Massachusetts.")] = None,
) -> None:
    """Run everything on this machine, Kafka included, in the foreground, until Ctrl-C.

    Each service is a process of its own on a free port; the table says where. A second Ctrl-C ends all at once.

    Examples: throughline up; throughline up --brokers 3 --folder build/mine; throughline up --kafka 127.0.0.1:9092
    """
    from services.host.kafka_settings import commands_access
    from services.host.lifeline import GRACE_S, hold
    from services.host.settings import ROOT
    from services.journal.kafka_access import PLAIN_TEXT
    from services.launch.foreground import Foreground, NoStart

    _hush()
    if brokers not in (1, 3):
        raise typer.BadParameter("expected 1 or 3", param_hint="--brokers")
    region_dir = (region or ROOT / "data" / "massachusetts").resolve()
    if not (region_dir / "psaps.csv").is_file():
        say(f"expected a region's folder with psaps.csv; {region_dir} has none")
        raise typer.Exit(EXIT_FILE)
    stop = Stop()
    held = hold(lambda: stop.ask("parent_gone", GRACE_S / 2))
    access = commands_access() if kafka else PLAIN_TEXT
    foreground = Foreground(held, stop, kafka, access, brokers, trunk or [], folder, region_dir, say)
    try:
        died = asyncio.run(foreground.run(_show))
    except NoStart as why:
        say(f"throughline up: {why}")
        raise typer.Exit(EXIT_CHILD if why.a_service else EXIT_UNAVAILABLE) from None
    raise typer.Exit(EXIT_WRONG if died else 0)


def _show(rows: list[tuple[str, str, str, str]], hints: list[str]) -> None:
    """The table of what runs, and what can be done with it."""
    console = Console(highlight=False)
    table = Table("name", "listens", "metrics", "pid", title="Throughline is up; Ctrl-C ends it", title_justify="left")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for hint in hints:
        console.print(hint, soft_wrap=True)


def doctor(kafka: Kafka = _KAFKA) -> None:
    """Say what is wrong with an installation, and what to do: settings, region, brokers, topics, copies, clock.

    Looks at the settings that this environment gives to each service. Writes one probe to a topic of its own, `doctor`,
    to see that records are kept and what time the broker has. Exit code 0 only if nothing is wrong.

    Examples: throughline doctor; THROUGHLINE_KAFKA=broker-1:9092,broker-2:9092 throughline doctor
    """
    from services.launch.checkup import check

    _hush()
    console = Console(highlight=False)
    findings = asyncio.run(check(kafka, dict(os.environ)))
    for finding in findings:
        mark = "[green]well [/green]" if finding.well else "[red]wrong[/red]"
        console.print(f"{mark}  [bold]{finding.subject}[/bold]: ", end="")
        console.print(finding.what, markup=False, soft_wrap=True)
        if finding.remedy:
            console.print(f"       do: {finding.remedy}", markup=False, soft_wrap=True)
    wrong = sum(not finding.well for finding in findings)
    console.print(f"{wrong} of {len(findings)} need something done" if wrong else f"all {len(findings)} are well")
    raise typer.Exit(EXIT_WRONG if wrong else 0)


topics = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@topics.callback()
def _topics() -> None:
    """Kafka's topics, as services/journal/topics.py wants them. Example: throughline topics apply"""


@topics.command("apply")
def topics_apply(kafka: Kafka = _KAFKA) -> None:
    """Create the topics that are missing, and say where the others differ; what is there is never changed.

    Exit code 1 where something differs. Can be run again at any time.

    Example: throughline topics apply --kafka broker-1:9092
    """
    from services.host.kafka_settings import commands_access
    from services.journal import Unavailable
    from services.journal.kafka_topics import apply

    _hush()
    try:
        applied = asyncio.run(apply(kafka, commands_access()))
    except Unavailable as why:
        say(f"throughline topics: {why}")
        raise typer.Exit(EXIT_UNAVAILABLE) from None
    for topic in applied.created:
        typer.echo(f"created {topic}")
    for difference in applied.differences:
        typer.echo(f"differs {difference}")
    if not applied.created and not applied.differences:
        typer.echo("every topic is as it should be")
    raise typer.Exit(EXIT_WRONG if applied.differences else 0)
