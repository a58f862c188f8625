"""Who has a call, and how far it has come there: attested by gateways, failover and trunks (P5, T3).

"Not here" is a strong word: it may release a caller's ring or open a callback. So it comes only from the PSAP's or the
trunk's own mouth, or after 3 s without a stream to it; everything else is `UNKNOWN`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.domain.where import Where

WITHOUT_A_STREAM_S: Final = 3.0
"""A PSAP that has had no stream for this long has let go of what rang there (R5 gives it 2 s)."""
LEGS_AHEAD_MAX: Final = 16
"""A caller comes back a few times while Kafka is away; a leg further above is nobody's."""


class Standing(StrEnum):
    """How far a call has come at somebody who rings people."""

    UNKNOWN = "unknown"
    NONE = "none"
    RINGING = "ringing"
    ANSWERED = "answered"
    CONNECTED = "connected"


@dataclass(frozen=True, slots=True)
class Holding:
    """One attestation. `attempt` and `where` are those of the attempt that has come so far; empty and None if none."""

    standing: Standing
    attempt: str = ""
    where: Where | None = None

    def carries_on(self, leg: int) -> bool:
        """Whether a higher leg rings somewhere: its conductor's facts may wait for Kafka, the ring does not (T3)."""
        _, _, tail = self.attempt.rpartition("/")
        told = self.attempt.removesuffix(f"/{tail}").rpartition("/")[2]
        rings = self.standing in (Standing.RINGING, Standing.ANSWERED)
        return rings and told.isdecimal() and leg < int(told) <= leg + LEGS_AHEAD_MAX


UNKNOWN: Final = Holding(Standing.UNKNOWN)
NONE: Final = Holding(Standing.NONE)
_FURTHEST: Final = (Standing.CONNECTED, Standing.ANSWERED, Standing.RINGING, Standing.UNKNOWN, Standing.NONE)


def furthest(holdings: Iterable[Holding]) -> Holding:
    """What they say together: whoever has it is believed; one who cannot say leaves it unknown; UNKNOWN of nobody."""
    return min(holdings, key=lambda each: _FURTHEST.index(each.standing), default=UNKNOWN)
