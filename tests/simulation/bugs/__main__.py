"""How many schedules each known mistake takes to be found; ends with `found N of N`.

A row comes as each mistake is found, or was sought in vain; what is still sought is told meanwhile. Exit codes: 0 all
were found, 1 not all, 2 words that mean nothing, 130 interrupted.
"""

from __future__ import annotations

import argparse
import difflib
import multiprocessing
import os
import sys
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from typing import Final

from simulator.campaign import workers
from simulator.checkers import check
from simulator.cli import ended_at_once
from simulator.run import run
from simulator.schedule import draw
from simulator.story import tell
from tests.command_line import counted, end_with
from tests.simulation.bugs.families import KNOWN
from tests.simulation.bugs.hunt import WITHIN, Asked, Hunted, hunt, hunt_as_asked

COLUMNS: Final = "{:<34} {:>9} {:>5} {:>5} {:>6} {:>6}  {:>7}  {:<18} {}"
WORDS_SHOWN: Final = 110
TOLD_EACH_S: Final = 15.0
EXIT_NOT_FOUND: Final = 1
EXIT_INTERRUPTED: Final = 130
NEAR: Final = 3
WIDE: Final = 120
EXAMPLES: Final = """\
columns:
  schedules  after so many it was found; `seed` is that schedule's, `calls` how many each has
  dirty      schedules that had a finding without the mistake too, which do not count
  default    with --default: after how many schedules of `throughline simulate` it is found

examples:
  make mutants
  make mutants ARGS=--list
  make mutants ARGS="takeovers"
  make mutants ARGS="connects_without_confirm a_zombie_is_trusted --within 50"
  make mutants ARGS="holds_for_ever --story"
"""


def _row(hunted: Hunted, by_default: Hunted | None) -> str:
    known = KNOWN[hunted.name]
    finding = hunted.findings[0] if hunted.findings else None
    words = f"{finding.call_id + ': ' if finding.call_id else ''}{finding.words}" if finding else "NOT FOUND"
    return COLUMNS.format(
        hunted.name,
        hunted.schedules,
        "-" if hunted.seed is None else hunted.seed,
        known.calls,
        hunted.dirty,
        f"{hunted.cpu_s:.1f}",
        "-" if by_default is None else "no" if by_default.seed is None else by_default.schedules,
        finding.checker if finding else "-",
        words.splitlines()[0][:WORDS_SHOWN],
    ).rstrip()


def _all(asked: Sequence[Asked], jobs: int) -> Iterator[tuple[Hunted, Hunted | None]]:
    """Each as it comes to its end; Ctrl-C, or leaving the loop, ends those that are under way."""
    left = {each.name for each in asked}
    with workers(jobs, "tests.simulation.bugs.families", schedules_max=None, collects=True) as pool:
        coming = pool.imap_unordered(hunt_as_asked, asked)
        while left:
            try:
                hunting = coming.next(TOLD_EACH_S)
            except multiprocessing.TimeoutError:
                _say(f"{len(asked) - len(left)} of {len(asked)} are over; {len(left)} are sought still")
                continue
            left.discard(hunting[0].name)
            yield hunting


def _list(names: Sequence[str]) -> None:
    for name in names:
        known = KNOWN[name]
        print(f"{name} ({known.family})")
        print(textwrap.fill(known.wrong, WIDE, initial_indent="    ", subsequent_indent="    "))
        print(f"    sought in schedules of {known.calls} calls, with {', '.join(known.only) or 'every kind of fault'}")


def _tell(name: str, within: int, first: int) -> int:
    """What it breaks in the first schedule that shows it, and what becomes of that call."""
    known = KNOWN[name]
    warnings.simplefilter("ignore", RuntimeWarning)  # a coroutine of a dead process is never awaited
    _say(f"seeking it, in {within:,} schedules at most")
    with ended_at_once():
        hunted = hunt(known, within, first)
        if hunted.seed is None:
            print(f"{name}: NOT FOUND")
            return EXIT_NOT_FOUND
        with known.made():
            seen = run(draw(hunted.seed, known.calls, known.only))
            findings = check(seen)
    print(textwrap.fill(f"{name}: {known.wrong}", WIDE))
    print(f"\nschedule {hunted.seed}, {known.calls} calls:")
    for injury in seen.schedule.injuries:
        print(f"  {injury}")
    print("\nfindings, of which there are none without the mistake:")
    for finding in findings:
        print(f"  {finding}")
    call_id = next((finding.call_id for finding in findings if finding.call_id), "")
    if call_id:
        print(f"\nthe story of {call_id}:")
        print("\n".join(tell(seen, call_id)))
    return 0


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make mutants", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="these alone, or those of these families")
    parser.add_argument(
        "--within", type=counted(1), default=WITHIN, help="so many schedules each at most (%(default)s)"
    )
    parser.add_argument("--first", type=counted(0), default=0, help="the seed to begin with (%(default)s)")
    parser.add_argument("--jobs", type=counted(1), default=os.cpu_count() or 1, help="processes at once (%(default)s)")
    parser.add_argument("--list", action="store_true", help="only list the mistakes: what is wrong, and who suffers")
    parser.add_argument(
        "--story", action="store_true", help="of one mistake: what it breaks first, and the story of that call"
    )
    parser.add_argument("--default", action="store_true", help="whether the default draw finds it too: takes long")
    return parser


def main(arguments: Sequence[str]) -> int:
    parser = _parser()
    asked = parser.parse_args(arguments)
    families = dict.fromkeys(known.family for known in KNOWN.values())
    if unknown := [name for name in asked.names if name not in KNOWN and name not in families]:
        near = difflib.get_close_matches(unknown[0], (*families, *KNOWN), NEAR)
        meant = f"did you mean {' or '.join(near)}?" if near else f"families are {', '.join(families)};"
        parser.error(f"no such mistake: {', '.join(unknown)}; {meant} --list names all")
    names = [n for n, known in KNOWN.items() if not asked.names or n in asked.names or known.family in asked.names]
    if asked.list:
        _list(names)
        return 0
    if asked.story:
        if len(names) != 1:
            parser.error(f"--story tells of one mistake, {len(names)} are named")
        return _tell(names[0], asked.within, asked.first)
    wanted = [Asked(name, asked.within, asked.first, asked.default) for name in names]
    jobs = min(asked.jobs, len(wanted))
    _say(f"{len(wanted)} mistakes in {jobs} processes, each sought in {asked.within:,} schedules at most")
    print(
        COLUMNS.format(
            "mistake", "schedules", "seed", "calls", "dirty", "cpu s", "default", "checker", "what it said first"
        ),
        flush=True,
    )
    found = 0
    try:
        for hunted, by_default in _all(wanted, jobs):
            found += hunted.seed is not None
            print(_row(hunted, by_default), flush=True)
    except KeyboardInterrupt:
        _say(f"interrupted; {found} had been found")
        return EXIT_INTERRUPTED
    print(f"found {found} of {len(wanted)}")
    return 0 if found == len(wanted) else EXIT_NOT_FOUND


if __name__ == "__main__":
    end_with(lambda: main(sys.argv[1:]))
