"""Every metric of a ledger."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.domain.events import FactKind
from services.domain.fold import Outcome
from services.journal.journal import Happening

_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class LedgerMetrics:
    """Made once for a process, in its own registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"throughline_ledger_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"throughline_ledger_{name}", text, labels, registry=registry)

        self.facts = counter("facts", "Facts written into the books.")
        self.duplicates = counter("facts_duplicate", "Facts that were in the books already, by their identity.")
        self.unknown_kinds = counter("facts_of_unknown_kind", "Facts of a kind of a newer version, kept (J1).")
        self.set_aside = counter("records_set_aside", "Records that are no facts, kept with their bytes.")
        self.gaps = counter("journal_gaps", "Stretches of the journal that were gone before they were read.")
        calls = gauge("calls", "Calls in the books, by outcome; test calls apart.", "outcome", "test")
        self.calls = {
            (outcome, test): calls.labels(outcome, str(test).lower()) for outcome in Outcome for test in (False, True)
        }
        self.connected_twice = counter("calls_connected_twice", "Calls that connected by two different attempts (J2).")
        told = counter("facts_told", "Facts that the ledger itself appended to the journal.", "kind")
        self.told = {kind: told.labels(kind) for kind in (FactKind.CALLBACK_DUE, FactKind.RECONNECTED)}
        self.behind = gauge("behind_seconds", "Age of the newest record at the moment that it was in the books.")
        self.transaction = Histogram(
            "throughline_ledger_transaction_seconds",
            "How long one batch took to be written.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.store_troubles = counter("store_troubles", "Times that the database did not do what was asked.")
        self.stopped = gauge(
            "stopped_for_another", "1 when another ledger writes to the database and this one stopped."
        )
        journal = counter("journal_events", "What became of the ledger's own facts on their way to Kafka.", "happening")
        self.journal = {each: journal.labels(each) for each in Happening}
