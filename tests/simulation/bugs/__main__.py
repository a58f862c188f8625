"""How many schedules each known mistake takes to be found; ends with `found N of N`.

A row comes as each mistake is found, or was sought in vain; what is still sought is told meanwhile. Exit codes: 0 all
were found, 1 not all, 2 words that mean nothing, 130 interrupted.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from simulator.campaign import workers
from tests.simulation.bugs.families import KNOWN
from tests.simulation.bugs.hunt import WITHIN, Asked, Hunted, hunt_as_asked

COLUMNS: Final = "{:<34} {:>9} {:>5} {:>5} {:>6} {:>6}  {:>7}  {:<18} {}"
WORDS_SHOWN: Final = 110
TOLD_EACH_S: Final = 15.0
EXIT_NOT_FOUND: Final = 1
EXIT_INTERRUPTED: Final = 130
EXAMPLES: Final = """\
examples:
  make mutants
  make mutants ARGS="takeovers"
  make mutants ARGS="connects_without_confirm a_zombie_is_trusted --within 50"
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


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _counted(least: int) -> Callable[[str], int]:
    """A whole number from `least` on."""

    def read(word: str) -> int:
        number = int(word)
        if number < least:
            raise argparse.ArgumentTypeError(f"expected {least} or more, got {number}")
        return number

    return read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make mutants", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="these alone, or those of these families")
    parser.add_argument(
        "--within", type=_counted(1), default=WITHIN, help="so many schedules each at most (%(default)s)"
    )
    parser.add_argument("--first", type=_counted(0), default=0, help="the seed to begin with (%(default)s)")
    parser.add_argument("--jobs", type=_counted(1), default=os.cpu_count() or 1, help="processes at once (%(default)s)")
    parser.add_argument("--default", action="store_true", help="whether the default draw finds it too: takes long")
    return parser


def main(arguments: Sequence[str]) -> int:
    parser = _parser()
    asked = parser.parse_args(arguments)
    families = dict.fromkeys(known.family for known in KNOWN.values())
    if unknown := [name for name in asked.names if name not in KNOWN and name not in families]:
        there = f"families are {', '.join(families)}; mistakes {', '.join(KNOWN)}"
        parser.error(f"no such mistake: {', '.join(unknown)}; {there}")
    names = [n for n, known in KNOWN.items() if not asked.names or n in asked.names or known.family in asked.names]
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
    sys.exit(main(sys.argv[1:]))
