"""Real processes, hurt on purpose, and what their callers lost. docs/reliability.md says what each kind of fault does.

Exit codes: 0 nothing was lost; 1 something was lost, connected twice, a patient caller reached nobody, or the witnesses
or the ledger's tables disagree (or, for `soak`, something grew); 2 it could not be run; 130 interrupted, with all that
was judged on record. Whoever starts it can give it a lifeline (services/host/lifeline.py): it ends with them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from chaos.links import enter, why_not
from chaos.paper import PAPER, of_one_version, write
from chaos.record import RUNS, Setting, read
from chaos.run import Run
from chaos.schedule import Kind, Lengths, schedule
from chaos.soak import Watcher, growths
from chaos.soak_report import show_growth
from chaos.strikes import Striker
from chaos.whole import Folder, replicas, whole
from deploy.kafka import CannotStart, jars
from loadtest.children import ChildEnded
from services.host.lifeline import Held, hold
from services.host.settings import ROOT
from services.host.stop import Stop
from services.launch.child import ChildFailed

EXIT_NOT_SOUND: Final = 1
EXIT_NOT_RUN: Final = 2
EXIT_INTERRUPTED: Final = 130
ENDS_WITHIN_S: Final = 10.0
"""After a signal or the parent's end. Whatever hangs then is not waited for: it holds the lifeline."""
SHORT_MINUTES: Final = 10.0
SHORT_BROKER_PAUSE_S: Final = 10.0
SOAK_ROUND_S: Final = 60.0
KILLS_IN_A_ROW: Final = 24
"""In a run of nothing but kills, whose rounds need not be short."""

app = typer.Typer(
    add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, help=__doc__
)


def say(line: str) -> None:
    """Progress, at once."""
    print(line, flush=True)


@app.callback()
def chaos() -> None:
    """See `--help` of each command."""


@app.command()
def run(
    minutes: Annotated[float, typer.Option(min=0.05, help="How long; the round that then goes on is finished.")] = 5.0,
    seed: Annotated[int, typer.Option(help="Of the schedule, the callers and their places.")] = 1,
    rate: Annotated[int, typer.Option(min=1, help="Calls a second.")] = 20,
    kafka_gone: Annotated[float, typer.Option(min=1, help="Seconds that Kafka is gone.")] = 60.0,
    only: Annotated[list[Kind] | None, typer.Option(help="Only this kind; give it again for more.")] = None,
    out: Annotated[Path | None, typer.Option(help="Keep logs and witnesses' files in this new folder.")] = None,
    runs: Annotated[Path, typer.Option(help="The file that every judged round is appended to.")] = RUNS,
) -> None:
    """Hurt an installation of real processes by a seeded schedule, and let three witnesses say what callers lost.

    The ledger's tables must then say what the journal does, and its list hold each caller who is owed a callback.
    A patient caller whose call was accepted must have reached a person.

    A three-broker Kafka, two of each service (one ledger), every PSAP, and callers. A paused process stands still for
    30 s; so does a broker, in runs shorter than ten minutes for 10 s.

    \b
    Examples:
      throughline chaos run --minutes 5 --seed 7
      throughline chaos run --only kill --minutes 30
      throughline chaos run --only kafka-gone --kafka-gone 600
    """
    if out is not None and out.exists():
        say(f"{out} is there already; name a new folder for --out")
        raise typer.Exit(EXIT_NOT_RUN)
    no_namespaces = _separate()
    broker_pause_s = SHORT_BROKER_PAUSE_S if minutes < SHORT_MINUTES else Lengths().broker_pause_s
    kinds = only or list(Kind)
    kills = KILLS_IN_A_ROW if kinds == [Kind.KILL] else Lengths().kills
    rounds = list(schedule(seed, minutes * 60, replicas(), kinds, Lengths(kafka_gone, broker_pause_s, kills=kills)))
    setting = Setting.here(_command(), seed, minutes, rate)

    async def all_of_it(held: Held) -> int:
        with Folder(out) as folder:
            say(f"seed {seed}: {len(rounds)} rounds, {rounds[-1].ends_s:.0f} s of callers; bringing everything up")
            async with whole(folder.path, seed, namespaces=not no_namespaces, above=held) as everything:
                striker = Striker(everything.stage, everything.links)
                run = Run(setting, everything.stage, striker, everything.accounts, say, runs.resolve())
                try:
                    await run.run(rounds)
                finally:
                    folder.keep |= not run.totals.sound
                    if folder.keep:
                        say(f"logs and witnesses' files: {folder.path}")
            say(f"{run.totals}")
        return 0 if run.totals.sound else EXIT_NOT_SOUND

    raise typer.Exit(_until_stopped(all_of_it))


