"""The story that the demonstration tells: calm, four kinds of failure at once, recovery.

Which PSAPs fail follows from the plan: the busiest of the middle phase, of those that are called in it early and often
enough to show something, and again when they are back. Seconds are those of the compressed storm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from loadtest.answering_point import Fault
from loadtest.region_tables import RegionTables
from loadtest.workload import PlannedCall

ARRIVALS: Final = 240.0
HUMANS: Final = 10.0
RING_TIMEOUT_MS: Final = int(15_000 / HUMANS)
COMPRESSION: Final = (
    f"arrivals {ARRIVALS:.0f}:1, human times (ring time-out, patience, talk) {HUMANS:.0f}:1, protocol budgets never"
)


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the storm, from and to in seconds after its first call."""

    name: str
    from_s: float
    to_s: float
    text: str


CALM: Final = Phase("calm", 0.0, 40.0, "calls are answered by the PSAP of their town")
FAILURES: Final = Phase("failures", 40.0, 70.0, "four PSAPs fail, each in its own way, while a call rings there")
RECOVERY: Final = Phase("recovery", 70.0, 90.0, "they come back, and so do their calls")
PHASES: Final = (CALM, FAILURES, RECOVERY)
STRIKES_BY_S: Final = 55.0
"""A PSAP that nobody has rung by then fails all the same."""
FAULTS: Final = (Fault.CUT, Fault.SILENT, Fault.REJECT, Fault.FULL)
FAULT_TEXTS: Final = {
    Fault.CUT: "connections break",
    Fault.SILENT: "attached, silent",
    Fault.REJECT: "rejects all",
    Fault.FULL: "says it is full",
}


@dataclass(frozen=True, slots=True)
class Stricken:
    """A PSAP that will fail, and how."""

    psap_id: str
    name: str
    fault: Fault


def phase_at(at_s: float) -> Phase:
    """The phase of an instant; what comes after the last belongs to the last."""
    return next((phase for phase in PHASES if at_s < phase.to_s), RECOVERY)


def choose_stricken(calls: Sequence[PlannedCall], region: RegionTables) -> list[Stricken]:
    """One PSAP for each kind of failure, the busiest first. Raises ValueError for a plan too thin to show them."""
    called: dict[str, list[float]] = {}
    for call in calls:
        called.setdefault(region.psap_of_town[call.town], []).append(call.at_s)

    def during(psap_id: str, from_s: float, to_s: float) -> int:
        return sum(from_s <= at_s < to_s for at_s in called[psap_id])

    telling = [
        psap_id
        for psap_id in called
        if during(psap_id, FAILURES.from_s, STRIKES_BY_S)
        and during(psap_id, FAILURES.from_s, FAILURES.to_s) >= 2
        and during(psap_id, RECOVERY.from_s + 1, RECOVERY.to_s)
    ]
    telling.sort(key=lambda psap_id: (-during(psap_id, FAILURES.from_s, FAILURES.to_s), psap_id))
    if len(telling) < len(FAULTS):
        raise ValueError(
            f"expected {len(FAULTS)} PSAPs that are called in all phases; got {len(telling)}: another seed?"
        )
    return [
        Stricken(psap_id, region.psap_names[psap_id], fault) for psap_id, fault in zip(telling, FAULTS, strict=False)
    ]
