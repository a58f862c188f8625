"""What became of the calls of one run, counted from what callers saw, what firewalls said and what the books hold."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

ENOUGH: Final = 3
"""Calls that must pass after the last that a policy touched before it is said that everything passes."""


@dataclass(slots=True)
class CallFigures:
    """One call: what its caller saw. Milliseconds since 1970."""

    offered_ms: int
    rang_ms: int | None = None
    connected_ms: int | None = None
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run. Whoever dials again makes a call of their own."""

    offered: int
    reached_psap: int
    """Or a line that stands in for one."""
    diverted_answered: int
    """By a person at the desk that the policy named, or at one that stands in for it."""
    diverted_hung_up: int
    """Before anybody had answered at the desk; each is on the callback list."""
    hung_up: int
    """The others who did so."""
    lost: int
    touched: int
    """Calls that a policy took from their PSAP: blocked, or told to divert."""
    passes_after_s: float | None
    """From the strike until the last call that was touched; None: to the end of the run."""
    ringing_p50_ms: int
    ringing_p99_ms: int
    quiet_p99_ms: int
    """Of calls that were offered before the strike."""
    answer_p99_ms: int
    """Until a person has the call, of those that are answered; people here are five times as quick as in life."""


def heard(entries: Iterable[Mapping[str, Any]]) -> dict[str, CallFigures]:
    """Each call by its id."""
    calls: dict[str, CallFigures] = {}
    for entry in entries:
        at_ms, event = entry["at_ms"], entry["event"]
        call = calls.setdefault(entry["call_id"], CallFigures(at_ms))
        if event in ("ringing", "connected") and call.rang_ms is None:
            call.rang_ms = at_ms
        if event == "connected" and call.connected_ms is None:
            call.connected_ms = at_ms
        call.blocked |= event == "blocked"
    return calls


def count(
    calls: Mapping[str, CallFigures], diverted: Collection[str], listed: Collection[str], struck_ms: int
) -> Figures:
    """`diverted`: calls that a firewall told to divert; `listed`: on the callback list."""
    touched = {call_id for call_id, call in calls.items() if call.blocked or call_id in diverted}
    last_ms = max((calls[call_id].offered_ms for call_id in touched), default=struck_ms)
    later = [call for call in calls.values() if call.offered_ms > last_ms]
    passes = not touched or len(later) >= ENOUGH
    answered = {call_id for call_id, call in calls.items() if call.connected_ms is not None}
    return Figures(
        offered=len(calls),
        reached_psap=len(answered - touched),
        diverted_answered=len(answered & touched),
        diverted_hung_up=len(touched & set(listed) - answered),
        hung_up=len(set(calls) & set(listed) - answered - touched),
        lost=len(set(calls) - answered - set(listed)),
        touched=len(touched),
        passes_after_s=round(max(0, last_ms - struck_ms) / 1000, 1) if passes else None,
        ringing_p50_ms=percentile(_to_ringing(calls.values()), 50),
        ringing_p99_ms=percentile(_to_ringing(calls.values()), 99),
        quiet_p99_ms=percentile(_to_ringing(call for call in calls.values() if call.offered_ms < struck_ms), 99),
        answer_p99_ms=percentile(_to_answer(calls.values()), 99),
    )


def percentile(delays_ms: list[int], percent: float) -> int:
    """The smallest that so many per cent do not exceed; 0 of none."""
    ordered = sorted(delays_ms)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0


def _to_ringing(calls: Iterable[CallFigures]) -> list[int]:
    return [call.rang_ms - call.offered_ms for call in calls if call.rang_ms is not None]


def _to_answer(calls: Iterable[CallFigures]) -> list[int]:
    return [call.connected_ms - call.offered_ms for call in calls if call.connected_ms is not None]
