"""The bypass: one switch after which every call passes, whatever policies say; and its drill. Pure.

A switch that is never used does not work when it is needed (Cloudflare, December 2025). So each firewall drills its own
every hour, on test calls and on the way that real ones go, through the switch itself: under a policy that diverts
everything, a call must pass because the bypass is on, and with it off must not pass because of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Final

from services.domain.policy import Divert
from services.policy.bundle import Bundle, Limits, Rule
from services.policy.verdicts.guards import Kept

DRILL_EVERY_MS: Final = 60 * 60_000
DRILL_AGAIN_MS: Final = 5 * 60_000
"""After one that failed."""
DRILL_STALE_MS: Final = 2 * DRILL_EVERY_MS + 10 * 60_000
"""Without a success for so long, an operator is told."""

_DRILL: Final = "bypass-drill"


def drill_bundle(desk: str) -> Bundle:
    """Diverts every call to this desk, which must be staffed. It is given to no call but the drill's own."""
    rule = Rule("all", "drill", 'service != ""', Divert(desk, "all", "drill"), "throughline", 1.0, 2**53)
    digest = sha256(f"{_DRILL} {desk}".encode()).hexdigest()
    return Bundle(_DRILL, 0, "throughline", (rule,), limits=Limits(1.0, 1.0), digest=digest)


class By(StrEnum):
    """What can switch the bypass on; each is enough."""

    FILE = "file"
    ENVIRONMENT = "environment"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class Drilled:
    """What kept its two test calls from the divert that was proposed of each (`guards.Kept`, or a breaker): empty where
    nothing did, None where none was proposed."""

    off: str | None
    on: str | None
    needed: bool = False
    """Whether the bypass was on for every call: then none could be tried with it off."""

    @property
    def trouble(self) -> str:
        """Why it failed; empty where it went well."""
        if self.on == "":
            return "a test call was diverted though the bypass was on"
        if self.on is None or self.off is None:
            return "no divert was proposed of a test call: the drill shows nothing"
        if self.on != Kept.BYPASS:
            return f"a test call passed by {self.on}, and not by the bypass, which was on"
        if self.off == Kept.BYPASS and not self.needed:
            return "a test call passed by the bypass though it was off"
        return ""


def drill_due(now_ms: int, tried_ms: int, done_ms: int, first_ms: int) -> bool:
    """Whether to drill now: the first at `first_ms`, then every hour, sooner after one that failed."""
    if not tried_ms:
        return now_ms >= first_ms
    return now_ms - tried_ms >= (DRILL_EVERY_MS if done_ms >= tried_ms else DRILL_AGAIN_MS)


def drill_doubt(now_ms: int, done_ms: int, since_ms: int) -> str:
    """What an operator should know of the drills; `since_ms` is when this firewall began."""
    waited_ms = now_ms - max(done_ms, since_ms)
    return f"not drilled with success for {waited_ms // 60_000} minutes" if waited_ms > DRILL_STALE_MS else ""
