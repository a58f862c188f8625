"""What a process says of the region that it serves, whichever service it is."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge


class NotServed(StrEnum):
    """Why the version that `routing` calls current is not served."""

    TORN = "torn"
    """A record of it is missing, or is not what it says."""
    REFUSED = "refused"
    """Its files are no region."""
    OLDER = "older"
    """It is older than the one served: records of the topic were lost."""


_WHY: Final = "torn: records are missing or wrong; refused: no region; older: the topic has lost records"


class RegionMetrics:
    """Made once for a process, in its registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.version = Gauge(
            "throughline_region_version",
            "Version of the published region that is served; 0 while it is the baked-in one.",
            registry=registry,
        )
        self.not_current = Gauge(
            "throughline_region_not_current",
            "1 while `routing` calls another version current than the one served.",
            registry=registry,
        )
        self.taken = Counter(
            "throughline_region_taken",
            "Versions taken from `routing` and served from then on.",
            registry=registry,
        )
        not_served = Counter(
            "throughline_region_not_served",
            f"Versions on `routing` that were not served, each counted once, by why ({_WHY}).",
            ("why",),
            registry=registry,
        )
        self.not_served = {each: not_served.labels(each) for each in NotServed}
        self.unreadable = Counter(
            "throughline_region_records_unreadable",
            "Records of `routing` that are no part of a publication.",
            registry=registry,
        )
        self.cache_troubles = Counter(
            "throughline_region_cache_troubles",
            "Times that the last good region could not be kept on disk, or what was kept could not be used.",
            registry=registry,
        )
