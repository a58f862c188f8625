"""A region that is published takes effect in the real shells, under virtual time; one that is broken never does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry
from throughline.v1 import place_pb2, routing_pb2

from services.domain.publication import Current
from services.host.blocking import at_once
from services.host.files import FileTrouble, MemoryFiles
from services.host.network import Status
from services.host.network.memory import MemoryNetwork
from services.host.region import DIRECTORY
from services.host.region_feed import KEPT_AGAIN_S, RegionFeed
from services.host.world import World
from services.journal import Topic
from services.journal.disk import MemoryDisk
from services.journal.memory import MemoryBroker, MemoryLog
from services.router.service import Router
from services.router.settings import RouterSettings
from services.wire import region_records
from services.wire.methods import ROUTE
from simulator.virtual_loop import run_virtual, virtual_wall_ms
from tests.services.failover_stage import FailoverStage
from tests.services.gateway_stage import GatewayStage
from tests.services.ingress_stage import Stage as IngressStage
from tests.services.publications import (
    ELSEWHERE_PSAP,
    WORCESTER_PSAP,
    broken,
    moved,
    published,
    sample,
    small,
)

REGION = Path("region")
CACHE = Path("cache")
CACHE_FILE = CACHE / "region-router-1.json"
CENTRE = place_pb2.Point(latitude=42.2626, longitude=-71.8023)
WORCESTER = place_pb2.Place(circle=place_pb2.Circle(centre=CENTRE, radius_m=50))
LINES = [
    "P1,1,+15085550110,5",
    "P2,1,+15085550120,5",
    "region,1,+15085550130,5",
]


class Disk(MemoryFiles):
    """Files that can refuse to be written."""

    full = False

    async def write_text(self, path: Path, text: str) -> None:
        if self.full:
            raise FileTrouble(f"cannot write {path}: no space left")
        await super().write_text(path, text)


class Stage:
    """One router at a time, which may be started again, on a log and a disk that stay."""

    def __init__(self) -> None:
        self.network = MemoryNetwork()
        self.broker = MemoryBroker(virtual_wall_ms)
        self.files = Disk({REGION / name: content.decode() for name, content in sample().items()})
        self.settings = RouterSettings(name="router-1", listen="router:1", region_dir=REGION, region_cache=CACHE)
        self.made()

    def made(self) -> None:
        """A new process: its memory is gone."""
        self.log = MemoryLog(self.broker)
        self.registry = CollectorRegistry()
        self.world = World(
            name="router-1",
            incarnation="000000000000-0001",
            network=self.network,
            log=self.log,
            wall_ms=virtual_wall_ms,
            random=random.Random(1),
            files=self.files,
            disk=MemoryDisk(),
            registry=self.registry,
            logger=structlog.stdlib.get_logger(),
            run_blocking=at_once,
        )
        self.router = Router(self.world, self.settings)

    async def again(self, *, kafka: bool = True) -> None:
        """Stops the router and starts it anew, with Kafka there or not."""
        await self.router.stop(0.0)
        self.made()
        self.log.fail(absent=not kafka)
        await self.router.start()

    async def psap(self) -> str:
        """Where a call from Worcester goes."""
        asked = routing_pb2.RouteRequest(call_id="call-1", leg=1, place=WORCESTER, service_urn="urn:service:sos")
        return (await self.network.ask("router:1", ROUTE, asked, within_s=0.15)).psap_id

    def count(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"throughline_region_{name}", labels)

    def remarks(self) -> list[str]:
        return [remark for remark in self.router.remarks() if remark.startswith("region")]

    def land(self, *entries: Any) -> None:
        for entry in entries:
            self.broker.land(Topic.ROUTING, *region_records.encode(entry))


def play(scene: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    async def staged() -> None:
        stage = Stage()
        await stage.router.start()
        assert await stage.psap() == WORCESTER_PSAP
        await scene(stage)
        await stage.router.stop(0.0)

    run_virtual(staged(), limit_s=600)


def test_a_published_region_takes_effect_while_the_router_runs() -> None:
    """architecture.md, Topics: the newest version is served, and said to be."""

    async def scene(stage: Stage) -> None:
        assert (stage.remarks(), stage.count("version")) == ([], 0)
        await published(stage.broker, moved())
        await asyncio.sleep(0.1)
        assert await stage.psap() == ELSEWHERE_PSAP
        assert (stage.remarks(), stage.count("version"), stage.count("taken_total")) == ([], 1, 1)
        await published(stage.broker, sample())
        await asyncio.sleep(0.1)
        assert (await stage.psap(), stage.count("version")) == (WORCESTER_PSAP, 2)

    play(scene)


def test_a_router_that_starts_begins_with_what_is_published() -> None:
    """Not with the baked-in region, to swap a moment later under the first calls."""

    async def scene(stage: Stage) -> None:
        await published(stage.broker, sample())
        await published(stage.broker, moved())
        stage.files.texts.pop(CACHE_FILE, None)
        await stage.router.stop(0.0)
        stage.made()
        stage.log.fail(absent=True)
        starting = asyncio.ensure_future(stage.router.start())
        await asyncio.sleep(1)
        assert not starting.done()
        stage.log.fail()
        await starting
        assert (stage.count("version"), stage.count("taken_total")) == (2, 1)
        assert await stage.psap() == ELSEWHERE_PSAP

    play(scene)


def test_a_broken_region_never_takes_effect_and_is_loud_once() -> None:
    """What was served goes on, also after a start; readiness, metric and log say why; the next good one heals it."""

    async def scene(stage: Stage) -> None:
        await published(stage.broker, moved())
        await published(stage.broker, broken())
        stage.broker.land(Topic.ROUTING, "another-kind/1", b"")
        await asyncio.sleep(0.1)
        stage.broker.land(Topic.ROUTING, "another-kind/1", b"")
        await asyncio.sleep(0.1)
        assert await stage.psap() == ELSEWHERE_PSAP
        [remark] = stage.remarks()
        assert "version 2 on `routing` is refused: service_areas.csv line" in remark
        assert "version 1 goes on" in remark
        assert (stage.count("not_current"), stage.count("not_served_total", why="refused")) == (1, 1)
        await stage.again()
        assert (await stage.psap(), stage.count("not_current")) == (ELSEWHERE_PSAP, 1)
        await published(stage.broker, sample())
        await asyncio.sleep(0.1)
        assert (await stage.psap(), stage.remarks(), stage.count("not_current")) == (WORCESTER_PSAP, [], 0)

    play(scene)


def test_a_torn_region_waits_for_what_it_lacks() -> None:
    """A reader that sees `current` before the rest serves what it has, says so, and takes it when the rest is there."""

    async def scene(stage: Stage) -> None:
        elsewhere = MemoryBroker(virtual_wall_ms)
        version = await published(elsewhere, moved())
        records = elsewhere.records(Topic.ROUTING)
        for record in reversed(records[1:]):
            stage.broker.land(Topic.ROUTING, record.key, record.value)
        await asyncio.sleep(0.1)
        assert await stage.psap() == WORCESTER_PSAP
        [remark] = stage.remarks()
        assert "version 1 on `routing` is torn" in remark
        assert (stage.count("not_served_total", why="torn"), stage.count("not_current")) == (1, 1)
        stage.broker.land(Topic.ROUTING, records[0].key, records[0].value)
        await asyncio.sleep(0.1)
        assert (await stage.psap(), stage.remarks()) == (ELSEWHERE_PSAP, [])
        stage.land(Current(version.number, "0" * 64))
        await asyncio.sleep(0.1)
        assert await stage.psap() == ELSEWHERE_PSAP
        assert "is another one than `current` names" in stage.remarks()[0]

    play(scene)


def test_a_record_that_is_none_is_counted_and_passed_over() -> None:
    """A stranger on the topic cannot stop a region."""

    async def scene(stage: Stage) -> None:
        stage.broker.land(Topic.ROUTING, "current", b"\xff\xff")
        await asyncio.sleep(0.1)
        await published(stage.broker, moved())
        await asyncio.sleep(0.1)
        assert (await stage.psap(), stage.count("records_unreadable_total")) == (ELSEWHERE_PSAP, 1)

    play(scene)


def test_without_kafka_a_start_serves_the_last_good_region_and_later_the_newest() -> None:
    """Views load: baked in, then last good on disk, then the topic; Kafka absent: said in /readyz (J6)."""

    async def scene(stage: Stage) -> None:
        await published(stage.broker, moved())
        await asyncio.sleep(0.1)
        await stage.again(kafka=False)
        assert (await stage.psap(), stage.count("version")) == (ELSEWHERE_PSAP, 1)
        assert stage.remarks() == ["region: `routing` has not been read yet; last good on disk goes on"]
        assert stage.router.troubles() == []
        await published(stage.broker, sample())
        await asyncio.sleep(30)
        assert await stage.psap() == ELSEWHERE_PSAP
        stage.log.fail()
        await asyncio.sleep(1)
        assert (await stage.psap(), stage.remarks(), stage.count("version")) == (WORCESTER_PSAP, [], 2)

    play(scene)


def test_without_kafka_and_without_a_last_good_region_the_baked_in_one_is_served() -> None:
    """There is always one to serve."""

    async def scene(stage: Stage) -> None:
        await published(stage.broker, moved())
        await asyncio.sleep(0.1)
        del stage.files.texts[CACHE_FILE]
        await stage.again(kafka=False)
        assert (await stage.psap(), stage.count("version")) == (WORCESTER_PSAP, 0)
        assert stage.remarks() == ["region: `routing` has not been read yet; the region baked in at region goes on"]

    play(scene)


@pytest.mark.parametrize("spoil", [lambda text: text[:-100], lambda text: text.replace("Worcester", "Worchester")])
def test_a_last_good_region_that_is_spoilt_is_not_served(spoil: Callable[[str], str]) -> None:
    """A disk is not believed: the baked-in one serves, and readiness and metric say why."""

    async def scene(stage: Stage) -> None:
        await published(stage.broker, moved())
        await asyncio.sleep(0.1)
        stage.files.texts[CACHE_FILE] = spoil(stage.files.texts[CACHE_FILE])
        await stage.again(kafka=False)
        assert (await stage.psap(), stage.count("cache_troubles_total")) == (WORCESTER_PSAP, 1)
        assert any("last good on disk" in remark for remark in stage.remarks())
        stage.log.fail()
        await asyncio.sleep(1)
        assert (await stage.psap(), stage.remarks()) == (ELSEWHERE_PSAP, [])

    play(scene)


def test_a_disk_that_is_full_is_said_and_stops_nothing() -> None:
    """The newest is served all the same."""

    async def scene(stage: Stage) -> None:
        stage.files.full = True
        await published(stage.broker, moved())
        await asyncio.sleep(0.1)
        assert (await stage.psap(), stage.count("cache_troubles_total")) == (ELSEWHERE_PSAP, 1)
        assert any("no space left" in remark for remark in stage.remarks())
        stage.files.full = False
        await asyncio.sleep(KEPT_AGAIN_S + 0.1)
        assert not any("no space left" in remark for remark in stage.remarks()), "it is kept when there is room again"
        await stage.again(kafka=False)
        assert await stage.psap() == ELSEWHERE_PSAP

    play(scene)


def test_a_baked_in_region_that_is_gone_matters_only_without_another() -> None:
    """A replica that has a last good region starts; one that has none says which file it wants."""

    async def scene(stage: Stage) -> None:
        await published(stage.broker, moved())
        await asyncio.sleep(0.1)
        del stage.files.texts[REGION / "psaps.csv"]
        await stage.again(kafka=False)
        assert await stage.psap() == ELSEWHERE_PSAP
        assert any("baked-in one cannot be read" in remark for remark in stage.remarks())
        del stage.files.texts[CACHE_FILE]
        with pytest.raises(FileTrouble, match=r"psaps\.csv"):
            await stage.again(kafka=False)
        stage.files.texts[REGION / "psaps.csv"] = sample()["psaps.csv"].decode()
        await stage.router.start()

    play(scene)


def test_a_topic_that_lost_its_newest_version_does_not_turn_the_region_back() -> None:
    """Older by number and by instant: the last good stays, loudly, until somebody publishes again."""

    async def scene(stage: Stage) -> None:
        await published(stage.broker, sample())
        before = stage.broker.records(Topic.ROUTING)
        await asyncio.sleep(1)
        await published(stage.broker, moved())
        await asyncio.sleep(0.1)
        stage.broker = MemoryBroker(virtual_wall_ms)
        await stage.again()
        assert await stage.psap() == ELSEWHERE_PSAP
        assert any("`routing` is empty" in remark for remark in stage.remarks())
        for record in before:
            stage.broker.land(Topic.ROUTING, record.key, record.value)
        await asyncio.sleep(0.1)
        assert await stage.psap() == ELSEWHERE_PSAP
        assert any("older than 2" in remark for remark in stage.remarks())
        assert stage.count("not_served_total", why="older") == 2
        stage.broker = MemoryBroker(virtual_wall_ms)
        await stage.again()
        version = await published(stage.broker, sample())
        await asyncio.sleep(0.1)
        assert version.number == 1
        assert (await stage.psap(), stage.remarks(), stage.count("version")) == (WORCESTER_PSAP, [], 1)

    play(scene)


def test_an_ingress_routes_by_the_published_region_when_no_router_answers() -> None:
    """Its own atlas is the same one, and is followed in the same way."""

    async def scene() -> None:
        async with IngressStage() as stage:
            stage.route_after_s = 10.0
            await stage.place("call-1").call()
            await published(stage.broker, moved())
            await asyncio.sleep(0.1)
            await stage.place("call-2").call()
            await published(stage.broker, broken())
            await asyncio.sleep(0.1)
            await stage.place("call-3").call()
            assert [offer.psap_id for offer in stage.offered] == [WORCESTER_PSAP, ELSEWHERE_PSAP, ELSEWHERE_PSAP]
            assert any("is refused" in remark for remark in stage.ingress.remarks())

    run_virtual(scene())


def test_a_psap_that_is_no_more_keeps_its_stream_and_cannot_attach_anew() -> None:
    """R2: nothing is cut while people talk there; whom no region names is not rung, and is refused next time."""

    async def scene() -> None:
        async with GatewayStage(virtual_wall_ms) as stage:
            psap = await stage.psap("P2")
            attempt = await stage.ring("P2")
            await published(stage.broker, small(["P1"], [line for line in LINES if not line.startswith("P2")]))
            await asyncio.sleep(0.1)
            assert await psap.answers() == attempt.name
            await asyncio.sleep(30)
            assert not psap.ended.done()
            again = await stage.psap("P2")
            assert await again.status() is Status.PERMISSION_DENIED

    run_virtual(scene())


def test_a_psap_attaches_once_a_published_region_names_it() -> None:
    """R2: its token is the installation's and stays in its file, whichever region names the PSAP."""

    async def scene() -> None:
        async with GatewayStage(virtual_wall_ms) as stage:
            await published(stage.broker, small(["P1", "P2"], LINES))
            await asyncio.sleep(0.1)
            early = await stage.psap("P3")
            assert await early.status() is Status.PERMISSION_DENIED
            await published(stage.broker, small(["P1", "P2", "P3"], [*LINES, "P3,1,+15085550140,5"]))
            await asyncio.sleep(0.1)
            late = await stage.psap("P3")
            await asyncio.sleep(1)
            assert not late.ended.done()

    run_virtual(scene())


