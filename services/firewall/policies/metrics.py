"""What a firewall says of the policies that it takes, of the bypass and of its drill."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.policy.life.bypass import By


class NotTaken(StrEnum):
    """Why a bundle that stands on `policy` does not answer calls here."""

    TORN = "torn"
    UNSIGNED = "unsigned"
    WRONG = "wrong"
    EXPIRED = "expired"
    UNREADABLE = "unreadable"
    OLDER = "older"
    UNORDERED = "unordered"


_WHY: Final = (
    "torn: records are missing; unsigned: too few known signatures; wrong: a signature that is none; expired: one that "
    "was; unreadable: no bundle; older: the topic has lost records; unordered: no signed order that still counts"
)


class PolicyMetrics:
    """Made once for a process, in its registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"throughline_policy_{name}", text, labels, registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"throughline_policy_{name}", text, labels, registry=registry)

        self.version = gauge("version", "Version of the policy that answers calls; 0 while it is the built-in one.")
        self.candidate = gauge(
            "candidate_version", "Version of the candidate in shadow or canary; 0 while there is none."
        )
        doubts = gauge(
            "doubt", f"1 while the live policy or a candidate is not taken, by why ({_WHY}). Alarm: 1.", "why"
        )
        self.doubts = {each: doubts.labels(each) for each in NotTaken}
        not_taken = counter("not_taken", f"Policies that were not taken, each counted once, by why ({_WHY}).", "why")
        self.not_taken = {each: not_taken.labels(each) for each in NotTaken}
        self.taken = counter("taken", "Policies that answered calls from then on.")
        self.reverts = counter(
            "reverts", "Times that a policy was taken back by itself: a breaker, a forecast, a fault. Alarm: it rises."
        )
        self.quarantined = gauge(
            "bundles_quarantined",
            "Bundles that are asked of no call any more, since a breaker tripped, a forecast failed or an evaluator "
            "fell over them, and for which no newer one is live yet. Alarm: 1 or more.",
        )
        self.unreadable = counter(
            "records_unreadable",
            "Records of `policy` that are no part of a policy's life: a stranger's, a newer version's, or one that was "
            "deleted. A start counts those anew that are still there. Alarm: it rises.",
        )
        self.unwritten = gauge(
            "changes_unwritten",
            "Changes that hold here alone, since `policy` cannot be written. Alarm: 1 or more for 60 s.",
        )
        self.cache_troubles = counter(
            "cache_troubles",
            "Times that the last good policy could not be kept on disk, or could not be used from it. Alarm: it rises.",
        )
        bypassed = gauge(
            "bypassed", "1 while every call passes whatever policies say, by what switched it on. Alarm: 1.", "by"
        )
        self.bypassed = {each: bypassed.labels(each) for each in By}
        self.drilled = gauge(
            "bypass_drill_success_timestamp_seconds",
            "When the hourly drill of the bypass last went well here, in seconds since 1970; 0 before the first. "
            "Alarm: 130 minutes ago.",
        )
        self.drills_failed = counter(
            "bypass_drills_failed", "Drills of the bypass that did not go well; the log has why. Alarm: it rises."
        )
