"""The table of a call: for each state, the inputs that mean something there, and the other states they may lead to.

This is the whole of what may happen to a call. `call.py` holds itself to it at every step, an input without a row
changes nothing, and the diagram in docs/follow-a-call.md is drawn from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

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


class State(StrEnum):
    """Where a call stands. The last four are final."""

    RESUMING = "resuming"
    QUEUED = "queued"
    SCREENING = "screening"
    ROUTING = "routing"
    ATTEMPTING = "attempting"
    RINGING = "ringing"
    PROPOSED = "proposed"
    CONNECTING = "connecting"
    WAITING = "waiting"
    HELD = "held"
    CONNECTED = "connected"
    ABANDONED = "abandoned"
    LOST = "lost"
    SUPERSEDED = "superseded"


BEGINNINGS: Final = (State.QUEUED, State.RESUMING)
"""The second where an earlier leg confirmed an attempt (P5); a leg whose own confirmed attempt is lost comes there too.
A leg that adopts rings begins where they stand (P7)."""
FINAL: Final = frozenset({State.CONNECTED, State.ABANDONED, State.LOST, State.SUPERSEDED})

_STAYS: Final[frozenset[State]] = frozenset()
_ROUTED: Final = frozenset({State.ATTEMPTING, State.WAITING})
_LADDER: Final = frozenset({State.ROUTING, State.WAITING, State.QUEUED})
_RING_GONE: Final = _LADDER | {State.ATTEMPTING, State.SCREENING}
_WITHDRAWN: Final = _RING_GONE | {State.RINGING}
_CALLER_GOES: Final[Mapping[type[Input], frozenset[State]]] = {
    CallerHungUp: frozenset({State.ABANDONED}),
    StreamBroke: frozenset({State.HELD}),
    HigherLeg: frozenset({State.SUPERSEDED}),
}
_BESIDE_A_RING: Final[Mapping[type[Input], frozenset[State]]] = {
    **_CALLER_GOES,
    Admitted: _STAYS,
    Screened: _STAYS,
    Routed: _STAYS,
    Rang: _STAYS,
    Doubted: _STAYS,
}
_ANSWERED: Final[Mapping[type[Input], frozenset[State]]] = {
    **_BESIDE_A_RING,
    PersonAnswered: _STAYS,
    AttemptFailed: _WITHDRAWN,
    TimePassed: _WITHDRAWN,
}
_NOT_CONNECTED: Final = _WITHDRAWN | {State.PROPOSED}
TABLE: Final[Mapping[State, Mapping[type[Input], frozenset[State]]]] = {
    State.RESUMING: {
        **_BESIDE_A_RING,
        PersonAnswered: _STAYS,
        AttemptFailed: _STAYS,
        Resumed: _NOT_CONNECTED | {State.CONNECTED},
        TimePassed: _NOT_CONNECTED | {State.CONNECTED},
    },
    State.QUEUED: {
        **_CALLER_GOES,
        Admitted: frozenset({State.SCREENING}),
        NoRoom: frozenset({State.ROUTING}),
        TimePassed: frozenset({State.ROUTING}),
    },
    State.SCREENING: {
        **_CALLER_GOES,
        Screened: frozenset({State.ROUTING, State.ATTEMPTING}),
        TimePassed: frozenset({State.ROUTING}),
    },
    State.ROUTING: {**_CALLER_GOES, Routed: _ROUTED, TimePassed: _ROUTED},
    State.ATTEMPTING: {
        **_CALLER_GOES,
        Rang: frozenset({State.RINGING}),
        PersonAnswered: frozenset({State.PROPOSED}),
        AttemptFailed: _LADDER | {State.CONNECTED},
        TimePassed: _LADDER,
    },
    State.RINGING: {
        **_BESIDE_A_RING,
        PersonAnswered: frozenset({State.PROPOSED}),
        AttemptFailed: _RING_GONE | {State.CONNECTED},
        TimePassed: frozenset({State.ROUTING, State.ATTEMPTING, State.WAITING}),
    },
    State.PROPOSED: {**_ANSWERED, CallerConfirmed: frozenset({State.CONNECTING})},
    State.CONNECTING: {
        **_ANSWERED,
        AttemptFailed: _WITHDRAWN | {State.RESUMING},
        TimePassed: frozenset({State.RESUMING}),
        PersonConnected: frozenset({State.CONNECTED}),
    },
    State.WAITING: {**_CALLER_GOES, TimePassed: frozenset({State.ROUTING})},
    State.HELD: {
        Resumed: frozenset({State.CONNECTED}),
        Rang: _STAYS,
        PersonAnswered: _STAYS,
        Doubted: _STAYS,
        PersonConnected: frozenset({State.CONNECTED}),
        AttemptFailed: frozenset({State.SUPERSEDED}),
        HigherLeg: frozenset({State.SUPERSEDED}),
        TimePassed: frozenset({State.LOST, State.SUPERSEDED}),
    },
    State.CONNECTED: {},
    State.ABANDONED: {},
    State.LOST: {},
    State.SUPERSEDED: {},
}
