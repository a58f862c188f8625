"""Facts: what is remembered of a call (protocol.md, "Remembering").

A fact is an envelope that every reader understands, frozen across versions (J1), and a few details. A call is the set
of its facts; `books.py` folds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.domain.durability import Durability
from services.domain.offer import Offer
from services.domain.policy import Verdict
from services.domain.where import Where


class FactKind(StrEnum):
    """Past tense: each has happened."""

    OFFERED = "offered"
    SCREENED = "screened"
    ROUTED = "routed"
    ATTEMPTING = "attempting"
    RINGING = "ringing"
    DELIVERY_FAILED = "delivery_failed"
    WAITING = "waiting"
    DIVERTING = "diverting"
    ANSWERED = "answered"
    DIVERTED = "diverted"
    CALLER_LOST = "caller_lost"
    ABANDONED = "abandoned"
    TAKEN_OVER = "taken_over"
    CALLBACK_DUE = "callback_due"
    CALLBACK_ATTEMPTED = "callback_attempted"
    CALLED_BACK = "called_back"
    RECONNECTED = "reconnected"
    CLOSED_BY_HUMAN = "closed_by_human"
    ENDED = "ended"
    UNKNOWN = "unknown"
    """A kind of a newer version: its envelope still counts (J1)."""


CONNECTED: Final = frozenset({FactKind.ANSWERED, FactKind.DIVERTED})
CLOSED: Final = frozenset({FactKind.CALLED_BACK, FactKind.RECONNECTED, FactKind.CLOSED_BY_HUMAN})

EVERY_LEG: Final = 2**32
"""Above any leg that there is: the wire has 32 bits for one."""


class Failure(StrEnum):
    """How an attempt failed (R1)."""

    FULL = "full"
    REFUSED = "refused"
    NO_ANSWER = "no_answer"
    UNREACHABLE = "unreachable"
    NOT_ATTACHED = "not_attached"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Conductor:
    """The process that conducts a call."""

    address: str
    incarnation: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened to a call. (call_id, leg, seq, writer) identifies it; a second copy changes nothing."""

    call_id: str
    leg: int
    seq: int
    writer: str
    kind: FactKind
    at_ms: int
    """Wall clock of the writer, milliseconds since 1970."""
    reason: str = ""
    age_ms: int = 0
    due_in_ms: int = 0
    """Another fact is owed within this time; 0: none."""
    settled: bool = False
    conductor: Conductor | None = None
    caller_hash: str = ""
    i3_call_id: str = ""
    i3_incident_id: str = ""
    test: bool = False
    offer: Offer | None = None
    attempt: str = ""
    where: Where | None = None
    verdict: Verdict | None = None
    urgent: bool = False
    """On CallbackDue: a person should ring back now, since nobody conducts the call any more (T3)."""
    durability: Durability | None = None
    """How safe it was, as its writer told, while it waited for Kafka; None where it did not, or nobody asked."""

    @property
    def identity(self) -> tuple[str, int, int, str]:
        return (self.call_id, self.leg, self.seq, self.writer)

    @property
    def inferred(self) -> bool:
        """A reconnection that has no attempt: another call of the caller's was connected, and the ledger infers that
        this one's leg is owed nothing more. It says nothing of a higher leg, which was offered since (J2)."""
        return self.kind is FactKind.RECONNECTED and not self.attempt

    @property
    def closes_through(self) -> int:
        """The highest leg that owes nothing more because of it; `EVERY_LEG` where it settles the call, -1 for none."""
        if self.inferred:
            return self.leg
        return EVERY_LEG if self.settled or self.kind in CONNECTED or self.kind in CLOSED else -1


@dataclass(frozen=True, slots=True)
class Tick:
    """A process's own word on one partition of `calls`: it lives, and the log takes what it says (T1). Of no call."""

    writer: str
    service: str
    conductor: Conductor
    """Where it is watched; a process that conducts no calls names its own address all the same."""
    at_ms: int
