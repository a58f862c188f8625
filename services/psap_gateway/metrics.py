"""Every metric of a PSAP gateway. Labelled children are held."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.domain.deliveries import Outcome
from services.domain.events import Failure
from services.domain.gateways.attachments import Offence
from services.domain.holding import Standing
from services.journal.journal import Happening

QUESTIONS: Final = ("who_has", "resume")
_TAKE_UP_S: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3)


class PsapGatewayMetrics:
    """Made once for a process, in its own registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"throughline_psap_gateway_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"throughline_psap_gateway_{name}", text, registry=registry)

        self.offered = counter("attempts_offered", "Attempts that conductors offered here.")
        self.in_hand = gauge("attempts_in_hand", "Attempts that ring, or are about to, at this moment.")
        outcomes = counter("outcomes", "What became of attempts, step by step (as on `deliveries`).", "outcome")
        self.outcomes = {each: outcomes.labels(each) for each in Outcome}
        failed = counter("attempts_failed", "Attempts that failed, by how (protocol.md R1).", "failure")
        self.failed = {each: failed.labels(each) for each in Failure}
        self.taken_over = counter(
            "attempts_taken_over",
            "Attempts in hand that were offered again by a newer stream; counted when the older one is ended (R5).",
        )
        self.doubts = counter(
            "doubts",
            "Times that a conductor was told that the PSAP at which its attempt rings is silent (R2).",
        )
        attested = counter(
            "attestations",
            "Answers given to who asks for a call, by question and standing (P5, T3).",
            "question",
            "standing",
        )
        self.attested = {(asked, each): attested.labels(asked, each) for asked in QUESTIONS for each in Standing}
        self.take_up = Histogram(
            "throughline_psap_gateway_take_up_seconds",
            "From an offer to the PSAP's `ringing`.",
            buckets=_TAKE_UP_S,
            registry=registry,
        )
        self.attached = gauge("psaps_attached", "PSAPs that hold a stream to this gateway.")
        unlinked = counter("streams_ended", "PSAP streams that this gateway ended or refused, by why.", "offence")
        self.unlinked = {each: unlinked.labels(each) for each in Offence}
        self.misspoken = counter("conductor_words_refused", "Streams of conductors refused for what they said.")
        self.snapshots = counter("status_snapshots", "Snapshots of PSAP status published.")
        journal = counter("journal_events", "What became of records on their way to Kafka.", "happening")
        self.journal = {each: journal.labels(each) for each in Happening}
        self.journal_queued = gauge("journal_queued_records", "Records that wait in memory for Kafka (J6).")
