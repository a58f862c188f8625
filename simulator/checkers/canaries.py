"""Which calls the candidate of a canary answers: its share of them, the same at every firewall (docs/firewall.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from services.policy.bundle import CanaryStep
from services.policy.life.canary import under
from services.policy.life.lifecycle import Stage
from simulator.checkers.evidence import Evidence
from simulator.checkers.finding import Finding
from simulator.checkers.policies import is_hurt, states, told_of
from simulator.policies import CANARY_SHARE

LOADED_MS: Final = 1_500
"""After this every firewall has read of a candidate, and its evaluators hold it."""


def answers_its_share(evidence: Evidence) -> Iterator[Finding]:
    """A candidate answers its share of the calls, the same ones at every firewall, and no others."""
    stood = [(from_ms, state) for from_ms, state, _ in states(evidence)]
    canaries = [n for n, (_, state) in enumerate(stood) if state.stage is Stage.CANARY and state.candidate is not None]
    told = [each for each in told_of(evidence) if each.first] if canaries else []
    for n in canaries:
        from_ms, state = stood[n]
        assert state.candidate is not None
        digest, to_ms = state.candidate.digest, stood[n + 1][0] if n + 1 < len(stood) else None
        for each in told:
            is_one = under((CanaryStep(CANARY_SHARE),), 0, digest, each.call_id, "")
            by_it = each.record.bundle == digest
            stands = from_ms + LOADED_MS <= each.at_ms and (to_ms is None or each.said_ms < to_ms)
            if by_it and not is_one:
                yield Finding("canary", each.call_id, "answered by the candidate, and not among its share")
            elif is_one and stands and not by_it and each.record.bundle and not is_hurt(evidence, each, from_ms):
                words = f"of the candidate's share, and answered by {each.record.bundle[:12]}"
                yield Finding("canary", each.call_id, words)
