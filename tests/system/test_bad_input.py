"""Hostile and broken input against real processes and a real Kafka: never a lost call, never a harmed neighbour."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families
from throughline.v1 import call_pb2, fact_pb2, place_pb2

from services.domain.place import Circle
from services.host.lifeline import Lifeline
from services.host.network import Broken, Converses, Status
from services.host.network.grpc import GrpcNetwork
from services.host.settings import ROOT
from services.journal import Topic
from services.journal.kafka import KafkaLog
from services.launch.installation import Installation
from services.wire.methods import DIAL, PLACE_CALL
from tests.services.ingress_stage import WORCESTER, Raw
from tests.simulation.backbone import REGION, Psap, trunk

_aio: Any = grpc.aio  # its type stubs lack what is used here
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

REGION_DIR = ROOT / "data" / "massachusetts"
HOME = REGION.locate(Circle(WORCESTER.circle.centre.latitude, WORCESTER.circle.centre.longitude, 0.0)).candidates[0]
GROWTH_MB_MAX = 200


@dataclass
class Standing:
    """An installation with one PSAP attached: the one of Worcester."""

    kafka: str
    network: GrpcNetwork
    installation: Installation

    @property
    def ingress(self) -> str:
        return self.installation.addresses("ingress")[0]

    async def count(self, service: str, name: str, **labels: str) -> float:
        """A metric of the first replica of a service."""
        address = self.installation.of(service)[0].metrics_address
        async with aiohttp.ClientSession() as session, session.get(f"http://{address}/metrics") as response:
            families = text_string_to_metric_families(await response.text())
            found = [
                s.value for f in families for s in f.samples if s.name == name and labels.items() <= s.labels.items()
            ]
            return sum(found)

    def rss_mb(self) -> float:
        """Resident memory of the first ingress."""
        pages = int(Path(f"/proc/{self.installation.of('ingress')[0].pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    async def place(self, raw: bytes) -> list[Any]:
        """Sends these bytes as a call's first word, confirms what is proposed; returns what was heard to the end."""
        stream = self.network.open(self.ingress, PLACE_CALL)
        heard: list[Any] = []
        await stream.write(Raw(raw))  # type: ignore[arg-type]
        async with asyncio.timeout(30):
            while (said := await stream.read()) is not None:
                if said.WhichOneof("said") != "heartbeat":
                    heard.append(said)
                if said.WhichOneof("said") == "connecting":
                    confirm = call_pb2.Confirm(attempt=said.connecting.attempt)
                    await stream.write(call_pb2.PlaceCallRequest(confirm=confirm))
        return heard


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def standing(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Standing]:
    async with contextlib.AsyncExitStack() as stack:
        lifeline = Lifeline()
        stack.callback(lifeline.close)
        network = GrpcNetwork()
        stack.push_async_callback(network.close)
        far = await network.serve("127.0.0.1:0", [Converses(DIAL, trunk)])
        stack.push_async_callback(far.stop, 0.0)
        installation = Installation(
            tmp_path_factory.mktemp("standing"), lifeline, kafka=kafka, region_dir=REGION_DIR, trunks=[far.address]
        )
        await stack.enter_async_context(installation)
        made = Standing(kafka, network, installation)
        psap = Psap(network, HOME, 0.1, token=(installation.tokens / HOME).read_text())
        for gateway in installation.addresses("psap_gateway"):
            attached = asyncio.ensure_future(psap.attach(gateway))
            stack.callback(attached.cancel)
        async with asyncio.timeout(10):
            while await made.count("psap_gateway", "throughline_psap_gateway_psaps_attached") < 1:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        yield made


def offered(call_id: str, **fields: Any) -> bytes:
    fields = {"caller": "+15085550101", "service_urn": "urn:service:sos", "place": WORCESTER, "leg": 1, **fields}
    return call_pb2.PlaceCallRequest(offer=call_pb2.Offer(call_id=call_id, **fields)).SerializeToString()


def circle(lat: float, lon: float) -> place_pb2.Place:
    return place_pb2.Place(circle=place_pb2.Circle(centre=place_pb2.Point(latitude=lat, longitude=lon), radius_m=10))