@app.command()
def soak(
    hours: Annotated[float, typer.Option(min=0.01, help="How long.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the callers and their places.")] = 1,
    rate: Annotated[int, typer.Option(min=1, help="Calls a second.")] = 20,
    out: Annotated[Path, typer.Option(help="Where samples.jsonl and soak.svg are written.")] = ROOT / "build" / "soak",
) -> None:
    """The same load without faults; ends with a table and a plot of what each process holds.

    Looked at: resident memory, open file descriptors, tasks, facts that wait for Kafka, and the spool.

    Exit code 1 if one of these of one process grew by more than 5 % after the first tenth of the run (or by what the
    coming and going of calls explains, where that is more), or a call was lost.
    Example: throughline chaos soak --hours 0.05
    """
    no_namespaces = _separate()
    rounds = list(schedule(seed, hours * 3600, replicas(), [Kind.CALM], Lengths(calm_s=SOAK_ROUND_S)))
    setting = Setting.here(_command(), seed, hours * 60, rate)

    async def all_of_it(held: Held) -> int:
        written = out.resolve()
        written.mkdir(parents=True, exist_ok=True)
        for old in written.glob("*.jsonl"):
            old.unlink()
        with Folder(None) as folder:
            say(f"soak for {hours:g} hours: bringing everything up")
            async with whole(folder.path, seed, namespaces=not no_namespaces, above=held) as everything:
                striker = Striker(everything.stage, everything.links)
                run = Run(setting, everything.stage, striker, everything.accounts, say, written / "rounds.jsonl")
                watcher = Watcher(everything.stage, written / "samples.jsonl")
                watching = asyncio.create_task(watcher.watch())
                try:
                    await run.run(rounds)
                finally:
                    watching.cancel()
            folder.keep |= not run.totals.sound
        grown = growths(watcher.samples)
        show_growth(grown, watcher.samples, written)
        return 0 if run.totals.sound and not any(each.leaks for each in grown) else EXIT_NOT_SOUND

    raise typer.Exit(_until_stopped(all_of_it))


@app.command()
def paper(
    runs: Annotated[Path, typer.Option(help="The rounds to add up.")] = RUNS,
    commit: Annotated[str, typer.Option(help="Of this commit of the code; without it, of the one run last.")] = "",
) -> None:
    """Add the recorded rounds of one commit up, and write them into docs/reliability.md.

    Rounds of other commits, and of files that differ from every commit, are left out: they measure something else.

    Example: throughline chaos paper
    """
    every = list(read(runs)) if runs.is_file() else []
    rows = of_one_version(every, commit)
    if not rows:
        of = f" of commit {commit}" if commit else ""
        say(f"{runs} holds no rounds{of} to add up; the paper is left as it is (throughline chaos run writes them)")
        raise typer.Exit(EXIT_NOT_RUN)
    write(rows)
    told = f"{len(rows)} rounds of {len({row['run'] for row in rows})} runs are in {PAPER.relative_to(ROOT)}"
    say(f"{told}; {len(every) - len(rows)} rounds of other code are left out")


def _separate() -> str:
    """Goes on in namespaces of its own; where that cannot be, says why, and goes on without.

    Kafka's jars come first: from inside, the network that they are fetched from is out of reach.
    """
    try:
        jars.class_path(say)
    except CannotStart as why_no_kafka:
        say(f"chaos could not be run: {why_no_kafka}")
        raise typer.Exit(EXIT_NOT_RUN) from None
    why = why_not()
    if why:
        say(f"no network namespaces ({why}): networks are not hurt, and no disk is filled")
    else:
        enter(["-m", "chaos", *_words()])
    return why


def _words() -> list[str]:
    """What was said after `throughline chaos`, or after `python -m chaos`."""
    words = sys.argv[1:]
    return words[1:] if words[:1] == ["chaos"] else words


def _command() -> str:
    """As it goes on record: where files were kept is this machine's own business."""
    words = _words()
    for option in ("--out", "--runs"):
        if option in words:
            at = words.index(option)
            del words[at : at + 2]
    return " ".join(["throughline chaos", *words])


def _until_stopped(coming: Callable[[Held], Coroutine[Any, Any, int]]) -> int:
    """Runs it; Ctrl-C, SIGTERM and the parent's end end it in good order, a second signal at once."""

    logging.disable(logging.CRITICAL)  # what libraries say of a Kafka that we killed ourselves
    stop = Stop()
    held = hold(lambda: stop.ask("parent_gone", ENDS_WITHIN_S), grace_s=ENDS_WITHIN_S)

    def on_signal(number: signal.Signals) -> None:
        if not stop.ask(number.name, ENDS_WITHIN_S):
            os._exit(EXIT_INTERRUPTED)
        late = threading.Timer(ENDS_WITHIN_S, os._exit, (EXIT_INTERRUPTED,))  # a thread: what hangs may be the loop
        late.daemon = True
        late.start()

    async def stoppable() -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, on_signal, number)
        running, asked = asyncio.ensure_future(coming(held)), asyncio.ensure_future(stop.wait())
        await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        running.cancel()
        return await running

    try:
        return asyncio.run(stoppable())
    except asyncio.CancelledError:
        say("interrupted; everything that was started has ended, and what was judged is on record")
        return EXIT_INTERRUPTED
    except (CannotStart, ChildFailed, ChildEnded) as why:
        say(f"chaos could not be run: {why}")
        return EXIT_NOT_RUN
