"""What a schedule can do to an installation and to the world outside, by name.

Each kind draws whom it hits, how hard and for how long, strikes, and heals. A schedule is a list of such injuries; what
they are made of is one file a family: processes, evaluators, policies, cables, Kafka, disks, clocks, the region, the
far end, and steps, in which several of these are done to those who have to do with one call.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from simulator.injuries import cables, clocks, disks, evaluators, far_end, kafka, policies, processes, regions, steps
from simulator.injuries.kind import Injury, Kind, Scene

FAMILIES: Final[Mapping[str, tuple[Kind, ...]]] = MappingProxyType(
    {
        "process": processes.KINDS,
        "evaluator": evaluators.KINDS,
        "policy": policies.KINDS,
        "network": cables.KINDS,
        "kafka": kafka.KINDS,
        "disk": disks.KINDS,
        "clock": clocks.KINDS,
        "region": regions.KINDS,
        "far_end": far_end.KINDS,
        "steps": steps.KINDS,
    }
)
KINDS: Final[Mapping[str, Kind]] = MappingProxyType({kind.name: kind for kinds in FAMILIES.values() for kind in kinds})

__all__ = ["FAMILIES", "KINDS", "Injury", "Kind", "Scene"]
