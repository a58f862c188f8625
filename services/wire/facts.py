"""Facts as the bytes of a record on `calls`, and back.

The envelope is frozen across versions (protocol.md J1): a kind that this version does not know becomes
`FactKind.UNKNOWN`, and its due time and settlement still count. Whatever must survive a version that does not know it
(a fact that waits for Kafka) is never decoded and encoded again, only re-stamped.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from google.protobuf.message import DecodeError
from throughline.v1 import call_pb2, fact_pb2

from services.domain.durability import Durability
from services.domain.events import Conductor, Fact, FactKind, Tick
from services.wire import holding, offers, verdicts
from services.wire.methods import Unreadable, parse

FACT_BYTES_MAX: Final = 1024 * 1024
"""What a broker takes in one record by default; a reader believes nothing larger."""

REMEMBERED_BYTES_MAX: Final = 1024
_REMEMBERED_MAX: Final = 512

_INT64_MAX: Final = 2**63 - 1

_KIND: Final = {
    fact_pb2.FACT_KIND_OFFERED: FactKind.OFFERED,
    fact_pb2.FACT_KIND_SCREENED: FactKind.SCREENED,
    fact_pb2.FACT_KIND_ROUTED: FactKind.ROUTED,
    fact_pb2.FACT_KIND_ATTEMPTING: FactKind.ATTEMPTING,
    fact_pb2.FACT_KIND_RINGING: FactKind.RINGING,
    fact_pb2.FACT_KIND_DELIVERY_FAILED: FactKind.DELIVERY_FAILED,
    fact_pb2.FACT_KIND_WAITING: FactKind.WAITING,
    fact_pb2.FACT_KIND_DIVERTING: FactKind.DIVERTING,
    fact_pb2.FACT_KIND_ANSWERED: FactKind.ANSWERED,
    fact_pb2.FACT_KIND_DIVERTED: FactKind.DIVERTED,
    fact_pb2.FACT_KIND_CALLER_LOST: FactKind.CALLER_LOST,
    fact_pb2.FACT_KIND_ABANDONED: FactKind.ABANDONED,
    fact_pb2.FACT_KIND_TAKEN_OVER: FactKind.TAKEN_OVER,
    fact_pb2.FACT_KIND_CALLBACK_DUE: FactKind.CALLBACK_DUE,
    fact_pb2.FACT_KIND_CALLBACK_ATTEMPTED: FactKind.CALLBACK_ATTEMPTED,
    fact_pb2.FACT_KIND_CALLED_BACK: FactKind.CALLED_BACK,
    fact_pb2.FACT_KIND_RECONNECTED: FactKind.RECONNECTED,
    fact_pb2.FACT_KIND_CLOSED_BY_HUMAN: FactKind.CLOSED_BY_HUMAN,
    fact_pb2.FACT_KIND_ENDED: FactKind.ENDED,
}
_DURABILITY: Final = {
    call_pb2.DURABILITY_DURABLE: Durability.DURABLE,
    call_pb2.DURABILITY_AT_RISK: Durability.AT_RISK,
    call_pb2.DURABILITY_NOT_DURABLE: Durability.NOT_DURABLE,
}
_DURABILITY_PB: Final[Mapping[Durability | None, call_pb2.Durability.ValueType]] = {
    None: call_pb2.DURABILITY_UNSPECIFIED,
    **{durability: number for number, durability in _DURABILITY.items()},
}
_KIND_PB: Final = {kind: number for number, kind in _KIND.items()} | {FactKind.UNKNOWN: fact_pb2.FACT_KIND_UNSPECIFIED}


def encode(fact: Fact) -> bytes:
    """The record's value."""
    message = fact_pb2.Fact(
        call_id=fact.call_id,
        leg=fact.leg,
        seq=fact.seq,
        writer=fact.writer,
        kind=_KIND_PB[fact.kind],
        at_ms=fact.at_ms,
        reason=fact.reason,
        age_ms=fact.age_ms,
        due_in_ms=fact.due_in_ms,
        settled=fact.settled,
        caller_hash=fact.caller_hash,
        i3_call_id=fact.i3_call_id,
        i3_incident_id=fact.i3_incident_id,
        test=fact.test,
        attempt=fact.attempt,
        urgent=fact.urgent,
        durability=_DURABILITY_PB[fact.durability],
    )
    if fact.conductor is not None:
        message.conductor.address = fact.conductor.address
        message.conductor.incarnation = fact.conductor.incarnation
        message.conductor.SetInParent()
    if fact.offer is not None:
        message.offer.CopyFrom(offers.to_wire(fact.offer))
    if fact.where is not None:
        message.where.CopyFrom(holding.where_to_wire(fact.where))
    if fact.verdict is not None:
        message.verdict.CopyFrom(verdicts.to_wire(fact.verdict))
    return message.SerializeToString()


