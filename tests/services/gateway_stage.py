"""A stage for one PSAP gateway: its real shell on a memory network, with PSAPs and conductors that follow scripts."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry
from throughline.v1 import delivery_pb2, holding_pb2, place_pb2, psap_status_pb2

from services.domain.deliveries import Delivery
from services.host.blocking import at_once
from services.host.files import MemoryFiles
from services.host.network import Broken, Network, Status
from services.host.network.memory import MemoryNetwork
from services.host.world import World
from services.journal import Topic
from services.journal.disk import MemoryDisk
from services.journal.memory import MemoryBroker, MemoryLog
from services.psap_gateway.service import PsapGateway
from services.psap_gateway.settings import PsapGatewaySettings
from services.wire import deliveries
from services.wire.methods import ATTACH, DELIVER, RESUME, WHO_HAS

REGION = Path("region")
CREDENTIALS = Path("credentials.csv")
PSAPS = ("P1", "P2", "P3")


def texts() -> dict[Path, str]:
    """A directory of three PSAPs, each with two lines and the token `token-of-<id>`."""
    lines = [f"{owner},1,+1508555010{n},2" for n, owner in enumerate((*PSAPS, "region"))]
    lines += ["P1,2,+15085550109,4"]
    hashes = [f"{psap_id},{hashlib.sha256(f'token-of-{psap_id}'.encode()).hexdigest()}" for psap_id in PSAPS]
    return {
        REGION / "psaps.csv": "psap_id,name,town,kind\n" + "".join(f"{each},{each},T,municipal\n" for each in PSAPS),
        REGION / "alternates.csv": "psap_id,order,alternate_id\nP1,1,P2\n",
        REGION / "lines.csv": "owner,order,number,channels\n" + "\n".join(lines) + "\n",
        CREDENTIALS: "psap_id,sha256\n" + "\n".join(hashes) + "\n",
    }


class GatewayStage:
    """One gateway under a loop of any kind. PSAPs and conductors are made from here."""

    def __init__(
        self,
        wall_ms: Callable[[], int],
        network: Network | None = None,
        listen: str = "gateway:1",
        name: str = "gateway-1",
    ) -> None:
        self.network: Network = network or MemoryNetwork(latency_s=0.001)
        self.broker = MemoryBroker(wall_ms)
        self.log = MemoryLog(self.broker)
        self.registry = CollectorRegistry()
        world = World(
            name=name,
            incarnation="000000000000-0001",
            network=self.network,
            log=self.log,
            wall_ms=wall_ms,
            random=random.Random(1),
            files=MemoryFiles(texts()),
            disk=MemoryDisk(),
            registry=self.registry,
            logger=structlog.stdlib.get_logger(),
            run_blocking=at_once,
        )
        settings = PsapGatewaySettings(name=name, listen=listen, region_dir=REGION, credentials_file=CREDENTIALS)
        self.gateway = PsapGateway(world, settings)
        self._psaps: list[Psap] = []

    async def __aenter__(self) -> GatewayStage:
        await self.gateway.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for psap in self._psaps:
            psap.leave()
        await self.gateway.stop(0.0)
        await self.network.close()

    async def psap(self, psap_id: str = "P1", **hello: Any) -> Psap:
        """A PSAP that has attached and heard its welcome."""
        psap = Psap(self.network, self.gateway.address, psap_id)
        self._psaps.append(psap)
        await psap.attach(**hello)
        return psap

    async def ring(self, psap_id: str = "P1", call_id: str = "call-1", leg: int = 1, n: int = 1) -> Attempt:
        """A conductor that has offered an attempt."""
        attempt = Attempt(self.network, self.gateway.address, psap_id, call_id, leg, n)
        await attempt.offer()
        return attempt

    async def who_has(self, call_id: str, *psap_ids: str) -> holding_pb2.WhoHasResponse:
        """Asks as failover does (T3)."""
        asked = holding_pb2.WhoHasRequest(call_id=call_id, psap_ids=psap_ids)
        return await self.network.ask(self.gateway.address, WHO_HAS, asked, within_s=0.5)

    async def resume(self, attempt: str, psap_id: str = "P1", *, unwanted: bool = False) -> holding_pb2.ResumeResponse:
        """Asks as a conductor does whose caller has come back, or is gone (P5)."""
        where = place_pb2.Where(psap_id=psap_id)
        call_id = attempt.rsplit("/", 2)[0]
        asked = holding_pb2.ResumeRequest(call_id=call_id, attempt=attempt, where=where, unwanted=unwanted)
        return await self.network.ask(self.gateway.address, RESUME, asked, within_s=0.3)

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"throughline_psap_gateway_{name}", labels) or 0.0

    def deliveries(self, call_id: str = "call-1") -> list[Delivery]:
        """What was published of a call's attempts, in order."""
        read = [deliveries.decode(record.value) for record in self.broker.records(Topic.DELIVERIES)]
        return [each for each in read if each.call_id == call_id]

    def statuses(self) -> list[psap_status_pb2.PsapStatus]:
        """Every snapshot published, oldest first."""
        records = self.broker.records(Topic.PSAP_STATUS)
        return [psap_status_pb2.PsapStatus.FromString(record.value) for record in records]

    def standing(self, psap_id: str = "P1") -> tuple[bool, str] | None:
        """What the newest snapshot says of a PSAP: attached, and why not."""
        rows = self.statuses()[-1].rows
        return next(((row.attached, row.reason) for row in rows if row.psap_id == psap_id), None)


