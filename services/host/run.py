"""One process's life, read from top to bottom: settings, logs, metrics port, service, signal, drain, end.

Exit codes: 0 after an orderly stop; 64 settings that cannot be used (before any port is bound); 66 a file that cannot
be used; 69 a port that is taken; 70 a mistake of ours, or a stop that overran its limit; 128 + n when signal n came a
second time. Each but the last two says in one line what was expected, what came and what to do.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

import structlog
import uvloop
from prometheus_client import CollectorRegistry

from services.host.clock import mint_incarnation, wall_ms
from services.host.disk import SyncedDisk
from services.host.exits import EXIT_FILE, EXIT_SETTINGS
from services.host.exposition import Exposition
from services.host.files import DiskFiles, FileTrouble
from services.host.logs import LISTENING, bridge_libraries, make_logger
from services.host.metrics import HostMetrics
from services.host.network import Network, PortTaken
from services.host.network.grpc import GrpcNetwork
from services.host.settings import Bad, ServiceSettings, load, unknown
from services.host.stop import Stop
from services.host.world import World
from services.journal import Log
from services.journal.disk import DiskTrouble
from services.places.refusal import RegionRefused

EXIT_PORT: Final = 69
EXIT_MISTAKE: Final = 70
CLOSE_S: Final = 5.0
"""Seconds beyond the drain in which a service must have closed everything."""

S = TypeVar("S", bound=ServiceSettings)


class Service(Protocol):
    """What a service is to its process."""

    @property
    def address(self) -> str:
        """host:port as bound."""
        ...

    async def start(self) -> None:
        """Binds and serves."""
        ...

    def troubles(self) -> Sequence[str]:
        """Why it should get no work, one line a reason; none: ready."""
        ...

    def remarks(self) -> Sequence[str]:
        """What an operator should know though it works, one line each."""
        ...

    async def stop(self, grace_s: float) -> None:
        """Drains within the limit, then closes. Called only where the start has succeeded."""
        ...


def run(
    kind: type[S], build: Callable[[World, S], Service], build_log: Callable[[ServiceSettings], Log], stop: Stop
) -> int:
    """Runs one service until it is told to stop; returns the process's exit code."""
    try:
        settings = load(kind)
    except Bad as bad:
        for line in bad.lines:
            print(f"throughline {kind.service}: {line}", file=sys.stderr)
        return EXIT_SETTINGS
    return uvloop.run(_live(settings, build, build_log, stop))


async def _live(
    settings: S, build: Callable[[World, S], Service], build_log: Callable[[ServiceSettings], Log], stop: Stop
) -> int:
    chance = random.SystemRandom()  # callers see names drawn from it, and must not foretell salts by them
    incarnation = mint_incarnation(wall_ms(), chance)
    logger = make_logger(settings.log_level, service=settings.service, name=settings.name, incarnation=incarnation)
    bridge_libraries(logger)
    try:
        log = build_log(settings)
    except FileTrouble as trouble:
        return _refuse(settings, str(trouble), EXIT_FILE)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: _unhandled(logger, context))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, number, stop, settings.drain_s)
    for line in unknown(type(settings), os.environ):
        logger.warning("settings.unknown", hint=line)
    registry = CollectorRegistry()
    metrics = HostMetrics(registry, settings, incarnation)
    network = GrpcNetwork()
    world = World(
        name=settings.name,
        incarnation=incarnation,
        network=network,
        log=log,
        wall_ms=wall_ms,
        random=chance,
        files=DiskFiles(),
        disk=SyncedDisk(),
        registry=registry,
        logger=logger,
    )
    service = build(world, settings)
    life = _Life(service)
    exposition = Exposition(registry, life.troubles, life.remarks)
    watching = asyncio.create_task(metrics.watch_loop())
    try:
        metrics_address = await exposition.start(settings.metrics_listen)
        started = await _start(service, stop)
        if started:
            gc.collect()
            gc.freeze()  # what the start made lives as long as the process: no collection walks it while calls wait
            life.phase = ""
            logger.info(LISTENING, address=service.address, metrics_address=metrics_address, pid=os.getpid())
        asked = await stop.wait()
        life.phase = "stopping"
        logger.info("service.stopping", why=asked.why, grace_s=asked.grace_s)
        in_time = await _stop(service, network, asked.grace_s) if started else True
    except PortTaken as taken:
        return _refuse(settings, str(taken), EXIT_PORT)
    except (FileTrouble, RegionRefused, DiskTrouble) as trouble:
        return _refuse(settings, str(trouble), EXIT_FILE)
    except Exception as mistake:
        logger.error("service.failed", exc_info=mistake)
        return EXIT_MISTAKE
    finally:
        watching.cancel()
        await exposition.stop()
    logger.info("service.stopped", in_time=in_time)
    return 0 if in_time else EXIT_MISTAKE


async def _start(service: Service, stop: Stop) -> bool:
    """Starts it unless the stop comes first; False where it did. Raises what the start raised."""
    starting = asyncio.ensure_future(service.start())
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
        return False
    starting.result()
    return True


async def _stop(service: Service, network: Network, grace_s: float) -> bool:
    """Drains and closes; False where that took longer than it may."""
    stopping = asyncio.ensure_future(service.stop(grace_s))
    await asyncio.wait({stopping}, timeout=grace_s + CLOSE_S)
    if not stopping.done():
        stopping.cancel()
        return False
    stopping.result()
    await network.close()
    return True


class _Life:
    """Which part of its life the process is in, as /readyz tells it."""

    def __init__(self, service: Service) -> None:
        self.phase = "starting"
        self._service = service

    def troubles(self) -> Sequence[str]:
        return [self.phase] if self.phase else self._service.troubles()

    def remarks(self) -> Sequence[str]:
        return () if self.phase else self._service.remarks()


def _on_signal(number: signal.Signals, stop: Stop, grace_s: float) -> None:
    if not stop.ask(number.name, grace_s):
        print(f"{number.name} again: ending at once", file=sys.stderr, flush=True)
        os._exit(128 + number)


def _refuse(settings: ServiceSettings, why: str, code: int) -> int:
    print(f"throughline {settings.service}: {why}", file=sys.stderr)
    return code


def _unhandled(logger: structlog.stdlib.BoundLogger, context: dict[str, Any]) -> None:
    logger.error("loop.unhandled", said=context["message"], exc_info=context.get("exception"))
