"""The facts by which failover takes up what a dead conductor owed, and has its callers rung back (protocol.md T3).

They are failover's, not one replica's: writer and number follow from the call, its leg and what is said. So two
replicas that act at once, one that dies in the middle and the next that goes on, or one that says it to its own disk
while Kafka is away, all say the same fact, and readers drop the copy (J1). Which replica it was stands in the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from services.domain.events import Fact, FactKind
from services.domain.holding import Holding
from services.domain.where import Where

WRITER: Final = "failover"
LOST_CONDUCTOR: Final = "conductor_lost"
ATTESTED: Final = "attested"
TAKEN_OVER_DUE_MS: Final = 3_000
"""Who writes TakenOver says what came of it within this."""
_SEQ: Final = {
    FactKind.TAKEN_OVER: 0,
    FactKind.ANSWERED: 1,
    FactKind.DIVERTED: 2,
    FactKind.CALLBACK_DUE: 3,
    FactKind.RECONNECTED: 4,
}
TRIES_MAX: Final = 3
"""Of one leg, to have its caller rung back."""
_TRIES_ABOVE: Final = 1_000
_TRY_SEQ: Final = 10
"""Two for each try from here: begun, then over."""


class OfCall(Protocol):
    """What a fact repeats of its call."""

    @property
    def call_id(self) -> str: ...
    @property
    def leg(self) -> int: ...
    @property
    def caller_hash(self) -> str: ...
    @property
    def test(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Leg:
    """The leg for which a line is dialled. Its call may be carried on by a higher one before the line says what came of
    it: what is told then is of this leg, and of the attempt that bears its number."""

    call_id: str
    leg: int
    caller_hash: str
    test: bool

    @classmethod
    def of(cls, call: OfCall) -> Leg:
        """As the call stands now."""
        return cls(call.call_id, call.leg, call.caller_hash, call.test)


def taken_over(call: OfCall, cause: str, by: str, at_ms: int) -> Fact:
    """A record, not a lock (T4)."""
    return _fact(call, FactKind.TAKEN_OVER, f"{cause} by {by}", at_ms, due_in_ms=TAKEN_OVER_DUE_MS)


def attested(call: OfCall, holding: Holding, at_ms: int) -> Fact:
    """Somebody has the caller: whoever rang says so with their own mouth. Where a line has rung the caller back, and
    the replica that asked it died, that is what is said."""
    where = holding.where or Where("")
    if (dialled := _dialled(call, holding.attempt)) is not None:
        return reconnected(*dialled, where, at_ms)
    kind = FactKind.DIVERTED if where.is_line else FactKind.ANSWERED
    return _fact(call, kind, ATTESTED, at_ms, settled=True, attempt=holding.attempt, where=where)


def callback_due(call: OfCall, at_ms: int) -> Fact:
    """Onto the list, before everybody else: nobody conducts this call any more."""
    return _fact(call, FactKind.CALLBACK_DUE, LOST_CONDUCTOR, at_ms, urgent=True)


def try_begun(call: OfCall, number: int, where: Where, by: str, at_ms: int) -> Fact:
    """A line is asked to ring the caller back."""
    return _attempted(call, number, _TRY_SEQ + 2 * number, f"line_asked by {by}", where, at_ms)


def try_over(call: OfCall, number: int, where: Where, why: str, at_ms: int) -> Fact:
    """It came to nothing."""
    return _attempted(call, number, _TRY_SEQ + 2 * number + 1, why, where, at_ms)


def reconnected(call: OfCall, number: int, where: Where, at_ms: int) -> Fact:
    """The caller talks with the person at a line."""
    name = attempt_name(call, number)
    return _fact(call, FactKind.RECONNECTED, "rung_back", at_ms, settled=True, attempt=name, where=where)


def attempt_name(call: OfCall, number: int) -> str:
    """What a trunk knows a try by. A conductor's own attempts of the leg have numbers that are never so high."""
    return f"{call.call_id}/{call.leg}/{_TRIES_ABOVE + number}"


def _dialled(call: OfCall, attempt: str) -> tuple[Leg, int] | None:
    """The leg for which a line was asked to ring the caller back under this name, and which try it was; None for an
    attempt of a conductor's, and for a name that failover never gave: it is somebody's word, and becomes a fact."""
    leg, _, n = attempt.removeprefix(f"{call.call_id}/").partition("/")
    if not (leg.isdecimal() and n.isdecimal()):
        return None
    number = int(n) - _TRIES_ABOVE
    tried = int(leg) <= call.leg and 1 <= number <= TRIES_MAX
    return (Leg(call.call_id, int(leg), call.caller_hash, call.test), number) if tried else None


def try_of(fact: Fact) -> tuple[int, bool] | None:
    """The number of a try, and whether it is over; None where the fact is no try that failover makes."""
    if fact.kind is not FactKind.CALLBACK_ATTEMPTED or fact.writer != WRITER or fact.seq < _TRY_SEQ:
        return None
    number, over = divmod(fact.seq - _TRY_SEQ, 2)
    return (number, bool(over)) if 1 <= number <= TRIES_MAX else None


def _attempted(call: OfCall, number: int, seq: int, reason: str, where: Where, at_ms: int) -> Fact:
    return Fact(
        call.call_id,
        call.leg,
        seq,
        WRITER,
        FactKind.CALLBACK_ATTEMPTED,
        at_ms,
        reason,
        caller_hash=call.caller_hash,
        test=call.test,
        attempt=attempt_name(call, number),
        where=where,
    )


def _fact(
    call: OfCall,
    kind: FactKind,
    reason: str,
    at_ms: int,
    *,
    due_in_ms: int = 0,
    settled: bool = False,
    attempt: str = "",
    where: Where | None = None,
    urgent: bool = False,
) -> Fact:
    return Fact(
        call.call_id,
        call.leg,
        _SEQ[kind],
        WRITER,
        kind,
        at_ms,
        reason,
        due_in_ms=due_in_ms,
        settled=settled,
        caller_hash=call.caller_hash,
        test=call.test,
        attempt=attempt,
        where=where,
        urgent=urgent,
    )
