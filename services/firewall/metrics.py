"""Every metric of a firewall. Labelled children are held."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.domain.policy import Divert, Flag, Pass
from services.journal.journal import Happening

_TOOK_S: Final = (0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)


class FirewallMetrics:
    """Made once for a process, in its own registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"throughline_firewall_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"throughline_firewall_{name}", text, registry=registry)

        verdicts = counter("verdicts", "Verdicts given, test calls left out.", "verdict")
        self.verdicts = {kind: verdicts.labels(kind.__name__.lower()) for kind in (Pass, Flag, Divert)}
        self.rules = counter("rules_true", "Calls for which a rule spoke, answered so or not, by the rule.", "rule")
        self.kept = counter(
            "kept", "Calls passed though a rule spoke, by what kept them: a guard, or a breaker's kind of scope.", "by"
        )
        self.failed_open = counter(
            "failed_open",
            "Calls passed because no rule was asked, by why; the log has each mistake. Alarm: it rises.",
            "why",
        )
        self.errors = counter(
            "rule_errors", "Rules that could not be evaluated for a call, by the rule. Alarm: it rises.", "rule"
        )
        self.trips = counter(
            "breaker_trips",
            "Breakers that tripped, by their kind of scope and by why. Alarm: it rises.",
            "scope",
            "why",
        )
        self.tripped = gauge("breakers_tripped", "Breakers that are tripped now: of those scopes everything passes.")
        self.evaluators = counter("evaluators_started", "Helpers started that evaluate bundles, the first included.")
        self.starved = counter("evaluators_starved", "Helpers killed for silence that had little of the processor.")
        self.shadowed = counter(
            "shadowed", "Calls a candidate was asked about off the calls' way, by outcome.", "outcome"
        )
        self.heard = counter("heard", "Screenings of other replicas, or of before the start, taken into the windows.")
        self.took = Histogram(
            "throughline_firewall_took_seconds",
            "How long a verdict took, the evaluator's answer included.",
            buckets=_TOOK_S,
            registry=registry,
        )
        journal = counter("journal_events", "What became of records on their way to Kafka.", "happening")
        self.journal = {each: journal.labels(each) for each in Happening}
        self.journal_queued = gauge("journal_queued_records", "Records that wait in memory for Kafka (J6).")
