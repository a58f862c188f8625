"""What processes cost and what the machine was doing meanwhile, read from /proc.

Processor time is counted with all threads, in ticks of 10 ms: read it round a whole measurement, not round a call.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Seconds of processor time that this process has used; 0.0 once it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()  # a name may hold anything, spaces and brackets included
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def children(pid: int) -> list[int]:
    """Every process below this one."""
    found: list[int] = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            direct = [int(word) for word in tasks.read_text().split()]
        except OSError:
            continue
        for child in direct:
            found += [child, *children(child)]
    return found


def resident_mb(pid: int) -> float:
    """Megabytes in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass(frozen=True, slots=True)
class Instant:
    """Processor seconds used so far: by the whole machine, stolen from it by its host, and by each process named."""

    busy_s: float
    stolen_s: float
    processes: dict[int, float]


def look(pids: Iterable[int]) -> Instant:
    """Reads the counters."""
    with Path("/proc/stat").open() as stat:
        ticks = [int(word) for word in stat.readline().split()[1:9]]
    user, nice, system, _idle, _waiting, irq, soft_irq, stolen = ticks
    busy = user + nice + system + irq + soft_irq
    return Instant(busy / _TICKS_A_SECOND, stolen / _TICKS_A_SECOND, {pid: cpu_s(pid) for pid in pids})


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor seconds between two instants."""

    processes: dict[int, float]
    others_s: float
    """By processes that are none of the benchmark's, and by the host."""

    @staticmethod
    def between(before: Instant, after: Instant) -> Cost:
        """`after` must name the same processes."""
        processes = {pid: after.processes[pid] - used for pid, used in before.processes.items()}
        busy = after.busy_s - before.busy_s + after.stolen_s - before.stolen_s
        return Cost(processes, max(0.0, busy - sum(processes.values())))

    def of(self, pids: Iterable[int]) -> float:
        """The sum over some of the processes."""
        return sum(self.processes.get(pid, 0.0) for pid in pids)


def machine() -> dict[str, object]:
    """The facts of this machine that decide what the figures mean."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    models = {line.partition(":")[2].strip() for line in info if line.startswith("model name")}
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": ", ".join(sorted(models)) or "unknown",
        "python": platform.python_version(),
        "kernel": platform.release(),
        "load_average_1min": round(os.getloadavg()[0], 2),
    }
