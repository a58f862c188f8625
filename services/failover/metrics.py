"""Every metric of a failover replica. Labelled children are held."""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.domain.deliveries import Outcome
from services.domain.events import Failure
from services.domain.take_overs.taking_over import Cause
from services.journal.journal import Happening


class TakenUp(StrEnum):
    """What came of a take-over."""

    ATTESTED = "attested"
    CALLBACK_DUE = "callback_due"
    WITHDRAWN = "withdrawn"


class RungBack(StrEnum):
    """What came of a try to have a caller rung back."""

    CONNECTED = "connected"
    FAILED = "failed"
    ATTESTED = "attested"
    WITHDRAWN = "withdrawn"


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
        self.debts_open = gauge("debts_open", "Calls that owe another fact, as this replica has read the journal (T2).")
        due = Gauge(
            "throughline_failover_debts_due",
            "Debts whose conductor is gone, silent or late at this moment, whoever's turn it is (T1, T2).",
            ("cause",),
            registry=registry,
        )
        self.debts_due = {each: due.labels(each) for each in Cause}
        self.debts_dropped = counter(
            "debts_dropped", "Debts forgotten unpaid: silent for 15 minutes, or for want of room; the ledger's now."
        )
        taken = counter("take_overs", "Debts that this replica took up, by what came of it (T3).", "outcome")
        self.taken_over = {each: taken.labels(each) for each in TakenUp}
        self.watched = gauge("ingresses_watched", "Addresses to which this replica holds a watching stream (T1).")
        self.silent = gauge(
            "ingresses_silent",
            "Ingresses known from which no word has come for a second at this moment, or whose stream is broken (T1); "
            "one that owes nothing is forgotten after a minute.",
        )
        self.suspects = gauge("suspects_itself", "1 while so many are silent at once that it doubts its own view (T5).")
        self.suspicions = counter("suspicions", "Times that this replica began to doubt its own view (T5).")
        self.kept_now = gauge("copies_kept_now", "Copies of facts on this replica's disk at this moment (J4).")
        self.kept = counter("copies_kept", "Facts of which an ingress had a copy kept here (J4).")
        self.kept_refused = counter("copies_refused", "Facts that were not kept, for want of room or of a disk (J4).")
        self.handed_over = counter("copies_handed_over", "Copies that were given to the log for a gone conductor (J4).")
        rung_back = counter("ring_backs", "Tries to have a caller rung back by a line, by what came of it.", "outcome")
        self.rung_back = {each: rung_back.labels(each) for each in RungBack}
        self.resumes = counter(
            "resumes", "Questions whether an attempt at a line is connected (P5), by answer.", "standing"
        )
        self.given_back = counter("rings_given_back", "Rings that gave way to another call that waited for the line.")
        self.mistakes = counter(
            "mistakes", "Mistakes of its own code that this replica went on past; each is in the log."
        )
        self.misspoken = counter("conductor_words_refused", "Streams of conductors refused for what they said.")
        journal = counter("journal_events", "What became of records on their way to Kafka.", "happening")
        self.journal = {each: journal.labels(each) for each in Happening}
        self.journal_queued = gauge("journal_queued_records", "Records that wait in memory for Kafka (J6).")
