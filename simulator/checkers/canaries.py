"""Which calls the candidate of a canary answers: its share of them, the same at every firewall (docs/firewall.md)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from services.policy.bundle import CanaryStep
from services.policy.life.canary import under
from services.policy.life.lifecycle import Stage, State
from services.policy.life.shelf import Shelf
from services.wire import policy_records
from services.wire.methods import Unreadable
from simulator.checkers.evidence import Evidence
from simulator.checkers.finding import Finding
from simulator.checkers.policies import is_hurt, told_of
from simulator.policies import CANARY_SHARE

LOADED_MS: Final = 1_500
"""After this every firewall has read of a candidate, and its evaluators hold it."""


def answers_its_share(evidence: Evidence) -> Iterator[Finding]:
    """A candidate answers its share of the calls, the same ones at every firewall, and no others."""
    states = list(_states(evidence))
    told = told_of(evidence) if any(state.stage is Stage.CANARY for _, state in states) else []
    for n, (from_ms, state) in enumerate(states):
        if state.stage is not Stage.CANARY or state.candidate is None:
            continue
        digest, to_ms = state.candidate.digest, states[n + 1][0] if n + 1 < len(states) else None
        for each in told:
            if not each.first:
                continue
            is_one = under((CanaryStep(CANARY_SHARE),), 0, digest, each.call_id, "")
            by_it = each.record.bundle == digest
            stands = from_ms + LOADED_MS <= each.at_ms and (to_ms is None or each.said_ms < to_ms)
            if by_it and not is_one:
                yield Finding("canary", each.call_id, "answered by the candidate, and not among its share")
            elif is_one and stands and not by_it and each.record.bundle and not is_hurt(evidence, each, from_ms):
                words = f"of the candidate's share, and answered by {each.record.bundle[:12]}"
                yield Finding("canary", each.call_id, words)


def _states(evidence: Evidence) -> Iterator[tuple[int, State]]:
    """What stood on the topic, and from when on."""
    shelf = Shelf()
    for record in evidence.seen.policies:
        with suppress(Unreadable):
            entry = policy_records.read(record.key, record.value)
            if entry is not None:
                shelf.put(entry)
                if isinstance(entry, State) and shelf.state is entry:
                    yield record.log_ms, entry
