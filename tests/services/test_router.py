"""The router's real shell under virtual time, on the sample region, with gateways that are records on a topic."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry
from throughline.v1 import place_pb2, routing_pb2

from services.domain.gateways.attachments import Row
from services.host.files import FileTrouble, MemoryFiles
from services.host.network import Broken, Status
from services.host.network.memory import MemoryNetwork
from services.host.world import World
from services.journal import Topic
from services.journal.disk import MemoryDisk
from services.journal.memory import MemoryBroker, MemoryLog
from services.places.refusal import RegionRefused
from services.places.region import REGION_FILES
from services.router.service import Router
from services.router.settings import RouterSettings
from services.wire import psap_status
from services.wire.methods import ROUTE
from simulator.virtual_loop import run_virtual, virtual_wall_ms

SAMPLE = Path(__file__).parents[2] / "data" / "massachusetts"
REGION = Path("region")
TEXTS = {REGION / name: (SAMPLE / name).read_text("utf-8") for name in REGION_FILES}
WORCESTER = (42.2626, -71.8023)
WORCESTER_PSAP = "3203"


def circle(lat: float, lon: float) -> place_pb2.Place:
    return place_pb2.Place(circle=place_pb2.Circle(centre=place_pb2.Point(latitude=lat, longitude=lon), radius_m=50))


class Stage:
    """One router; `says` publishes as a gateway would."""

    def __init__(self, texts: dict[Path, str] | None = None, **settings: Any) -> None:
        self.network = MemoryNetwork()
        self.broker = MemoryBroker(virtual_wall_ms)
        self.log = MemoryLog(self.broker)
        self.registry = CollectorRegistry()
        self._seq = 0
        world = World(
            name="router-1",
            incarnation="000000000000-0001",
            network=self.network,
            log=self.log,
            wall_ms=virtual_wall_ms,
            random=random.Random(1),
            files=MemoryFiles(TEXTS if texts is None else texts),
            disk=MemoryDisk(),
            registry=self.registry,
            logger=structlog.stdlib.get_logger(),
        )
        self.router = Router(world, RouterSettings(name="router-1", listen="router:1", region_dir=REGION, **settings))

    async def route(
        self, place: place_pb2.Place | None = None, excluded: tuple[str, ...] = (), suspicion: int = 0
    ) -> routing_pb2.RouteResponse:
        urn = "urn:service:sos"
        asked = routing_pb2.RouteRequest(
            call_id="call-1", leg=1, place=place, service_urn=urn, excluded=excluded, suspicion=suspicion
        )
        return await self.network.ask("router:1", ROUTE, asked, within_s=0.15)

    async def says(self, gateway: str, psap_id: str, attached: bool, incarnation: str = "1") -> None:
        """A snapshot with one row, from gateway `g<n>` at `g<n>:1`."""
        self._seq += 1
        rows = [Row(psap_id, attached, "", 0, 0)]
        value = psap_status.encode(gateway, f"{gateway}:1", incarnation, self._seq, virtual_wall_ms(), rows)
        self.broker.land(Topic.PSAP_STATUS, gateway, value)
        await asyncio.sleep(0.01)

    def published(self) -> list[routing_pb2.Routing]:
        return [routing_pb2.Routing.FromString(record.value) for record in self.broker.records(Topic.ROUTINGS)]


def play(scene: Callable[[Stage], Coroutine[Any, Any, None]], **settings: Any) -> None:
    async def staged() -> None:
        stage = Stage(**settings)
        await stage.router.start()
        await scene(stage)
        await stage.router.stop(0.0)

    run_virtual(staged(), limit_s=600)


def test_a_place_leads_to_the_psap_of_its_town_and_says_why() -> None:
    """By place, with the reason, and on record (P-by-place; R4)."""

    async def scene(stage: Stage) -> None:
        answer = await stage.route(circle(*WORCESTER))
        assert answer.psap_id
        assert (answer.reachable, answer.reason) == (True, "town_primary_unknown")
        assert sorted(answer.gateways) == ["g1:1", "g2:1"]
        await asyncio.sleep(0.1)
        (told,) = stage.published()
        assert (told.call_id, told.router, told.route) == ("call-1", "router-1", answer)

    play(scene, gateways=("g1:1", "g2:1"))


def test_the_gateway_that_holds_the_psap_comes_first() -> None:
    """Fresh rows order the gateways: has it, unknown, has it not (R4, R8)."""

    async def scene(stage: Stage) -> None:
        psap_id = (await stage.route(circle(*WORCESTER))).psap_id
        await stage.says("g1", psap_id, False)
        await stage.says("g3", psap_id, True)
        answer = await stage.route(circle(*WORCESTER))
        assert list(answer.gateways) == ["g3:1", "g2:1", "g1:1"]
        assert (answer.reachable, answer.reason) == (True, "town_primary")

    play(scene, gateways=("g1:1", "g2:1"))


def test_a_psap_that_every_gateway_has_lost_is_named_and_said_to_be_unreachable() -> None:
    """The ladder turns to its lines then (R8); an excluded one gives way to its alternate."""

    async def scene(stage: Stage) -> None:
        psap_id = (await stage.route(circle(*WORCESTER))).psap_id
        await stage.says("g1", psap_id, False)
        answer = await stage.route(circle(*WORCESTER))
        assert (answer.psap_id, answer.reachable, answer.reason) == (psap_id, False, "town_primary_unreachable")
        alternate = await stage.route(circle(*WORCESTER), excluded=(psap_id,))
        assert alternate.psap_id not in ("", psap_id)
        assert alternate.reason == "town_alternate_unknown"

    play(scene)


def test_what_is_stale_counts_as_unknown_and_is_tried() -> None:
    """Six seconds after the last snapshot a PSAP said to be gone is tried again (R8)."""

    async def scene(stage: Stage) -> None:
        psap_id = (await stage.route(circle(*WORCESTER))).psap_id
        await stage.says("g1", psap_id, False)
        await asyncio.sleep(5.9)
        assert not (await stage.route(circle(*WORCESTER))).reachable
        await asyncio.sleep(0.2)
        answer = await stage.route(circle(*WORCESTER))
        assert (answer.reachable, list(answer.gateways)) == (True, ["g1:1"])
        assert any("no gateway was heard" in remark for remark in stage.router.remarks())

    play(scene)


def test_an_old_record_does_not_look_fresh_to_a_router_that_starts() -> None:
    """A snapshot's age is its own, not the reader's (R8)."""

    async def staged(pause_s: float) -> bool:
        stage = Stage()
        await stage.says("g1", WORCESTER_PSAP, False)
        await asyncio.sleep(pause_s)
        await stage.router.start()
        await asyncio.sleep(0.1)
        answer = await stage.route(circle(*WORCESTER))
        assert (answer.psap_id, list(answer.gateways)) == (WORCESTER_PSAP, ["g1:1"])
        await stage.router.stop(0.0)
        return answer.reachable

    assert not run_virtual(staged(5.0))
    assert run_virtual(staged(7.0))


def test_a_gateway_gone_for_a_minute_is_forgotten_while_others_are_heard() -> None:
    """Its address would cost each caller time; with nobody heard every address stays (R8)."""

    async def scene(stage: Stage) -> None:
        psap_id = (await stage.route(circle(*WORCESTER))).psap_id
        await stage.says("g1", psap_id, True)
        await asyncio.sleep(70)
        assert list((await stage.route(circle(*WORCESTER))).gateways) == ["g1:1"]
        await stage.says("g2", psap_id, True)
        assert list((await stage.route(circle(*WORCESTER))).gateways) == ["g2:1"]

    play(scene)


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (None, "no_place"),
        (circle(math.nan, math.nan), "not_a_number"),
        (circle(1e300, 0), "outside_world"),
        (circle(42.0, -69.0), "sea"),
        (circle(48.85, 2.35), "outside_region"),
        (place_pb2.Place(), "no_place"),
        (place_pb2.Place(polygon=place_pb2.Polygon(points=[place_pb2.Point()] * 2_000)), "too_many_points"),
    ],
)
def test_an_odd_place_goes_by_the_default_route_and_says_why(place: place_pb2.Place | None, reason: str) -> None:
    """Never refused (domain.md: a missing or garbled location gets a default location)."""

    async def scene(stage: Stage) -> None:
        answer = await stage.route(place)
        assert answer.psap_id
        assert answer.reason == f"{reason}_primary_unknown"

    play(scene, gateways=("g1:1",))


def test_when_every_candidate_is_excluded_it_says_so() -> None:
    """No PSAP left is an answer too, not an error."""

    async def scene(stage: Stage) -> None:
        tried: list[str] = []
        while (answer := await stage.route(circle(*WORCESTER), excluded=tuple(tried))).psap_id:
            tried.append(answer.psap_id)
            assert len(tried) < 20
        assert answer.reason == "town_all_excluded"
        assert len(set(tried)) == len(tried) > 1

    play(scene)


def test_a_record_that_is_no_snapshot_is_set_aside() -> None:
    """Counted, and the next is read all the same."""

    async def scene(stage: Stage) -> None:
        psap_id = (await stage.route(circle(*WORCESTER))).psap_id
        stage.broker.land(Topic.PSAP_STATUS, "g9", b"\xff\xff\xff")
        await stage.says("g1", psap_id, True)
        assert list((await stage.route(circle(*WORCESTER))).gateways) == ["g1:1"]
        assert stage.registry.get_sample_value("throughline_router_status_snapshots_unreadable_total") == 1

    play(scene)


def test_without_kafka_it_answers_from_its_settings_and_learns_later() -> None:
    """All stale = try all; when Kafka is back the follower goes on (R8, J6)."""

    async def staged() -> None:
        stage = Stage(gateways=("g1:1",))
        stage.log.fail(absent=True)
        await stage.router.start()
        answer = await stage.route(circle(*WORCESTER))
        assert (answer.reachable, list(answer.gateways)) == (True, ["g1:1"])
        assert stage.router.troubles() == []
        assert any("journal" in remark for remark in stage.router.remarks())
        stage.log.fail()
        await stage.says("g2", answer.psap_id, True)
        assert list((await stage.route(circle(*WORCESTER))).gateways) == ["g2:1", "g1:1"]
        await asyncio.sleep(3)
        assert len(stage.published()) == 2
        await stage.router.stop(0.0)

    run_virtual(staged())


def test_a_suspicion_is_published_as_it_was_told_and_moves_nothing() -> None:
    """Past 100 it counts as 100; the answer is that of anybody else in that place."""

    async def scene(stage: Stage) -> None:
        asked = [await stage.route(circle(*WORCESTER), suspicion=told) for told in (0, 40, 4_000_000_000)]
        assert asked[0] == asked[1] == asked[2]
        await asyncio.sleep(0.1)
        assert [told.suspicion for told in stage.published()] == [0, 40, 100]

    play(scene)


def test_a_broken_region_stops_it_at_its_start_with_the_file() -> None:
    """Better no router than a wrong one: ingress has its own atlas."""

    async def starts(texts: dict[Path, str]) -> None:
        await Stage(texts).router.start()

    with pytest.raises(RegionRefused, match=r"alternates\.csv line 2"):
        run_virtual(starts({**TEXTS, REGION / "alternates.csv": "psap_id,order,alternate_id\n0,1,0\n"}))
    with pytest.raises(FileTrouble, match=r"psaps\.csv"):
        run_virtual(starts({path: text for path, text in TEXTS.items() if path.name != "psaps.csv"}))


def test_a_router_that_stops_says_draining() -> None:
    """UNAVAILABLE("draining"): ingress takes its own atlas at once (L4)."""

    async def scene(stage: Stage) -> None:
        stopping = asyncio.ensure_future(stage.router.stop(1.0))
        await asyncio.sleep(0)
        with pytest.raises(Broken) as broken:
            await stage.route(circle(*WORCESTER))
        assert broken.value.status is Status.UNAVAILABLE
        await stopping

    play(scene)
