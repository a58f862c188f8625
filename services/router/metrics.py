"""Every metric of a router. Labelled children are held."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.domain.routing import RouteReason
from services.journal.journal import Happening


class RouterMetrics:
    """Made once for a process, in its own registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"throughline_router_{name}", text, labels, registry=registry)

        routed = counter("routes", "Answers given, by why this PSAP.", "reason")
        self.routed = {each: routed.labels(each) for each in RouteReason}
        self.located = counter("places_located", "Places looked up, by how they led to PSAPs or why not.", "by")
        journal = counter("journal_events", "What became of records on their way to Kafka.", "happening")
        self.journal = {each: journal.labels(each) for each in Happening}
        self.journal_queued = Gauge(
            "throughline_router_journal_queued_records",
            "Records that wait in memory for Kafka (J6).",
            registry=registry,
        )
