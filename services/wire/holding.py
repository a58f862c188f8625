"""Who has a call, and where a person answers: as messages, and back."""

from __future__ import annotations

from typing import Final

from throughline.v1 import holding_pb2, place_pb2

from services.domain.holding import Holding, Standing
from services.domain.where import Where

NAME_CHARS_MAX: Final = 256

_STANDING: Final = {
    holding_pb2.STANDING_NONE: Standing.NONE,
    holding_pb2.STANDING_RINGING: Standing.RINGING,
    holding_pb2.STANDING_ANSWERED: Standing.ANSWERED,
    holding_pb2.STANDING_CONNECTED: Standing.CONNECTED,
}
_STANDING_PB: Final = {standing: number for number, standing in _STANDING.items()} | {
    Standing.UNKNOWN: holding_pb2.STANDING_UNSPECIFIED
}


def standing_to_domain(standing: holding_pb2.Standing.ValueType) -> Standing:
    """The standing; UNKNOWN for one that this version does not know."""
    return _STANDING.get(standing, Standing.UNKNOWN)


def standing_to_wire(standing: Standing) -> holding_pb2.Standing.ValueType:
    """The same as a number."""
    return _STANDING_PB[standing]


def to_domain(message: holding_pb2.WhoHasResponse | holding_pb2.ResumeResponse) -> Holding:
    """What was attested; texts are cut, since it becomes a fact."""
    where = where_to_domain(message.where) if message.HasField("where") else None
    return Holding(standing_to_domain(message.standing), message.attempt[:NAME_CHARS_MAX], where)


def who_has_response(holding: Holding) -> holding_pb2.WhoHasResponse:
    """The answer to WhoHas."""
    return holding_pb2.WhoHasResponse(
        standing=standing_to_wire(holding.standing), attempt=holding.attempt, where=_where(holding)
    )


def resume_response(holding: Holding) -> holding_pb2.ResumeResponse:
    """The answer to Resume."""
    return holding_pb2.ResumeResponse(
        standing=standing_to_wire(holding.standing), attempt=holding.attempt, where=_where(holding)
    )


def _where(holding: Holding) -> place_pb2.Where | None:
    return where_to_wire(holding.where) if holding.where is not None else None


def where_to_domain(message: place_pb2.Where) -> Where:
    """Where a person answers; texts are cut, since it becomes a fact."""
    return Where(message.psap_id[:NAME_CHARS_MAX], message.line[:NAME_CHARS_MAX])


def where_to_wire(where: Where) -> place_pb2.Where:
    """The same as a message."""
    return place_pb2.Where(psap_id=where.psap_id, line=where.line)
