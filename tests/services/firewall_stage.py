"""A stage for firewalls: real shells, a memory network and log, virtual time, and helpers in place that can ail."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry
from throughline.v1 import call_pb2, place_pb2, screening_pb2

from services.domain.policy import Divert, Flag, Pass, Verdict
from services.firewall.policies.source import Standing
from services.firewall.service import Firewall
from services.firewall.settings import FirewallSettings
from services.host.blocking import at_once
from services.host.children import Ailment, InPlace
from services.host.files import MemoryFiles
from services.host.network.memory import MemoryNetwork
from services.host.world import World
from services.journal import Topic
from services.journal.disk import MemoryDisk
from services.journal.memory import MemoryBroker, MemoryLog
from services.policy.bundle import Bundle, Rule
from services.wire import verdicts
from services.wire.methods import SCREEN
from simulator import region
from simulator.virtual_loop import run_virtual, virtual_wall_ms

DESK = "nuisance-desk"
NEVER_MS = 4_102_444_800_000
START_S = 1.1
"""A firewall that has just started passes calls until its helper is there."""


def rule(when: str, verdict: Verdict, share: float = 1.0) -> Rule:
    """One rule, named as its verdict names it."""
    assert not isinstance(verdict, Pass)
    return Rule(verdict.rule, verdict.reason, when, verdict, "a desk", share, NEVER_MS)


def bundle(*rules: Rule, version: int = 7) -> Bundle:
    """A policy of these rules."""
    return Bundle("nuisance", version, "somebody", rules, digest=f"{version:064x}")


DIVERTS_ALL = bundle(rule("true", Divert(DESK, "everybody", "wrong")))
DIVERTS_REPEATS = bundle(rule("number_calls_600s >= 3", Divert(DESK, "repeats", "repeat_caller")))
FLAGS_ALL = bundle(rule("true", Flag(7, "all", "odd")), version=8)


class Replica:
    """One firewall: `firewall-1` at `firewall-1:1`."""

    def __init__(self, stage: Stage, name: str, policies: Standing | None, **settings: Any) -> None:
        self.name = name
        self._standing = policies
        self.ailment = Ailment()
        self.children = InPlace(self.ailment)
        self.registry = CollectorRegistry()
        self.log = MemoryLog(stage.broker)
        self.files = MemoryFiles(region.texts())
        self.world = World(
            name=name,
            incarnation="000000000000-0001",
            network=stage.network,
            log=self.log,
            wall_ms=virtual_wall_ms,
            random=random.Random(1),
            files=self.files,
            disk=MemoryDisk(),
            registry=self.registry,
            logger=structlog.stdlib.get_logger(),
            run_blocking=at_once,
            children=self.children,
        )
        told = FirewallSettings(name=name, listen=f"{name}:1", region_dir=region.FOLDER, **settings)
        self.firewall = Firewall(self.world, told, policies)

    @property
    def policies(self) -> Standing:
        """The bundle that stands here, of a replica without a life of policies."""
        assert self._standing is not None
        return self._standing

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"throughline_firewall_{name}", labels) or 0.0


class Stage:
    """As many firewalls as are asked for, on one network and one log."""

    def __init__(self, standing: Bundle | None = None) -> None:
        self.network = MemoryNetwork()
        self.broker = MemoryBroker(virtual_wall_ms)
        self.standing = standing
        self.replicas: list[Replica] = []

    async def start(self, name: str = "firewall-1", standing: Bundle | None = None) -> Replica:
        """One more replica, ready to evaluate."""
        replica = Replica(self, name, Standing(standing if standing is not None else self.standing))
        await replica.firewall.start()
        self.replicas.append(replica)
        await asyncio.sleep(START_S)
        return replica

    async def stop(self, replica: Replica) -> None:
        self.replicas.remove(replica)
        await replica.firewall.stop(0.0)

    async def asked(
        self, call_id: str, caller: str = "+15085550101", at: str = "firewall-1", leg: int = 1, **offer: Any
    ) -> screening_pb2.Verdict:
        """The verdict as it came."""
        offer.setdefault("service_urn", "urn:service:sos")
        said = screening_pb2.ScreenRequest(offer=call_pb2.Offer(call_id=call_id, leg=leg, caller=caller, **offer))
        return (await self.network.ask(f"{at}:1", SCREEN, said, within_s=0.15)).verdict

    async def screen(self, call_id: str, caller: str = "+15085550101", at: str = "firewall-1", **offer: Any) -> Any:
        """The verdict as the domain has it."""
        return verdicts.to_domain(await self.asked(call_id, caller, at, **offer))

    async def published(self) -> list[screening_pb2.Screening]:
        """Every record on `screenings`, by instant, then by call."""
        await asyncio.sleep(0.1)
        records = self.broker.records(Topic.SCREENINGS)
        told = [screening_pb2.Screening.FromString(record.value) for record in records]
        return sorted(told, key=lambda each: (each.at_ms, each.call_id, each.leg, each.shadow))


def play(
    scene: Callable[[Stage], Coroutine[Any, Any, None]], standing: Bundle | None = None, replicas: int = 1
) -> None:
    async def staged() -> None:
        stage = Stage(standing)
        for n in range(replicas):
            await stage.start(f"firewall-{n + 1}")
        await scene(stage)
        for replica in stage.replicas:
            await replica.firewall.stop(0.0)

    run_virtual(staged(), limit_s=20_000.0)


def place_in(town: str) -> place_pb2.Place:
    """The middle of a town of the simulator's region."""
    lat, lon = region.centre_of(town)
    return place_pb2.Place(circle=place_pb2.Circle(centre=place_pb2.Point(latitude=lat, longitude=lon), radius_m=50.0))


__all__ = ["Path", "Replica", "Stage"]
