"""`python -m bench`: starts Kafka, both sides, far ends and callers; measures in turns; says what it found."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench import deaths, meter, report, rounds, yardstick
from bench.options import Options, parse
from bench.programs import Crew, Program, ProgramFailed
from bench.records import Tally, create_topics
from bench.rounds import Load, Stand
from bench.sides import TOPICS, Side, installation, scene, start_far_end, start_floor, start_throughline
from deploy.kafka import CannotStart, Cluster
from services.host.lifeline import Lifeline, wrapped
from services.journal import kafka_topics
from services.launch.child import ChildFailed

EXIT_MISSED = 3
KEEPER_S = 15.0
"""Seconds in which the folder is removed."""


async def measured(options: Options, lifeline: Lifeline) -> dict[str, Any]:
    """The whole run; what comes back is what the file holds."""
    found: dict[str, Any] = {"machine": meter.machine(), "options": _plain(options)}
    print(f"bench: {json.dumps(found['machine'])}", flush=True)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(_scratch_folder(lifeline))
        kafka, kafka_pids = await _kafka(options, lifeline, stack, folder)
        crew = await stack.enter_async_context(Crew(lifeline))
        stage = scene(options.region_dir)
        sides: list[Side] = []
        generators: list[Program] = []
        await create_topics(kafka, [f"floor-{name}" for name in TOPICS], log_append_time=["floor-calls"])
        if options.only != "throughline":
            floor = await start_floor(crew, kafka, stage.psaps)
            generators.append(await start_far_end(crew, floor, stage.psaps, None))
            sides.append(floor)
        if options.only != "floor":
            installed = installation(
                lifeline, kafka, options.region_dir, folder / "services", all_services=options.all_services
            )
            stack.push_async_callback(installed.stop, 3.0)
            ours = await start_throughline(installed)
            generators.append(await start_far_end(crew, ours, stage.psaps, installed.tokens))
            stack.push_async_callback(generators[-1].kill)  # before the services that it holds streams to
            sides.append(ours)
        found["yardstick_calls_per_second"] = await yardstick.measure(crew, kafka, 64, options.seconds)
        print(report.yardstick(found["yardstick_calls_per_second"]), flush=True)
        callers = await crew.start("callers", "bench.callers", json.dumps(stage.places))
        tally = Tally(kafka)
        await tally.start()
        stack.push_async_callback(tally.stop)
        stand = Stand(callers, tally, kafka_pids, [callers.pid, *(program.pid for program in generators)])
        found["rounds"] = await rounds.run(stand, sides, _loads(options), options.rounds, _tell)
        if options.chain:
            print("bench: the chain of consumer groups, then one process killed in each", flush=True)
            found["throughline_killed"] = await deaths.of_throughline(callers, sides[-1])
            found["chain"] = await deaths.of_the_chain(crew, kafka, options.seconds)
    return found


def _loads(options: Options) -> list[Load]:
    loads = [Load(rate, options.seconds) for rate in options.rates]
    return loads + ([Load(None, options.seconds, options.in_hand)] if options.in_hand else [])


async def _kafka(options: Options, lifeline: Lifeline, stack: AsyncExitStack, folder: Path) -> tuple[str, list[int]]:
    """A broker's address, with the services' topics there, and the processes that it is."""
    if options.kafka is not None:
        kafka, pids = options.kafka, []
    else:
        before = set(meter.children(os.getpid()))
        cluster = Cluster(folder / "kafka", lifeline=lifeline, scratch=True)
        stack.callback(cluster.close)
        kafka = await asyncio.to_thread(cluster.start)
        pids = [pid for pid in meter.children(os.getpid()) if pid not in before]
    await kafka_topics.apply(kafka)
    return kafka, pids


@contextmanager
def _scratch_folder(lifeline: Lifeline) -> Iterator[Path]:
    """A folder that goes with this process, whatever ends it."""
    folder = Path(tempfile.mkdtemp(prefix="throughline-bench-"))
    keeper = lifeline.spawn(wrapped([], remove=folder))
    try:
        yield folder
    finally:
        keeper.terminate()
        keeper.wait(KEEPER_S)


def _plain(options: Options) -> dict[str, Any]:
    plain = {name: getattr(options, name) for name in options.__slots__}
    return {name: str(value) if isinstance(value, Path) else value for name, value in plain.items()}


def _tell(measured_round: dict[str, Any]) -> None:
    print(report.line(measured_round), flush=True)


def main(arguments: Sequence[str]) -> int:
    """0 when all was measured and nothing that is required is missed, 1 when something failed meanwhile, 3 when a
    required ratio is missed, 130 after Ctrl-C."""
    options = parse(arguments)
    lifeline = Lifeline()
    try:
        found = asyncio.run(measured(options, lifeline))
    except (ProgramFailed, ChildFailed, CannotStart) as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: stopped; nothing was written", file=sys.stderr)
        return 130
    finally:
        lifeline.close()
    loads = [load.name for load in _loads(options)]
    print(report.table(found["rounds"], loads))
    print("\n" + report.records(found["rounds"]))
    if "chain" in found:
        print(report.chain(found))
    if options.only is None:
        ratios = report.ratios(found["rounds"])
        found["ratios"] = {
            name: {"median": spread.median, "low": spread.low, "high": spread.high} for name, spread in ratios.items()
        }
        found["required_met"] = report.met(ratios)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(rounds.dump(found) + "\n", encoding="utf-8")
    print(f"\nevery round: {options.output}")
    if options.only is not None:
        return 0
    missed = [f"{name} {report.wanted(name)}" for name, met in found["required_met"].items() if not met]
    if missed:
        print(f"bench: missed: {', '.join(missed)}; was the machine quiet?", file=sys.stderr)
    print("RATIOS " + " ".join(f"{name}={spread.median:.2f}" for name, spread in ratios.items()))
    return EXIT_MISSED if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