def test_a_token_may_be_handed_out_before_the_region_names_its_psap() -> None:
    """R2: a gateway that starts with it starts, and admits the PSAP once it is published."""

    async def scene() -> None:
        stage = Stage()
        tokens = Path("credentials.csv")
        stage.files.texts[tokens] = f"psap_id,sha256\nP9,{sha256(b'secret').hexdigest()}\n"
        settings = RouterSettings(name="router-1", region_dir=REGION, credentials_file=tokens)
        feed = RegionFeed(replace(stage.world, registry=CollectorRegistry()), settings, DIRECTORY)
        await feed.start()
        assert not feed.newest().admits("P9", "secret")
        assert any("credentials are there for P9" in remark for remark in feed.remarks())
        await published(stage.broker, small(["P9"], ["P9,1,+15085550110,5", "region,1,+15085550130,5"]))
        await asyncio.sleep(0.1)
        assert feed.newest().admits("P9", "secret")
        assert not feed.newest().admits("P9", "a guess")
        assert feed.remarks() == []
        await feed.stop()

    run_virtual(scene())


def test_failover_dials_the_lines_that_are_published() -> None:
    """R7: the next hunt takes them; one under way ends with those that it began with."""

    async def scene() -> None:
        async with FailoverStage() as stage:
            await (await stage.divert("P1", call_id="call-1")).rung()
            changed = ["P1,1,+15085550150,5", *LINES[1:]]
            await published(stage.broker, small(["P1", "P2"], changed))
            await asyncio.sleep(0.1)
            assert await (await stage.divert("P1", call_id="call-2")).rung() == "+15085550150"

    run_virtual(scene())
