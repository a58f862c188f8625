"""`throughline`: every command of the project, loaded when it is asked for, so that `--help` is quick.

`run` holds its parent's lifeline before anything heavy is imported: a service ends with whoever started it.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import Final

import typer

from services.host.lifeline import EXIT_ORPHANED, GRACE_S, hold
from services.host.stop import Stop
from services.launch.catalogue import SERVICES


@dataclass(frozen=True, slots=True)
class Later:
    """A command that another module holds; `text` is its line in `--help`."""

    module: str
    attribute: str
    text: str


LATER: Final = {
    "up": Later("services.launch.commands", "up", "Run everything here, Kafka included, until Ctrl-C."),
    "doctor": Later("services.launch.commands", "doctor", "Say what is wrong with an installation, and what to do."),
    "topics": Later("services.launch.commands", "topics", "Make Kafka's topics what they should be."),
    "routing": Later("services.launch.routing_commands", "routing", "Publish a region: its places, PSAPs and lines."),
    "policy": Later("services.policy_cli.commands", "policy", "Lead a policy from an idea to live, and back."),
    "demo": Later("loadtest.cli", "demo", "The whole story on real input, in about four minutes."),
    "chaos": Later("chaos.cli", "app", "Hurt an installation of real processes on purpose, and count what is lost."),
    "replay": Later("loadtest.cli", "replay", "Replay a trace of calls against a running installation."),
    "simulate": Later("simulator.cli", "simulate", "Schedules of failures over the real services, virtual time."),
    "scenario": Later(
        "simulator.scenarios.command", "scenario", "Play an outage that happened, and what becomes of it."
    ),
    "balance": Later("services.readers.commands", "balance", "Read the journal and balance the books."),
    "tail": Later("services.readers.commands", "tail", "Show events as they come."),
    "callbacks": Later("services.ledger.commands", "callbacks", "The list of people to ring back."),
}


app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Throughline, an emergency-call routing backbone. Try: throughline demo",
)


def _forward(name: str, later: Later) -> None:
    """A command that hands its words, `--help` among them, to the module that holds it."""

    def forward(context: typer.Context) -> None:
        held = getattr(importlib.import_module(later.module), later.attribute)
        if not isinstance(held, typer.Typer):
            single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
            single.command(name)(held)
            held = single
        held(args=context.args, prog_name=f"throughline {name}")

    words = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(name, help=later.text, add_help_option=False, context_settings=words)(forward)


for _name, _later in LATER.items():
    _forward(_name, _later)


@app.command()
def run(name: str = typer.Argument(help=f"One of: {', '.join(SERVICES)}.")) -> None:
    """Run one service in the foreground until SIGTERM or Ctrl-C.

    Its settings come from the environment; docs/configuration.md lists them all.
    Example: THROUGHLINE_KAFKA=127.0.0.1:9092 throughline run firewall
    """
    chosen = SERVICES.get(name.replace("-", "_"))
    if chosen is None:
        typer.echo(f"throughline run: expected one of {', '.join(SERVICES)}; got {name!r}", err=True)
        raise typer.Exit(64)
    stop = Stop()

    def orphaned() -> None:
        if not stop.awaited:
            os._exit(EXIT_ORPHANED)  # nothing is served yet, so nothing is drained
        stop.ask("parent_gone", GRACE_S / 2)

    hold(orphaned)

    from services.host.kafka_settings import access_of
    from services.host.run import run as run_service
    from services.host.settings import ServiceSettings
    from services.journal.kafka import KafkaLog

    def log(settings: ServiceSettings) -> KafkaLog:
        return KafkaLog(",".join(settings.kafka), client_id=settings.name, access=access_of(settings))

    raise typer.Exit(run_service(chosen.load_settings(), chosen.load_service(), log, stop))


def main() -> None:
    """The console script."""
    app()


if __name__ == "__main__":
    main()
