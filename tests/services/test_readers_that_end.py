"""A service whose reader of the journal has ended says so for as long as it lives: it would serve yesterday's view."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from services.firewall.policies.source import Standing
from services.firewall.service import Firewall
from services.firewall.settings import FirewallSettings
from services.host.blocking import at_once
from services.host.children import InPlace
from services.host.files import MemoryFiles
from services.host.network.memory import MemoryNetwork
from services.host.run import Service
from services.host.settings import load
from services.host.world import World
from services.journal import Record, Topic
from services.journal.disk import MemoryDisk
from services.journal.memory import Faults, MemoryBroker, MemoryLog
from services.journal.memory_follower import MemoryFollower
from services.ledger.service import Ledger
from services.ledger.settings import LedgerSettings
from services.ledger.sql import SqlStore
from services.places.region import REGION_FILES
from services.router.service import Router
from services.router.settings import RouterSettings
from simulator.virtual_loop import run_virtual, virtual_wall_ms

SAMPLE = Path(__file__).parents[2] / "data" / "massachusetts"
REGION = Path("region")
ENDS_AFTER_S = 5.0


class Ending(MemoryFollower):
    """Has nothing to say, and ends after a while: by itself, or with what it is given."""

    how: BaseException | None = None

    async def __aiter__(self) -> AsyncIterator[list[Record]]:
        """See `Follower.__aiter__`."""
        self.caught_up.set()
        await asyncio.sleep(ENDS_AFTER_S)
        if self.how is not None:
            raise self.how
        nothing: tuple[list[Record], ...] = ()
        for each in nothing:
            yield each


class EndingLog(MemoryLog):
    """A log whose followers of one topic end; as it is made, those of none."""

    ends: tuple[Topic, BaseException | None] | None = None

    def follow(
        self, topic: Topic, since_ms: int | None = None, *, offsets: Mapping[int, int] | None = None
    ) -> MemoryFollower:
        """See `Log.follow`."""
        if self.ends is None or topic is not self.ends[0]:
            return super().follow(topic, since_ms, offsets=offsets)
        follower = Ending(MemoryBroker(virtual_wall_ms), Faults, topic, since_ms, offsets)
        follower.how = self.ends[1]
        return follower


def world(log: MemoryLog) -> World:
    return World(
        name="a",
        incarnation="1",
        network=MemoryNetwork(),
        log=log,
        wall_ms=virtual_wall_ms,
        random=random.Random(1),
        files=MemoryFiles({REGION / name: (SAMPLE / name).read_text("utf-8") for name in REGION_FILES}),
        disk=MemoryDisk(),
        registry=CollectorRegistry(),
        logger=structlog.stdlib.get_logger(),
        run_blocking=at_once,
        children=InPlace(),
    )


def router(of: World) -> Service:
    return Router(of, RouterSettings(name="a", listen="a:1", region_dir=REGION))


def firewall(of: World) -> Service:
    return Firewall(of, FirewallSettings(name="a", listen="a:1", region_dir=REGION), Standing())


def ledger(of: World) -> Service:
    return Ledger(of, load(LedgerSettings), run_blocking=at_once, store=SqlStore("sqlite://"))


CASES = [
    (router, Topic.PSAP_STATUS, "psap-status"),
    (router, Topic.ROUTING, "region"),
    (firewall, Topic.PSAP_STATUS, "psap-status"),
    (ledger, Topic.CALLS, "ledger"),
]
HOWS = [asyncio.CancelledError(), RuntimeError("x"), None]


@pytest.mark.parametrize(("made", "topic", "named"), CASES, ids=lambda each: getattr(each, "__name__", str(each)))
@pytest.mark.parametrize("how", HOWS, ids=["cancelled", "mistake", "end"])
def test_a_reader_that_ends_unasked_is_told_once_in_the_log_and_for_ever_in_readyz(
    made: Callable[[World], Service], topic: Topic, named: str, how: BaseException | None
) -> None:
    """J7: in whatever way it ends; a cancel that nobody asked for tells nobody by itself."""

    async def story() -> None:
        log = EndingLog(MemoryBroker(virtual_wall_ms))
        log.ends = (topic, how)
        service = made(world(log))
        with capture_logs() as said:
            await service.start()
            assert not [line for line in told(service) if "has ended" in line]
            await asyncio.sleep(ENDS_AFTER_S + 3600)
        assert len([line for line in told(service) if named in line and "has ended" in line]) == 1
        assert len([line for line in said if line["log_level"] == "error"]) == 1
        with capture_logs() as said:
            await service.stop(0.0)
        assert not [line for line in said if line["log_level"] == "error"]

    run_virtual(story(), limit_s=2 * 3600)


@pytest.mark.parametrize("made", [router, ledger])
def test_readers_that_end_by_the_stop_of_their_service_are_no_news(made: Callable[[World], Service]) -> None:
    """An orderly stop must not look like a fault."""

    async def story() -> None:
        service = made(world(EndingLog(MemoryBroker(virtual_wall_ms))))
        with capture_logs() as said:
            await service.start()
            await asyncio.sleep(10)
            await service.stop(0.0)
        assert not [line for line in said if line["log_level"] == "error"]
        assert not [line for line in told(service) if "has ended" in line]

    run_virtual(story(), limit_s=600)


def told(service: Service) -> list[str]:
    return [*service.troubles(), *service.remarks()]
