"""What died in the second half of the story, and what calls had to do without meanwhile.

How safe a call was comes from its caller's account; that it went on unscreened, or by an ingress's own atlas, only its
conductor knows: it stands in the journal, and is told when that has been read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from loadtest.call_seen import CallSeen
from loadtest.story import Killing

UNSCREENED: Final = "unscreened"
OWN_ATLAS: Final = "own_atlas"
"""How the reasons of such facts begin."""


@dataclass(slots=True)
class DeathSeen:
    """One death: when it came, when the process served again, and which calls it had in hand. Wall milliseconds."""

    killing: Killing
    died_ms: int | None = None
    back_ms: int | None = None
    in_hand: list[str] = field(default_factory=list)

    def lasted_at(self, at_ms: int) -> bool:
        """Whether it was gone at that instant."""
        return self.died_ms is not None and self.died_ms <= at_ms and (self.back_ms is None or at_ms < self.back_ms)


@dataclass(frozen=True, slots=True)
class Conducted:
    """The calls that a conductor says it carried without a verdict, or without the router."""

    unscreened: frozenset[str]
    own_atlas: frozenset[str]

    @classmethod
    def told_by(cls, journal: Iterable[Mapping[str, Any]]) -> Conducted:
        """From the entries of the third witness."""
        facts = [entry for entry in journal if entry["event"] == "fact"]

        def calls(kind: str, reason: str) -> frozenset[str]:
            return frozenset(
                fact["call_id"] for fact in facts if fact["kind"] == kind and fact["reason"].startswith(reason)
            )

        return cls(calls("screened", UNSCREENED), calls("routed", OWN_ATLAS))


@dataclass(frozen=True, slots=True)
class Degraded:
    """How many of some calls had to do without something. None: the journal has not been read yet."""

    unscreened: int | None
    own_atlas: int | None
    second_leg: int
    """Their stream broke, and the caller's side offered a second leg."""
    at_risk: int
    not_durable: int

    @classmethod
    def of(cls, calls: Iterable[CallSeen], conducted: Conducted | None) -> Degraded:
        seen = list(calls)
        told = {call.call_id for call in seen}
        return cls(
            None if conducted is None else len(told & conducted.unscreened),
            None if conducted is None else len(told & conducted.own_atlas),
            sum(call.offered_again for call in seen),
            sum(call.durability == "at_risk" for call in seen),
            sum(call.durability == "not_durable" for call in seen),
        )