def encode_tick(tick: Tick) -> bytes:
    """The record's value. It has the envelope of a fact and names no call."""
    return fact_pb2.Fact(
        writer=tick.writer,
        kind=fact_pb2.FACT_KIND_TICK,
        at_ms=tick.at_ms,
        conductor=fact_pb2.Conductor(address=tick.conductor.address, incarnation=tick.conductor.incarnation),
        service=tick.service,
    ).SerializeToString()


def read(raw: bytes) -> Fact | Tick:
    """What a record of `calls` says; raises Unreadable where the bytes are neither.

    A process ticks with the same bytes on every partition, most of what a reader at rest reads; a fact comes twice now
    and then. So what was read lately is remembered, where it is short: nothing that is returned can change.
    """
    return _read_again(raw) if len(raw) <= REMEMBERED_BYTES_MAX else _read(raw)


def _read(raw: bytes) -> Fact | Tick:
    message = parse(fact_pb2.Fact, raw, FACT_BYTES_MAX)
    if message.kind == fact_pb2.FACT_KIND_TICK:
        conductor = Conductor(message.conductor.address, message.conductor.incarnation)
        return Tick(message.writer, message.service, conductor, message.at_ms)
    return _fact(message, raw)


_writer = lru_cache(maxsize=_REMEMBERED_MAX)(str)
"""One text for all the facts of one writer."""
_read_again = lru_cache(maxsize=_REMEMBERED_MAX)(_read)


def fact_in(raw: bytes) -> Fact | None:
    """The fact that a record of `calls` holds; None where it is a tick, or cannot be read."""
    try:
        said = read(raw)
    except Unreadable:
        return None
    return said if isinstance(said, Fact) else None


def decode(raw: bytes) -> Fact:
    """The fact of a record; raises Unreadable where the bytes are no fact, or one without a call."""
    return _fact(parse(fact_pb2.Fact, raw, FACT_BYTES_MAX), raw)


def _fact(message: fact_pb2.Fact, raw: bytes) -> Fact:
    if not offers.call_id_or_none(message.call_id):
        raise Unreadable("a fact that names no call by an id that could be one", raw)
    conductor = message.conductor if message.HasField("conductor") else None
    return Fact(
        message.call_id,
        message.leg,
        message.seq,
        _writer(message.writer),
        _KIND.get(message.kind, FactKind.UNKNOWN),
        message.at_ms,
        message.reason,
        message.age_ms,
        message.due_in_ms,
        message.settled,
        Conductor(conductor.address, conductor.incarnation) if conductor is not None else None,
        message.caller_hash,
        message.i3_call_id,
        message.i3_incident_id,
        message.test,
        offers.to_domain(message.offer) if message.HasField("offer") else None,
        message.attempt,
        holding.where_to_domain(message.where) if message.HasField("where") else None,
        verdicts.to_domain(message.verdict) if message.HasField("verdict") else None,
        message.urgent,
        _DURABILITY.get(message.durability),
    )


def restamp(raw: bytes, age_ms: int, told: Durability | None) -> bytes:
    """The same fact, older by `age_ms` than it says, and with how safe it was told to be meanwhile; fields of newer
    versions kept. Never raises: bytes that are no fact stay as they are."""
    message = fact_pb2.Fact()
    try:
        message.ParseFromString(raw)
    except DecodeError:
        return raw
    message.age_ms = min(message.age_ms + age_ms, _INT64_MAX)
    if told is not None:
        message.durability = _DURABILITY_PB[told]
    return message.SerializeToString()
