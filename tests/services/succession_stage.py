"""A stage for replicas that take up a dead conductor's debts: their real shells; ingresses, gateways and trunks follow
scripts, and the log, the network and the disks are of memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry
from throughline.v1 import call_pb2, delivery_pb2, fact_pb2, holding_pb2

from services.domain.books import Books, Stories, books
from services.domain.events import Conductor, Fact, FactKind, Tick
from services.domain.holding import NONE, Holding
from services.domain.offer import SOS_URN, Offer
from services.domain.where import Where
from services.failover.service import Failover
from services.failover.settings import FailoverSettings
from services.host.blocking import at_once
from services.host.files import MemoryFiles
from services.host.network import Answers, Broken, Converses, Refuse, Served, Server, Status, Stream
from services.host.network.memory import MemoryNetwork
from services.host.world import World
from services.journal import Topic
from services.journal.disk import MemoryDisk
from services.journal.memory import MemoryBroker, MemoryLog
from services.journal.topics import TOPICS
from services.wire import facts, holding
from services.wire.methods import DIAL, INGRESS_STATUS, KEEP, RESUME, WATCH, WHO_HAS
from simulator.virtual_loop import virtual_wall_ms
from tests.services.failover_stage import Dialled, DialStream, Script, rings
from tests.services.gateway_stage import REGION, texts

CALLER = "+15085550101"
GATEWAY, TRUNK = "gateway:1", "trunk:1"


class Ingress:
    """An ingress as others see it: it ticks, says that it lives, and writes facts."""

    def __init__(self, stage: Succession, number: int, incarnation: str = "000000000000-0001") -> None:
        self.address = f"ingress:{number}"
        self.name = f"ingress-{number}"
        self.conductor = Conductor(self.address, incarnation)
        self.log = MemoryLog(stage.broker)
        self.paused = False
        """It says nothing and hears nothing; its connections stand."""
        self.unheard = False
        """Neither its words on watching streams nor its ticks come through; questions do."""
        self.refuses_streams = False
        """A watching stream cannot be opened; questions are answered."""
        self._network = stage.network
        self._server: Server | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._seq = 0

    async def start(self, *, watchable: bool = True) -> None:
        """`watchable`: False for one of an older version."""
        await self.serve(watchable=watchable)
        self._ticking = asyncio.ensure_future(self._tick())

    async def serve(self, *, watchable: bool = True) -> None:
        """Can be reached, from now on or again."""
        served: list[Any] = [Answers(INGRESS_STATUS, self._status)]
        served += [Converses(WATCH, self._watched)] * watchable
        self._server = await self._network.serve(self.address, served)

    async def refuse(self, *, streams_alone: bool = False) -> None:
        """It lives and ticks, but every connection to it is refused; or the streams break and no new one opens."""
        assert self._server is not None
        await self._server.stop(0)
        self.refuses_streams = streams_alone
        if streams_alone:
            await self.serve()

    async def kill(self) -> None:
        """As kill -9: nothing more leaves it."""
        assert self._server is not None and self._ticking is not None
        self._ticking.cancel()
        self.log.fail(absent=True)
        await self._server.stop(0)

    def offered(
        self, call_id: str, *, leg: int = 1, caller: str = CALLER, due_in_ms: int = 20_000, test: bool = False
    ) -> Fact:
        offer = Offer(call_id, leg, caller, SOS_URN, None)
        return self.fact(call_id, FactKind.OFFERED, leg=leg, offer=offer, due_in_ms=due_in_ms, test=test)

    def ringing(self, call_id: str, where: Where, *, leg: int = 1) -> Fact:
        return self.fact(
            call_id, FactKind.RINGING, leg=leg, where=where, attempt=f"{call_id}/{leg}/1", due_in_ms=20_000
        )

    def fact(self, call_id: str, kind: FactKind, **said: Any) -> Fact:
        self._seq += 1
        leg = said.pop("leg", 1)
        writer = f"{self.name}/{self.conductor.incarnation}"
        return Fact(call_id, leg, self._seq, writer, kind, virtual_wall_ms(), conductor=self.conductor, **said)

    def write(self, *told: Fact) -> None:
        for fact in told:
            self.log.append(Topic.CALLS, fact.call_id, facts.encode(fact)).add_done_callback(_looked_at)

    async def call(self, call_id: str, psap_id: str = "P1", **offer: Any) -> None:
        """A call that rings at a PSAP."""
        self.write(self.offered(call_id, **offer), self.ringing(call_id, Where(psap_id), leg=offer.get("leg", 1)))
        await asyncio.sleep(0.05)

    async def keep(self, replica: str, *told: Fact) -> bool:
        """Has facts kept by a replica."""
        request = delivery_pb2.KeepRequest(
            facts=[facts.encode(fact) for fact in told],
            conductor=fact_pb2.Conductor(address=self.address, incarnation=self.conductor.incarnation),
        )
        try:
            await self._network.ask(replica, KEEP, request, within_s=0.2)
        except Broken:
            return False
        return True

    async def _watched(self, stream: Stream[call_pb2.WatchRequest, call_pb2.WatchResponse]) -> None:
        if self.refuses_streams:
            raise Refuse(Status.UNAVAILABLE, "no more streams")
        first = await stream.read()
        assert first is not None and first.watcher.startswith("failover-")
        while True:
            if not (self.paused or self.unheard):
                await stream.write(call_pb2.WatchResponse(incarnation=self.conductor.incarnation))
            await asyncio.sleep(0.2)

    async def _status(self, _: call_pb2.StatusRequest) -> call_pb2.StatusResponse:
        if self.paused:
            await asyncio.Event().wait()
        return call_pb2.StatusResponse(incarnation=self.conductor.incarnation)

    async def _tick(self) -> None:
        while True:
            if not (self.paused or self.unheard):
                tick = Tick(self.name, "ingress", self.conductor, virtual_wall_ms())
                for partition in range(TOPICS[Topic.CALLS].partitions):
                    acked = self.log.append(Topic.CALLS, "tick", facts.encode_tick(tick), partition=partition)
                    acked.add_done_callback(_looked_at)
            await asyncio.sleep(0.5)


class Succession:
    """Replicas `failover:1` and on, ingresses, one gateway and one trunk. What the gateway and trunk hold is in
    `holds`, by call; who is not in it is said not to be there. `script` is what a dial meets."""

    def __init__(self, replicas: int = 2, ingresses: int = 2, network: MemoryNetwork | None = None) -> None:
        self.network = network or MemoryNetwork(latency_s=0.001)
        self.broker = MemoryBroker(virtual_wall_ms)
        self.holds: dict[str, Holding] = {}
        self.says: Holding = NONE
        """What is said of calls that are not in `holds`."""
        self.says_after_s = 0.0
        self.dialled: list[Dialled] = []
        self.script: Script = rings
        self.resumed: list[str] = []
        self.log_of: Callable[[MemoryBroker], MemoryLog] = MemoryLog
        """What a replica that starts from now on reads and writes the journal through."""
        self.disks = {number: MemoryDisk() for number in range(1, replicas + 1)}
        self.logs: dict[int, MemoryLog] = {}
        self.registries: dict[int, CollectorRegistry] = {}
        self.replicas: dict[int, Failover] = {}
        self.ingresses = [Ingress(self, number) for number in range(1, ingresses + 1)]
        self._lives = 0

    async def __aenter__(self) -> Succession:
        held: list[Served] = [Answers(WHO_HAS, self._who_has), Answers(RESUME, self._resume)]
        await self.network.serve(GATEWAY, held)
        await self.network.serve(TRUNK, [Converses(DIAL, self._dial), *held])
        for ingress in self.ingresses:
            await ingress.start()
        for number in self.disks:
            await self.start(number)
        await asyncio.sleep(3)
        return self

    async def __aexit__(self, *_: object) -> None:
        for replica in self.replicas.values():
            await replica.stop(0.0)
        await self.network.close()

    async def start(self, number: int) -> None:
        """Starts a replica, for the first time or again, on its own disk."""
        self._lives += 1
        self.logs[number] = self.log_of(self.broker)
        self.registries[number] = CollectorRegistry()
        name = f"failover-{number}"
        world = World(
            name=name,
            incarnation=f"000000000000-{self._lives:04}",
            network=self.network,
            log=self.logs[number],
            wall_ms=virtual_wall_ms,
            random=random.Random(number),
            files=MemoryFiles(texts()),
            disk=self.disks[number],
            registry=self.registries[number],
            logger=structlog.stdlib.get_logger(),
            run_blocking=at_once,
        )
        settings = FailoverSettings(
            name=name, listen=f"failover:{number}", region_dir=REGION, trunks=(TRUNK,), gateways=(GATEWAY,),
            spool_dir=Path("spool"),
        )  # fmt: skip
        self.replicas[number] = Failover(world, settings)
        await self.replicas[number].start()

    async def kill(self, number: int) -> None:
        """Nothing more leaves it; what is on its disk stays."""
        self.logs[number].fail(absent=True)
        self.disks[number] = self.disks[number].crashed()
        replica = self.replicas.pop(number)
        await replica.stop(0.0)

    def kafka(self, *, gone: bool) -> None:
        """For everybody at once."""
        for log in [*self.logs.values(), *(each.log for each in self.ingresses)]:
            log.fail(absent=gone)

    def count(self, number: int, name: str, **labels: str) -> float:
        return self.registries[number].get_sample_value(f"throughline_failover_{name}", labels) or 0.0

    def facts(self, *kinds: FactKind) -> list[Fact]:
        """What stands on `calls`, ticks apart."""
        said = [facts.read(record.value) for record in self.broker.records(Topic.CALLS)]
        return [each for each in said if isinstance(each, Fact) and (not kinds or each.kind in kinds)]

    def listed(self) -> list[str]:
        """Calls that a replica put onto the list, once for each fact that says so."""
        return sorted(each.call_id for each in self.facts(FactKind.CALLBACK_DUE) if each.urgent)

    def books(self) -> Books:
        stories = Stories()
        for fact in self.facts():
            stories.add(fact)
        return books(stories.by_call.values())

    async def _who_has(self, request: holding_pb2.WhoHasRequest) -> holding_pb2.WhoHasResponse:
        await asyncio.sleep(self.says_after_s)
        return holding.who_has_response(self.holds.get(request.call_id, self.says))

    async def _resume(self, request: holding_pb2.ResumeRequest) -> holding_pb2.ResumeResponse:
        self.resumed.append(request.attempt)
        return holding.resume_response(self.holds.get(request.call_id, self.says))

    async def _dial(self, stream: DialStream) -> None:
        first = await stream.read()
        assert first is not None
        dialled = Dialled(stream, first.dial, TRUNK)
        self.dialled.append(dialled)
        await self.script(dialled)


Scene = Callable[[Succession], Awaitable[None]]


def _looked_at(acked: asyncio.Future[None]) -> None:
    if not acked.cancelled():
        acked.exception()
