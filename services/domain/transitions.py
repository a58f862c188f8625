"""The table of a call: for each state, the inputs that mean something there, and the other states they may lead to.

This is the whole of what may happen to a call. `call.py` holds itself to it at every step, an input without a row
changes nothing, and the diagram in docs/follow-a-call.md is drawn from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from services.domain.exchange import (
    Admitted,
    AttemptFailed,
    CallerConfirmed,
    CallerHungUp,
    Input,
    PersonAnswered,
    PersonConnected,
    Rang,
    Routed,
    Screened,
    StreamBroke,
    TimePassed,
)


class State(StrEnum):
    """Where a call stands. The last three are final."""

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


FINAL: Final = frozenset({State.CONNECTED, State.ABANDONED, State.LOST})

_STAYS: Final[frozenset[State]] = frozenset()
_LADDER: Final = frozenset({State.ROUTING, State.ATTEMPTING, State.WAITING})
_SCREENED: Final = frozenset({State.ROUTING, State.ATTEMPTING})
_ROUTED: Final = frozenset({State.ATTEMPTING, State.WAITING})
_WITHDRAWN: Final = _LADDER | {State.RINGING}
_CALLER_GOES: Final[Mapping[type[Input], frozenset[State]]] = {
    CallerHungUp: frozenset({State.ABANDONED}),
    StreamBroke: frozenset({State.HELD}),
}
_ANSWERED: Final[Mapping[type[Input], frozenset[State]]] = {
    **_CALLER_GOES,
    Routed: _STAYS,
    Rang: _STAYS,
    PersonAnswered: _STAYS,
    AttemptFailed: _WITHDRAWN,
    TimePassed: _WITHDRAWN,
}
TABLE: Final[Mapping[State, Mapping[type[Input], frozenset[State]]]] = {
    State.QUEUED: {**_CALLER_GOES, Admitted: frozenset({State.SCREENING}), TimePassed: _STAYS},
    State.SCREENING: {**_CALLER_GOES, Screened: _SCREENED, TimePassed: frozenset({State.ROUTING})},
    State.ROUTING: {**_CALLER_GOES, Routed: _ROUTED, TimePassed: _ROUTED},
    State.ATTEMPTING: {
        **_CALLER_GOES,
        Rang: frozenset({State.RINGING}),
        PersonAnswered: frozenset({State.PROPOSED}),
        AttemptFailed: _LADDER - {State.ATTEMPTING},
        TimePassed: _LADDER - {State.ATTEMPTING},
    },
    State.RINGING: {
        **_CALLER_GOES,
        Routed: _STAYS,
        Rang: _STAYS,
        PersonAnswered: frozenset({State.PROPOSED}),
        AttemptFailed: _LADDER,
        TimePassed: _STAYS,
    },
    State.PROPOSED: {**_ANSWERED, CallerConfirmed: frozenset({State.CONNECTING})},
    State.CONNECTING: {**_ANSWERED, PersonConnected: frozenset({State.CONNECTED})},
    State.WAITING: {**_CALLER_GOES, TimePassed: frozenset({State.ROUTING})},
    State.HELD: {AttemptFailed: _STAYS, TimePassed: frozenset({State.LOST})},
    State.CONNECTED: {},
    State.ABANDONED: {},
    State.LOST: {},
}
