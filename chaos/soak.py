"""The same load without any fault, for hours: what grows, leaks.

Each ten seconds every process is asked what it holds: resident memory, open file descriptors, tasks of its event loop,
facts that wait for Kafka, bytes in its spool. The first tenth of the run is warm-up; then the middle of the next tenth
is compared with the middle of the last one.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Final

from chaos.stage import QUEUED, Stage

LOOKS_EVERY_S: Final = 10.0
GREW_SHARE_MAX: Final = 0.05
WARM_UP_SHARE: Final = 0.1
PAGE_NAMES: Final = {
    "process_resident_memory_bytes": "memory_mb",
    "process_open_fds": "descriptors",
    "throughline_tasks": "tasks",
}
MEGABYTE: Final = 1_000_000
_JAVA_MEMORY: Final = "VmRSS:"


@dataclass(frozen=True, slots=True)
class Sample:
    """What one process held at one instant, so many seconds after the start."""

    at_s: float
    name: str
    memory_mb: float
    descriptors: float = 0.0
    tasks: float = 0.0
    queued_facts: float = 0.0
    spool_kb: float = 0.0


MAY_GROW_BY: Final = {"memory_mb": 0.0, "descriptors": 8.0, "tasks": 20.0, "queued_facts": 100.0, "spool_kb": 100.0}
"""So much is the coming and going of calls, whatever the share: what begins at nothing has none. The facts of about a
second may wait for Kafka when one looks."""
MEASURES: Final = tuple(MAY_GROW_BY)


@dataclass(frozen=True, slots=True)
class Growth:
    """One measure of one process: its middle after the warm-up, and at the end."""

    name: str
    measure: str
    begin: float
    end: float

    @property
    def share(self) -> float:
        return (self.end - self.begin) / self.begin if self.begin else 0.0

    @property
    def leaks(self) -> bool:
        """Whether one of our own processes holds more than it may; a broker's memory is Java's own business."""
        return not self.name.startswith("broker") and self.end - self.begin > self.allowed

    @property
    def allowed(self) -> float:
        """By how much it may grow."""
        return max(MAY_GROW_BY[self.measure], GREW_SHARE_MAX * self.begin)


def growths(samples: Sequence[Sample]) -> list[Growth]:
    """Every measure of every process. Pure."""
    if not samples:
        return []
    ends_s = max(sample.at_s for sample in samples)
    warm_s = ends_s * WARM_UP_SHARE
    by_name: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_name[sample.name].append(sample)
    found = []
    for name, taken in sorted(by_name.items()):
        first = [sample for sample in taken if warm_s <= sample.at_s <= 2 * warm_s] or taken[:1]
        last = [sample for sample in taken if sample.at_s >= ends_s - warm_s] or taken[-1:]
        found += [
            Growth(
                name,
                measure,
                median(getattr(sample, measure) for sample in first),
                median(getattr(sample, measure) for sample in last),
            )
            for measure in MEASURES
        ]
    return found


class Watcher:
    """Looks at every process of a stage until it is cancelled, and writes each sample down."""

    def __init__(self, stage: Stage, written: Path) -> None:
        self.samples: list[Sample] = []
        self._stage = stage
        self._written = written

    async def watch(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with self._written.open("a") as file:
            while True:
                fresh = await self._look(round(loop.time() - began, 1))
                self.samples += fresh
                file.writelines(json.dumps(asdict(sample)) + "\n" for sample in fresh)
                file.flush()
                await asyncio.sleep(LOOKS_EVERY_S)

    async def _look(self, at_s: float) -> list[Sample]:
        fresh = []
        for child in self._stage.running():
            held: defaultdict[str, float] = defaultdict(float)
            async for name, _, value in self._stage.samples(child):
                if name in PAGE_NAMES:
                    held[PAGE_NAMES[name]] = value
                elif name.endswith(QUEUED):
                    held["queued_facts"] += value
            if held:
                held["memory_mb"] /= MEGABYTE
                held["spool_kb"] = folder_bytes(self._stage.folder / "spool" / child.name) / 1000
                fresh.append(Sample(at_s, child.name, **held))
        return fresh + [Sample(at_s, name, memory_mb) for name, memory_mb in self._brokers().items()]

    def _brokers(self) -> Mapping[str, float]:
        cluster = self._stage.cluster
        return {f"broker-{node.number}": resident_mb(cluster.java_of(node.number)) for node in cluster.nodes}


def resident_mb(pid: int) -> float:
    """A process's resident memory, as Linux has it."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(_JAVA_MEMORY):
            return int(line.split()[1]) * 1024 / MEGABYTE
    return 0.0


def folder_bytes(folder: Path) -> int:
    """How much its files hold together; files may go while we look."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total
