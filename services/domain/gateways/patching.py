"""What a switchboard has its shell do, in order: words to a PSAP over one of its streams, words to a conductor,
and answers to who asks about a call.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.domain.deliveries import Became, Outcome
from services.domain.gateways.attachments import Offence
from services.domain.holding import Holding


@dataclass(frozen=True, slots=True)
class Offer:
    link: int
    attempt: str


@dataclass(frozen=True, slots=True)
class Connect:
    link: int
    attempt: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop ringing."""

    link: int
    attempt: str
    reason: str


@dataclass(frozen=True, slots=True)
class Release:
    """Give up an answer."""

    link: int
    attempt: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unlink:
    """End this stream of a PSAP."""

    link: int
    offence: Offence
    reason: str


@dataclass(frozen=True, slots=True)
class TakeUp:
    """This attempt is to be this stream's from now on, if the PSAP has it (R5)."""

    link: int
    attempt: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Has the PSAP this call? (T3)"""

    link: int
    call_id: str


@dataclass(frozen=True, slots=True)
class Again:
    """The stream that has taken an attempt over hears how it stands; on record it is already (R5)."""

    attempt: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Doubted:
    """The conductor is told that the PSAP has fallen silent; the attempt goes on as it stands (R2, R6)."""

    attempt: str


@dataclass(frozen=True, slots=True)
class Attested:
    """The answer to a question about a call."""

    question: int
    holding: Holding


Effect = Offer | Connect | Cancel | Release | Unlink | TakeUp | Ask | Again | Doubted | Attested | Became
