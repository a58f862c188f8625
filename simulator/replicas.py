"""One process of the installation: a real service with ports of memory, which can die in every way and come back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry

from services.host.blocking import at_once
from services.host.children import Ailment, InPlace
from services.host.clock import mint_incarnation
from services.host.files import MemoryFiles
from services.host.network.memory import MemoryHost
from services.host.run import Service
from services.host.world import World
from services.journal.disk import MemoryDisk
from services.journal.memory import Faults, MemoryBroker, MemoryLog
from simulator.cables import Cables
from simulator.files import FilesOnDisk
from simulator.tables import Tables
from simulator.virtual_loop import Process, running_loop

RESTARTS_AFTER_S: Final = 1.0
"""A process that ended by itself is started again after this, as by any supervisor."""
SYNC_S: Final = (0.0005, 0.005)
"""What a well disk takes."""
KAFKA_WAY_S: Final = (0.0005, 0.005)
"""What a message takes to a well Kafka and back, each: an append 1 to 10 ms."""

SEGMENT: Final = ".spool"
"""How the name of a file ends in which a service keeps facts."""
CREATED: Final = "_created"
"""What the metrics' library adds to each counter: an instant of real time, and no count."""


class Stands(StrEnum):
    """How a replica is."""

    UP = "up"
    PAUSED = "paused"
    DOWN = "down"


@dataclass(slots=True)
class Ground:
    """What all replicas stand on."""

    cables: Cables
    broker: MemoryBroker
    texts: Mapping[Any, str]
    by: random.Random
    logger: Any
    sees_off: Callable[[str, Path, bytes], None] = lambda name, path, data: None
    """Told of each file that a replica removes, and of what was in it."""


