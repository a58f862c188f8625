"""Addresses that can all do the same, and which of them is asked next.

A neighbour that is dead or hung must not cost every caller its budget. `Replicas` are asked short questions: who failed
a few times in a row is left alone for a second. `Diallers` are the failover replicas, where a caller would wait for a
whole line: one doubt is enough to ask the others first, and only an answer to a question that costs no caller
anything ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from google.protobuf.message import Message
from throughline.v1 import delivery_pb2

from services.domain.breaker import Breaker
from services.domain.routing import rendezvous
from services.host.network import Broken, Network, Status
from services.wire.methods import KEEP, Question

In = TypeVar("In", bound=Message)
Out = TypeVar("Out", bound=Message)

_FAILURES_MAX: Final = 3
_OPEN_S: Final = 1.0
ALIVE_WITHIN_S: Final = 0.5
PROBE_EVERY_S: Final = 1.0
NOBODY_THERE: Final = frozenset({Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED, Status.CANCELLED})
_NOTHING: Final = delivery_pb2.KeepRequest()


class OwnFault(Protocol):
    """Whether this process itself is late, and so no judge of others (L2)."""

    def excuses(self, address: str) -> bool:
        """Asked at each failure of this neighbour, which is counted: as its own, or as an excused one."""


class Replicas:
    """Some addresses that can all answer the same; those that just failed are left alone for a second."""

    def __init__(self, network: Network, addresses: Sequence[str], own_fault: OwnFault) -> None:
        self._network = network
        self._own_fault = own_fault
        self._breakers = {address: Breaker(_FAILURES_MAX, _OPEN_S) for address in addresses}
        self._order = list(addresses)
        self._turn = 0

    async def ask(self, question: Question[Out, In], said: Out, budget_s: float, of: str = "") -> In:
        """The first answer within `budget_s` seconds; raises the last Broken. A silent replica costs its share only.

        `of` names what is asked about: each time the same replica is asked first then, and the same next where that one
        is gone, whichever ingress asks."""
        loop = asyncio.get_running_loop()
        until = loop.time() + budget_s
        last = Broken(Status.UNAVAILABLE, "no replica is configured or well")
        left = len(self._order)
        for address in self._in_turn(loop.time(), of):
            remaining_s = until - loop.time()
            if remaining_s <= 0:
                break
            try:
                answer = await self._network.ask(address, question, said, within_s=remaining_s / left)
            except Broken as broken:
                if not self._own_fault.excuses(address):
                    self._breakers[address].failed(loop.time())
                last, left = broken, max(1, left - 1)
            else:
                self._breakers[address].succeeded()
                return answer
        raise last

    def _in_turn(self, now: float, of: str) -> Iterator[str]:
        """The addresses worth asking now, in the order that `of` gives them, or a different one first each time."""
        if of:
            in_order = sorted(self._order, key=partial(rendezvous, of))
        else:
            self._turn = (self._turn + 1) % max(1, len(self._order))
            in_order = [*self._order[self._turn :], *self._order[: self._turn]]
        return (address for address in in_order if self._breakers[address].allows(now))


class Diallers:
    """The failover replicas. Those in doubt are asked last, until they answer again."""

    def __init__(
        self,
        network: Network,
        addresses: Sequence[str],
        own_fault: OwnFault,
        start: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self.addresses = tuple(addresses)
        self._network = network
        self._own_fault = own_fault
        self._start = start
        self._doubted: set[str] = set()
        self._turn = 0

    def in_turn(self) -> list[str]:
        """All of them, those in doubt last, a different one first each time."""
        self._turn = (self._turn + 1) % max(1, len(self.addresses))
        return self.doubted_last((*self.addresses[self._turn :], *self.addresses[: self._turn]))

    def doubted_last(self, addresses: Sequence[str]) -> list[str]:
        """The same, otherwise in their order."""
        return sorted(addresses, key=self._doubted.__contains__)

    def doubt(self, address: str) -> None:
        """It broke, or said nothing in time."""
        if address not in self._doubted and not self._own_fault.excuses(address):
            self._doubted.add(address)
            self._start(self._until_it_answers(address))

    async def answers(self, address: str) -> bool:
        """Whether anybody is there: it is asked to keep nothing, and any answer will do."""
        try:
            await self._network.ask(address, KEEP, _NOTHING, within_s=ALIVE_WITHIN_S)
        except Broken as broken:
            return broken.status not in NOBODY_THERE
        return True

    async def _until_it_answers(self, address: str) -> None:
        there = False
        while not there:
            await asyncio.sleep(PROBE_EVERY_S)
            there = await self.answers(address)
        self._doubted.discard(address)
