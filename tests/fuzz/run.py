"""One seed's run: batches in processes of their own, and what came of them, kept."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from loadtest.measured_code import commit
from tests.fuzz.bundles import drawn

BATCH: Final = 1_000
TRYING: Final = (sys.executable, "-m", "tests.fuzz.trying")
ROOT: Final = Path(__file__).parents[2]
CODE: Final = ("services", "protos", "requirements.lock", "tests/fuzz", "tests/policy/replicas.py")
"""What a bundle's outcome depends on."""
TOLD_EACH_S: Final = 10.0


class Run:
    """One seed's: what this version of the code was tried with already stands in a file, one line a batch."""

    def __init__(self, seed: int, keep: Path, program: Sequence[str] = TRYING, code: str = "") -> None:
        self.seed = seed
        self._program = program
        self._code = code or commit(ROOT, CODE)
        self.keep = keep
        self.batches: dict[int, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._path = keep / f"seed-{seed}.jsonl"
        self._children: set[subprocess.Popen[str]] = set()
        self._interrupted = False
        keep.mkdir(parents=True, exist_ok=True)
        for line in self._path.read_text().splitlines() if self._path.exists() else ():
            try:
                told = json.loads(line)
            except ValueError:
                continue  # it was ended in the middle of a line
            if told.get("code") == self._code:
                self.batches[told["first"]] = told
        self._tried = self.tried
        self._told_s = time.monotonic()

    def untried(self, count: int) -> Iterator[tuple[int, int]]:
        """What is left of the first `count` bundles, in batches: the first bundle's number, and how many."""
        at = 0
        while at < count:
            before = self.batches.get(at)
            size = before["count"] if before else min(count, at - at % BATCH + BATCH) - at
            if before is None:
                yield at, size
            at += size

    def batch(self, first: int, count: int) -> None:
        """Tries bundles `first` to `first + count`; a process that ends over one goes on with the next. A batch that is
        interrupted leaves nothing."""
        outcomes: Counter[str] = Counter()
        found: list[dict[str, Any]] = []
        slowest = 0.0
        number, until = first, first + count
        while number < until:
            child = self._begun(number, until - number)
            if child is None:
                return
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
                self._one_more()
            ended = child.wait()
            self._children.discard(child)
            if self._interrupted:
                return
            if ended != 0 or number < until:
                kind, _ = drawn(self.seed, number)
                outcomes[f"{kind}: broken"] += 1
                found.append({"number": number, "why": f"its process ended with {ended}"})
                number += 1
        told = {"first": first, "count": count, "outcomes": outcomes, "found": found, "slowest_cpu_s": slowest}
        self._note({"code": self._code, **told})

    def interrupt(self) -> None:
        """Ends whatever is being tried."""
        with self._lock:
            self._interrupted = True
            for child in self._children:
                child.kill()

    def _begun(self, first: int, count: int) -> subprocess.Popen[str] | None:
        """A process that tries these; none once it is interrupted. A terminal's Ctrl-C is for us alone."""
        command = [*self._program, *map(str, (self.seed, first, count))]
        with self._lock:
            if self._interrupted:
                return None
            child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True)
            self._children.add(child)
        return child

    def _one_more(self) -> None:
        with self._lock:
            self._tried += 1
            if time.monotonic() - self._told_s > TOLD_EACH_S:
                self._told_s = time.monotonic()
                print(f"{self._tried:,} bundles tried", file=sys.stderr, flush=True)

    def _note(self, told: dict[str, Any]) -> None:
        with self._lock:
            self.batches[told["first"]] = told
            with self._path.open("a") as file:
                file.write(json.dumps(told) + "\n")
            for each in told["found"]:
                path = self.keep / f"found-{self.seed}-{each['number']}.yaml"
                path.write_bytes(drawn(self.seed, each["number"])[1])
                print(f"found: {path}: {each['why']}", flush=True)

    @property
    def tried(self) -> int:
        """How many bundles, by this version of the code."""
        return sum(each["count"] for each in self.batches.values())

    @property
    def found(self) -> list[dict[str, Any]]:
        """All that was."""
        return [each for _, told in sorted(self.batches.items()) for each in told["found"]]
