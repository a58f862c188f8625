"""What a policy can say of a call: pass, pass with a flag, divert to a staffed desk. There is no other word.

A firewall that cannot say "drop" cannot cause an outage by saying it (architecture.md, promise 3).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pass:
    """Go on."""


@dataclass(frozen=True, slots=True)
class Flag:
    """Go on, with a suspicion of 0 to 100 (i3 CallSuspicion)."""

    score: int
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Divert:
    """To a named, staffed desk: an owner of lines in the directory."""

    desk: str
    rule: str
    reason: str


Verdict = Pass | Flag | Divert


def suspicion(verdict: Verdict | None) -> int:
    """The score that travels with the call, 0 to 100; 0 where nobody suspects anything."""
    return verdict.score if isinstance(verdict, Flag) else 0
