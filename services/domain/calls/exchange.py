"""What goes into a call's machine and what comes out of it.

Inputs are what the shell saw; effects are what it is to do, in order. Both are plain values, so that a test or the
simulator can play the shell.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.domain.calls.ladder import Destination, Rung
from services.domain.events import FactKind, Failure
from services.domain.holding import Holding
from services.domain.policy import Verdict
from services.domain.where import Where

# Inputs: what the shell saw.


@dataclass(frozen=True, slots=True)
class Admitted:
    """A place among the calls that are set up is this call's (L1)."""


@dataclass(frozen=True, slots=True)
class NoRoom:
    """So many calls wait for a place already that this one may not (L1)."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """What became of an attempt that the caller had confirmed, as far as anybody could say in time (P5)."""

    attempt: str
    holding: Holding


@dataclass(frozen=True, slots=True)
class Screened:
    """The firewall's verdict; None where it gave none within its budget: the call goes on unscreened."""

    verdict: Verdict | None
    reason: str
    ignored: bool = False
    """A divert that is not followed, since the firewall diverts too many (the last-line breaker)."""


@dataclass(frozen=True, slots=True)
class Routed:
    """Where to; None where there is no PSAP to try."""

    destination: Destination | None
    reason: str


@dataclass(frozen=True, slots=True)
class Rang:
    attempt: str
    where: Where


@dataclass(frozen=True, slots=True)
class PersonAnswered:
    attempt: str


@dataclass(frozen=True, slots=True)
class PersonConnected:
    attempt: str
    where: Where


@dataclass(frozen=True, slots=True)
class Doubted:
    """The PSAP has fallen silent while the attempt rings there; it may be answered yet (R2)."""

    attempt: str


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    attempt: str
    failure: Failure
    reason: str
    broke: bool = False
    """Nobody said that it failed: the stream to who rings has broken (R5)."""


@dataclass(frozen=True, slots=True)
class CallerConfirmed:
    attempt: str


@dataclass(frozen=True, slots=True)
class CallerHungUp:
    pass


@dataclass(frozen=True, slots=True)
class StreamBroke:
    reason: str


@dataclass(frozen=True, slots=True)
class HigherLeg:
    """The caller's side has offered the next leg, here: what rings goes with that (P7)."""


@dataclass(frozen=True, slots=True)
class TimePassed:
    """The deadline has come."""


Input = (
    Resumed
    | Admitted
    | NoRoom
    | Screened
    | Routed
    | Rang
    | PersonAnswered
    | PersonConnected
    | Doubted
    | AttemptFailed
    | CallerConfirmed
    | CallerHungUp
    | StreamBroke
    | HigherLeg
    | TimePassed
)

# Effects: what the shell is to do.


@dataclass(frozen=True, slots=True)
class Resume:
    """Ask whether an attempt that the caller confirmed is connected; if it is not, have it released (P5).

    An earlier leg confirmed it, or this one, and whoever was to connect it is lost.
    """

    attempt: str
    where: Where | None
    """Where it rang, as the caller's side heard; None where it did not say."""
    seen: bool = False
    """This ingress saw it connected a moment ago: it is so unless somebody knows better (P5)."""


@dataclass(frozen=True, slots=True)
class LetGo:
    """Have whoever may be connected under this attempt let go of: the caller is gone, or with somebody else (P5)."""

    attempt: str
    where: Where | None


@dataclass(frozen=True, slots=True)
class Enter:
    """Ask for a place among the calls that are set up. Always the last effect: it may be granted at once."""

    parked: bool = False
    """Nothing else is left to try: behind those who wait their two seconds, and for as long as it takes."""


@dataclass(frozen=True, slots=True)
class Screen:
    """Ask the firewall."""


@dataclass(frozen=True, slots=True)
class FindRoute:
    """Ask the router; or the ingress's own atlas, at once."""

    excluded: tuple[str, ...]
    own_atlas: bool = False


@dataclass(frozen=True, slots=True)
class Ring:
    """Open an attempt at this rung; or open it again, through another gateway (R5)."""

    attempt: str
    rung: Rung
    maybe_connected: bool = False
    """The caller may be connected with somebody already, and nobody could say so (P5)."""


@dataclass(frozen=True, slots=True)
class Connect:
    attempt: str


@dataclass(frozen=True, slots=True)
class Release:
    attempt: str
    reason: str


@dataclass(frozen=True, slots=True)
class Remember:
    """Append a fact."""

    kind: FactKind
    reason: str = ""
    due_in_ms: int = 0
    settled: bool = False
    attempt: str = ""
    where: Where | None = None
    verdict: Verdict | None = None
    failure: Failure | None = None
    """How the attempt failed, which is counted; the fact has the reason alone."""


@dataclass(frozen=True, slots=True)
class SayWaiting:
    reason: str


@dataclass(frozen=True, slots=True)
class SayRinging:
    attempt: str
    where: Where


@dataclass(frozen=True, slots=True)
class SayConnecting:
    attempt: str


@dataclass(frozen=True, slots=True)
class SayConnected:
    attempt: str
    where: Where


@dataclass(frozen=True, slots=True)
class SayDiverting:
    reason: str


Say = SayWaiting | SayRinging | SayConnecting | SayConnected | SayDiverting
Effect = Resume | LetGo | Enter | Screen | FindRoute | Ring | Connect | Release | Remember | Say
