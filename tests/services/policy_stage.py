"""Firewalls' policy feeds over one memory log, two operators, and what they hand in."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar

import structlog
from prometheus_client import CollectorRegistry
from throughline.v1 import policy_pb2, screening_pb2

from services.firewall.policies.checking import Checked
from services.firewall.policies.life import PolicyLife
from services.firewall.policies.settings import PolicySettings
from services.host.blocking import at_once
from services.host.files import MemoryFiles
from services.host.network import Server
from services.host.network.memory import MemoryNetwork
from services.host.world import World
from services.journal.disk import MemoryDisk
from services.journal.memory import MemoryBroker, MemoryLog
from services.policy.bundle import Bundle
from services.policy.files.canonical import Action, Order
from services.policy.files.reading import read_bundle
from services.policy.files.signing import new_private_key, public_key, sign_bundle, sign_order
from services.wire import policy_records
from services.wire.methods import DIRECT_POLICY, POLICY_STATUS, SUBMIT_POLICY, Question
from simulator.virtual_loop import virtual_wall_ms
from tests.policy.files import text

KEYS = Path("policy-keys.yaml")
CACHE = Path("cache")
SWITCH = Path("bypass")
BUILT_IN: Final = Bundle("built-in", 1, "throughline", digest="b" * 64)
PRIVATE: Final = {name: new_private_key() for name in ("ann", "bob")}
KEYS_TEXT: Final = "".join(f"{who}: {public_key(key)}\n" for who, key in PRIVATE.items())
DAY_MS: Final = 86_400_000
T = TypeVar("T")


class Operators:
    """Ann and Bob, who ask firewalls `firewall-1:1` and so on."""

    def __init__(self, network: MemoryNetwork) -> None:
        self.network = network
        self.made_ms = 0

    async def ask(self, question: Question[Any, Any], said: Any, at: int = 1) -> Any:
        return await self.network.ask(f"firewall-{at}:1", question, said, within_s=10.0)

    async def status(self, at: int = 1) -> policy_pb2.PolicyServiceStatusResponse:
        answer: policy_pb2.PolicyServiceStatusResponse = await self.ask(
            POLICY_STATUS, policy_pb2.PolicyServiceStatusRequest(), at
        )
        return answer

    async def submit(
        self, version: int, *signers: str, at: int = 1, valid_ms: int = DAY_MS, **changed: Any
    ) -> policy_pb2.SubmitResponse:
        content = text(version, **changed).encode()
        bundle = read_bundle(content)
        signatures = [sign_bundle(PRIVATE[who], who, bundle, virtual_wall_ms(), valid_ms) for who in signers]
        asked = policy_pb2.SubmitRequest(
            content=content, signatures=[policy_records.signature_to_wire(each) for each in signatures]
        )
        answer: policy_pb2.SubmitResponse = await self.ask(SUBMIT_POLICY, asked, at)
        return answer

    def order(self, action: Action, version: int = 0, force: bool = False, **changed: Any) -> Order:
        """Made now, and later than any before."""
        self.made_ms = max(self.made_ms + 1, virtual_wall_ms())
        digest = read_bundle(text(version, **changed).encode()).digest if version else ""
        return Order(action, self.made_ms, version, digest, force)

    async def send(self, order: Order, *signers: str, at: int = 1) -> policy_pb2.DirectResponse:
        signatures = [sign_order(PRIVATE[who], who, order, virtual_wall_ms()) for who in signers]
        asked = policy_pb2.DirectRequest(
            order=policy_records.order_to_wire(order),
            signatures=[policy_records.signature_to_wire(each) for each in signatures],
        )
        answer: policy_pb2.DirectResponse = await self.ask(DIRECT_POLICY, asked, at)
        return answer

    async def direct(
        self,
        action: Action,
        version: int = 0,
        at: int = 1,
        by: tuple[str, ...] = ("ann",),
        force: bool = False,
        **changed: Any,
    ) -> policy_pb2.DirectResponse:
        return await self.send(self.order(action, version, force, **changed), *by, at=at)

    async def forced_live(self, version: int, **changed: Any) -> Bundle:
        """A bundle live on all firewalls, past the gates."""
        await self.submit(version, "ann", "bob", **changed)
        await self.send(self.order(Action.PROMOTE, version, True, **changed), "ann", "bob")
        await asyncio.sleep(0.2)
        return read_bundle(text(version, **changed).encode())

    async def in_canary(self, version: int) -> Bundle:
        """A bundle in its canary's first step."""
        await self.submit(version, "ann", "bob")
        for action in (Action.SHADOW, Action.CANARY):
            await self.direct(action, version)
        await asyncio.sleep(0.2)
        return read_bundle(text(version).encode())


