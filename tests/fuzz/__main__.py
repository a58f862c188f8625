"""Generated bundles, corrupt ones too, through reader, checker and evaluator in processes with limits.

It goes on where it was ended, and ends by itself: with 0 where nothing was found, else with 1 and the files.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.bundles import drawn
from tests.fuzz.run import BATCH, ROOT, Run


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="how many bundles (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other bundles (%(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes at a time (%(default)s)")
    parser.add_argument("--keep", type=Path, default=ROOT / "build/fuzz", help="what was tried and found")
    parser.add_argument("--show", type=int, metavar="NUMBER", help="print that bundle, and try nothing")
    told = parser.parse_args()
    if told.show is not None:
        sys.stdout.buffer.write(drawn(told.seed, told.show)[1])
        return 0
    run = Run(told.seed, told.keep.resolve())
    todo = [first for first in range(0, told.count, BATCH) if first not in run.batches]
    with ThreadPoolExecutor(told.workers) as pool:
        list(pool.map(lambda first: run.batch(first, BATCH), todo))
    outcomes: Counter[str] = Counter()
    for batch in run.batches.values():
        outcomes.update(batch["outcomes"])
    for what, count in sorted(outcomes.items()):
        print(f"{count:>9,} {what}")
    slowest = max((batch["slowest_cpu_s"] for batch in run.batches.values()), default=0.0)
    print(f"{outcomes.total():>9,} bundles of seed {told.seed}; slowest {slowest:.2f} s; {len(run.found)} found")
    return 1 if run.found else 0


if __name__ == "__main__":
    sys.exit(main())
