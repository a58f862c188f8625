"""Every real shell in one process, under virtual time: the backbone without wires.

What is scripted is the world outside alone: PSAPs (each with a stream to both gateways), a trunk, and callers.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import structlog
from prometheus_client import CollectorRegistry
from throughline.v1 import delivery_pb2, place_pb2, trunk_pb2

from services.domain.books import Books, Stories, books
from services.domain.events import Fact
from services.failover.service import Failover
from services.failover.settings import FailoverSettings
from services.firewall.service import Firewall
from services.firewall.settings import FirewallSettings
from services.host.blocking import at_once
from services.host.children import InPlace
from services.host.files import MemoryFiles
from services.host.network import Broken, Converses, Network, Stream
from services.host.network.memory import MemoryNetwork
from services.host.world import World
from services.ingress.service import Ingress
from services.ingress.settings import IngressSettings
from services.journal import Topic
from services.journal.disk import MemoryDisk
from services.journal.memory import MemoryBroker, MemoryLog
from services.ledger.service import Ledger
from services.ledger.settings import LedgerSettings
from services.places.region import REGION_FILES, Region
from services.psap_gateway.service import PsapGateway
from services.psap_gateway.settings import PsapGatewaySettings
from services.router.service import Router
from services.router.settings import RouterSettings
from services.wire import facts
from services.wire.methods import ATTACH, DIAL
from simulator.virtual_loop import virtual_wall_ms

SAMPLE = Path(__file__).parents[2] / "data" / "massachusetts"
REGION_DIR = Path("region")
CREDENTIALS = Path("credentials.csv")
TEXTS = {name: (SAMPLE / name).read_text("utf-8") for name in REGION_FILES}
REGION = Region.from_texts(TEXTS)


def token_of(psap_id: str) -> str:
    return f"token-of-{psap_id}"


def _credentials() -> str:
    rows = [f"{each},{hashlib.sha256(token_of(each).encode()).hexdigest()}" for each in REGION.directory.psaps]
    return "psap_id,sha256\n" + "\n".join(rows) + "\n"


class Psap:
    """A PSAP attached to each gateway: rings, answers after a while, connects. `mute` makes it silent at once."""

    def __init__(
        self, network: Network, psap_id: str, answers_after_s: float = 2.0, *, token: str | None = None
    ) -> None:
        self.psap_id = psap_id
        self._token = token_of(psap_id) if token is None else token
        self.mute = False
        self.connected: list[str] = []
        self._network = network
        self._answers_after_s = answers_after_s

    async def attach(self, gateway: str) -> None:
        """Holds one stream, until cancelled."""
        stream = self._network.open(gateway, ATTACH)
        hello = delivery_pb2.Hello(psap_id=self.psap_id, credential=self._token)
        await stream.write(delivery_pb2.AttachRequest(hello=hello))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beat(stream))
            while (said := await stream.read()) is not None:
                if self.mute:
                    continue
                match said.WhichOneof("said"):
                    case "offer":
                        group.create_task(self._answer(stream, said.offer.attempt))
                    case "connect":
                        self.connected.append(said.connect.attempt)
                        where = place_pb2.Where(psap_id=self.psap_id)
                        done = delivery_pb2.ConnectDone(attempt=said.connect.attempt, where=where)
                        await stream.write(delivery_pb2.AttachRequest(connected=done))

    async def _answer(self, stream: Any, attempt: str) -> None:
        await stream.write(delivery_pb2.AttachRequest(ringing=delivery_pb2.Rung(attempt=attempt)))
        await asyncio.sleep(self._answers_after_s)
        if not self.mute:
            await stream.write(delivery_pb2.AttachRequest(answer=delivery_pb2.Answer(attempt=attempt)))

    async def _beat(self, stream: Any) -> None:
        while True:
            await asyncio.sleep(1)
            if not self.mute:
                await stream.write(delivery_pb2.AttachRequest(heartbeat=delivery_pb2.PsapHeartbeat()))


async def trunk(stream: Stream[trunk_pb2.DialRequest, trunk_pb2.DialResponse]) -> None:
    """Somebody answers every line after a second."""
    first = await stream.read()
    assert first is not None
    dial = first.dial
    rung = delivery_pb2.Rung(attempt=dial.attempt, where=dial.where)
    await stream.write(trunk_pb2.DialResponse(ringing=rung))
    await asyncio.sleep(1)
    await stream.write(trunk_pb2.DialResponse(answer=delivery_pb2.Answer(attempt=dial.attempt)))
    while (said := await stream.read()) is not None:
        if said.WhichOneof("said") == "connect":
            done = delivery_pb2.ConnectDone(attempt=dial.attempt, where=dial.where)
            await stream.write(trunk_pb2.DialResponse(connected=done))


class Backbone:
    """One of each service, two gateways, and the PSAPs named. `trunks`: those that somebody else serves."""

    def __init__(
        self, psap_ids: list[str], trunks: Sequence[str] = (), ingresses: Sequence[str] = ("ingress:1",), **ingress: Any
    ) -> None:
        self.network = MemoryNetwork(latency_s=0.001)
        self.broker = MemoryBroker(virtual_wall_ms)
        self.psaps = {psap_id: Psap(self.network, psap_id) for psap_id in psap_ids}
        self._files = MemoryFiles({REGION_DIR / name: text for name, text in TEXTS.items()})
        self._files.texts[CREDENTIALS] = _credentials()
        shared: dict[str, Any] = {"region_dir": REGION_DIR, "credentials_file": CREDENTIALS}
        gateways = ("gateway:1", "gateway:2")
        self.services: list[Any] = [
            *(
                PsapGateway(self._world(f"gateway-{n}"), PsapGatewaySettings(name=f"gateway-{n}", listen=at, **shared))
                for n, at in enumerate(gateways, 1)
            ),
            Firewall(self._world("firewall-1"), FirewallSettings(listen="firewall:1", **shared)),
            Router(self._world("router-1"), RouterSettings(listen="router:1", gateways=gateways, **shared)),
            Failover(
                self._world("failover-1"),
                FailoverSettings(listen="failover:1", trunks=tuple(trunks) or ("trunk:1",), **shared),
            ),
            Ledger(
                self._world("ledger-1"),
                LedgerSettings(listen="ledger:1", database="sqlite://", **shared),
                run_blocking=at_once,
            ),
            *(
                Ingress(
                    self._world(f"ingress-{n}"),
                    IngressSettings(
                    listen=at, firewalls=("firewall:1",), routers=("router:1",), failovers=("failover:1",),
                    gateways=gateways, **ingress, **shared,
                    ),
                )
                for n, at in enumerate(ingresses, 1)
            ),
        ]  # fmt: skip
        self._trunks = trunks
        self._attached: list[asyncio.Task[None]] = []

    def _world(self, name: str) -> World:
        return World(
            name=name,
            incarnation=f"000000000000-{crc32(name.encode()) % 2**16:04x}",
            network=self.network,
            log=MemoryLog(self.broker),
            wall_ms=virtual_wall_ms,
            random=random.Random(name),
            files=self._files,
            disk=MemoryDisk(),
            registry=CollectorRegistry(),
            logger=structlog.stdlib.get_logger(),
            run_blocking=at_once,
            children=InPlace(),
        )

    async def __aenter__(self) -> Backbone:
        if not self._trunks:
            await self.network.serve("trunk:1", [Converses(DIAL, trunk)])
        for service in self.services:
            await service.start()
        for psap in self.psaps.values():
            for gateway in ("gateway:1", "gateway:2"):
                self._attached.append(asyncio.ensure_future(psap.attach(gateway)))
        await asyncio.sleep(1)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._attached:
            task.cancel()
        await asyncio.gather(*self._attached, return_exceptions=True)
        for service in reversed(self.services):
            await service.stop(0.0)
        await self.network.close()

    def facts(self) -> list[Fact]:
        """Every fact on `calls`."""
        said = [facts.read(record.value) for record in self.broker.records(Topic.CALLS)]
        return [each for each in said if isinstance(each, Fact)]

    def books(self) -> Books:
        """The books as the journal has them."""
        stories = Stories()
        for fact in self.facts():
            stories.add(fact)
        return books(stories.by_call.values())


__all__ = ["REGION", "Backbone", "Broken", "Psap"]
