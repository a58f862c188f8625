"""A replay's result, whole, and as JSON: what the text, the page and a program are given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from hashlib import sha256
from typing import Any, Final

from services.domain.policy import Divert, Flag, Verdict
from services.policy.attributes import Value
from services.policy.bundle import Bundle
from services.policy.replays.difference import BUCKET_MS, Change, Difference, Example, Share, Side, Slower
from services.policy.replays.findings import Finding, Kind, Weight, percentile_ns

HIDDEN: Final = frozenset({"number", "lat", "lon", "display_name"})
"""Inputs that say who calls and from where; shown only where they are asked for. A cell of 2 km is no place."""

TRIPS_MAX: Final = 100
"""So many are told to a program; the findings have the first of each scope."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """Both bundles, what they were tried on, and what came of it."""

    live: Bundle
    candidate: Bundle
    corpus: str
    """Where the calls came from, in words."""
    difference: Difference
    findings: tuple[Finding, ...]
    show_numbers: bool = False
    zone: tzinfo = UTC

    @property
    def grave(self) -> tuple[Finding, ...]:
        """What the breakers would stop it for."""
        return tuple(each for each in self.findings if each.weight is Weight.GRAVE)

    def when(self, at_ms: int) -> str:
        """An instant in the region's local time, to the second."""
        return datetime.fromtimestamp(at_ms / 1000, self.zone).strftime("%Y-%m-%d %H:%M:%S")

    def inputs(self, example: Example) -> dict[str, Value]:
        """What the rules were given of an example's call, without who and where."""
        shown = dict(sorted(example.call.inputs.items()))
        if not self.show_numbers:
            shown = {name: value for name, value in shown.items() if name not in HIDDEN}
            shown["number"] = masked(example.call.text("number"))
        return shown

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of everything that is not a measure of time: two people who replay the same see the same."""
        return sha256(json.dumps(self._counted(), sort_keys=True).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """Everything, for a program. `measured` alone differs from one run to the next."""
        return self._counted() | {"digest": self.digest, "measured": self._measured()}

    def _counted(self) -> dict[str, Any]:
        difference = self.difference
        return {
            "candidate": _bundle(self.candidate),
            "live": _bundle(self.live),
            "corpus": {
                "what": self.corpus,
                "calls": difference.calls,
                "of_callers_who_do_not_repeat": difference.ordinary,
                "from_ms": difference.first_ms,
                "to_ms": difference.last_ms,
            },
            "findings": [
                {"kind": each.kind, "weight": each.weight, "about": each.about, "text": each.text}
                for each in self.findings
                if each.kind is not Kind.SLOW
            ],
            "changes": {each: difference.changes.get(each, 0) for each in Change},
            "diverted": {
                "live": _side(difference, difference.live),
                "candidate": _side(difference, difference.candidate),
            },
            "rules": {
                "live": _rules(difference, self.live, difference.live),
                "candidate": _rules(difference, self.candidate, difference.candidate),
            },
            "psaps": _shares(difference.psaps),
            "areas": _shares(difference.areas),
            "over_time": [
                {"from_ms": bucket * BUCKET_MS} | _share(share) for bucket, share in sorted(difference.buckets.items())
            ],
            "examples": [self._example(each) for each in difference.examples],
        }

    def _measured(self) -> dict[str, Any]:
        difference = self.difference
        return {
            "live": _took(difference.live),
            "candidate": _took(difference.candidate),
            "slower": [_slower(each) for each in difference.slower],
        }

    def _example(self, example: Example) -> dict[str, Any]:
        return {
            "change": example.change,
            "rule": example.rule,
            "call_id": example.call.call_id,
            "at_ms": example.call.at_ms,
            "live": word(example.live.verdict),
            "candidate": word(example.candidate.verdict),
            "kept_from": example.candidate.kept_from,
            "inputs": self.inputs(example),
        }


def masked(number: str) -> str:
    """What is left of a number: enough to tell two apart, not enough to ring."""
    return f"…{number[-2:]}" if number else ""


def word(verdict: Verdict) -> str:
    """A verdict as people say it."""
    match verdict:
        case Divert(desk, rule, _):
            return f"divert to {desk} by {rule}"
        case Flag(score, rule, _):
            return f"flag {score} by {rule}"
    return "pass"


def _bundle(bundle: Bundle) -> dict[str, Any]:
    return {"name": bundle.name, "version": bundle.version, "sha256": bundle.digest, "rules": len(bundle.rules)}


def _side(difference: Difference, side: Side) -> dict[str, Any]:
    return {
        "calls": side.diverted,
        "share": round(difference.share(side.diverted), 6),
        "proposed": side.proposed,
        "proposed_of_callers_who_do_not_repeat": side.ordinary,
        "past_the_breakers": side.diverted - side.broken,
        "trips": [
            {
                "scope": each.trip.scope,
                "why": each.trip.why,
                "call_id": each.call_id,
                "at_ms": each.at_ms,
                "diverted": each.diverted,
            }
            for each in side.trips[:TRIPS_MAX]
        ],
        "flagged": side.flagged,
        "kept_by_guard": dict(sorted(side.kept.items())),
    }


def _rules(difference: Difference, bundle: Bundle, side: Side) -> list[dict[str, Any]]:
    rows = []
    for rule in bundle.rules:
        tally = side.rules.get(rule.rule_id)
        rows.append(
            {
                "rule": rule.rule_id,
                "verdict": word(rule.verdict),
                "forecast_share": rule.forecast_share,
                "calls": tally.calls if tally else 0,
                "share": round(difference.share(tally.calls), 6) if tally else 0.0,
                "diverted": tally.diverted if tally else 0,
                "kept_by_guard": tally.kept if tally else 0,
                "callers": len(tally.callers) if tally else 0,
                "errors": sum(calls for (rule_id, _), calls in side.errors.items() if rule_id == rule.rule_id),
            }
        )
    return rows


def _shares(shares: Mapping[str, Share]) -> list[dict[str, Any]]:
    ordered = sorted(shares.items(), key=lambda item: (-item[1].candidate, -item[1].calls, item[0]))
    return [{"id": name} | _share(share) for name, share in ordered]


def _share(share: Share) -> dict[str, Any]:
    return {
        "calls": share.calls,
        "live": share.live,
        "candidate": share.candidate,
        "newly": share.newly,
        "no_longer": share.no_longer,
    }


def _took(side: Side) -> dict[str, float]:
    return {f"p{percent}_us": round(percentile_ns(side.took_ns, percent) / 1000, 1) for percent in (50, 99)}


def _slower(slower: Slower) -> dict[str, Any]:
    return {
        "call_id": slower.call.call_id,
        "live_us": slower.live_ns / 1000,
        "candidate_us": slower.candidate_ns / 1000,
    }
