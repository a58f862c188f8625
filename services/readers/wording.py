"""How records are said to a person: one line each, nothing in it that could be a terminal's command, and no caller's
number or place unless it was asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from throughline.v1 import delivery_pb2, psap_status_pb2, routing_pb2, screening_pb2

from services.domain.events import Fact, Tick
from services.domain.place import Circle, Place
from services.domain.policy import Divert, Flag, Verdict
from services.domain.publication import Current, Part, Version
from services.domain.where import Where
from services.journal import Record, Topic
from services.wire import facts, holding, region_records, verdicts
from services.wire.methods import TRANSPORT_BYTES_MAX, Unreadable, parse
from services.wire.salvage import salvage

_DIGITS_IN_A_ROW: Final = re.compile(r"\+?\d[\d().-]{5,}\d")


def plain(text: str) -> str:
    """A text of somebody else's with what cannot be shown left out."""
    return "".join(character if character.isprintable() else "�" for character in text)


def number(text: str, show: bool) -> str:
    """A caller's number, or what is left of it: enough to tell two apart, not enough to ring."""
    if not text:
        return "no number"
    return plain(text) if show else f"…{plain(text)[-2:]}"


def clock(ms: int) -> str:
    """Local time with milliseconds."""
    try:
        return datetime.fromtimestamp(ms / 1000).astimezone().strftime("%H:%M:%S.%f")[:-3]
    except (ValueError, OverflowError, OSError):
        return f"({ms} ms)"


def duration(ms: float | None) -> str:
    """Milliseconds as people say them."""
    if ms is None:
        return "-"
    if abs(ms) < 1_000:
        return f"{ms:.0f} ms"
    return f"{ms / 1000:.1f} s" if abs(ms) < 120_000 else f"{ms / 60_000:.0f} min"


def told(fact: Fact, show: bool = False) -> str:
    """What a fact says, without its call, leg and instant."""
    parts = [fact.kind.value.replace("_", " ")]
    if fact.where is not None:
        parts.append(_where(fact.where))
    if fact.attempt:
        parts.append(f"attempt {plain(fact.attempt).rpartition('/')[2]}")
    if fact.offer is not None:
        offer = fact.offer
        parts.append(f"{plain(offer.service_urn)} from {number(offer.caller, show)}, {_place(offer.place, show)}")
        parts += ["unreadable"] if offer.unreadable else []
    if fact.verdict is not None:
        parts.append(_verdict(fact.verdict, show))
    if fact.reason:
        parts.append(f"({_reason(fact.reason, show)})")
    if fact.age_ms:
        parts.append(f"waited {duration(fact.age_ms)} for Kafka")
    if fact.due_in_ms:
        parts.append(f"[next within {duration(fact.due_in_ms)}]")
    if fact.urgent:
        parts.append("[urgent]")
    if fact.settled:
        parts.append("[settled]")
    return " ".join(parts)


def is_tick(record: Record) -> bool:
    """Whether it is of no call: its writer says that it lives, twice a second on each partition (T1)."""
    try:
        return record.topic is Topic.CALLS and isinstance(facts.read(record.value), Tick)
    except Unreadable:
        return False


def line(record: Record, show: bool = False) -> str:
    """One record as one line."""
    try:
        said = _SAYS[record.topic](record, show) if record.topic in _SAYS else f"{len(record.value)} bytes"
    except Unreadable as unreadable:
        said = f"cannot be read: {plain(unreadable.why)}"
    return f"{clock(record.log_ms)} {record.topic.value} {plain(record.key) or '(no key)'} {said}"


def _fact(record: Record, show: bool) -> str:
    fact = facts.read(record.value)
    if isinstance(fact, Tick):
        return f"tick of {plain(fact.writer)} at {plain(fact.conductor.address)}"
    return f"leg {fact.leg} {told(fact, show)}{' test' if fact.test else ''}"


def _screening(record: Record, show: bool) -> str:
    screening = parse(screening_pb2.Screening, record.value)
    verdict = verdicts.to_domain(screening.verdict)
    said = _verdict(verdict, show) if verdict is not None else "no verdict known here"
    return f"leg {screening.leg} {said} by {plain(screening.firewall)} in {screening.took_us / 1000:.1f} ms"


def _routing(record: Record, show: bool) -> str:
    routing = parse(routing_pb2.Routing, record.value)
    route = routing.route
    reach = "" if route.reachable else ", not reachable"
    return f"leg {routing.leg} to {plain(route.psap_id) or 'nobody'} ({plain(route.reason)}{reach})"


def _delivery(record: Record, show: bool) -> str:
    delivery = parse(delivery_pb2.Delivery, record.value)
    outcome = delivery_pb2.DeliveryOutcome.Name(delivery.outcome).removeprefix("DELIVERY_OUTCOME_").lower()
    reason = f" ({_reason(delivery.reason, show)})" if delivery.reason else ""
    where = _where(holding.where_to_domain(delivery.where))
    return f"leg {delivery.leg} {outcome} {where} attempt {plain(delivery.attempt).rpartition('/')[2]}{reason}"


def _psap_status(record: Record, show: bool) -> str:
    status = parse(psap_status_pb2.PsapStatus, record.value, TRANSPORT_BYTES_MAX)
    attached = sum(row.attached for row in status.rows)
    return f"seq {status.seq}: {attached} of {len(status.rows)} PSAPs attached"


def _region(record: Record, show: bool) -> str:
    match region_records.read(record.key, record.value):
        case Part(number=part, parts=parts, content=content):
            return f"part {part + 1} of {parts}, {len(content)} bytes"
        case Version() as version:
            again = f", those of version {version.reverts_to} again" if version.reverts_to else ""
            return (
                f"{len(version.files)} files{again} by {plain(version.author) or 'nobody named'}: {plain(version.note)}"
            )
        case Current(number):
            return f"is version {number}"
    return f"{len(record.value)} bytes of a kind not known here"


def _unreadable(record: Record, show: bool) -> str:
    offer = salvage(record.value)
    return f"{len(record.value)} bytes, id {offer.call_id or 'none'}, from {number(offer.caller, show)}"


_SAYS: Final[Mapping[Topic, Callable[[Record, bool], str]]] = {
    Topic.CALLS: _fact,
    Topic.SCREENINGS: _screening,
    Topic.ROUTINGS: _routing,
    Topic.DELIVERIES: _delivery,
    Topic.PSAP_STATUS: _psap_status,
    Topic.ROUTING: _region,
    Topic.CALLS_UNREADABLE: _unreadable,
}


def _where(where: Where) -> str:
    return f"at line {plain(where.line)} of {plain(where.psap_id)}" if where.is_line else f"at {plain(where.psap_id)}"


def _verdict(verdict: Verdict, show: bool) -> str:
    match verdict:
        case Flag(score, rule, reason):
            return f"flagged {score} by {plain(rule)} ({_reason(reason, show)})"
        case Divert(desk, rule, reason):
            return f"diverted to {plain(desk)} by {plain(rule)} ({_reason(reason, show)})"
        case _:
            return "passed"


def _place(place: Place, show: bool) -> str:
    if place is None:
        return "no place"
    if isinstance(place, Circle):
        return f"{place.lat:.5f}, {place.lon:.5f} ± {place.radius_m:.0f} m" if show else f"± {place.radius_m:.0f} m"
    return f"an area of {len(place.points)} corners"


def _reason(reason: str, show: bool) -> str:
    return plain(reason) if show else _DIGITS_IN_A_ROW.sub("…", plain(reason))
