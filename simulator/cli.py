"""`throughline simulate`: schedules of failures over the real services, under virtual time."""

from __future__ import annotations

import difflib
import os
import shlex
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
from simulator.injuries import FAMILIES, KINDS
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
NAMES_SHOWN: Final = 10
SEEDS_SHOWN: Final = 20
SHRUNK_MAX: Final = 3
"""Failures that are shrunk and told; the others are named."""
CORES: Final = os.cpu_count() or 1

OTHERS_SHOWN: Final = 4
Only = Annotated[
    list[str],
    typer.Option(
        metavar="NAME",
        help="This kind or family of faults alone, see --faults; kill@ingress: whom it hits; may be repeated.",
    ),
]


def simulate(
    schedules: Annotated[
        int | None, typer.Option(min=1, help="How many, the seeds in turn.  [default: 100; 1 with --trace]")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the first schedule; the second has the next number, and so on.")
    ] = 1,
    calls: Annotated[
        int,
        typer.Option(
            min=1, max=CALLS_MAX, help="Callers in each schedule; the six towns' call-takers can answer no more."
        ),
    ] = 100,
    only: Only = [],  # noqa: B006
    trace: Annotated[
        str,
        typer.Option(
            metavar="CALL",
            help="Tell this call's story, in the schedule of --seed: c0, c1, ...; redials c0-redial1, ...",
        ),
    ] = "",
    jobs: Annotated[int, typer.Option(min=1, help="Processes to run them in.")] = CORES,
    faults: Annotated[bool, typer.Option("--faults", help="Only list the faults that there are.")] = False,
    keep: Annotated[
        Path | None, typer.Option(help="Write each result to this file, and go on from what is in it.")
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Add a line to docs/reliability.md at the end: of a checkout.")
    ] = False,
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
    wanted = Wanted(calls, tuple(only))
    try:
        kinds_named(only)
        wanted.schedule(seed)
    except ValueError as unknown:
        raise _usage(str(unknown)) from None
    if trace:
        if schedules not in (None, 1) or keep or record:
            raise _usage("--trace only tells a call of one schedule: say --schedules 1, and which --seed")
        with ended_at_once():
            raise typer.Exit(_trace(wanted.schedule(seed), trace))
    if record and not PAPER.exists():
        raise _usage(f"--record adds a line to {PAPER}, which is not there: run it in a checkout")
    seeds = range(seed, seed + (schedules or 100))
    try:
        kept = Kept(keep, wanted) if keep is not None else None
        before = [result for result in kept.results() if result.seed in seeds] if kept else []
    except OtherRun as trouble:
        raise _usage(str(trouble)) from None
    except OSError as trouble:
        raise _usage(f"--keep {keep}: {trouble.strerror}; expected a file") from None
    raise typer.Exit(_campaign(wanted, seeds, jobs, kept, before, record))


def _campaign(
    wanted: Wanted, seeds: range, jobs: int, kept: Kept | None, before: Sequence[Result], record: bool
) -> int:
    tally, told_s, began_s = Tally(), time.monotonic(), time.monotonic()
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
                    f"{len(tally.found)} with findings, {rate:.1f} a second, "
                    f"some {_span((len(seeds) - tally.schedules) / rate)} left"
                )
    except KeyboardInterrupt:
        _say(interrupted())
        return EXIT_INTERRUPTED
    with ended_at_once():
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
    with ended_at_once(interrupted):  # each result is kept before the next is begun
        yield from campaign(seeds, wanted, 1)


def _trace(schedule: Schedule, call_id: str) -> int:
    seen, result = judged(schedule)
    lines = tell(seen, call_id)
    if not lines:
        known = list(dict.fromkeys(entry["call_id"] for entry in seen.callers))
        near = difflib.get_close_matches(call_id, known) or known[:NAMES_SHOWN]
        raise _usage(f"no call {call_id!r} in this schedule; there are {', '.join(near)}, and others")
    print(f"schedule {schedule.seed}, {_counted(len(schedule.injuries), 'injury', 'injuries')}:")
    for injury in schedule.injuries:
        print(f"  {injury}")
    print(f"the story of {call_id}:")
    print("\n".join(lines))
    print(f"digest {seen.digest}")
    for finding in result.findings:
        print(finding)
    return EXIT_FOUND if result.findings else 0


def _tell_failure(wanted: Wanted, result: Result) -> None:
    first, *others = result.findings
    print(f"\nschedule {result.seed}: {_counted(len(result.findings), 'finding')}, the first: {first}")
    for other in others[:OTHERS_SHOWN]:
        print(f"  and {other}")
    if len(others) > OTHERS_SHOWN:
        print(f"  and {len(others) - OTHERS_SHOWN} more; --trace CALL tells them all")
    print(f"again: throughline simulate --schedules 1 --seed {result.seed}{_words(wanted)}", flush=True)

    def still_fails(schedule: Schedule) -> bool:
        return any(_alike(finding, first) for finding in check(run(schedule)))

    _say(f"shrinking it, in at most {RUNS_MAX} runs")
    smallest = shrink(wanted.schedule(result.seed), still_fails, tell=_say)
    seen = run(smallest)
    print(f"shrunk to {smallest.size}:")
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
    return calls + "".join(f" --only {shlex.quote(name)}" for name in wanted.only)


def _sum_up(tally: Tally, took_s: float) -> None:
    schedules = _counted(tally.schedules, "schedule")
    injuries = _counted(sum(tally.injuries.values()), "injury", "injuries")
    print(
        f"\n{schedules}, {tally.calls:,} calls ({tally.accepted:,} accepted, {tally.connected:,} connected), "
        f"{injuries}, in {took_s:.0f} s; the schedules took {tally.cpu_s:.0f} s of CPU"
    )
    print("injuries by kind, and how many of them hurt so that an alarm had to tell (hurt/told):")
    for family, kinds in FAMILIES.items():
        told = ", ".join(
            f"{kind.name} {tally.injuries[kind.name]}/{tally.heard_of[kind.name]}" for kind in kinds
            if tally.injuries[kind.name]
        )  # fmt: skip
        if told:
            print(f"  {family}: {told}")
    if tally.found:
        more = f" and {len(tally.found) - SEEDS_SHOWN} more" if len(tally.found) > SEEDS_SHOWN else ""
        seeds = ", ".join(map(str, tally.found[:SEEDS_SHOWN]))
        print(f"findings after {_counted(len(tally.found), 'schedule')}: seeds {seeds}{more}")
    else:
        print(f"no findings: with 95 %, at most {upper_bound(0, tally.accepted):.1e} of accepted calls can be lost")


def _list_faults() -> None:
    wide = max(map(len, KINDS))
    for family, kinds in FAMILIES.items():
        print(family)
        for kind in kinds:
            print(f"  {kind.name:<{wide}}  {kind.says}{'' if kind.weight else ' *'}")
    print("* drawn only where --only names it, or a family all of which have a star")


def _span(seconds: float) -> str:
    """Roughly."""
    for size, name in ((3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"


def _counted(number: int, one: str, more: str = "") -> str:
    return f"{number:,} {one if number == 1 else more or f'{one}s'}"


@contextmanager
def ended_at_once(words: Callable[[], str] = lambda: "interrupted") -> Iterator[None]:
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