class One:
    """One firewall's feed, switch and service; `again` starts it anew with what is on its disk."""

    def __init__(self, stage: PolicyStage, name: str) -> None:
        self.stage = stage
        self.name = name
        self.files = MemoryFiles({KEYS: KEYS_TEXT})
        self.log = MemoryLog(stage.broker)
        self.drills: list[str | None] = []
        """What came of each test call of the drill."""
        self.drill_says: Callable[[bool], str | None] = lambda on: "bypass" if on else ""
        """Of a test call for which the switch is on, or off."""
        self.errors: tuple[str, ...] = ()
        self.slow_s = 0.0
        """How long work takes here that blocks, such as reading a file."""
        self._made()

    def _made(self) -> None:
        self.registry = CollectorRegistry()
        self.world = World(
            name=self.name,
            incarnation=f"000000000000-{random.randrange(10_000):04}",
            network=self.stage.network,
            log=self.log,
            wall_ms=virtual_wall_ms,
            random=random.Random(1),
            files=self.files,
            disk=MemoryDisk(),
            registry=self.registry,
            logger=structlog.stdlib.get_logger(),
            run_blocking=self._slowly,
        )
        settings = PolicySettings(
            name=self.name, policy_keys=KEYS, policy_cache=CACHE, bypass_file=SWITCH, bypass=self.stage.environment
        )
        self.life = PolicyLife(self.world, settings, BUILT_IN, b"name: built-in\n", self._drill, self._check)
        self.feed, self.bypass = self.life.feed, self.life.bypass
        self.server: Server | None = None

    async def _slowly(self, work: Callable[[], T]) -> T:
        if self.slow_s:
            await asyncio.sleep(self.slow_s)
        return await at_once(work)

    async def _check(self, content: bytes) -> Checked:
        return Checked(self.errors, ("a warning",))

    async def _drill(self, call_id: str) -> str | None:
        said = self.drill_says(self.life.bypassed(call_id))
        self.drills.append(said)
        return said

    async def start(self) -> None:
        await self.log.start()
        await self.life.start()
        self.server = await self.stage.network.serve(f"{self.name}:1", self.life.served())

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.stop(0.0)
        await self.life.stop()

    async def again(self, kafka: bool = True) -> None:
        await self.stop()
        self.log = MemoryLog(self.stage.broker)
        self.log.fail(absent=not kafka)
        self._made()
        await self.start()

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"throughline_policy_{name}", labels) or 0.0

    def hears(self, call_id: str, bundle: Bundle, diverts: bool = False, **more: Any) -> screening_pb2.Screening:
        """One screening of this bundle, as any firewall publishes it."""
        divert = screening_pb2.Divert(desk="nuisance-desk", rule="nuisance", reason="r")
        said = screening_pb2.Verdict(divert=divert) if diverts else screening_pb2.Verdict()
        told = screening_pb2.Screening(
            **{"call_id": call_id, "verdict": said, "bundle": bundle.digest, "at_ms": virtual_wall_ms(), **more}
        )
        self.life.heard(told)
        return told


class PolicyStage(Operators):
    """Two firewalls by default."""

    def __init__(self, firewalls: int = 2, environment: bool = False) -> None:
        super().__init__(MemoryNetwork())
        self.broker = MemoryBroker(virtual_wall_ms)
        self.environment = environment
        self.all = [One(self, f"firewall-{number}") for number in range(1, firewalls + 1)]

    async def __aenter__(self) -> PolicyStage:
        for one in self.all:
            await one.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in self.all:
            await one.stop()

    @property
    def first(self) -> One:
        return self.all[0]
