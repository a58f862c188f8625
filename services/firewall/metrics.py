"""Every metric of a firewall. Labelled children are held."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.domain.policy import Divert, Flag, Pass
from services.journal.journal import Happening

_TOOK_S: Final = (0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.01, 0.1)


class FirewallMetrics:
    """Made once for a process, in its own registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"throughline_firewall_{name}", text, labels, registry=registry)

        verdicts = counter("verdicts", "Verdicts given.", "verdict")
        self.verdicts = {kind: verdicts.labels(kind.__name__.lower()) for kind in (Pass, Flag, Divert)}
        self.rules = counter("rules_true", "Verdicts other than pass, by the rule that spoke.", "rule")
        self.failed_open = counter("failed_open", "Calls passed because the rulebook failed; the log has each.")
        self.took = Histogram(
            "throughline_firewall_took_seconds", "How long a decision took.", buckets=_TOOK_S, registry=registry
        )
        journal = counter("journal_events", "What became of records on their way to Kafka.", "happening")
        self.journal = {each: journal.labels(each) for each in Happening}
        self.journal_queued = Gauge(
            "throughline_firewall_journal_queued_records",
            "Records that wait in memory for Kafka (J6).",
            registry=registry,
        )
