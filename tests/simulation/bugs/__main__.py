"""`make mutants`: how many schedules each known mistake takes to be found; ends with `found N of N`."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.simulation.bugs.families import KNOWN
from tests.simulation.bugs.hunt import WITHIN, Hunted, hunt

COLUMNS = "{:<34} {:>9} {:>5} {:>5} {:>6} {:>6}  {:>7}  {:<18} {}"
WORDS_SHOWN = 110


def _hunt(name: str, within: int, first: int, default: bool) -> tuple[Hunted, Hunted | None]:
    """With the faults that were chosen for it and, where it is asked for, with those of the default draw."""
    warnings.simplefilter("ignore", RuntimeWarning)  # a coroutine of a dead process is never awaited
    gc.freeze()  # what was imported stays; only what a run leaves is looked through
    chosen = hunt(KNOWN[name], within, first)
    return chosen, hunt(KNOWN[name], within, first, by_default=True) if default else None


def _told(hunted: Hunted, by_default: Hunted | None) -> str:
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


def _all(names: list[str], within: int, first: int, jobs: int, default: bool) -> Iterator[tuple[Hunted, Hunted | None]]:
    """Each as it comes to its end."""
    if jobs == 1:
        yield from (_hunt(name, within, first, default) for name in names)
        return
    with ProcessPoolExecutor(jobs) as pool:
        for hunting in as_completed([pool.submit(_hunt, name, within, first, default) for name in names]):
            yield hunting.result()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.bugs", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="these alone, or those of these families")
    parser.add_argument("--within", type=int, default=WITHIN, help="so many schedules each, at most")
    parser.add_argument("--first", type=int, default=0, help="the seed to begin with")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once")
    parser.add_argument("--default", action="store_true", help="whether the default draw finds it too: takes long")
    asked = parser.parse_args(arguments)
    families = {known.family for known in KNOWN.values()}
    if unknown := [name for name in asked.names if name not in KNOWN and name not in families]:
        parser.error(f"no such mistake: {', '.join(unknown)}; there are {', '.join(KNOWN)}")
    wanted = [n for n, known in KNOWN.items() if not asked.names or n in asked.names or known.family in asked.names]
    print(
        COLUMNS.format(
            "mistake", "schedules", "seed", "calls", "dirty", "cpu s", "default", "checker", "what it said first"
        )
    )
    found = 0
    for hunted, by_default in _all(wanted, asked.within, asked.first, asked.jobs, asked.default):
        found += hunted.seed is not None
        print(_told(hunted, by_default), flush=True)
    print(f"found {found} of {len(wanted)}")
    return 0 if found == len(wanted) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
