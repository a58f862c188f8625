"""Every metric of a failover replica. Labelled children are held."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.domain.deliveries import Outcome
from services.domain.events import Failure
from services.journal.journal import Happening


class FailoverMetrics:
    """Made once for a process, in its own registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"throughline_failover_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"throughline_failover_{name}", text, registry=registry)

        self.offered = counter("attempts_offered", "Attempts that conductors offered here.")
        self.in_hand = gauge("attempts_in_hand", "Attempts that dial or ring at this moment.")
        outcomes = counter("outcomes", "What became of attempts, step by step (as on `deliveries`).", "outcome")
        self.outcomes = {each: outcomes.labels(each) for each in Outcome}
        failed = counter("attempts_failed", "Attempts that reached nobody, by how (protocol.md R1).", "failure")
        self.failed = {each: failed.labels(each) for each in Failure}
        self.dials = counter("dials", "Lines dialled, by trunk and what the trunk said first.", "trunk", "said")
        self.unknown_owners = counter("unknown_owners", "Attempts for an owner without lines: to the region's desk.")
        self.given_back = counter("rings_given_back", "Rings that gave way to another call that waited for the line.")
        self.misspoken = counter("conductor_words_refused", "Streams of conductors refused for what they said.")
        journal = counter("journal_events", "What became of records on their way to Kafka.", "happening")
        self.journal = {each: journal.labels(each) for each in Happening}
        self.journal_queued = gauge("journal_queued_records", "Records that wait in memory for Kafka (J6).")