POINT = place_pb2.Polygon(points=[place_pb2.Point(latitude=42.0)]).SerializeToString()
MILLION_POINTS = place_pb2.Place(polygon=place_pb2.Polygon.FromString(POINT * 1_000_000))
ODD = {
    "good": offered("good"),
    "rubbish": b"INVITE sip:911@psap SIP/2.0\r\n\xff\xfe\x00",
    "two_megabytes_of_text": offered("text", i3_call_id="x" * 2_000_000),
    "outside_the_world": offered("world", place=circle(91, 181)),
    "not_a_number": offered("nan", place=circle(math.nan, -math.inf)),
    "a_million_points": offered("outline", place=MILLION_POINTS),
    "no_number": offered("no-number", caller=""),
    "a_number_nobody_can_dial": offered("undiallable", caller="+19115550100"),
    "an_unknown_service": offered("urn", service_urn="urn:service:pizza"),
    "no_call_id": offered(""),
    "no_place": offered("nowhere", place=None),
}
UNREADABLE = ("rubbish", "two_megabytes_of_text", "a_million_points")


async def test_whatever_is_offered_reaches_a_person(standing: Standing) -> None:
    """P6 and "Bad input": each is a call, carried by the default route if need be; memory and time stay bounded."""
    before_mb = standing.rss_mb()
    for name, raw in ODD.items():
        heard = await standing.place(raw)
        assert heard[-1].WhichOneof("said") == "connected", f"{name}: {heard}"
    with pytest.raises(Broken) as refused:
        await standing.place(ODD["good"])
    assert refused.value.status is Status.ALREADY_EXISTS, "the same leg twice (P8)"
    assert standing.rss_mb() - before_mb < GROWTH_MB_MAX
    unreadable = await standing.count("ingress", "throughline_ingress_offers_odd_total", oddity="unreadable")
    assert unreadable >= len(UNREADABLE)
    kept = await read(standing.kafka, Topic.CALLS_UNREADABLE)
    for name in UNREADABLE:
        assert ODD[name] in kept, f"{name} is not kept as it came"


async def test_a_message_over_the_transport_limit_is_counted_and_harms_nobody(standing: Standing) -> None:
    """20 MB look like the end of the stream (P6); the network then offers its call in another way."""
    before = await standing.count("ingress", "throughline_ingress_streams_without_offer_total")
    async with _aio.insecure_channel(standing.ingress) as channel:  # a peer without a limit of its own
        stream = channel.stream_stream(PLACE_CALL.path)()
        with contextlib.suppress(grpc.RpcError):
            async with asyncio.timeout(20):
                await stream.write(offered("huge", i3_call_id="x" * 20_000_000))
                while await stream.read() is not _aio.EOF:
                    pass
    async with asyncio.timeout(10):
        while await standing.count("ingress", "throughline_ingress_streams_without_offer_total") == before:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert (await standing.place(offered("after-huge")))[-1].WhichOneof("said") == "connected"


async def test_records_of_a_newer_schema_and_rubbish_stop_no_reader(standing: Standing) -> None:
    """J1: an unknown kind is kept; what is no fact at all is set aside. The books go on and balance."""
    log = KafkaLog(standing.kafka, "newer")
    await log.start()
    newer = fact_pb2.Fact(call_id="good", leg=1, seq=999, writer="newer", at_ms=1)
    raw = newer.SerializeToString() + b"\x28\x63" + b"\xa2\x1f\x05hello"  # kind 99, and field 500
    await log.append(Topic.CALLS, "good", raw)
    await log.append(Topic.CALLS, "poison", b"\xff\xff\xff\xff")
    await log.close()
    heard = await standing.place(offered("after-poison"))
    assert heard[-1].WhichOneof("said") == "connected"
    books = await asyncio.to_thread(balance, standing.kafka)
    assert books.returncode == 0, books.stdout + books.stderr
    assert json.loads(books.stdout)
    async with asyncio.timeout(20):
        while await standing.count("ledger", "throughline_ledger_records_set_aside_total") < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert all(child.running() for child in standing.installation.children.values())


def balance(kafka: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services.cli", "balance", "--kafka", kafka, "--json"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


async def read(kafka: str, topic: Topic) -> set[bytes]:
    """Every value on a topic up to its end."""
    log = KafkaLog(kafka, "reader")
    await log.start()
    follower = log.follow(topic)
    await follower.start()
    values: set[bytes] = set()

    async def collect() -> None:
        async for batch in follower:
            values.update(record.value for record in batch)

    reading = asyncio.ensure_future(collect())
    async with asyncio.timeout(20):
        await follower.caught_up.wait()
    reading.cancel()
    await follower.stop()
    await log.close()
    return values
