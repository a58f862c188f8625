"""One call as its caller sees it, heard line by line from the callers' witness; and the delays that callers feel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median
from typing import Any, Final

from loadtest.story import Phase

REGION_DESK: Final = "region"


class Went(StrEnum):
    """Where a call went, as seen from the PSAP of its town."""

    OWN = "own PSAP"
    OWN_LINE = "own line"
    ALTERNATE = "alternate"
    ALTERNATE_LINE = "alternate's line"
    REGION_LINE = "region's line"
    LEFT = "hung up"
    REFUSED = "refused"
    IN_HAND = "in hand"


@dataclass(frozen=True, slots=True)
class LegSeen:
    """One offer of the call: when, and to which ingress."""

    offered_ms: int
    ingress: str


@dataclass(slots=True)
class CallSeen:
    """One call as its caller sees it. Milliseconds of wall time."""

    call_id: str
    home: str
    """The PSAP of the caller's town."""
    phase: Phase
    offered_ms: int
    redial: bool
    rang_ms: int | None = None
    connected_ms: int | None = None
    went: Went = Went.IN_HAND
    diverting: bool = False
    durability: str = ""
    """How safe the call was, by the last ingress that accepted it; empty where none did."""
    legs: dict[int, LegSeen] = field(default_factory=dict)
    rings: list[tuple[int, int]] = field(default_factory=list)
    """(leg, instant) of each ringing, and of the connection: the caller knows that somebody is there."""

    def hear(self, entry: Mapping[str, Any]) -> None:
        """One line of the callers' witness about this call."""
        at_ms, leg = entry["at_ms"], entry.get("leg", 1)
        match entry["event"]:
            case "offered":
                self.legs[leg] = LegSeen(at_ms, entry.get("ingress", ""))
            case "accepted":
                self.durability = entry.get("durability", "")
            case "ringing":
                self.rang_ms = self.rang_ms or at_ms
                self.rings.append((leg, at_ms))
            case "diverting":
                self.diverting = True
            case "connected":
                self.connected_ms = at_ms
                self.rings.append((leg, at_ms))
                self.went = self._went(entry.get("psap_id", ""), entry.get("line", ""))
            case "hung_up" | "gave_up":
                self.went = Went.LEFT
            case "refused":
                self.went = Went.REFUSED
            case _:
                return

    @property
    def ingress(self) -> str:
        """Where its newest leg was offered."""
        return self.legs[max(self.legs)].ingress if self.legs else ""

    @property
    def offered_again(self) -> bool:
        """Whether its first leg broke, and it was offered a second time."""
        return len(self.legs) > 1

    def felt_since(self, fault_ms: int) -> int | None:
        """What its caller felt of a fault: until it rang, from the offer, or from the fault where it had rung before
        and had to be offered again. None where it rang before and went on, or never rang again."""
        if not self.rings:
            return None
        first_ms = self.rings[0][1]
        if first_ms >= fault_ms:
            return first_ms - self.offered_ms
        again = (at_ms for leg, at_ms in self.rings if leg in self.legs and self.legs[leg].offered_ms >= fault_ms)
        rang_again_ms = next(again, None)
        return None if rang_again_ms is None else rang_again_ms - fault_ms

    def _went(self, psap_id: str, line: str) -> Went:
        if line:
            if psap_id == REGION_DESK:
                return Went.REGION_LINE
            return Went.OWN_LINE if psap_id == self.home else Went.ALTERNATE_LINE
        return Went.OWN if psap_id == self.home else Went.ALTERNATE


@dataclass(frozen=True, slots=True)
class Felt:
    """The delay that callers felt, milliseconds; None where nobody got so far."""

    calls: int
    median_ms: int | None
    worst_ms: int | None

    @classmethod
    def of(cls, delays_ms: Iterable[int]) -> Felt:
        delays = sorted(delays_ms)
        return cls(len(delays), round(median(delays)) if delays else None, delays[-1] if delays else None)
