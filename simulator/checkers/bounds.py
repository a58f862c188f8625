"""Nothing waits past its bound: a caller for `Accepted`, a word, the first ringing, the next one (P1, J4, R6).

Bounds are the protocol's own budgets. A bound is widened by the budgets of those alone who were hurt while the caller
waited, and lifted only where the caller's own network or ingress was: they are who the caller waits with. Kafka, disks,
clocks and the ledger widen nothing: no call waits for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from loadtest.call_told import CallTold, Entry
from simulator.checkers.agreed import APPEND_MS, SAFE_MS
from simulator.checkers.evidence import Evidence
from simulator.checkers.finding import Finding
from simulator.injuries import FAMILIES
from simulator.installation import RING_TIMEOUT_MS, SERVICE_OF
from simulator.region import PSAPS

ACCEPTED_MS: Final = APPEND_MS + SAFE_MS + 20
"""J4, and the ways there and back."""
SETS_UP_MS: Final = 150
"""From an offer to the first ringing where everybody answers at once: some forty messages of at most 2 ms each, when
the first PSAP, its alternates and the lines of all of them are full."""
NEXT_RUNG_MS: Final = RING_TIMEOUT_MS + SETS_UP_MS
BEFORE_MS: Final = 3_000
"""What was hurt so long before may be felt yet: a breaker, a stale row of status, a PSAP that attaches anew."""
COSTS_MS: Final[Mapping[str, int]] = {
    "firewall": 150,
    "router": 4 * 150,
    "psap_gateway": 6 * 300,
    "psap": 6 * 300,
    "ledger": 0,
}
"""Who was hurt -> what that may cost a caller on the way to the first ringing: the budget for a verdict; for each route
of a ladder; for each PSAP of a ladder, through two gateways. Not here (failover, trunks): a line's budgets add up."""
NOBODYS_WAIT: Final = frozenset(
    kind.name for family in ("kafka", "disk", "clock", "region") for kind in FAMILIES.get(family, ())
)
"""Kinds of injury that no caller ever feels."""
TWO_OF_ONE: Final = "offers_twice"
HEARS_NOTHING: Final = "reads_nothing"
CONFIRMS_NOTHING: Final = frozenset({"never_confirms", "confirms_another"})
ON_THE_WAY: Final = frozenset({"ringing", "waiting", "diverting", "confirmed", "connected", "hung_up", "gave_up"})
REGION: Final = "region"
EVERY_RUNG_FAILED: Final = "every_rung_failed"
PAUSE_MS: Final = 2_000
"""Before a ladder is climbed again, which a later leg may find at its end (P7)."""


def waits(evidence: Evidence) -> Iterator[Finding]:
    """Each leg of each call that stood with nobody hurt whom its caller waited with."""
    sources = {planned.call_id: planned.source for planned in evidence.seen.schedule.calls}
    for call in evidence.calls.values():
        sins = call.misbehaved()
        if HEARS_NOTHING in sins:
            continue
        legs: dict[int, list[Entry]] = {}
        for entry in call.caller:
            leg = legs.setdefault(entry["leg"], [])
            if entry["event"] != "misbehaved" and not (leg and leg[-1]["event"] == "leg_broken"):
                leg.append(entry)  # who gives up after a leg broke waits for the next one
        source = sources.get(call.planned, "")
        for leg in legs.values():
            if leg and leg[0]["event"] == "offered":
                yield from _leg(evidence, call, leg, source, sins)


def _leg(evidence: Evidence, call: CallTold, leg: Sequence[Entry], source: str, sins: set[str]) -> Iterator[Finding]:
    offered, last = leg[0], leg[-1]
    ingress = offered["ingress"].partition(":")[0]
    began_ms = offered["at_ms"]
    with_whom = {source, ingress}
    if evidence.weather.held_up(with_whom, began_ms, last["at_ms"]):
        return
    yield from _broken(call, last, ingress)
    accepted = next((each for each in leg if each["event"] == "accepted"), last)
    if accepted["at_ms"] - began_ms > ACCEPTED_MS:
        words = f"leg {offered['leg']} waited {accepted['at_ms'] - began_ms} ms for Accepted: at most {ACCEPTED_MS}"
        yield Finding("bounds", call.call_id, words)
    if TWO_OF_ONE not in sins:  # two conductors of one leg take each other's rings (P8)
        yield from _ringing(evidence, call, leg, patient=not sins & CONFIRMS_NOTHING)


def _broken(call: CallTold, last: Entry, ingress: str) -> Iterator[Finding]:
    """Nobody hurt it, and the stream broke, or was silent for longer than a heartbeat may take (P1)."""
    if last["event"] == "leg_broken" and last["why"] != "broke":
        told = f"{last['why']} {last.get('details', '')}".strip()
        yield Finding("bounds", call.call_id, f"leg {last['leg']} at {ingress}, which nobody hurt, broke: {told}")


def _ringing(evidence: Evidence, call: CallTold, leg: Sequence[Entry], patient: bool) -> Iterator[Finding]:
    words = [each for each in leg if each["event"] in ON_THE_WAY]
    number = leg[0]["leg"]
    first = next((n for n, each in enumerate(words) if each["event"] == "ringing"), None)
    rang = leg[-1] if first is None else words[first]
    took_ms = rang["at_ms"] - leg[0]["at_ms"]
    allowed_ms = _allowed_ms(evidence, leg[0]["at_ms"], rang["at_ms"])
    if allowed_ms is not None and number > 1:
        allowed_ms += PAUSE_MS * any(each.get("reason") == EVERY_RUNG_FAILED for each in words[:first])
    if allowed_ms is not None and took_ms > SETS_UP_MS + allowed_ms:
        told = f"leg {number} waited {took_ms} ms for ringing: at most {SETS_UP_MS + allowed_ms}"
        yield Finding("bounds", call.call_id, told)
    if first is None or not patient or rang.get("psap_id") == REGION:
        return
    after = words[first + 1] if first + 1 < len(words) else leg[-1]
    took_ms = after["at_ms"] - rang["at_ms"]
    allowed_ms = _allowed_ms(evidence, rang["at_ms"], after["at_ms"])
    if allowed_ms is not None and took_ms > NEXT_RUNG_MS + allowed_ms:
        told = f"leg {number} rang {took_ms} ms at {rang['psap_id']} alone: at most {NEXT_RUNG_MS + allowed_ms}"
        yield Finding("bounds", call.call_id, told)


def _allowed_ms(evidence: Evidence, from_ms: int, to_ms: int) -> int | None:
    """What those who were hurt may cost on top; None where no bound is left."""
    costs: dict[str, int] = {}
    for injury in evidence.weather.during(from_ms, to_ms, BEFORE_MS):
        if injury.kind in NOBODYS_WAIT:
            continue
        for target in injury.targets:
            part = "psap" if target in PSAPS else SERVICE_OF.get(target, "")
            if part == "ingress":
                continue  # another one than the caller's
            if part not in COSTS_MS:
                return None
            costs[part] = COSTS_MS[part]
    return sum(costs.values())
