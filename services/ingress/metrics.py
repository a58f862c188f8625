"""Every metric of an ingress. Labelled children are held: looking one up on each call costs more than counting."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.domain.calls.transitions import FINAL
from services.domain.durability import Durability
from services.domain.events import Failure
from services.domain.holding import Standing
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
        self.parked = Gauge(
            "throughline_ingress_calls_parked",
            "Accepted calls for which neither a place nor a line was free: on the callback list, and waiting (L1).",
            registry=registry,
        )
        overflowed = counter("calls_overflowed", "Calls that turned to lines for want of a place (L1).", "why")
        self.overflowed = {each: overflowed.labels(each) for each in ("no_room", "too_long")}
        self.resumed = counter(
            "legs_resumed", "Legs that named a confirmed attempt, by what became known of it (P5).", "standing"
        )
        let_go = counter(
            "talks_let_go",
            "Confirmed attempts whose caller was gone, or with somebody else, by what was heard of the person: nobody "
            "sits there any more, or nobody could say (P5).",
            "standing",
        )
        self.let_go = {each: let_go.labels(each) for each in (Standing.NONE, Standing.UNKNOWN)}
        self.adopted = counter("legs_adopted", "Legs that went on with what an older leg left ringing here (P7).")
        self.offered_again = counter(
            "attempts_offered_again", "Rings whose gateway was lost, offered through another one (R5)."
        )
        self.neighbours_failed = counter(
            "neighbours_failed",
            "Times that a firewall, router, gateway or failover replica broke, or did not answer in its share of the "
            "budget, while we ourselves were in time; by its address.",
            "address",
        )
        self.excused = counter(
            "failures_excused", "Failures of neighbours that do not count, since our own loop was late (L2)."
        )
        self.ignores_diverts = Gauge(
            "throughline_ingress_ignores_diverts",
            "1 while the last-line breaker follows no divert, since the firewall diverts too many; else 0. Alarm: 1.",
            registry=registry,
        )
        self.diverts_ignored = counter("diverts_ignored", "Diverts not followed: these calls went on as passed.")
        self.watching = Gauge(
            "throughline_ingress_watchers", "Failover replicas that hold a stream to this process.", registry=registry
        )
        accepted = counter("calls_accepted", "Calls accepted, by how well their first fact was kept.", "durability")
        self.accepted = {each: accepted.labels(each) for each in Durability}
        ended = counter("calls_ended", "Calls whose leg ended here, by the state it ended in.", "state")
        self.ended = {each: ended.labels(each) for each in FINAL}
        self.to_ringing = delays("to_ringing", "From a call's offer to its first ringing.")
        self.to_answer = delays("to_answer", "From a call's offer to its connection with a person.")
        self.screened = counter(
            "calls_screened",
            "Verdicts taken; `unscreened` where none came in time, `overflow` where none was asked for (L1).",
            "verdict",
        )
        self.routed = counter("calls_routed", "Routes taken, by who gave them: router or own_atlas.", "by")
        failed = counter(
            "attempts_failed", "Attempts that failed or were given up at their budget, by how (R1).", "failure"
        )
        self.failed = {each: failed.labels(each) for each in Failure}
        self.odd = counter("offers_odd", "Offers carried in spite of something odd in them.", "oddity")
        self.refused = counter("offers_refused", "Streams refused before a call was accepted.", "why")
        self.silent_streams = counter("streams_without_offer", "Streams that ended before anything was offered (P6).")
        self.unwanted = counter("words_unwanted", "Words of a caller's side that could not be read or had no place.")
        self.mistakes = counter("mistakes", "Mistakes of our own, in a call or beside it; the log has each.")
        journal = counter("journal_events", "What became of facts on their way to Kafka.", "happening")
        self.journal = {each: journal.labels(each) for each in Happening}
        self.journal_queued = Gauge(
            "throughline_ingress_journal_queued_facts",
            "Facts that wait for Kafka, in the spool or in memory (J5, J6).",
            registry=registry,
        )
