"""A stage for one ingress: real shell, memory network, virtual time, and neighbours who do what a script says."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import structlog
from prometheus_client import CollectorRegistry
from throughline.v1 import call_pb2, delivery_pb2, holding_pb2, place_pb2, routing_pb2, screening_pb2

from services.domain.events import Fact, FactKind
from services.domain.holding import NONE, Holding
from services.domain.policy import Pass
from services.host.blocking import at_once
from services.host.files import MemoryFiles
from services.host.network import Answers, Broken, Converses, OpenedStream, Served, Server, Stream
from services.host.network.memory import MemoryNetwork
from services.host.world import World
from services.ingress.service import Ingress
from services.ingress.settings import IngressSettings
from services.journal import Topic
from services.journal.disk import MemoryDisk
from services.journal.memory import MemoryBroker, MemoryLog
from services.places.region import REGION_FILES
from services.wire import facts, verdicts
from services.wire.holding import resume_response
from services.wire.methods import DELIVER, DIVERT, KEEP, PLACE_CALL, RESUME, ROUTE, SCREEN
from simulator.virtual_loop import virtual_wall_ms

SAMPLE = Path(__file__).parents[2] / "data" / "massachusetts"
REGION = Path("region")
TEXTS = {REGION / name: (SAMPLE / name).read_text("utf-8") for name in REGION_FILES}
WORCESTER = place_pb2.Place(circle=place_pb2.Circle(centre=place_pb2.Point(latitude=42.2626, longitude=-71.8023)))

Said = call_pb2.PlaceCallResponse
RingStream = Stream[Any, Any]
LINE = "+15085550100"


def request(stream: RingStream, **said: Any) -> Any:
    """A word down a ring's stream."""
    return delivery_pb2.DeliverResponse(**said)


async def answers(stream: RingStream, offer: delivery_pb2.RingOffer, after_s: float = 0.5) -> None:
    """Rings, answers, connects when told."""
    where = place_pb2.Where(psap_id=offer.psap_id)
    await stream.write(delivery_pb2.DeliverResponse(ringing=delivery_pb2.Rung(attempt=offer.attempt, where=where)))
    await asyncio.sleep(after_s)
    await stream.write(delivery_pb2.DeliverResponse(answer=delivery_pb2.Answer(attempt=offer.attempt)))
    while (said := await stream.read()) is not None:
        if said.WhichOneof("said") == "connect":
            done = delivery_pb2.ConnectDone(attempt=offer.attempt, where=where)
            await stream.write(delivery_pb2.DeliverResponse(connected=done))
            return
        if said.WhichOneof("said") == "release":
            return


async def rings(stream: RingStream, offer: delivery_pb2.RingOffer) -> None:
    """Rings, and nobody answers."""
    where = place_pb2.Where(psap_id=offer.psap_id)
    await stream.write(delivery_pb2.DeliverResponse(ringing=delivery_pb2.Rung(attempt=offer.attempt, where=where)))
    await stream.read()


async def is_silent(stream: RingStream, offer: delivery_pb2.RingOffer) -> None:
    """Takes the offer and says nothing."""
    await stream.read()


def rejects(rejection: delivery_pb2.Rejection.ValueType) -> Callable[..., Awaitable[None]]:
    """Refuses at once."""

    async def reject(stream: RingStream, offer: delivery_pb2.RingOffer) -> None:
        rejected = delivery_pb2.Rejected(attempt=offer.attempt, rejection=rejection, reason="as_scripted")
        await stream.write(delivery_pb2.DeliverResponse(rejected=rejected))

    return reject


async def line_answers(stream: RingStream, offer: delivery_pb2.RingOffer) -> bool:
    """A person at an administrative line; whether they were connected."""
    where = place_pb2.Where(psap_id=offer.psap_id, line=LINE)
    await stream.write(delivery_pb2.DivertResponse(ringing=delivery_pb2.Rung(attempt=offer.attempt, where=where)))
    await stream.write(delivery_pb2.DivertResponse(answer=delivery_pb2.Answer(attempt=offer.attempt)))
    while (said := await stream.read()) is not None:
        if said.WhichOneof("said") == "connect":
            done = delivery_pb2.ConnectDone(attempt=offer.attempt, where=where)
            await stream.write(delivery_pb2.DivertResponse(connected=done))
            return True
    return False


