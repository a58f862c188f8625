"""The story that the demonstration tells, in two halves: PSAPs fail, and come back; then processes die, and come back;
and a bad policy is pushed.

The same storm comes over the region twice, a half each; the second time with other callers in other places. Which
PSAPs fail follows from the plan: the busiest of the middle phase, of those that are called in it early and often
enough to show something, and again when they are back. Seconds are those of the compressed storm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
FIREWALL: Final = Phase("firewall killed", 90.0, 103.0, "the only one: calls go on unscreened until it is back")
ROUTER: Final = Phase("router killed", 103.0, 116.0, "the only one: each ingress asks its own copy of the atlas")
INGRESS: Final = Phase("ingress killed", 116.0, 136.0, "one of two, with calls in hand: they are offered to the other")
KAFKA: Final = Phase("Kafka stopped", 136.0, 162.0, "its only broker, for ten seconds: calls do not wait for it")
ALL_BACK: Final = Phase("all back", 162.0, 180.0, "everything is back by itself")
BAD_POLICY: Final = Phase("bad policy", 180.0, 196.0, "it diverts everybody, forced past its gates: it goes by itself")
FIRST_HALF: Final = (CALM, FAILURES, RECOVERY)
SECOND_HALF: Final = (FIREWALL, ROUTER, INGRESS, KAFKA, ALL_BACK, BAD_POLICY)
PHASES: Final = (*FIRST_HALF, *SECOND_HALF)
HALF_S: Final = FIRST_HALF[-1].to_s

# The first half: PSAPs fail.

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


# The second half: processes die.


@dataclass(frozen=True, slots=True)
class Killing:
    """A process that is killed (`kill -9`) in its phase: from `at_s` on, as soon as so many calls are in its hand, and
    at `by_s` in any case."""

    victim: str
    phase: Phase
    at_s: float
    by_s: float
    calls_in_hand: int = 0
    rings_in_hand: int = 0


BROKER: Final = "Kafka"
RESTART_AFTER_S: Final = 5.0
"""A service that died is started again by whoever watches over it, as systemd or Kubernetes would."""
KAFKA_GONE_S: Final = 10.0
KILLINGS: Final = (
    Killing("firewall-1", FIREWALL, 91.5, 91.5),
    Killing("router-1", ROUTER, 104.5, 104.5),
    Killing("ingress-1", INGRESS, 119.0, 126.0, calls_in_hand=3, rings_in_hand=2),
    Killing(BROKER, KAFKA, 138.0, 138.0),
)
SUPERVISION: Final = (
    f"A service that dies is started again where it was after {RESTART_AFTER_S:.0f} s, as systemd or Kubernetes would; "
    f"Kafka's broker {KAFKA_GONE_S:.0f} s after it was killed, with its data. Nothing else is done for anybody."
)


# At its end a bad policy is pushed.

GATES_S: Final = 156.0
"""Two operators take it through its gates, which stop it, while the storm goes on."""
FORCED_S: Final = 181.0
CALLERS_AGAIN_S: Final = (180.2, 194.2)
CALLERS_AGAIN: Final = 56
"""Calls of people who have called within the hour: a first call is never diverted, whatever a policy says."""


def phase_at(at_s: float, phases: Sequence[Phase] = PHASES) -> Phase:
    """The phase of an instant; what comes after the last belongs to the last."""
    return next((phase for phase in phases if at_s < phase.to_s), phases[-1])


def twice_over(trace_s: Sequence[float]) -> list[float]:
    """The trace for both halves, in its own uncompressed seconds."""
    return [*trace_s, *(HALF_S * ARRIVALS + at_s for at_s in trace_s)]


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


def callers_again(calls: Sequence[PlannedCall], run: str) -> list[PlannedCall]:
    """The calls of the last phase, evenly: by people who called while the router and the ingress were killed."""
    before = [call for call in calls if ROUTER.from_s <= call.at_s < INGRESS.to_s]
    from_s, to_s = CALLERS_AGAIN_S
    each_s = (to_s - from_s) / CALLERS_AGAIN
    return [
        replace(call, call_id=f"{run}-again-{number:02d}", at_s=round(from_s + number * each_s, 3))
        for number, call in enumerate(before[:CALLERS_AGAIN])
    ]
