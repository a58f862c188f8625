"""Every metric of an ingress. Labelled children are held: looking one up on each call costs more than counting."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.domain.events import Failure
from services.domain.transitions import FINAL
from services.journal import Durability
from services.journal.journal import Happening

_DELAYS_S: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 15, 20, 30, 60)


class IngressMetrics:
    """Made once for a process, in its own registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"throughline_ingress_{name}", text, labels, registry=registry)

        def delays(name: str, text: str) -> Histogram:
            return Histogram(f"throughline_ingress_{name}_seconds", text, buckets=_DELAYS_S, registry=registry)

        self.offered = counter("calls_offered", "Calls offered: legs, redials and test calls included.")
        self.in_hand = Gauge("throughline_ingress_calls_in_hand", "Calls conducted at this moment.", registry=registry)
        self.waiting = Gauge(
            "throughline_ingress_calls_waiting",
            "Accepted calls that wait for their turn to be set up (L1).",
            registry=registry,
        )
        self.watching = Gauge(
            "throughline_ingress_watchers", "Failover replicas that hold a stream to this process.", registry=registry
        )
        accepted = counter("calls_accepted", "Calls accepted, by how well their first fact was kept.", "durability")
        self.accepted = {each: accepted.labels(each) for each in Durability}
        ended = counter("calls_ended", "Calls whose leg ended here, by the state it ended in.", "state")
        self.ended = {each: ended.labels(each) for each in FINAL}
        self.to_ringing = delays("to_ringing", "From a call's offer to its first ringing.")
        self.to_answer = delays("to_answer", "From a call's offer to its connection with a person.")
        self.screened = counter("calls_screened", "Verdicts taken, `unscreened` where none came in time.", "verdict")
        self.routed = counter("calls_routed", "Routes taken, by who gave them: router or own_atlas.", "by")
        failed = counter("attempts_failed", "Attempts that did not bring a call to a person.", "failure")
        self.failed = {each: failed.labels(each) for each in Failure}
        self.odd = counter("offers_odd", "Offers carried in spite of something odd in them.", "oddity")
        self.refused = counter("offers_refused", "Streams refused before a call was accepted.", "why")
        self.silent_streams = counter("streams_without_offer", "Streams that ended before anything was offered (P6).")
        self.unwanted = counter("words_unwanted", "Words of a caller's side that could not be read or had no place.")
        self.mistakes = counter("mistakes", "Mistakes of our own, in a call or beside it; the log has each.")
        journal = counter("journal_events", "What became of facts on their way to Kafka.", "happening")
        self.journal = {each: journal.labels(each) for each in Happening}
        self.journal_queued = Gauge(
            "throughline_ingress_journal_queued_facts", "Facts that wait in memory for Kafka (J6).", registry=registry
        )
