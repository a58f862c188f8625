"""The facts of one leg by one conductor follow the table of a call (services/domain/calls/transitions.py).

Not every step leaves a fact, and some leave several. So what is followed is the set of states in which the machine may
stand: each fact must be one that some input, allowed by the table in one of them, writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from loadtest.call_told import Entry
from loadtest.witness import NUMBERED_BY_KIND
from services.domain.calls.exchange import (
    Admitted,
    AttemptFailed,
    CallerConfirmed,
    CallerHungUp,
    Doubted,
    HigherLeg,
    Input,
    NoRoom,
    PersonAnswered,
    PersonConnected,
    Rang,
    Resumed,
    Routed,
    Screened,
    StreamBroke,
    TimePassed,
)
from services.domain.calls.transitions import BEGINNINGS, FINAL, TABLE, State
from simulator.checkers.evidence import Evidence
from simulator.checkers.finding import Finding

States = frozenset[State]
Inputs = frozenset[type[Input]]

UNDER_WAY: Final = frozenset(State) - FINAL
ADOPTS: Final = frozenset({State.ATTEMPTING, State.RINGING, State.PROPOSED, State.CONNECTING})
"""Where a leg may begin that goes on with an older one's rings (P7)."""
SILENT: Final = frozenset(
    {State.QUEUED, State.SCREENING, State.ROUTING, State.PROPOSED, State.CONNECTING},
)
"""States that may be entered without a fact; every other is told."""
QUIET: Final[Inputs] = frozenset({Admitted, NoRoom, Resumed, PersonAnswered, CallerConfirmed, TimePassed})
"""Inputs that may enter one of them without a fact."""
CLIMBS: Final[Inputs] = frozenset(
    {Screened, Routed, Resumed, AttemptFailed, Doubted, TimePassed, NoRoom, PersonAnswered},
)
"""Inputs after which the ladder may be climbed."""

ANSWERS: Final = frozenset(
    {State.SCREENING, State.ROUTING, State.QUEUED, State.RINGING, State.PROPOSED, State.CONNECTING}
)
"""Where an answered question leaves a call, before the same step says that something is tried, or that all failed."""
WRITTEN_BY: Final[Mapping[str, tuple[Inputs, States]]] = {
    "screened": (frozenset({Screened, TimePassed}), ANSWERS),
    "routed": (frozenset({Routed, TimePassed}), ANSWERS),
    "attempting": (CLIMBS | {Rang}, UNDER_WAY),
    "diverting": (CLIMBS, UNDER_WAY - {State.HELD}),
    "ringing": (frozenset({Rang, Doubted, PersonAnswered}), UNDER_WAY),
    "delivery_failed": (frozenset({AttemptFailed, TimePassed}), UNDER_WAY),
    "waiting": (CLIMBS, frozenset({State.WAITING, State.QUEUED, State.ROUTING})),
    "answered": (frozenset({PersonConnected, Resumed, AttemptFailed}), frozenset({State.CONNECTED})),
    "diverted": (frozenset({PersonConnected, Resumed, AttemptFailed}), frozenset({State.CONNECTED})),
    "caller_lost": (frozenset({StreamBroke}), frozenset({State.HELD})),
    "abandoned": (frozenset({CallerHungUp}), frozenset({State.ABANDONED})),
    "ended": (frozenset({HigherLeg, AttemptFailed, TimePassed}), frozenset({State.SUPERSEDED})),
}
"""Kind of fact -> inputs at which a call writes it, and where the call may stand then."""
NO_QUESTION: Final = frozenset({State.RESUMING, State.QUEUED, State.WAITING})
"""Where neither firewall nor router is being asked."""
LOST: Final = (frozenset({TimePassed}), frozenset({State.LOST}))
PARKED: Final = (CLIMBS, frozenset({State.QUEUED}))
STILL: Final = "still_"
"""Begins the reason of a fact that says that things are as they were (J1)."""
ONE_STEP: Final[Mapping[str, frozenset[str]]] = {
    "offered": frozenset({"ringing", "attempting", "diverting", "waiting"}),
    "screened": frozenset({"attempting", "diverting"}),
    "routed": frozenset({"attempting", "diverting", "waiting", "callback_due"}),
    "delivery_failed": frozenset({"delivery_failed", "attempting", "diverting", "waiting", "callback_due", "ended"}),
    "diverting": frozenset({"attempting"}),
    "ringing": frozenset({"ringing", "attempting", "diverting"}),
    "attempting": frozenset({"ringing", "attempting", "diverting"}),
}
"""Kind of fact -> the kinds that the same step may write behind it."""


