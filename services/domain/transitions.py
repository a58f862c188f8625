"""The table of a call: for each state, the inputs that mean something there, and the other states they may lead to.

This is the whole of what may happen to a call. `call.py` holds itself to it at every step, an input without a row
changes nothing, and the diagram in docs/follow-a-call.md is drawn from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from services.domain.exchange import (
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

_ONWARD: Final = frozenset({State.ROUTING, State.ATTEMPTING, State.RINGING, State.WAITING})
_STAYS: Final[frozenset[State]] = frozenset()
_ENDS: Final[Mapping[type[Input], frozenset[State]]] = {
    CallerHungUp: frozenset({State.ABANDONED}),
    StreamBroke: frozenset({State.HELD}),
}
_ON_THE_LADDER: Final[Mapping[type[Input], frozenset[State]]] = {
    **_ENDS,
    Routed: _ONWARD,
    Rang: frozenset({State.RINGING}),
    PersonAnswered: frozenset({State.PROPOSED}),
    AttemptFailed: _ONWARD,
    TimePassed: _ONWARD,
}
TABLE: Final[Mapping[State, Mapping[type[Input], frozenset[State]]]] = {
    State.SCREENING: {**_ENDS, Screened: frozenset({State.ROUTING, State.ATTEMPTING})},
    State.ROUTING: _ON_THE_LADDER,
    State.ATTEMPTING: _ON_THE_LADDER,
    State.RINGING: _ON_THE_LADDER,
    State.WAITING: {**_ENDS, TimePassed: frozenset({State.ROUTING})},
    State.PROPOSED: {
        **_ENDS,
        Routed: _STAYS,
        Rang: _STAYS,
        PersonAnswered: _STAYS,
        CallerConfirmed: frozenset({State.CONNECTING}),
        AttemptFailed: _ONWARD,
        TimePassed: _ONWARD,
    },
    State.CONNECTING: {
        **_ENDS,
        Routed: _STAYS,
        Rang: _STAYS,
        PersonAnswered: _STAYS,
        PersonConnected: frozenset({State.CONNECTED}),
        AttemptFailed: _ONWARD,
        TimePassed: _ONWARD,
    },
    State.HELD: {TimePassed: frozenset({State.LOST})},
    State.CONNECTED: {},
    State.ABANDONED: {},
    State.LOST: {},
}