class Replica:
    """A name, an address and a disk that outlive its processes, and the process that runs now."""

    def __init__(self, name: str, build: Callable[[World, Tables], Service], ground: Ground) -> None:
        self.name = name
        self.stands = Stands.DOWN
        self.disk = MemoryDisk(
            sync_s=SYNC_S, random=random.Random(ground.by.getrandbits(64)), sees_off=partial(ground.sees_off, name)
        )
        self.tables = Tables(random.Random(ground.by.getrandbits(64)))
        """The database on that disk, for who has one."""
        self.registries: list[CollectorRegistry] = []
        """Of each of its processes, in the order of their starts: what was counted is not forgotten by a death."""
        self.failures: list[BaseException] = []
        """By which its processes ended though nobody hurt them."""
        self.clock_ahead_ms = 0
        self.ailment = Ailment()
        """What is wrong with its helpers, those of its next process too."""
        self.children: InPlace | None = None
        """The helpers of its newest process."""
        self._faults = Faults()
        self.service: Service | None = None
        self.log: MemoryLog | None = None
        self._build = build
        self._ground = ground
        self.laid = MemoryFiles(ground.texts)
        """Files that people lay on its machine, and on any that comes in its place."""
        self._process: Process | None = None
        self._host: MemoryHost | None = None
        self._living: asyncio.Task[None] | None = None
        self._asked_to_stop: asyncio.Future[float] | None = None
        self.wanted = False

    # Life.

    def start(self) -> None:
        """A new process; nothing where one runs."""
        self.wanted = True
        if self.stands is not Stands.DOWN:
            return
        loop, ground = running_loop(), self._ground
        network = ground.cables.network
        assert network is not None
        ground.cables.appear(self.name)
        process = self._process = loop.process(self.name)
        process.clock_ahead_ms = self.clock_ahead_ms
        self._host = network.host(self.name)
        chance = random.Random(ground.by.getrandbits(64))
        incarnation = mint_incarnation(process.wall_ms(), chance)
        self.registries.append(CollectorRegistry())
        self.log = MemoryLog(ground.broker, random=chance, way_s=KAFKA_WAY_S)
        self.log.suffer(self._faults)
        self.children = InPlace(self.ailment)
        world = World(
            name=self.name,
            incarnation=incarnation,
            network=self._host,
            log=self.log,
            wall_ms=process.wall_ms,
            random=chance,
            files=FilesOnDisk(self.laid, self.disk),
            disk=self.disk,
            registry=self.registries[-1],
            logger=ground.logger,
            run_blocking=at_once,
            children=self.children,
        )
        self._asked_to_stop = loop.create_future()
        self.stands = Stands.UP
        self._living = process.start(self._live(world, self._asked_to_stop), name=self.name)
        self._living.add_done_callback(self._ended, context=network.context)

    async def _live(self, world: World, asked_to_stop: asyncio.Future[float]) -> None:
        service = self._build(world, self.tables)
        await service.start()
        self.service = service
        grace_s = await asked_to_stop
        await service.stop(grace_s)
        await world.network.close()

    def _ended(self, living: asyncio.Task[None]) -> None:
        """By itself: an orderly stop, or a start that failed."""
        if living is not self._living:
            return
        if not living.cancelled() and (failure := living.exception()) is not None:
            self.failures.append(failure)
        self._gone(self.disk.crashed(0).as_bad_as(self.disk))
        if self.wanted:
            loop = running_loop()
            loop.call_later(RESTARTS_AFTER_S, self._start_again, context=loop.outside.context)

    def _start_again(self) -> None:
        if self.wanted:
            self.start()

    def stop(self, grace_s: float) -> None:
        """As by SIGTERM: it drains, and ends by itself. One that is still starting is told when it serves."""
        self.wanted = False
        if self._asked_to_stop is not None and not self._asked_to_stop.done():
            self._asked_to_stop.set_result(grace_s)

    def kill(self, by: random.Random, *, power: bool = False, keeps_disk: bool = True) -> None:
        """As by SIGKILL: its system closes its connections. Or with its machine, which says nothing to anybody: by a
        loss of power, or for ever, with its disk. How much is there of a write that was under way is drawn."""
        self.wanted = False
        if self._process is None or self.stands is Stands.DOWN:
            return
        self._living = None
        if self.stands is Stands.PAUSED:
            self._ground.cables.thaw(self.name)
        disk = self.disk.lost_power(by) if power else self.disk.killed(by)
        if keeps_disk:
            self._gone(disk.as_bad_as(self.disk), vanishes=power)
        else:
            empty = MemoryDisk(sync_s=SYNC_S, random=self.disk.random, sees_off=self.disk.sees_off)
            self._gone(empty, vanishes=True)
            self.tables.close()
            self.tables = Tables(random.Random(by.getrandbits(64)))

    def _gone(self, disk: MemoryDisk, *, vanishes: bool = False) -> None:
        network = self._ground.cables.network
        assert network is not None and self._host is not None and self.log is not None and self._process is not None
        self.stands = Stands.DOWN
        self.service = None
        self._process.kill()
        self.log.kill()
        if vanishes:
            self._ground.cables.vanish(self._host)
        else:
            network.died(self._host)
        self.disk = disk

    def suffer(self, faults: Faults) -> None:
        """What is wrong with Kafka for this replica, and for the next process of its name too."""
        self._faults = faults
        if self.log is not None:
            self.log.suffer(faults)

    def pause(self) -> None:
        """As by SIGSTOP."""
        if self.stands is Stands.UP and self._process is not None:
            self.stands = Stands.PAUSED
            self._process.pause()
            self._ground.cables.freeze(self.name)

    def go_on(self) -> None:
        """As by SIGCONT."""
        if self.stands is Stands.PAUSED and self._process is not None:
            self.stands = Stands.UP
            self._ground.cables.thaw(self.name)
            self._process.go_on()

    def set_clock(self, ahead_ms: int) -> None:
        """Its wall clock jumps; timers do not."""
        self.clock_ahead_ms = ahead_ms
        if self._process is not None:
            self._process.clock_ahead_ms = ahead_ms

    # What can be seen of it.

    @property
    def ready(self) -> bool:
        """Whether it serves, and has nothing against being given work."""
        return self.stands is Stands.UP and self.service is not None and not self.service.troubles()

    def troubles(self) -> list[str]:
        """Why it should get no work."""
        if self.stands is not Stands.UP or self.service is None:
            return [str(self.stands) if self.stands is not Stands.UP else "starting"]
        return list(self.service.troubles())

    def remarks(self) -> list[str]:
        """What an operator should know of it."""
        return list(self.service.remarks()) if self.ready and self.service is not None else []

    def counts(self, only: Collection[str] = ()) -> dict[str, float]:
        """Every metric, or those of these names, summed over all its processes, by name and labels."""
        totals: dict[str, float] = {}
        for registry in self.registries:
            for metric in registry.restricted_registry(only).collect() if only else registry.collect():
                for sample in metric.samples:
                    if sample.name.endswith(CREATED):
                        continue
                    name = _named(sample.name, tuple(sample.labels.items()))
                    totals[name] = totals.get(name, 0.0) + sample.value
        return totals


@lru_cache(maxsize=8192)
def _named(name: str, labels: tuple[tuple[str, str], ...]) -> str:
    told = ",".join(f"{key}={value}" for key, value in sorted(labels))
    return f"{name}{{{told}}}" if told else name