class Psap:
    """A PSAP's side of one stream. Heartbeats go out each second until `mute`; the rest is the script's to say."""

    def __init__(self, network: Network, address: str, psap_id: str) -> None:
        self.psap_id = psap_id
        self.mute = False
        self.heard: asyncio.Queue[delivery_pb2.AttachResponse] = asyncio.Queue()
        self.heartbeats_at: list[float] = []
        self.ended: asyncio.Future[Broken | None] = asyncio.get_running_loop().create_future()
        self.stream = network.open(address, ATTACH)
        self._tasks: list[asyncio.Task[None]] = []

    async def attach(self, credential: str | None = None, **hello: Any) -> None:
        """Says hello, and starts to listen; returns at the welcome, or at the stream's end."""
        token = f"token-of-{self.psap_id}" if credential is None else credential
        await self.say(hello=delivery_pb2.Hello(psap_id=self.psap_id, credential=token, **hello))
        self._tasks = [asyncio.ensure_future(self._listen()), asyncio.ensure_future(self._beat())]
        hearing = asyncio.ensure_future(self.heard.get())
        either: set[asyncio.Future[Any]] = {hearing, self.ended}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if hearing.done():
            assert hearing.result().WhichOneof("said") == "welcome"
        hearing.cancel()

    async def say(self, **said: Any) -> None:
        await self.stream.write(delivery_pb2.AttachRequest(**said))

    async def ringing(self, attempt: str) -> None:
        await self.say(ringing=delivery_pb2.Rung(attempt=attempt))

    async def answer(self, attempt: str) -> None:
        await self.say(answer=delivery_pb2.Answer(attempt=attempt))

    async def connected(self, attempt: str) -> None:
        await self.say(connected=delivery_pb2.ConnectDone(attempt=attempt))

    async def reject(self, attempt: str, rejection: delivery_pb2.Rejection.ValueType) -> None:
        await self.say(reject=delivery_pb2.Rejected(attempt=attempt, rejection=rejection, reason="as_scripted"))

    async def next(self, word: str) -> Any:
        """The next word that is no heartbeat, which must be this one."""
        message = await self.heard.get()
        assert message.WhichOneof("said") == word, f"expected {word}, came {message}"
        return getattr(message, word)

    async def status(self) -> Status | None:
        """How the stream ended: the status, None for an orderly end."""
        broken = await self.ended
        return None if broken is None else broken.status

    async def answers(self) -> str:
        """Takes the next offer, rings and answers; returns the attempt."""
        offer = await self.next("offer")
        await self.ringing(offer.attempt)
        await self.answer(offer.attempt)
        return str(offer.attempt)

    def leave(self) -> None:
        """Its connection is gone."""
        for task in self._tasks:
            task.cancel()
        self.stream.cancel()
        self._end(None)

    async def _listen(self) -> None:
        try:
            while (message := await self.stream.read()) is not None:
                if message.WhichOneof("said") == "heartbeat":
                    self.heartbeats_at.append(asyncio.get_running_loop().time())
                else:
                    self.heard.put_nowait(message)
            self._end(None)
        except Broken as broken:
            self._end(broken)

    def _end(self, how: Broken | None) -> None:
        if not self.ended.done():
            self.ended.set_result(how)

    async def _beat(self) -> None:
        while not self.ended.done():
            await asyncio.sleep(1.0)
            if not self.mute and not self.ended.done():
                try:
                    await self.say(heartbeat=delivery_pb2.PsapHeartbeat())
                except Broken:
                    return


class Attempt:
    """A conductor's side of one Deliver."""

    def __init__(self, network: Network, address: str, psap_id: str, call_id: str, leg: int, n: int) -> None:
        self.name = f"{call_id}/{leg}/{n}"
        self.stream = network.open(address, DELIVER)
        self._offer = delivery_pb2.RingOffer(
            attempt=self.name, call_id=call_id, leg=leg, psap_id=psap_id, ring_ms=15_000
        )

    async def offer(self) -> None:
        await self.say(offer=self._offer)

    async def say(self, **said: Any) -> None:
        await self.stream.write(delivery_pb2.DeliverRequest(**said))

    async def connect(self) -> None:
        await self.say(connect=delivery_pb2.Connect(attempt=self.name))

    async def release(self, reason: str = "caller_hung_up") -> None:
        await self.say(release=delivery_pb2.Release(attempt=self.name, reason=reason))

    async def next(self, word: str) -> Any:
        """The next word, which must be this one."""
        message = await self.stream.read()
        assert message is not None, f"expected {word}, the stream ended"
        assert message.WhichOneof("said") == word, f"expected {word}, came {message}"
        return getattr(message, word)

    async def over(self) -> None:
        """The stream ends, and well."""
        message = await self.stream.read()
        assert message is None, f"expected the end, came {message}"

    async def rejected(self) -> tuple[str, str]:
        """The next word is a rejection, and the last; returns its name and reason."""
        said = await self.next("rejected")
        await self.over()
        return delivery_pb2.Rejection.Name(said.rejection).removeprefix("REJECTION_").lower(), said.reason
