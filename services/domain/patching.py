"""What a switchboard has its shell do, in order: words to a PSAP over one of its streams, and words to a conductor."""

from __future__ import annotations

from dataclasses import dataclass

from services.domain.attachments import Offence
from services.domain.deliveries import Became


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


Effect = Offer | Connect | Cancel | Release | Unlink | Became
