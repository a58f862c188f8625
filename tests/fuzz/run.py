"""One seed's run: batches in processes of their own, and what came of them, kept."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.fuzz.bundles import drawn

BATCH: Final = 1_000
TRYING: Final = (sys.executable, "-m", "tests.fuzz.trying")
ROOT: Final = Path(__file__).parents[2]


class Run:
    """One seed's: what was tried already stands in a file, one line a batch."""

    def __init__(self, seed: int, keep: Path, program: Sequence[str] = TRYING) -> None:
        self.seed = seed
        self._program = program
        self.keep = keep
        self.batches: dict[int, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._path = keep / f"seed-{seed}.jsonl"
        keep.mkdir(parents=True, exist_ok=True)
        for line in self._path.read_text().splitlines() if self._path.exists() else ():
            try:
                told = json.loads(line)
            except ValueError:
                continue  # it was ended in the middle of a line
            self.batches[told["first"]] = told

    def batch(self, first: int, count: int) -> None:
        """Tries bundles `first` to `first + count`; a process that ends over one goes on with the next."""
        outcomes: Counter[str] = Counter()
        found: list[dict[str, Any]] = []
        slowest = 0.0
        number, until = first, first + count
        while number < until:
            child = subprocess.Popen(
                [*self._program, *map(str, (self.seed, number, until - number))],
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
            assert child.stdout is not None, "it has a pipe"
            for line in child.stdout:
                if line.startswith("begins "):
                    number = int(line.split()[1])
                    continue
                told = json.loads(line)
                outcomes[f"{told['kind']}: {told['outcome']}"] += 1
                slowest = max(slowest, told["cpu_s"])
                if told["why"]:
                    found.append({"number": number, "why": told["why"]})
                number += 1
            if child.wait() != 0 or number < until:
                kind, _ = drawn(self.seed, number)
                outcomes[f"{kind}: broken"] += 1
                found.append({"number": number, "why": f"its process ended with {child.returncode}"})
                number += 1
        self._note({"first": first, "count": count, "outcomes": outcomes, "found": found, "slowest_cpu_s": slowest})

    def _note(self, told: dict[str, Any]) -> None:
        with self._lock:
            self.batches[told["first"]] = told
            with self._path.open("a") as file:
                file.write(json.dumps(told) + "\n")
            for each in told["found"]:
                path = self.keep / f"found-{self.seed}-{each['number']}.yaml"
                path.write_bytes(drawn(self.seed, each["number"])[1])
                print(f"found: {path}: {each['why']}", flush=True)
            tried = sum(each["count"] for each in self.batches.values())
            print(f"{tried:,} bundles tried, {len(self.found)} found", flush=True)

    @property
    def found(self) -> list[dict[str, Any]]:
        """All that was."""
        return [each for _, told in sorted(self.batches.items()) for each in told["found"]]
