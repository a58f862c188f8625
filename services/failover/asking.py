"""Asking everybody who makes people ring: who has this call? (protocol.md T3, P5)

All at once and within one budget; together they say the furthest that anybody attests, and "nobody" only where
everybody who was asked said so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from google.protobuf.message import Message
from throughline.v1 import holding_pb2

from services.domain.holding import UNKNOWN, Holding, furthest
from services.host.network import Broken, Network
from services.wire import holding
from services.wire.methods import RESUME, WHO_HAS, Question

WHO_HAS_WITHIN_S: Final = 0.500
Out = TypeVar("Out", bound=Message)
In = TypeVar("In", bound=Message)


class Attesters:
    """The gateways and trunks of this replica's settings."""

    def __init__(self, network: Network, gateways: Sequence[str], trunks: Sequence[str]) -> None:
        self._network = network
        self._gateways = tuple(gateways)
        self._trunks = tuple(trunks)

    async def who_has(self, call_id: str, psap_ids: Sequence[str]) -> Holding:
        """What gateways and trunks say together, within WHO_HAS_WITHIN_S."""
        request = holding_pb2.WhoHasRequest(call_id=call_id, psap_ids=psap_ids)
        everybody = (*self._gateways, *self._trunks)
        return await self._ask_all(everybody, WHO_HAS, request, holding.to_domain, WHO_HAS_WITHIN_S)

    async def trunks_resume(self, request: holding_pb2.ResumeRequest, within_s: float) -> Holding:
        """What the trunks say of an attempt, which they let go of unless it is connected."""
        return await self._ask_all(self._trunks, RESUME, request, holding.to_domain, within_s)

    async def _ask_all(
        self,
        addresses: Sequence[str],
        question: Question[Out, In],
        said: Out,
        read: Callable[[In], Holding],
        within_s: float,
    ) -> Holding:
        async def ask(address: str) -> Holding:
            try:
                return read(await self._network.ask(address, question, said, within_s=within_s))
            except Broken:
                return UNKNOWN

        return furthest(await asyncio.gather(*map(ask, addresses)))
