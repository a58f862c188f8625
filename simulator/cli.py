"""`throughline simulate`: schedules of failures over the real services, under virtual time."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from loadtest.bounds import upper_bound
from simulator.campaign import FEW, Result, Tally, Wanted, campaign, judged
from simulator.checkers import Finding, check
from simulator.injuries import FAMILIES
from simulator.record import PAPER, ROOT, Kept, OtherRun, append
from simulator.run import run
from simulator.schedule import Schedule, kinds_named
from simulator.shrink import RUNS_MAX, shrink
from simulator.story import tell

EXIT_FOUND: Final = 1
EXIT_USAGE: Final = 64
EXIT_INTERRUPTED: Final = 130
TOLD_EACH_S: Final = 5.0
CALLS_MAX: Final = 120
"""More would wait for people, not for us: every bound is of a region that is not overrun."""
SHRUNK_MAX: Final = 3
"""Failures that are shrunk and told; the others are named."""
CORES: Final = os.cpu_count() or 1

Only = Annotated[list[str], typer.Option(help="This kind or family of faults alone; may be repeated.")]


def simulate(
    schedules: Annotated[
        int | None, typer.Option(min=1, help="How many, with one seed after the other; 100, or the one to --trace.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the first schedule; the next has the next.")] = 1,
    calls: Annotated[
        int, typer.Option(min=1, max=CALLS_MAX, help="Callers in each schedule; six towns' people answer no more.")
    ] = 100,
    only: Only = [],  # noqa: B006
    trace: Annotated[str, typer.Option(metavar="CALL", help="Tell this call's story; of one schedule.")] = "",
    jobs: Annotated[int, typer.Option(min=1, help="Processes to run them in.")] = CORES,
    faults: Annotated[bool, typer.Option("--faults", help="Only list the faults that there are.")] = False,
    keep: Annotated[
        Path | None, typer.Option(help="Write each result to this file, and go on from what is in it.")
    ] = None,
    record: Annotated[bool, typer.Option("--record", help="Add a line to docs/reliability.md at the end.")] = False,
) -> None:
    """The real services on a simulated network, Kafka, disks and clocks: schedules of failures, each from its seed,
    and after each the checks that no call was lost and one call had one answer.

    The same seed gives the same run, to the last byte, on any machine. What does not hold is shrunk to what is needed
    for it and told, with the command that brings it about again. Exit code 1 then.

    \b
    Examples:
      throughline simulate --schedules 1000
      throughline simulate --schedules 50 --seed 7 --only kill --only kafka
      throughline simulate --schedules 1 --seed 7 --trace c12
    """
    if faults:
        _list_faults()
        return
    # What a killed process had begun and never came to await is found when this one ends.
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    try:
        kinds_named(only)
    except ValueError as unknown:
        raise _usage(str(unknown)) from None
    wanted = Wanted(calls, tuple(only))
    if trace:
        if schedules not in (None, 1):
            raise _usage("--trace tells a call of one schedule: say --schedules 1, and which --seed")
        with _ended_at_once():
            raise typer.Exit(_trace(wanted.schedule(seed), trace))
    try:
        kept = Kept(keep, wanted) if keep is not None else None
    except (OtherRun, OSError) as trouble:
        raise _usage(str(trouble)) from None
    raise typer.Exit(_campaign(wanted, range(seed, seed + (schedules or 100)), jobs, kept, record))


def _campaign(wanted: Wanted, seeds: range, jobs: int, kept: Kept | None, record: bool) -> int:
    tally, told_s, began_s = Tally(), time.monotonic(), time.monotonic()
    before = [result for result in kept.results() if result.seed in seeds] if kept else []
    broken = [result for result in before if result.findings]
    for result in before:
        tally.add(result)
    if before:
        _say(f"{len(before):,} of {len(seeds):,} schedules were run before; going on with the rest")
    done = frozenset(result.seed for result in before)
    rest = [seed for seed in seeds if seed not in done]
    workers = 1 if len(rest) <= FEW else min(jobs, len(rest))
    if workers > 1:
        _say(f"{len(rest):,} schedules in {workers} processes")

    def interrupted() -> str:
        again = "; the same command goes on from there" if kept else ""
        return f"interrupted after {tally.schedules:,} of {len(seeds):,} schedules{again}"

    try:
        for result in _results(rest, wanted, workers, interrupted):
            tally.add(result)
            if kept:
                kept.add(result)
            if result.findings:
                broken.append(result)
                _say(f"schedule {result.seed}: {result.findings[0]}")
            if time.monotonic() - told_s > TOLD_EACH_S:
                told_s = time.monotonic()
                rate = (tally.schedules - len(before)) / (told_s - began_s)
                _say(
                    f"{tally.schedules:,} of {len(seeds):,} schedules, {tally.calls:,} calls, "
                    f"{len(tally.found)} with findings, {rate:.1f} a second"
                )
    except KeyboardInterrupt:
        _say(interrupted())
        return EXIT_INTERRUPTED
    with _ended_at_once():
        for result in broken[:SHRUNK_MAX]:
            _tell_failure(wanted, result)
    _sum_up(tally, time.monotonic() - began_s)
    if record:
        append(tally, seeds, wanted)
        _say(f"recorded in {PAPER.relative_to(ROOT)}")
    return EXIT_FOUND if tally.found else 0


def _results(seeds: list[int], wanted: Wanted, workers: int, interrupted: Callable[[], str]) -> Iterator[Result]:
    if workers > 1:
        yield from campaign(seeds, wanted, workers)
        return
    with _ended_at_once(interrupted):  # each result is kept before the next is begun
        yield from campaign(seeds, wanted, 1)


def _trace(schedule: Schedule, call_id: str) -> int:
    seen, result = judged(schedule)
    for injury in schedule.injuries:
        print(f"  {injury}")
    lines = tell(seen, call_id)
    if not lines:
        known = ", ".join(planned.call_id for planned in schedule.calls[:10])
        raise _usage(f"no call {call_id!r} in this schedule; there are {known}, ...")
    print("\n".join(lines))
    print(f"digest {seen.digest}")
    for finding in result.findings:
        print(finding)
    return EXIT_FOUND if result.findings else 0


def _tell_failure(wanted: Wanted, result: Result) -> None:
    first = result.findings[0]
    print(f"\nschedule {result.seed}: {len(result.findings)} findings, the first: {first}")
    print(f"again: throughline simulate --schedules 1 --seed {result.seed}{_words(wanted)}")

    def still_fails(schedule: Schedule) -> bool:
        return any(_alike(finding, first) for finding in check(run(schedule)))

    _say(f"shrinking it, in at most {RUNS_MAX} runs")
    smallest = shrink(wanted.schedule(result.seed), still_fails, tell=_say)
    seen = run(smallest)
    print(f"shrunk to {len(smallest.injuries)} injuries and {len(smallest.calls)} calls:")
    for injury in smallest.injuries:
        print(f"  {injury}")
    found = next((finding for finding in check(seen) if _alike(finding, first)), first)
    print(f"  {found}")
    for line in tell(seen, found.call_id) if found.call_id else ():
        print(line)
    sys.stdout.flush()


def _alike(one: Finding, other: Finding) -> bool:
    """The same check speaks, of a call or of none."""
    return one.checker == other.checker and bool(one.call_id) is bool(other.call_id)


def _words(wanted: Wanted) -> str:
    calls = f" --calls {wanted.calls}" if wanted.calls != Wanted().calls else ""
    return calls + "".join(f" --only {name}" for name in wanted.only)


def _sum_up(tally: Tally, took_s: float) -> None:
    print(
        f"\n{tally.schedules:,} schedules, {tally.calls:,} calls ({tally.accepted:,} accepted, {tally.connected:,} "
        f"connected), {sum(tally.injuries.values()):,} injuries, in {took_s:.0f} s, {tally.cpu_s:.0f} s of CPU"
    )
    print("injuries by kind, and of how many of them somebody had to hear:")
    for family, kinds in FAMILIES.items():
        told = ", ".join(
            f"{kind.name} {tally.injuries[kind.name]}/{tally.heard_of[kind.name]}" for kind in kinds
            if tally.injuries[kind.name]
        )  # fmt: skip
        if told:
            print(f"  {family}: {told}")
    if tally.found:
        print(f"findings after {len(tally.found)} schedules: seeds {', '.join(map(str, tally.found[:20]))}")
    else:
        print(f"no findings: at 95 %, fewer than {upper_bound(0, tally.accepted):.1e} of accepted calls")


def _list_faults() -> None:
    for family, kinds in FAMILIES.items():
        print(family)
        for kind in kinds:
            print(f"  {kind.name:<24} {kind.says}")


@contextmanager
def _ended_at_once(words: Callable[[], str] = lambda: "interrupted") -> Iterator[None]:
    """Ctrl-C ends the process where it stands: what is simulated could take a KeyboardInterrupt for its own."""

    def end(*_: object) -> None:
        _say(words())
        os._exit(EXIT_INTERRUPTED)

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _usage(words: str) -> typer.Exit:
    _say(f"throughline simulate: {words}")
    return typer.Exit(EXIT_USAGE)


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m simulator.cli`, for those who have no console script."""
    single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    single.command("simulate")(simulate)
    single(args=list(arguments) if arguments is not None else None, prog_name="throughline simulate")


if __name__ == "__main__":
    main()
