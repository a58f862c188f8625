"""A stage for one failover replica: its real shell on a memory network, with trunks that follow scripts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from prometheus_client import CollectorRegistry
from throughline.v1 import delivery_pb2, trunk_pb2

from services.domain.deliveries import Delivery
from services.failover.service import Failover
from services.failover.settings import FailoverSettings
from services.host.blocking import at_once
from services.host.files import MemoryFiles
from services.host.network import Answers, Converses, Refuse, Status, Stream
from services.host.network.memory import MemoryNetwork
from services.host.world import World
from services.journal import Topic
from services.journal.disk import MemoryDisk
from services.journal.memory import MemoryBroker, MemoryLog
from services.wire import deliveries
from services.wire.methods import DIAL, DIVERT
from simulator.virtual_loop import virtual_wall_ms
from tests.services.gateway_stage import REGION, texts

TRUNKS = ("trunk:1", "trunk:2")
P1_FIRST, P1_SECOND, REGION_LINE = "+15085550100", "+15085550109", "+15085550103"
"""The lines of P1, two and four channels, and the region's only one."""

DialStream = Stream[trunk_pb2.DialRequest, trunk_pb2.DialResponse]
Script = Callable[["Dialled"], Awaitable[None]]


class Dialled:
    """One dial as a trunk sees it."""

    def __init__(self, stream: DialStream, number: trunk_pb2.DialNumber, trunk: str) -> None:
        self.number = number
        self.line = number.where.line
        self.trunk = trunk
        self.at = asyncio.get_running_loop().time()
        self.heard: list[str] = []
        self.released = asyncio.Event()
        self._stream = stream

    async def ring(self) -> None:
        await self._say(ringing=delivery_pb2.Rung(attempt=self.number.attempt, where=self.number.where))

    async def answer(self) -> None:
        await self._say(answer=delivery_pb2.Answer(attempt=self.number.attempt))

    async def connected(self) -> None:
        await self._say(connected=delivery_pb2.ConnectDone(attempt=self.number.attempt, where=self.number.where))

    async def reject(self, rejection: delivery_pb2.Rejection.ValueType) -> None:
        rejected = delivery_pb2.Rejected(attempt=self.number.attempt, rejection=rejection, reason="as_scripted")
        await self._say(rejected=rejected)

    async def hear(self) -> str:
        """The conductor's next word as it comes through: connect, release, or `end`."""
        message = await self._stream.read()
        word = "end" if message is None else message.WhichOneof("said") or ""
        self.heard.append(word)
        if word in ("release", "end"):
            self.released.set()
        return word

    async def _say(self, **said: Any) -> None:
        await self._stream.write(trunk_pb2.DialResponse(**said))


async def answers(dialled: Dialled) -> None:
    """Rings, answers after half a second, connects when told."""
    await dialled.ring()
    await asyncio.sleep(0.5)
    await dialled.answer()
    if await dialled.hear() == "connect":
        await dialled.connected()


async def rings(dialled: Dialled) -> None:
    """Rings until it is released."""
    await dialled.ring()
    await dialled.hear()


async def hangs(dialled: Dialled) -> None:
    """Takes the dial and says nothing, whatever it hears."""
    await dialled.hear()
    await asyncio.Event().wait()


async def breaks(dialled: Dialled) -> None:
    raise Refuse(Status.UNAVAILABLE, "the trunk is down")


async def ends(dialled: Dialled) -> None:
    """An orderly end that says nothing: a 200 with an error in it."""


def rejects(rejection: delivery_pb2.Rejection.ValueType) -> Script:
    async def reject(dialled: Dialled) -> None:
        await dialled.reject(rejection)

    return reject


class FailoverStage:
    """One replica, two trunks. `scripts` says what a dial meets, by trunk and line; else it answers."""

    def __init__(
        self,
        trunks: tuple[str, ...] = TRUNKS,
        beside_dials: Callable[[str], Sequence[Answers[Any, Any]]] = lambda _: (),
    ) -> None:
        """`beside_dials`: what the trunk of an address serves too."""
        self._beside_dials = beside_dials
        self.network = MemoryNetwork(latency_s=0.001)
        self.broker = MemoryBroker(virtual_wall_ms)
        self.log = MemoryLog(self.broker)
        self.registry = CollectorRegistry()
        self.dialled: list[Dialled] = []
        self.scripts: dict[tuple[str, str], Script] = {}
        world = World(
            name="failover-1",
            incarnation="000000000000-0001",
            network=self.network,
            log=self.log,
            wall_ms=virtual_wall_ms,
            random=random.Random(1),
            files=MemoryFiles(texts()),
            disk=MemoryDisk(),
            registry=self.registry,
            logger=structlog.stdlib.get_logger(),
            run_blocking=at_once,
        )
        settings = FailoverSettings(name="failover-1", listen="failover:1", region_dir=REGION, trunks=trunks)
        self.failover = Failover(world, settings)

    async def __aenter__(self) -> FailoverStage:
        for address in TRUNKS:
            await self.network.serve(address, [Converses(DIAL, self._trunk(address)), *self._beside_dials(address)])
        await self.failover.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.failover.stop(0.0)
        await self.network.close()

    def script(self, trunk: str, line: str, script: Script) -> None:
        """What a dial of this line through this trunk meets; `*` is any."""
        self.scripts[trunk, line] = script

    async def divert(self, owner: str = "P1", reason: str = "unreachable", call_id: str = "call-1") -> Diversion:
        """A conductor that has offered."""
        diversion = Diversion(self.network, owner, reason, call_id)
        await diversion.offer()
        return diversion

    def tried(self) -> list[tuple[str, str]]:
        """Trunk and line of each dial, in order."""
        return [(each.trunk, each.line) for each in self.dialled]

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"throughline_failover_{name}", labels) or 0.0

    def deliveries(self) -> list[Delivery]:
        return [deliveries.decode(record.value) for record in self.broker.records(Topic.DELIVERIES)]

    def _trunk(self, address: str) -> Callable[[DialStream], Awaitable[None]]:
        async def dial(stream: DialStream) -> None:
            first = await stream.read()
            assert first is not None
            dialled = Dialled(stream, first.dial, address)
            self.dialled.append(dialled)
            for key in ((address, dialled.line), (address, "*"), ("*", dialled.line), ("*", "*")):
                if key in self.scripts:
                    await self.scripts[key](dialled)
                    return
            await answers(dialled)

        return dial


class Diversion:
    """A conductor's side of one Divert."""

    def __init__(self, network: MemoryNetwork, owner: str, reason: str, call_id: str) -> None:
        self.name = f"{call_id}/1/1"
        self.stream = network.open("failover:1", DIVERT)
        self._offer = delivery_pb2.RingOffer(
            attempt=self.name,
            call_id=call_id,
            leg=1,
            psap_id=owner,
            caller="+15085550101",
            reason=reason,
            ring_ms=15_000,
        )

    async def offer(self) -> None:
        await self.say(offer=self._offer)

    async def say(self, **said: Any) -> None:
        await self.stream.write(delivery_pb2.DivertRequest(**said))

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

    async def rung(self) -> str:
        """The next word is ringing; returns the line."""
        return str((await self.next("ringing")).where.line)

    async def over(self) -> None:
        message = await self.stream.read()
        assert message is None, f"expected the end, came {message}"

    async def rejected(self) -> tuple[str, str]:
        said = await self.next("rejected")
        await self.over()
        return delivery_pb2.Rejection.Name(said.rejection).removeprefix("REJECTION_").lower(), said.reason
