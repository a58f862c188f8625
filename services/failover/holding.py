"""Lets go of an attempt at a line whose caller has come back by a new leg, unless it is connected (protocol.md P5).

What this replica dialled itself it knows; of the rest the trunks know, who are asked themselves who has a call (T3).
"Nobody" is said only when every trunk has said so: a replica that was restarted remembers nothing, and a line may talk
all the same.
"""

from __future__ import annotations

import asyncio
from typing import Final

from throughline.v1 import holding_pb2

from services.domain.gateways.attachments import is_attempt_of
from services.domain.gateways.rings import Stage
from services.domain.holding import Holding, Standing
from services.failover.asking import Attesters
from services.failover.diverts import Diverts, InHand
from services.failover.metrics import FailoverMetrics
from services.host.network import Refuse, Status
from services.wire import holding

RESUME_TRUNKS_S: Final = 0.200
CONNECTING_S: Final = 0.250
"""The conductor that asks gives 300 ms."""


class LineHolding:
    """See the module."""

    def __init__(self, diverts: Diverts, attesters: Attesters, metrics: FailoverMetrics) -> None:
        self._diverts = diverts
        self._attesters = attesters
        self._metrics = metrics

    async def resume(self, request: holding_pb2.ResumeRequest) -> holding_pb2.ResumeResponse:
        """RESUME: connected, or let go of before the answer, as one that is unwanted is even if it is connected.
        Raises Refuse for one that is none of the call's."""
        if len(request.attempt) > holding.NAME_CHARS_MAX or not is_attempt_of(request.attempt, request.call_id):
            raise Refuse(
                Status.INVALID_ARGUMENT,
                f"attempt: expected one of the call's, of at most {holding.NAME_CHARS_MAX} characters",
            )
        in_hand = self._diverts.get(request.attempt)
        known = None if request.unwanted else self._connected(request.call_id)
        if in_hand is not None and request.unwanted:
            in_hand.hunting.supersede("unwanted")
        elif in_hand is not None and known is None:
            await self._end(in_hand)
            known = self._connected(request.call_id)
        if known is None:
            self._diverts.let_go(request.attempt)
            known = await self._attesters.trunks_resume(request, RESUME_TRUNKS_S)
        self._metrics.resumes.labels(known.standing).inc()
        return holding.resume_response(known)

    async def _end(self, in_hand: InHand) -> None:
        """Waits a moment for one that is being connected; everything else is let go of at once."""
        if in_hand.stage is Stage.CONNECTING:
            try:
                async with asyncio.timeout(CONNECTING_S):
                    await in_hand.over.wait()
            except TimeoutError:
                pass
        in_hand.hunting.supersede("resumed")

    def _connected(self, call_id: str) -> Holding | None:
        found = self._diverts.connected(call_id)
        return None if found is None else Holding(Standing.CONNECTED, *found)
