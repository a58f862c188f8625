"""The load tester's commands: `throughline demo` and `throughline replay`."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from deploy.kafka import CannotStart
from loadtest.children import ChildEnded
from loadtest.demo import Demo, Told, Wanted
from loadtest.diary import wall_ms
from loadtest.region_tables import RegionTables
from loadtest.replay import Replay, all_taken
from loadtest.replay import replay as run_replay
from loadtest.report import as_json, show
from loadtest.scene import Scene
from loadtest.view import LINE_EACH_S, View, in_a_line
from loadtest.workload import PlannedCall
from services.host.addresses import checked
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
    short: Annotated[bool, typer.Option(help="The first half only: PSAPs fail, and nothing is killed.")] = False,
) -> None:
    """A real Kafka, every service, a storm of callers; PSAPs fail, processes are killed, Kafka stops, a bad policy is
    pushed; three witnesses: in about four minutes.

    Exit code 0 only if every accepted call is accounted for by all three, the books balance, and the bad policy was
    stopped by its gates and, forced past them, went by itself.
    Example: throughline demo --seed 3 --report build/report.json
    """
    console = Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)
    try:
        told = asyncio.run(_demo(Wanted(seed, lie.value if lie else None, folder, short), console, plain))
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
    view = View(story.scene, _heading(story), console, plain=plain)
    try:
        async with view.shown():
            return await story.run()
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _heading(story: Demo) -> str:
    storm = "the storm of 24 February 2016" if story.wanted.short else "twice the storm of 24 February 2016"
    return f"Throughline, seed {story.wanted.seed}: {len(story.calls)} callers, {storm}"


def replay(
    trace: Annotated[
        Path, typer.Argument(help="CSV with a column ts_call, such as loadtest/bursts/storm-2016-02-24.csv.")
    ],
    ingress: Annotated[
        list[str], typer.Option(callback=checked, help="Where an ingress listens, host:port; may be repeated.")
    ],
    speed: Annotated[float, typer.Option(min=0.001, help="Arrivals come this many times as fast.")] = 1.0,
    human_speed: Annotated[float, typer.Option(min=0.001, help="People are this many times as fast.")] = 1.0,
    real: Annotated[
        bool, typer.Option(help="Send urn:service:sos; an installation marked production refuses it.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of places and people's delays.")] = 1,
    witness: Annotated[Path | None, typer.Option(help="Keep what callers saw in this new file, JSON lines.")] = None,
) -> None:
    """Replay a trace of calls against a running installation, as test calls (urn:service:test.sos).

    Exit code 0 if nobody was refused, and everybody was connected or hung up by themselves.
    Example: throughline replay loadtest/bursts/storm-2016-02-24.csv --ingress 127.0.0.1:5060 --speed 60
    """
    console = Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)
    region = RegionTables()
    wanted = Replay(trace, ingress, speed, human_speed, real, seed, witness)
    try:
        calls = wanted.plan(region)
        scene = Scene(region, [])
        kind = "REAL calls" if real else "test calls"
        console.print(f"{len(calls)} {kind} over {calls[-1].at_s:,.0f} s, to {', '.join(ingress)}", highlight=False)
        lag = asyncio.run(_replay(wanted, scene, calls, console))
    except KeyboardInterrupt:
        console.print("interrupted; callers who were on the line have left it")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except (ChildEnded, OSError, ValueError) as error:
        console.print(f"[red]Nothing was replayed to its end:[/] {error}", highlight=False)
        raise typer.Exit(EXIT_NOT_TOLD) from None
    console.print(in_a_line(scene), highlight=False)
    console.print(
        f"The callers' process was late by at most {lag['offer_lag_ms_max']:.0f} ms at an offer.", highlight=False
    )
    raise typer.Exit(0 if all_taken(scene) else EXIT_NOT_SOUND)


async def _replay(wanted: Replay, scene: Scene, calls: Sequence[PlannedCall], console: Console) -> Mapping[str, Any]:
    """Replays, with a line each few seconds."""

    async def tell() -> None:
        while True:
            await asyncio.sleep(LINE_EACH_S)
            console.print(f"{scene.second(wall_ms()):6.0f} s  {in_a_line(scene)}", highlight=False)

    telling = asyncio.ensure_future(tell())
    try:
        return await run_replay(wanted, scene, calls)
    finally:
        telling.cancel()
