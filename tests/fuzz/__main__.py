"""Generated bundles, corrupt ones too, through reader, checker and evaluator in processes with limits.

It goes on where it was ended, as long as the code is the same. Exit codes: 0 nothing was found, 1 something was, and
the files are named, 2 words that mean nothing, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.command_line import counted, end_with
from tests.fuzz.bundles import drawn
from tests.fuzz.run import ROOT, Run

EXIT_FOUND: Final = 1
EXIT_INTERRUPTED: Final = 130
OUTCOMES: Final = """\
what comes of a bundle, told as HOW IT WAS MADE: OUTCOME
  refused   the reader names a line and what to write instead
  unfit     no evaluator takes it, and the checker said so
  faulty    the checker names an error; evaluated all the same, it kept every promise
  accepted  nothing is wrong with it, and it kept every promise
  broken    it did what no bundle may: a find, kept as a file
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make fuzz", description=__doc__, epilog=OUTCOMES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=counted(1), default=100_000, help="how many bundles (%(default)s)")
    parser.add_argument("--seed", type=counted(0), default=1, help="another seed, other bundles (%(default)s)")
    parser.add_argument(
        "--workers", type=counted(1), default=os.cpu_count() or 1, help="processes at a time (%(default)s)"
    )
    parser.add_argument(
        "--keep", type=Path, default=ROOT / "build/fuzz", help="a folder for what was tried and found (build/fuzz)"
    )
    parser.add_argument("--show", type=counted(0), metavar="NUMBER", help="print that bundle, and try nothing")
    return parser


def main() -> int:
    """See the module."""
    parser = _parser()
    asked = parser.parse_args()
    if asked.show is not None:
        sys.stdout.buffer.write(drawn(asked.seed, asked.show)[1])
        return 0
    try:
        run = Run(asked.seed, asked.keep.resolve())
    except OSError as trouble:
        parser.error(f"--keep {asked.keep}: {trouble.strerror}; expected a folder that can be written to")
    if run.tried:
        _say(f"{run.tried:,} bundles of seed {asked.seed} were tried before; going on with the rest")
    try:
        with ThreadPoolExecutor(asked.workers) as pool:
            try:
                list(pool.map(lambda todo: run.batch(*todo), list(run.untried(asked.count))))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                run.interrupt()
                raise
    except KeyboardInterrupt:
        _say(f"interrupted; the next run goes on after {run.tried:,} bundles")
        return EXIT_INTERRUPTED
    _sum_up(run)
    return EXIT_FOUND if run.found else 0


def _sum_up(run: Run) -> None:
    outcomes: Counter[str] = Counter()
    for batch in run.batches.values():
        outcomes.update(batch["outcomes"])
    for what, count in sorted(outcomes.items()):
        print(f"{count:>9,} {what}")
    slowest = max((batch["slowest_cpu_s"] for batch in run.batches.values()), default=0.0)
    print(f"{outcomes.total():>9,} bundles of seed {run.seed}; slowest {slowest:.2f} s; {len(run.found)} found")


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    end_with(main)
