"""What keeps a divert from being answered, though the bundle said it. Pure.

A bundle proposes; these rules stand in code, above every bundle, and none can be changed or shadowed by one. Each
turns a divert into a pass, with the word for the record's `kept_from`.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.domain.policy import Divert, Pass, Verdict
from services.policy.attributes import Counted, Value, counter

REPEATS_CALLS_MIN: Final = 6
"""The how manieth call within ten minutes makes its caller one who repeats."""
_REPEATS_BY: Final = counter(Counted.NUMBER, 600)


class Kept(StrEnum):
    """Why a call passes in spite of what was proposed. A breaker's word names its scope: `breaker_psap:P1`."""

    BYPASS = "bypass"
    """An operator has switched the firewall off: everything passes, flags too."""
    NO_HISTORY = "no_history"
    """This replica does not know yet what was screened before it started: a restart is no way round a limit."""
    FIRST_CALL = "first_call"
    """Nobody of this identity has called within the longest window, as far as can be known (windows.py)."""
    NO_DESK = "no_desk"
    """Nobody staffs a line of the desk that the rule names."""
    REVERTED = "reverted"
    """No bundle that stands now has a rule that says so: the one that did was taken back, or never did."""


BREAKER: Final = "breaker_"


@dataclass(frozen=True, slots=True)
class Grounds:
    """What is known beside the proposal."""

    bypass: bool
    history: bool
    """Whether the screenings of the longest window have been read."""
    first: bool
    """Whether nobody of its identity has called within the longest window, as far as can be known."""
    desks: Container[str]
    """Whose lines somebody staffs."""
    stands: bool = True
    """Whether the bundle that said so still answers calls, and says so still."""


def kept_from(proposed: Verdict, grounds: Grounds) -> str:
    """Why the proposal is not answered; empty where it may be, if no breaker keeps it."""
    if grounds.bypass:
        return "" if isinstance(proposed, Pass) else Kept.BYPASS
    if not isinstance(proposed, Divert):
        return ""
    if not grounds.stands:
        return Kept.REVERTED
    if not grounds.history:
        return Kept.NO_HISTORY
    if grounds.first:
        return Kept.FIRST_CALL
    return "" if proposed.desk in grounds.desks else Kept.NO_DESK


def repeats(inputs: Mapping[str, Value]) -> bool:
    """Whether the caller is one who repeats, by the windows as this call found them."""
    calls = inputs.get(_REPEATS_BY, 0)
    return isinstance(calls, int) and calls >= REPEATS_CALLS_MIN
