"""Deliveries as the bytes of a record on `deliveries`, and back; and rejections as failures."""

from __future__ import annotations

from typing import Final

from throughline.v1 import delivery_pb2, place_pb2

from services.domain.deliveries import Delivery, Outcome
from services.domain.events import Failure
from services.domain.where import Where
from services.wire.methods import Unreadable, parse

_OUTCOME: Final = {
    delivery_pb2.DELIVERY_OUTCOME_RINGING: Outcome.RINGING,
    delivery_pb2.DELIVERY_OUTCOME_ANSWERED: Outcome.ANSWERED,
    delivery_pb2.DELIVERY_OUTCOME_CONNECTED: Outcome.CONNECTED,
    delivery_pb2.DELIVERY_OUTCOME_FAILED: Outcome.FAILED,
    delivery_pb2.DELIVERY_OUTCOME_RELEASED: Outcome.RELEASED,
}
_OUTCOME_PB: Final = {outcome: number for number, outcome in _OUTCOME.items()}
_FAILURE: Final = {
    delivery_pb2.REJECTION_FULL: Failure.FULL,
    delivery_pb2.REJECTION_REFUSED: Failure.REFUSED,
    delivery_pb2.REJECTION_NO_ANSWER: Failure.NO_ANSWER,
    delivery_pb2.REJECTION_UNREACHABLE: Failure.UNREACHABLE,
    delivery_pb2.REJECTION_NOT_ATTACHED: Failure.NOT_ATTACHED,
    delivery_pb2.REJECTION_SUPERSEDED: Failure.SUPERSEDED,
    delivery_pb2.REJECTION_EXPIRED: Failure.EXPIRED,
}
_REJECTION: Final = {failure: number for number, failure in _FAILURE.items()}


def failure_of(rejection: delivery_pb2.Rejection.ValueType) -> Failure:
    """Why an attempt failed; a word of a newer version is a refusal."""
    return _FAILURE.get(rejection, Failure.REFUSED)


def rejection_of(failure: Failure) -> delivery_pb2.Rejection.ValueType:
    """The same as a message's number."""
    return _REJECTION[failure]


def encode(delivery: Delivery) -> bytes:
    """The record's value."""
    message = delivery_pb2.Delivery(
        call_id=delivery.call_id,
        leg=delivery.leg,
        attempt=delivery.attempt,
        by=delivery.by,
        where=place_pb2.Where(psap_id=delivery.where.psap_id, line=delivery.where.line),
        outcome=_OUTCOME_PB[delivery.outcome],
        reason=delivery.reason,
        at_ms=delivery.at_ms,
    )
    if delivery.failure is not None:
        message.rejection = _REJECTION[delivery.failure]
    return message.SerializeToString()


def decode(raw: bytes) -> Delivery:
    """The delivery of a record; raises Unreadable where the bytes are none, or say an outcome of a newer version."""
    message = parse(delivery_pb2.Delivery, raw)
    outcome = _OUTCOME.get(message.outcome)
    if outcome is None:
        raise Unreadable(f"a delivery with outcome {message.outcome}, which this version does not know", raw)
    return Delivery(
        message.call_id,
        message.leg,
        message.attempt,
        message.by,
        Where(message.where.psap_id, message.where.line),
        outcome,
        _FAILURE.get(message.rejection),
        message.reason,
        message.at_ms,
    )
