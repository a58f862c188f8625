"""What was hurt when, for checkers whose bounds hold where nobody is hurt.

A bound is lifted for the hosts that were hurt alone, while they were hurt and a moment longer; never for a whole run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from simulator.checkers.agreed import START_MS
from simulator.injuries import FAMILIES, Injury
from simulator.installation import SERVICE_OF

CABLES: Final = frozenset(kind.name for kind in FAMILIES["network"])
PROCESSES: Final = frozenset(kind.name for kind in FAMILIES["process"])
MOMENTS: Final = frozenset(kind.name for kind in FAMILIES["steps"])
"""Words of what is to be done; what they did stands beside them, as injuries of the kinds that it was."""
DISKS: Final = frozenset(kind.name for kind in FAMILIES["disk"])
IN_ORDER: Final = frozenset({"restart", "roll", "scale", "joins"})
"""Kinds of an end that takes its time."""
DEATHS: Final = IN_ORDER | {"kill", "crash", "kill_all", "power"}
KAFKA: Final = frozenset(kind.name for kind in FAMILIES["kafka"])
CLOCKS: Final = frozenset(kind.name for kind in FAMILIES["clock"])
"""Of processes and of brokers."""
TAKES_AGAIN_MS: Final = 6_000
"""A spool whose disk is well again takes again within five seconds (J6)."""
IN_MEMORY_MS: Final = 220
"""Gathered for 20 ms, given 50 for the log, then 150 for the disk: what a process said so lately may be in its memory
alone, where it neither opens nor settles a call (J4)."""
AFTERWARDS_MS: Final = 1_000
"""A process that was started again, or a way that was mended, is well after this."""


class Weather:
    """The injuries of a run. There are a few: each question looks at all of them."""

    def __init__(self, injuries: Sequence[Injury], began_ms: int) -> None:
        self._injuries = [each for each in injuries if each.kind not in MOMENTS]
        self._began_ms = began_ms

    def window_ms(self, injury: Injury) -> tuple[int, int]:
        """From its strike to its healing, in wall milliseconds."""
        from_ms = self._began_ms + round(injury.at_s * 1000)
        return from_ms, from_ms + round(injury.lasts_s * 1000)

    def during(self, from_ms: int, to_ms: int, after_ms: int = AFTERWARDS_MS) -> Iterator[Injury]:
        """Those that hurt at any moment between the two."""
        for injury in self._injuries:
            strikes_ms, heals_ms = self.window_ms(injury)
            if strikes_ms <= to_ms and from_ms <= heals_ms + after_ms + self._starts_late_ms(injury, heals_ms):
                yield injury

    def _starts_late_ms(self, injury: Injury, starts_ms: int) -> int:
        """A process that starts without Kafka, or on a bad disk, serves after so long without them."""
        if injury.kind not in PROCESSES:
            return 0
        for other in self._injuries:
            strikes_ms, heals_ms = self.window_ms(other)
            if other.kind in DISKS | KAFKA and strikes_ms <= starts_ms + START_MS and starts_ms <= heals_ms:
                return START_MS
        return 0

    def held_up(self, hosts: Collection[str], from_ms: int, to_ms: int, after_ms: int = AFTERWARDS_MS) -> bool:
        """Whether one of these processes, or a way to or from one of these hosts, was hurt meanwhile."""
        return any(
            injury.kind in CABLES | PROCESSES and any(target in hosts for target in injury.targets)
            for injury in self.during(from_ms, to_ms, after_ms)
        )

    def lost_what_they_wrote(self) -> dict[str, list[tuple[float, float]]]:
        """Processes that lost their disk, ended after it had not taken all that was written, or were killed in the
        moment while the log took nothing; and from when to when, in wall milliseconds, they said what may be lost of
        it: what the log did not have yet when they ended."""
        lost: dict[str, list[tuple[float, float]]] = {}
        for injury in self._injuries:
            strikes_ms, heals_ms = self.window_ms(injury)
            ends_ms = heals_ms if injury.kind in IN_ORDER else strikes_ms
            for name in injury.targets if injury.kind in DEATHS | {"disk_lost"} else ():
                since_ms = self._waits_since_ms(name, strikes_ms)
                if injury.kind not in IN_ORDER and since_ms < strikes_ms - AFTERWARDS_MS:
                    lost.setdefault(name, []).append((strikes_ms - IN_MEMORY_MS, strikes_ms))
                if injury.kind == "disk_lost":
                    lost.setdefault(name, []).append((since_ms, ends_ms))
                for other in self._injuries if injury.kind != "disk_lost" else ():
                    hurt_ms, well_ms = self.window_ms(other)
                    said_ms = (max(hurt_ms, since_ms), min(well_ms + TAKES_AGAIN_MS, ends_ms))
                    if other.kind in DISKS and name in other.targets and said_ms[0] <= said_ms[1]:
                        lost.setdefault(name, []).append(said_ms)
        return lost

    def _waits_since_ms(self, name: str, at_ms: float) -> float:
        """The oldest fact that may wait in this process: said as its Kafka, or a broker, was hurt, or just now."""
        since_ms: float = at_ms - AFTERWARDS_MS
        for injury in sorted(self._injuries, key=lambda each: each.at_s, reverse=True):
            from_ms, to_ms = self.window_ms(injury)
            mine = name in injury.targets or not any(target in SERVICE_OF for target in injury.targets)
            if injury.kind in KAFKA and mine and from_ms <= at_ms and to_ms + AFTERWARDS_MS >= since_ms:
                since_ms = min(since_ms, from_ms)
        return since_ms

    def quiet(self, from_ms: int, to_ms: int, after_ms: int) -> bool:
        """Whether nothing at all was hurt meanwhile, nor shortly before."""
        return next(self.during(from_ms, to_ms, after_ms), None) is None
