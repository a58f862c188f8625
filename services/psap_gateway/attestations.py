"""Who asks this gateway for a call: failover when a conductor is gone (T3), a conductor whose caller came back (P5).

The answer is the switchboard's; here it is waited for. A gateway that drains still answers: what it knows is needed
most when calls move away from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from typing import Final

from throughline.v1 import holding_pb2

from services.domain.gateways.attachments import call_of
from services.domain.gateways.patching import Effect
from services.domain.gateways.switchboard import Switchboard
from services.domain.holding import Holding
from services.host.network import Refuse, Status
from services.psap_gateway.metrics import PsapGatewayMetrics
from services.wire.holding import NAME_CHARS_MAX, resume_response, who_has_response

PSAPS_NAMED_MAX: Final = 256


class Attestations:
    """The questions that wait for the switchboard's answer, by number."""

    def __init__(
        self, board: Switchboard, metrics: PsapGatewayMetrics, act: Callable[[Sequence[Effect]], None]
    ) -> None:
        self._board = board
        self._metrics = metrics
        self._act = act
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Holding]] = {}

    async def who_has(self, asked: holding_pb2.WhoHasRequest) -> holding_pb2.WhoHasResponse:
        """T3; raises Refuse for a question that names no call."""
        _check("call_id", asked.call_id)
        if len(asked.psap_ids) > PSAPS_NAMED_MAX:
            raise Refuse(Status.INVALID_ARGUMENT, f"psap_ids: expected at most {PSAPS_NAMED_MAX}")
        now = asyncio.get_running_loop().time()
        holding = await self._answer(
            lambda number: self._board.who_has(number, asked.call_id, list(asked.psap_ids), now)
        )
        self._metrics.attested["who_has", holding.standing].inc()
        return who_has_response(holding)

    async def resume(self, asked: holding_pb2.ResumeRequest) -> holding_pb2.ResumeResponse:
        """P5; raises Refuse for an attempt that is none of the call's."""
        _check("call_id", asked.call_id)
        _check("attempt", asked.attempt)
        if call_of(asked.attempt) != asked.call_id:
            raise Refuse(Status.INVALID_ARGUMENT, f"attempt: expected one of {asked.call_id}, got {asked.attempt}")
        now = asyncio.get_running_loop().time()
        holding = await self._answer(
            lambda number: self._board.resume(
                number, asked.call_id, asked.attempt, asked.where.psap_id, now, unwanted=asked.unwanted
            )
        )
        self._metrics.attested["resume", holding.standing].inc()
        return resume_response(holding)

    def attested(self, number: int, holding: Holding) -> None:
        """The switchboard's answer."""
        waiting = self._waiting.get(number)
        if waiting is not None and not waiting.done():  # else who asked is gone
            waiting.set_result(holding)

    async def _answer(self, ask: Callable[[int], Sequence[Effect]]) -> Holding:
        number = next(self._numbers)
        waiting: asyncio.Future[Holding] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        try:
            self._act(ask(number))
            return await waiting
        finally:
            del self._waiting[number]


def _check(field: str, value: str) -> None:
    if not 0 < len(value) <= NAME_CHARS_MAX:
        raise Refuse(Status.INVALID_ARGUMENT, f"{field}: expected 1 to {NAME_CHARS_MAX} characters, got {len(value)}")