BEGINS: Final[Mapping[str, States]] = {
    "attempting": frozenset({State.ATTEMPTING}),
    "diverting": frozenset({State.ATTEMPTING}),
    "waiting": frozenset({State.WAITING}),
    "callback_due": frozenset({State.QUEUED}),
    "ended": frozenset({State.SUPERSEDED}),
}
"""Kind of fact -> where the call stands from there, whatever the same step said before."""


def legal(evidence: Evidence) -> Iterator[Finding]:
    """Each fact of a conductor is one that may follow those before it."""
    for call in evidence.calls.values():
        legs: dict[tuple[int, str], dict[int, Entry]] = {}
        for fact in call.facts:
            if fact["writer"] not in NUMBERED_BY_KIND:
                legs.setdefault((fact["leg"], fact["writer"]), {})[fact["seq"]] = fact
        for (leg, writer), facts in legs.items():
            why = _wrong(facts, higher=leg > 1)
            if why:
                yield Finding("transitions", call.call_id, f"leg {leg} by {writer}: {why}")


def _wrong(facts: Mapping[int, Entry], higher: bool) -> str:
    """What does not follow; empty where all does, as far as no fact is missing. Only a higher leg may ask what became
    of an older one (P5), or go on with its rings (P7)."""
    if 0 not in facts:
        return ""  # the witnesses say what is missing
    if facts[0]["kind"] != "offered":
        return f"it begins with {facts[0]['kind']}"
    states = frozenset(BEGINNINGS) | ADOPTS if higher else frozenset({State.QUEUED})
    before = "offered" if higher else ""
    for seq in range(1, len(facts)):
        if seq not in facts:
            return ""
        kind, reason = facts[seq]["kind"], facts[seq].get("reason", "")
        after = _follow(states, before, kind, _sort(kind, reason))
        if not after:
            stood = " or ".join(sorted(states))
            return f"fact {seq}, {kind} {reason}, where the call was {stood}"
        states, before = after, kind
    return ""


def _sort(kind: str, reason: str) -> str:
    """What more than its kind says where the fact may stand."""
    if reason.startswith(STILL):
        return STILL
    return reason if kind == "callback_due" else ""


@lru_cache(maxsize=4096)
def _follow(states: States, before: str, kind: str, sort: str) -> States:
    """Where the call may stand once this fact is written; nowhere: it may not be written here."""
    if sort == STILL:
        return _silently(states) - FINAL
    if kind == "callback_due":
        inputs, stands = LOST if sort == "stream_lost" else PARKED
    elif kind in WRITTEN_BY:
        inputs, stands = WRITTEN_BY[kind]
    else:
        return frozenset()
    after = {
        to
        for state in _silently(states) - (NO_QUESTION if kind in ("screened", "routed") else FINAL)
        for happened, leads_to in TABLE[state].items()
        if happened in inputs
        for to in (state, *leads_to)
    }
    if kind in ONE_STEP.get(before, ()):
        after |= states | BEGINS.get(kind, frozenset())
    return frozenset(after & stands)


@lru_cache(maxsize=4096)
def _silently(states: States) -> States:
    """These, and all that can be reached from them without a fact."""
    reached, new = set(states), set(states)
    while new:
        new = {
            to
            for state in new
            for happened, leads_to in TABLE[state].items()
            if happened in QUIET
            for to in leads_to
            if to in SILENT
        } - reached
        reached |= new
    return frozenset(reached)