class Stage:
    """One ingress and its neighbours. Replace a part's script before or during a call."""

    def __init__(
        self, network: MemoryNetwork | None = None, *, wall_ms: Callable[[], int] = virtual_wall_ms, **settings: Any
    ) -> None:
        self.network = network or MemoryNetwork(latency_s=0.001)
        self.broker = MemoryBroker(virtual_wall_ms)
        self.log = MemoryLog(self.broker)
        self.registry = CollectorRegistry()
        self.settings = IngressSettings(
            name="ingress-1",
            listen="ingress:1",
            region_dir=REGION,
            firewalls=("firewall:1",),
            routers=("router:1",),
            gateways=("gateway:1", "gateway:2"),
            **{"failovers": ("failover:1",), **settings},
        )
        self.world = World(
            name="ingress-1",
            incarnation="000000000000-0001",
            network=self.network,
            log=self.log,
            wall_ms=wall_ms,
            random=random.Random(1),
            files=MemoryFiles(TEXTS),
            disk=MemoryDisk(),
            registry=self.registry,
            logger=structlog.stdlib.get_logger(),
            run_blocking=at_once,
        )
        self.ingress = Ingress(self.world, self.settings)
        self.verdict = verdicts.to_wire(Pass(), "scripted")
        self.screen_after_s = 0.0
        self.route_after_s = 0.0
        self.gateways: dict[str, Any] = {"gateway:1": answers, "gateway:2": answers}
        self.by_psap: dict[str, Any] = {}
        self.lines: Any = line_answers
        self.offered: list[delivery_pb2.RingOffer] = []
        self.dialled: list[delivery_pb2.RingOffer] = []
        self.candidates = ["P1", "P2"]
        self.holdings: dict[str, Holding] = {}
        """What each gateway, or "lines", says of a confirmed attempt; by default that it has none of it."""
        self.lines_have: dict[str, Holding] = {}
        """What "lines" says of one call, before that."""
        self.resume_after_s = 0.0
        self.asked_to_resume: list[str] = []
        self.asked_to_let_go: list[tuple[float, str, str]] = []
        """When, who and of which attempt."""
        self.asked_to_route: list[routing_pb2.RouteRequest] = []
        self.kept: list[Fact] = []
        self.servers: dict[str, Server] = {}
        self.reachable = True

    async def __aenter__(self) -> Self:
        await self.network.serve("firewall:1", [Answers(SCREEN, self._screen)])
        await self.network.serve("router:1", [Answers(ROUTE, self._route)])
        failover: list[Served] = [Converses(DIVERT, self._divert), Answers(KEEP, self._keep)]
        await self.network.serve("failover:1", [*failover, Answers(RESUME, self._resume("lines"))])
        for address in self.gateways:
            held = Answers(RESUME, self._resume(address))
            served: list[Served] = [Converses(DELIVER, self._deliver(address)), held]
            self.servers[address] = await self.network.serve(address, served)
        await self.ingress.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.ingress.stop(0.0)
        await self.network.close()

    def place(self, call_id: str = "call-1", leg: int = 1, **fields: Any) -> Caller:
        """A caller's side that has offered."""
        fields.setdefault("caller", "+15085550101")
        fields.setdefault("service_urn", "urn:service:sos")
        fields.setdefault("place", WORCESTER)
        return Caller(self.network, call_pb2.Offer(call_id=call_id, leg=leg, **fields))

    def facts(self, call_id: str = "call-1") -> list[Fact]:
        """What the journal holds of a call, in the order it was written."""
        told = (fact for fact in self.all_facts() if fact.call_id == call_id)
        return sorted(told, key=lambda fact: (fact.leg, fact.seq))

    def all_facts(self) -> list[Fact]:
        """Every fact on `calls`, ticks left out."""
        said = [facts.read(record.value) for record in self.broker.records(Topic.CALLS)]
        return [each for each in said if isinstance(each, Fact)]

    def kinds(self, call_id: str = "call-1") -> list[FactKind]:
        return [fact.kind for fact in self.facts(call_id)]

    def count(self, name: str, **labels: str) -> float:
        """A metric's value, 0 where nothing was counted yet."""
        return self.registry.get_sample_value(f"throughline_ingress_{name}", labels) or 0.0

    async def _screen(self, _: screening_pb2.ScreenRequest) -> screening_pb2.ScreenResponse:
        await asyncio.sleep(self.screen_after_s)
        return screening_pb2.ScreenResponse(verdict=self.verdict)

    async def _route(self, asked: routing_pb2.RouteRequest) -> routing_pb2.RouteResponse:
        self.asked_to_route.append(asked)
        await asyncio.sleep(self.route_after_s)
        left = [psap_id for psap_id in self.candidates if psap_id not in asked.excluded]
        if not left:
            return routing_pb2.RouteResponse(reason="all_excluded")
        return routing_pb2.RouteResponse(
            psap_id=left[0], gateways=list(self.gateways), reachable=self.reachable, reason="scripted"
        )

    def _resume(
        self, address: str
    ) -> Callable[[holding_pb2.ResumeRequest], Coroutine[Any, Any, holding_pb2.ResumeResponse]]:
        async def resume(asked: holding_pb2.ResumeRequest) -> holding_pb2.ResumeResponse:
            if asked.unwanted:
                self.asked_to_let_go.append((asyncio.get_running_loop().time(), address, asked.attempt))
            else:
                self.asked_to_resume.append(address)
            await asyncio.sleep(self.resume_after_s)
            of_the_call = self.lines_have.get(asked.call_id) if address == "lines" else None
            return resume_response(of_the_call or self.holdings.get(address, NONE))

        return resume

    async def _keep(self, request: delivery_pb2.KeepRequest) -> delivery_pb2.KeepResponse:
        self.kept += [facts.decode(raw) for raw in request.facts]
        return delivery_pb2.KeepResponse()

    def _deliver(self, address: str) -> Callable[[RingStream], Awaitable[None]]:
        async def deliver(stream: RingStream) -> None:
            first = await stream.read()
            assert first is not None
            self.offered.append(first.offer)
            await self.by_psap.get(first.offer.psap_id, self.gateways[address])(stream, first.offer)

        return deliver

    async def _divert(self, stream: RingStream) -> None:
        first = await stream.read()
        assert first is not None
        self.dialled.append(first.offer)
        await self.lines(stream, first.offer)


