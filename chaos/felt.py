"""What callers felt of a fault, from their own diary alone: who was hit by it, and how long until it rang (again).

Delays are milliseconds of wall time as the callers' side wrote them down. A caller who left before it rang counts with
the time that they had waited: leaving is no way out of the figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

Entry = Mapping[str, Any]


@dataclass(slots=True)
class Window:
    """From when to when something was wrong, wall milliseconds; without an end while it is."""

    from_ms: int
    to_ms: float = math.inf

    def close(self, at_ms: int) -> None:
        """It is over, unless it was before."""
        self.to_ms = min(self.to_ms, at_ms)


@dataclass(frozen=True, slots=True)
class Rang:
    """One `Ringing` that a caller heard."""

    at_ms: int
    attempt: str
    psap_id: str
    line: str


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg: where it was offered, and when."""

    at_ms: int
    leg: int
    ingress: str


@dataclass(slots=True)
class CallFelt:
    """One call as its caller has it."""

    call_id: str
    offered_ms: int
    town: str
    legs: list[Leg] = field(default_factory=list)
    rang: list[Rang] = field(default_factory=list)
    durability: str = ""
    """How the first leg was accepted."""
    confirmed: list[str] = field(default_factory=list)
    """The attempts that the caller's side confirmed, in order."""
    connected: Rang | None = None
    ended_ms: int | None = None
    end: str = ""
    """`connected`, `hung_up`, `gave_up` or `refused`; empty while neither."""

    def ingress_at(self, at_ms: int) -> str:
        """Where its newest leg stood at this instant; empty before the first."""
        there = [leg.ingress for leg in self.legs if leg.at_ms <= at_ms]
        return there[-1] if there else ""

    def ring_at(self, at_ms: int) -> Rang | None:
        """The newest ringing by this instant."""
        before = [rang for rang in self.rang if rang.at_ms <= at_ms]
        return before[-1] if before else None

    def ringing_at(self, at_ms: int) -> str:
        """The PSAP that rang newest at this instant; empty where none did, or where a line does."""
        ring = self.ring_at(at_ms)
        return ring.psap_id if ring and not ring.line else ""

    def in_hand_at(self, at_ms: int) -> bool:
        """Offered, and neither connected nor gone."""
        return self.offered_ms <= at_ms and (self.ended_ms is None or at_ms < self.ended_ms)

    def rings_after_ms(self, since_ms: int) -> int | None:
        """From this instant, or from the offer if that is later, to the next ringing; or to the caller's leaving.

        None where the caller is neither rung nor gone.
        """
        since_ms = max(since_ms, self.offered_ms)
        then = [rang.at_ms for rang in self.rang if rang.at_ms >= since_ms]
        if not then and self.ended_ms is not None:
            then = [self.ended_ms]
        return then[0] - since_ms if then else None


def read_calls(entries: Iterable[Entry]) -> list[CallFelt]:
    """The callers' diary, call by call, in the order of the offers."""
    calls: dict[str, CallFelt] = {}
    for entry in entries:
        if "call_id" not in entry:
            continue
        at_ms, event = entry["at_ms"], entry["event"]
        call = calls.get(entry["call_id"])
        if call is None:
            call = calls[entry["call_id"]] = CallFelt(entry["call_id"], at_ms, entry.get("town", ""))
        where = Rang(at_ms, entry.get("attempt", ""), entry.get("psap_id", ""), entry.get("line", ""))
        match event:
            case "offered":
                call.legs.append(Leg(at_ms, entry["leg"], entry["ingress"]))
            case "ringing":
                call.rang.append(where)
            case "confirmed":
                call.confirmed.append(where.attempt)
            case "accepted" if not call.durability:
                call.durability = entry["durability"]
            case "connected":
                call.connected, call.ended_ms, call.end = where, at_ms, event
            case "hung_up" | "gave_up" | "refused":
                call.ended_ms, call.end = at_ms, event
            case _:
                continue
    return list(calls.values())


@dataclass(frozen=True, slots=True)
class Delay:
    """Delays of some calls: how many, the middle, the 99th of a hundred (nearest rank), the worst; in milliseconds."""

    calls: int
    median_ms: float
    p99_ms: float
    worst_ms: float

    @classmethod
    def of(cls, delays_ms: Iterable[float]) -> Delay:
        """Raises AssertionError where there are none: a figure of nobody would say that all is well."""
        delays = sorted(delays_ms)
        assert delays, "expected at least one call that was hit; the load or the window is too thin"
        return cls(len(delays), _at(delays, 0.5), _at(delays, 0.99), delays[-1])

    def as_json(self) -> dict[str, float]:
        return {name: round(value, 1) for name, value in asdict(self).items()}

    def __str__(self) -> str:
        return f"{self.calls} calls: median {self.median_ms:.0f}, p99 {self.p99_ms:.0f}, worst {self.worst_ms:.0f} ms"


def _at(ascending: Sequence[float], share: float) -> float:
    return ascending[max(1, math.ceil(share * len(ascending))) - 1]


def calm(calls: Iterable[CallFelt], until_ms: int) -> Delay:
    """From offer to ringing of those who rang before the fault."""
    return Delay.of(
        call.rang[0].at_ms - call.offered_ms for call in calls if call.rang and call.rang[0].at_ms < until_ms
    )


def offered_between(from_ms: int, to_ms: float) -> Callable[[CallFelt], bool]:
    """Whoever was offered meanwhile, or was set up when it began: offered before, and had not rung."""

    def hit(call: CallFelt) -> bool:
        if from_ms <= call.offered_ms < to_ms:
            return True
        return call.in_hand_at(from_ms) and not any(rang.at_ms < from_ms for rang in call.rang)

    return hit


def to_ringing(calls: Iterable[CallFelt], since_ms: int) -> Delay:
    """To the next ringing of calls that were hit; a caller who is not rung when all is over counts as for ever."""
    return Delay.of(math.inf if (ms := call.rings_after_ms(since_ms)) is None else ms for call in calls)


def added(calls: Iterable[CallFelt], usual_ms: float) -> Delay:
    """From offer to the first ringing, less what is usual: what the calm calls of the same run took in the middle."""
    waited = (call.rings_after_ms(call.offered_ms) for call in calls)
    return Delay.of(math.inf if ms is None else max(0.0, ms - usual_ms) for ms in waited)
