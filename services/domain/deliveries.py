"""What becomes of one attempt to make a person ring, in the words of those who ring: the gateways and failover.

Each step is told to the conductor and published on `deliveries`, so that there is a witness beside the call's journal.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from services.domain.events import Failure
from services.domain.where import Where


class Outcome(StrEnum):
    """A step of an attempt. The last three are final."""

    RINGING = "ringing"
    ANSWERED = "answered"
    CONNECTED = "connected"
    FAILED = "failed"
    RELEASED = "released"


FINAL = frozenset({Outcome.CONNECTED, Outcome.FAILED, Outcome.RELEASED})


@dataclass(frozen=True, slots=True)
class Delivery:
    """One record on `deliveries`. `failure` goes with FAILED alone; `at_ms` is the writer's wall clock."""

    call_id: str
    leg: int
    attempt: str
    by: str
    """The gateway or failover replica that rang."""
    where: Where
    outcome: Outcome
    failure: Failure | None
    reason: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Became:
    """An effect of whoever rings: this step is told to the conductor, and published."""

    attempt: str
    outcome: Outcome
    failure: Failure | None = None
    reason: str = ""
