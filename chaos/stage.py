"""Everything that runs: a Kafka, two or more of each service, every PSAP and trunk, on this machine.

The tests of single faults (tests/system/faults) and chaos stand on it. All of it ends with this process.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, Self

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from chaos.places import Loopback, Places
from deploy.kafka import CannotStart, Cluster
from deploy.kafka.node import refuse_taken
from loadtest.children import Outsider
from loadtest.region_tables import RegionTables
from services.host.lifeline import Held, Lifeline
from services.journal.kafka_topics import apply
from services.launch.child import Child
from services.launch.installation import COUNTS, Installation, names

HUMANS: Final = 5.0
"""People are so many times as fast as real ones."""
RING_TIMEOUT_MS: Final = int(15_000 / HUMANS)
DRAIN_S: Final = 3.0
TWO_OF_EACH: Final = {**COUNTS, "firewall": 2, "router": 2, "psap_gateway": 2, "failover": 2, "ingress": 2}
COMES_UP_WITHIN_S: Final = 30.0
READS_AGAIN_WITHIN_S: Final = 60.0
STOPS_WITHIN_S: Final = 8.0
PAGE_WITHIN_S: Final = 2.0
KAFKA: Final = "kafka"
"""The place of the brokers."""
QUEUED: Final = "_journal_queued_facts"
"""How the name of the metric ends that says what a process has not written to Kafka yet."""


def quiet_ports(count: int) -> int:
    """The first of so many free ports in a row, below those that outgoing connections are given."""
    for _ in range(50):
        first = random.randrange(20_000, 32_000)
        try:
            refuse_taken(range(first, first + count))
        except CannotStart:
            continue
        return first
    raise AssertionError("expected free ports between 20000 and 32000")


class KafkaMissed(Exception):
    """Kafka is back, and some process does not read or write the journal again; the message says which."""


class Stage:
    """An installation with its Kafka and its far end. With `kafka_later` it comes up without a Kafka; `aside` gives a
    single broker a second listener (deploy/kafka/node.py); `counts` says how many of each service there are, `own` are
    settings of single replicas; `above` is this process's own hold on who started it."""

    def __init__(
        self,
        folder: Path,
        *,
        brokers: int = 1,
        kafka_port: int = 0,
        aside: tuple[int, int] | None = None,
        kafka_later: bool = False,
        counts: Mapping[str, int] = TWO_OF_EACH,
        places: Places | None = None,
        settings: Mapping[str, str] | None = None,
        own: Mapping[str, Mapping[str, str]] | None = None,
        restart_after_s: float | None = None,
        above: Held | None = None,
        seed: int = 1,
    ) -> None:
        self.folder = folder
        self.region = RegionTables()
        self.lifeline = Lifeline(above)
        self.deaths: list[str] = []
        """Processes that ended though nobody had killed them."""
        self.kafka_runs = False
        self.places = places or Loopback()
        self.stack = AsyncExitStack()
        self._kafka_later = kafka_later
        self._brokers = brokers
        self._counts = counts
        self._settings = settings or {}
        self._own = own or {}
        self._restart_after_s = restart_after_s
        self._seed = seed
        self._stops_within_s = STOPS_WITHIN_S
        self.cluster = Cluster(
            folder / "kafka",
            brokers=brokers,
            lifeline=self.lifeline,
            port=kafka_port or quiet_ports(2 * brokers),
            aside=aside,
            host=self.places.host(KAFKA),
            within=self.places.within(KAFKA),
            scratch=True,
            say=lambda words: None,
        )
        self.installation: Installation
        self.far_end: Outsider

    async def __aenter__(self) -> Self:
        try:
            await self.come_up()
        except BaseException as why:
            await self.__aexit__(type(why))
            raise
        return self

    async def __aexit__(self, why: type[BaseException] | None, *_: object) -> None:
        if why is asyncio.CancelledError:
            self._stops_within_s = 0.0  # without Kafka a service takes seconds to stop, and nobody wants its calls
        await self.stack.aclose()

    async def come_up(self) -> None:
        """Kafka, the far end, the services in their order, the PSAPs; raises CannotStart, ChildFailed, ChildEnded."""
        stack = self.stack
        stack.callback(self.lifeline.close)
        stack.push_async_callback(asyncio.to_thread, self.cluster.close)
        self.far_end = await Outsider.start(
            "far_end",
            *("--tokens", self.folder / "tokens", "--witness", self.far_end_diary),
            *("--human-speed", str(HUMANS), "--seed", str(self._seed)),
            *("--listen", f"{self.places.outside}:0"),
            log=self.folder / "far-end.log",
        )
        stack.push_async_callback(self.far_end.stop)
        if not self._kafka_later:
            await self.kafka_serves()
        self.installation = Installation(
            self.folder,
            self.lifeline,
            kafka=self.kafka,
            region_dir=self.region.folder,
            trunks=[(await self.far_end.told("listening", COMES_UP_WITHIN_S))["trunk"]],
            counts=self._counts,
            settings={
                "THROUGHLINE_INGRESS_RING_TIMEOUT_MS": str(RING_TIMEOUT_MS),
                "THROUGHLINE_DRAIN_S": str(DRAIN_S),
                **self._settings,
            },
            own={
                name: {**self.places.settings(service, name), **self._own.get(name, {})}
                for service, name in everybody(self._counts)
            },
            within=self.places.within,
            restart_after_s=self._restart_after_s,
            on_death=self._on_death,
        )
        stack.push_async_callback(self._stop)
        await self.installation.start()
        self.far_end.do(do="attach", gateways=self.installation.addresses("psap_gateway"))
        await self.all_attached()

    async def _stop(self) -> None:
        await self.installation.stop(self._stops_within_s)

    @property
    def far_end_diary(self) -> Path:
        """What the second witness writes down."""
        return self.folder / "far-end.jsonl"

    @property
    def kafka(self) -> str:
        """Where clients begin, whether or not it runs."""
        first = self.cluster.port
        return ",".join(f"{self.places.host(KAFKA)}:{first + n}" for n in range(self._brokers))

    async def kafka_serves(self) -> None:
        """Starts Kafka, with the topics, where it has not been started yet."""
        if not self.kafka_runs:
            await asyncio.to_thread(self.cluster.start)
            await apply(self.kafka)
            self.kafka_runs = True

    def _on_death(self, child: Child) -> None:
        self.deaths.append(f"{child.name} ended by itself with {child.process.returncode}; {child.last_lines()}")

    def strike(self, psap_id: str, fault: str) -> None:
        """One PSAP fails now: `cut`, `silent`, `reject`, `full`; or `heal`."""
        self.far_end.do(do="fault", psap_id=psap_id, fault=fault, when="now")

    async def all_attached(self) -> None:
        """Waits until every PSAP holds a stream to every gateway."""
        streams = len(self.region.psap_names) * len(self.installation.of("psap_gateway"))
        async with asyncio.timeout(COMES_UP_WITHIN_S):
            while self._attached() != streams:  # noqa: ASYNC110 - the far end tells it whenever it changes
                await asyncio.sleep(0.05)

    def _attached(self) -> int:
        told = [event["streams"] for event in self.far_end.events if event["event"] == "attached"]
        return int(told[-1]) if told else 0

    async def nobody_misses_kafka(self) -> float:
        """Waits until every process says of itself that it reads and writes the journal again, and has filled in what
        it had not written; returns how many seconds that took. Raises KafkaMissed."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        said: dict[str, str] = {}
        while loop.time() - began < READS_AGAIN_WITHIN_S:
            pages = {
                child.name: (await self.page(child, "readyz"), await self.page(child, "metrics"))
                for child in self.running()
            }
            said = {name: why for name, page in pages.items() if (why := misses_kafka(*page))}
            if not said:
                return loop.time() - began
            await asyncio.sleep(0.5)
        raise KafkaMissed(f"Kafka has been back for {READS_AGAIN_WITHIN_S:.0f} s, and these are not: {said}")

    def running(self) -> list[Child]:
        """The processes that run and are not about to end."""
        return [child for child in self.installation.children.values() if child.running() and not child.expected_to_end]

    async def page(self, child: Child, name: str) -> str:
        """One of a process's own pages; empty where it does not answer."""
        limit = aiohttp.ClientTimeout(total=PAGE_WITHIN_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit) as session,
                session.get(f"http://{child.metrics_address}/{name}") as page,
            ):
                return await page.text()
        except (OSError, TimeoutError, aiohttp.ClientError):
            return ""

    async def samples(self, child: Child) -> AsyncIterator[tuple[str, Mapping[str, str], float]]:
        """Name, labels and value of each sample on its page."""
        for family in text_string_to_metric_families(await self.page(child, "metrics")):
            for sample in family.samples:
                yield sample.name, sample.labels, sample.value

    async def counted(self, service: str, metric: str, **labels: str) -> float:
        """The sum of a metric over all running replicas of a service, as their pages say it."""
        total = 0.0
        for child in self.installation.of(service):
            if child.running():
                async for name, has, value in self.samples(child):
                    total += value if name == metric and labels.items() <= has.items() else 0.0
        return total


def misses_kafka(readyz: str, metrics: str) -> str:
    """What a process still misses by its own pages; empty where nothing. One that does not answer is not well."""
    if "journal" in readyz:
        return readyz
    if not (readyz and metrics):
        return "does not answer"
    families = text_string_to_metric_families(metrics)
    waiting = sum(each.value for family in families for each in family.samples if each.name.endswith(QUEUED))
    return f"{waiting:.0f} facts wait" if waiting else ""


def everybody(counts: Mapping[str, int] = TWO_OF_EACH) -> Sequence[tuple[str, str]]:
    """Service and name of each replica."""
    return [(service, name) for service in counts for name in names(service, counts)]
