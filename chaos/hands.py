"""Whose calls a strike found in its victim's hands, and how long these then waited: from the witnesses' diaries alone.

Pure. What no witness can tell apart counts for the whole service, and the paper says so: which of two firewalls,
routers or failovers had a call. The ledger has none: it stands on no call's way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chaos.felt import CallFelt, Window
from chaos.schedule import Kind

Entry = Mapping[str, Any]
BROKER: Final = "broker"
SET_UP_BY: Final = frozenset({"firewall", "router"})
"""They are asked before a call rings, and not after."""


@dataclass(frozen=True, slots=True)
class Hurt:
    """One strike that was done: its kind, and whom it hurt, from when to when. `service` is empty where it was
    everybody, `address` where it was a whole service or a broker."""

    kind: str
    service: str
    address: str
    window: Window


@dataclass(frozen=True, slots=True)
class Waits:
    """What became of calls since something began: milliseconds to the next ringing, or to the caller's leaving, None
    where neither came; how many rang; how many were connected without ringing again, and had nothing to wait for."""

    ms: list[int | None]
    rang: int
    went_on: int


Gateways = Mapping[str, Sequence[tuple[int, str]]]
"""Attempt -> from when through which gateway it rang, in order: one that dies hands its rings on (R5)."""


def gateways_of(far_end: Iterable[Entry]) -> Gateways:
    """As the far end has it."""
    found: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for entry in far_end:
        if entry["event"] in ("offered", "ringing") and "gateway" in entry:
            found[entry["attempt"]].append((entry["at_ms"], entry["gateway"]))
    return found


def in_hand(calls: Iterable[CallFelt], hurt: Hurt, gateways: Gateways) -> list[CallFelt]:
    """Those that stood with the victim in the instant of the strike."""
    at_ms = hurt.window.from_ms
    if hurt.kind == Kind.CALM:
        return []
    return [call for call in calls if call.in_hand_at(at_ms) and _with(call, hurt, at_ms, gateways)]


def _with(call: CallFelt, hurt: Hurt, at_ms: int, gateways: Gateways) -> bool:
    ring = call.ring_at(at_ms)
    match hurt.service:
        case "ingress":
            return call.ingress_at(at_ms) == hurt.address
        case "psap_gateway":
            return ring is not None and not ring.line and _gateway_at(gateways, ring.attempt, at_ms) == hurt.address
        case "failover":
            return ring is not None and bool(ring.line)
        case service if service in SET_UP_BY:
            return ring is None
        case "ledger":
            return False
        case _:
            return True


def _gateway_at(gateways: Gateways, attempt: str, at_ms: int) -> str:
    by_then = [gateway for since_ms, gateway in gateways.get(attempt, ()) if since_ms <= at_ms]
    return by_then[-1] if by_then else ""


def waited(calls: Iterable[CallFelt], hurts: Sequence[Hurt], gateways: Gateways) -> tuple[Waits, Waits]:
    """Of those who were in the hands of a victim, from the strike; and of those who called while something was wrong,
    from their offer. A call that was hit twice counts once, from the first."""
    everybody = list(calls)
    since: dict[str, int] = {}
    for hurt in sorted(hurts, key=lambda hurt: hurt.window.from_ms):
        for call in in_hand(everybody, hurt, gateways):
            since.setdefault(call.call_id, hurt.window.from_ms)
    hit = [(call, since[call.call_id]) for call in everybody if call.call_id in since]
    meanwhile = [
        (call, call.offered_ms)
        for call in everybody
        if call.call_id not in since
        and any(hurt.window.from_ms <= call.offered_ms < hurt.window.to_ms for hurt in hurts)
    ]
    return _waits(hit), _waits(meanwhile)


def _waits(calls: Iterable[tuple[CallFelt, int]]) -> Waits:
    ms: list[int | None] = []
    rang = went_on = 0
    for call, since_ms in calls:
        if any(ring.at_ms >= since_ms for ring in call.rang):
            rang += 1
        elif call.connected is not None:
            went_on += 1
            continue
        ms.append(call.rings_after_ms(since_ms))
    return Waits(ms, rang, went_on)
