"""Copies of facts at failover replicas, for while Kafka does not have them (protocol.md J4).

What opens a debt is kept by one replica, which then acts first. Of a fact after which nothing is owed, every replica is
given a copy: each of them may know the debt from the log, and without Kafka nothing else tells it that it is settled.

One request is under way to each replica, and what comes meanwhile goes into the next, as a spool gathers what came
while it synced. Kafka is slow when everything is: a request for each fact would then be more work than the facts.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from throughline.v1 import delivery_pb2, fact_pb2

from services.domain.events import Conductor
from services.domain.routing import rendezvous
from services.host.network import Broken, Network
from services.ingress.replicas import NOBODY_THERE, Diallers
from services.ingress.scribe import nothing_is_owed_after
from services.wire import facts
from services.wire.methods import KEEP

KEEP_S: Final = 0.100
FACTS_MAX: Final = 128
BYTES_MAX: Final = 32 * 1024
"""Of the facts in one request; one that is larger goes by itself. Half of what a replica parses (P6)."""


class _Waiting:
    """A fact on its way; `kept` is done once it is on the replica's disk, or fails with Broken."""

    __slots__ = ("fact", "kept")

    def __init__(self, fact: bytes, kept: asyncio.Future[None]) -> None:
        self.fact = fact
        self.kept = kept


class Copies:
    """Those of one ingress, which is their `conductor`."""

    def __init__(
        self,
        network: Network,
        diallers: Diallers,
        conductor: Conductor,
        start: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._network = network
        self._diallers = diallers
        self._conductor = fact_pb2.Conductor(address=conductor.address, incarnation=conductor.incarnation)
        self._start = start
        self._waiting: dict[str, deque[_Waiting]] = {address: deque() for address in diallers.addresses}
        self._asking: set[str] = set()

    async def keep(self, call_id: str, fact: bytes) -> bool:
        """Whether a failover replica has this fact on its disk: the first of the call's order that says so."""
        loop = asyncio.get_running_loop()
        until = loop.time() + KEEP_S
        in_order = self._diallers.doubted_last(sorted(self._diallers.addresses, key=partial(rendezvous, call_id)))
        by_all: dict[str, asyncio.Future[None]] = {}
        if nothing_is_owed_after(facts.decode(fact)):
            by_all = {address: self._handed_over(address, fact) for address in in_order}
            for kept in by_all.values():
                kept.add_done_callback(_looked_at)
        for left, address in zip(range(len(in_order), 0, -1), in_order, strict=True):
            try:
                async with asyncio.timeout(max(0.001, (until - loop.time()) / left)):
                    # Nobody is handed it twice; and who does not answer in time has it when it does.
                    await (asyncio.shield(by_all[address]) if by_all else self._handed_over(address, fact))
            except TimeoutError:
                self._diallers.doubt(address)
            except Broken as broken:
                if broken.status in NOBODY_THERE:
                    self._diallers.doubt(address)
            else:
                return True
        return False

    def _handed_over(self, address: str, fact: bytes) -> asyncio.Future[None]:
        waiting = _Waiting(fact, asyncio.get_running_loop().create_future())
        self._waiting[address].append(waiting)
        if address not in self._asking:
            self._asking.add(address)
            self._start(self._ask(address))
        return waiting.kept

    async def _ask(self, address: str) -> None:
        """Until nothing waits for this replica."""
        queue = self._waiting[address]
        try:
            while queue:
                parcel = _parcel(queue)
                if parcel:
                    await self._ask_once(address, parcel)
        finally:
            self._asking.discard(address)
            for waiting in queue:
                waiting.kept.cancel()

    async def _ask_once(self, address: str, parcel: list[_Waiting]) -> None:
        request = delivery_pb2.KeepRequest(facts=[each.fact for each in parcel], conductor=self._conductor)
        trouble: Broken | None = None
        try:
            await self._network.ask(address, KEEP, request, within_s=KEEP_S)
        except Broken as broken:
            trouble = broken
        for each in parcel:
            if each.kept.done():
                continue  # whoever waited has gone to another replica
            if trouble is None:
                each.kept.set_result(None)
            else:
                each.kept.set_exception(trouble)


def _parcel(queue: deque[_Waiting]) -> list[_Waiting]:
    """What goes into the next request: the oldest first, those apart for whom nobody waits any more."""
    parcel: list[_Waiting] = []
    size = 0
    while queue and len(parcel) < FACTS_MAX and (not parcel or size + len(queue[0].fact) <= BYTES_MAX):
        each = queue.popleft()
        if not each.kept.done():
            parcel.append(each)
            size += len(each.fact)
    return parcel


def _looked_at(kept: asyncio.Future[None]) -> None:
    """Nobody waits for this one; a replica that does not answer is found out by those for which somebody does."""
    if not kept.cancelled():
        kept.exception()