class Caller:
    """The originating side of one leg, as docs/clients.md asks: it confirms the newest Connecting."""

    def __init__(self, network: MemoryNetwork, offer: call_pb2.Offer | bytes, confirms: bool = True) -> None:
        self.stream: OpenedStream[Said, call_pb2.PlaceCallRequest] = network.open("ingress:1", PLACE_CALL)
        self.heard: list[tuple[float, str]] = []
        self.messages: list[Said] = []
        self.confirms = confirms
        self._offer = offer

    async def offer(self) -> None:
        if isinstance(self._offer, call_pb2.Offer):
            await self.stream.write(call_pb2.PlaceCallRequest(offer=self._offer))
        else:
            await self.stream.write(Raw(self._offer))  # type: ignore[arg-type]

    async def until(self, *words: str) -> Said:
        """Listens until one of `words`, or the end: then the last message heard; raises Broken as the stream does."""
        while (said := await self.stream.read()) is not None:
            word = said.WhichOneof("said") or ""
            if word != "heartbeat":
                self.messages.append(said)
            self.heard.append((asyncio.get_running_loop().time(), word))
            if word == "connecting" and self.confirms:
                await self.say(confirm=call_pb2.Confirm(attempt=said.connecting.attempt))
            if word in words:
                return said
        return self.messages[-1]

    async def say(self, **said: Any) -> None:
        await self.stream.write(call_pb2.PlaceCallRequest(**said))

    async def call(self) -> list[str]:
        """Offers, listens to the end of the stream; returns the words heard, heartbeats left out."""
        await self.offer()
        await self.until()
        return self.words

    @property
    def words(self) -> list[str]:
        return [message.WhichOneof("said") or "" for message in self.messages]

    def longest_silence_s(self) -> float:
        """The longest time between two words of any kind."""
        times = [instant for instant, _ in self.heard]
        return max((b - a for a, b in pairwise(times)), default=0.0)


class Raw:
    """Bytes that go up as they are."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def SerializeToString(self) -> bytes:
        return self._raw


__all__ = ["Broken", "Caller", "Raw", "Stage", "answers", "is_silent", "line_answers", "rejects", "rings"]
