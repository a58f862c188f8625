"""The rig: a whole installation, a real Kafka, every PSAP, and callers who go on calling while something is hurt.

One rig serves many tests, since it takes ten seconds to come up. Each test lets a burst of callers call in an open,
seeded load, hurts something in the middle, and makes it well again. What callers felt comes from their own diary
(felt.py); the verdict is that of the three witnesses, and of the books. Figures are printed and go to
build/failure-modes.json; `make failures` measures them with longer faults.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from deploy.kafka import CannotStart, Cluster
from deploy.kafka.node import refuse_taken
from loadtest.books import Kept, read_journal
from loadtest.children import Outsider
from loadtest.diary import read_diary, wall_ms
from loadtest.region_tables import RegionTables
from loadtest.witness import Verdict, compare
from loadtest.workload import PlannedCall, plan
from services.domain.offer import SOS_URN
from services.host.lifeline import Lifeline
from services.host.settings import ROOT
from services.journal.kafka import KafkaLog
from services.journal.kafka_topics import apply
from services.launch.child import Child
from services.launch.installation import COUNTS, Installation
from tests.system.faults.cable import Cable
from tests.system.faults.felt import CallFelt, Delay, added, calm, offered_between, read_calls, to_ringing

LASTS = float(os.environ.get("FAULTS_LAST", "1"))
"""Times as long as usual that each fault lasts: for figures of more calls."""
NOISE = 3.0
"""A bound is asserted this many times over: two cores carry everything here, the callers included."""
HUMANS = 5.0
RING_TIMEOUT_MS = int(15_000 / HUMANS)
DRAIN_S = 3.0
CALLS_A_S = 8
CALM_S = 1.5
FAULT_S = 3.5 * LASTS
AFTER_S = 0.5
TWO_OF_EACH = {**COUNTS, "firewall": 2, "router": 2, "psap_gateway": 2, "failover": 2, "ingress": 2}
COMES_UP_WITHIN_S = 30.0
FINISHES_WITHIN_S = 40.0
INSTANT_MS = 500
READS_AGAIN_WITHIN_S = 25.0
SETTLES_WITHIN_S = 20.0
FIGURES = ROOT / "build" / "failure-modes.json"


class Rig:
    """Everything that runs. With `kafka_later` the installation starts without one; the replica named by `cut_off`
    reaches Kafka through a cable that can be cut."""

    def __init__(
        self,
        folder: Path,
        *,
        brokers: int = 1,
        kafka_later: bool = False,
        settings: Mapping[str, str] | None = None,
        cut_off: str = "",
    ) -> None:
        self.folder = folder
        self.region = RegionTables()
        self.lifeline = Lifeline()
        self.deaths: list[str] = []
        self.kafka_runs = False
        self.bursts: set[str] = set()
        self.unsound: list[str] = []
        """Bursts that left the books unsound: what comes later is not blamed for them."""
        self._kafka_later = kafka_later
        self._brokers = brokers
        self._stack = AsyncExitStack()
        self._settings = settings or {}
        self._own: dict[str, dict[str, str]] = {}
        first = quiet_ports(2 * brokers + 2)
        behind, cable = first + 2 * brokers, first + 2 * brokers + 1
        self.cable = Cable(cable, behind)
        """On the way of `cut_off` alone to Kafka."""
        if cut_off:
            service = cut_off.rpartition("-")[0].replace("-", "_").upper()
            self._own[cut_off] = {f"THROUGHLINE_{service}_KAFKA": f"127.0.0.1:{cable}"}
        self.cluster = Cluster(
            folder / "kafka",
            brokers=brokers,
            lifeline=self.lifeline,
            port=first,
            aside=(behind, cable) if cut_off else None,
            scratch=True,
        )
        self.installation: Installation
        self.far_end: Outsider

    async def __aenter__(self) -> Rig:
        try:
            await self._come_up()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _come_up(self) -> None:
        stack = self._stack
        stack.callback(self.lifeline.close)
        stack.push_async_callback(asyncio.to_thread, self.cluster.close)
        await self.cable.start()
        stack.push_async_callback(self.cable.close)
        self.far_end = await Outsider.start(
            "far_end",
            *("--tokens", self.folder / "tokens", "--witness", self.folder / "far-end.jsonl"),
            *("--human-speed", str(HUMANS)),
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
            counts=TWO_OF_EACH,
            settings={
                "THROUGHLINE_INGRESS_RING_TIMEOUT_MS": str(RING_TIMEOUT_MS),
                "THROUGHLINE_DRAIN_S": str(DRAIN_S),
                **self._settings,
            },
            own=self._own,
            on_death=self._on_death,
        )
        stack.push_async_callback(self.installation.stop, 8.0)
        await self.installation.start()
        self.far_end.do(do="attach", gateways=self.installation.addresses("psap_gateway"))
        await self.all_attached()

    @property
    def kafka(self) -> str:
        """Where clients begin, whether or not it runs."""
        first = self.cluster.port
        return ",".join(f"127.0.0.1:{first + n}" for n in range(self._brokers))

    async def kafka_serves(self) -> None:
        """Starts Kafka, with the topics, where it has not been started yet."""
        if not self.kafka_runs:
            await asyncio.to_thread(self.cluster.start)
            await apply(self.kafka)
            self.kafka_runs = True

    def _on_death(self, child: Child) -> None:
        self.deaths.append(f"{child.name} ended by itself with {child.process.returncode}; {child.last_lines()}")

    async def all_attached(self) -> None:
        """Waits until every PSAP holds a stream to every gateway."""
        streams = len(self.region.psap_names) * len(self.installation.of("psap_gateway"))
        async with asyncio.timeout(COMES_UP_WITHIN_S):
            while self._attached() != streams:  # noqa: ASYNC110 - the far end tells it whenever it changes
                await asyncio.sleep(0.05)

    def _attached(self) -> int:
        told = [event["streams"] for event in self.far_end.events if event["event"] == "attached"]
        return int(told[-1]) if told else 0

    async def all_well(self) -> None:
        """Whatever an earlier test left down is started again."""
        for child in list(self.installation.children.values()):
            if not child.running():
                await self.installation.restart(child.name)
        await self.all_attached()

    async def nobody_misses_kafka(self) -> None:
        """Waits until every service says of itself that it reads and writes the journal again."""
        said: dict[str, str] = {}
        until = time.monotonic() + READS_AGAIN_WITHIN_S
        async with aiohttp.ClientSession() as session:
            while time.monotonic() < until:
                said = {}
                for child in self.installation.children.values():
                    if child.running():
                        async with session.get(f"http://{child.metrics_address}/readyz") as page:
                            text = await page.text()
                        said |= {child.name: text} if "journal" in text else {}
                if not said:
                    return
                await asyncio.sleep(0.5)
        raise AssertionError(f"Kafka is back, and these are not: {said}")

    def strike(self, psap_id: str, fault: str) -> None:
        """One PSAP fails now: `cut`, `silent`, `reject`, `full`; or `heal`."""
        self.far_end.do(do="fault", psap_id=psap_id, fault=fault, when="now")

    async def counted(self, service: str, metric: str, **labels: str) -> float:
        """The sum of a metric over all running replicas of a service, as their pages say it."""
        total = 0.0
        async with aiohttp.ClientSession() as session:
            for child in self.installation.of(service):
                if not child.running():
                    continue
                async with session.get(f"http://{child.metrics_address}/metrics") as page:
                    families = text_string_to_metric_families(await page.text())
                total += sum(
                    sample.value
                    for family in families
                    for sample in family.samples
                    if sample.name == metric and labels.items() <= sample.labels.items()
                )
        return total

    async def burst(
        self,
        name: str,
        *,
        for_s: float,
        calls_a_s: int = CALLS_A_S,
        seed: int = 1,
        legs_max: int | None = None,
        on_entry: Callable[[Mapping[str, Any]], None] = lambda _: None,
    ) -> Burst:
        """Callers begin to call now; `name` begins each call_id. `on_entry` hears all that they see, as they see it."""
        run = f"{name}-{seed}"
        assert run not in self.bursts, f"a second burst named {run} would share its calls' ids"
        self.bursts.add(run)
        seconds = [float(second) for second in range(math.ceil(for_s)) for _ in range(calls_a_s)]
        calls = [
            call
            for call in plan(seconds, self.region, seed=seed, run=run, service_urn=SOS_URN, source="faults")
            if call.at_s < for_s
        ]
        burst = Burst(self, run, calls, seed, calls_a_s, legs_max)
        await burst.begin(on_entry)
        return burst


class Burst:
    """Callers who call at their planned instants, whatever becomes of them."""

    def __init__(
        self, rig: Rig, run: str, calls: list[PlannedCall], seed: int, calls_a_s: int, legs_max: int | None
    ) -> None:
        self.run = run
        self.planned = calls
        self.seed = seed
        self.calls_a_s = calls_a_s
        self.legs_max = legs_max
        self.windows: list[Window] = []
        self._rig = rig
        self._began = 0.0
        self._diary = rig.folder / f"{run}.caller.jsonl"
        self._callers: Outsider

    async def begin(self, on_entry: Callable[[Mapping[str, Any]], None]) -> None:
        written = self._rig.folder / f"{self.run}.plan.jsonl"
        written.write_text("".join(call.to_json() + "\n" for call in self.planned))
        self._callers = await Outsider.start(
            "originating",
            *("--plan", written, "--witness", self._diary, "--seed", str(self.seed), "--human-speed", str(HUMANS)),
            *(("--legs-max", str(self.legs_max)) if self.legs_max else ()),
            "--tell",
            log=self._rig.folder / f"{self.run}.caller.log",
            on_entry=on_entry,
        )
        await self._callers.told("ready", COMES_UP_WITHIN_S)
        self._callers.do(do="start", ingresses=self._rig.installation.addresses("ingress"))
        self._began = time.monotonic()

    async def second(self, at_s: float) -> None:
        """Waits for this second of the burst."""
        await asyncio.sleep(max(0.0, self._began + at_s - time.monotonic()))

    @contextmanager
    def struck(self) -> Iterator[Window]:
        """The time in which something is wrong, from the first line of the block to its last."""
        window = Window(wall_ms())
        self.windows.append(window)
        try:
            yield window
        finally:
            window.to_ms = wall_ms()

    async def told(self, finishes_within_s: float = FINISHES_WITHIN_S) -> Told:
        """Waits for the last caller, and until the witnesses agree or have had the time to."""
        try:
            lateness = await self._callers.told("finished", finishes_within_s)
        finally:
            await self._callers.stop()
        until = time.monotonic() + SETTLES_WITHIN_S
        while True:
            told = await self._told_now(lateness)
            if not told.troubles():
                return told
            if time.monotonic() > until:
                self._rig.unsound.append(self.run)
                return told
            await asyncio.sleep(0.5)

    async def _told_now(self, lateness: Mapping[str, Any]) -> Told:
        log = KafkaLog(self._rig.kafka, client_id="faults-witness")
        try:
            kept = await read_journal(log)
        finally:
            await log.close()
        callers = read_diary(self._diary)
        far_end = read_diary(self._rig.folder / "far-end.jsonl")
        ours = f"{self.run}-"
        verdict = compare(
            callers,
            [entry for entry in far_end if entry.get("call_id", "").startswith(ours)],
            [entry for entry in kept.entries if entry["call_id"].startswith(ours)],
        )
        connected_there = {
            (entry["call_id"], entry["attempt"]): entry["at_ms"]
            for entry in far_end
            if entry["event"] == "connected" and entry["call_id"].startswith(ours)
        }
        told = Told(self, read_calls(callers), verdict, kept, list(self._rig.deaths), lateness, connected_there)
        told.unsound_before = bool(self._rig.unsound)
        return told


class Window:
    """From when to when something was wrong; wall milliseconds."""

    def __init__(self, from_ms: int) -> None:
        self.from_ms = from_ms
        self.to_ms = from_ms


class Told:
    """What became of a burst."""

    def __init__(
        self,
        burst: Burst,
        calls: list[CallFelt],
        verdict: Verdict,
        kept: Kept,
        deaths: list[str],
        lateness: Mapping[str, Any],
        connected_there: Mapping[tuple[str, str], int],
    ) -> None:
        self.burst = burst
        self.calls = calls
        self.verdict = verdict
        self.kept = kept
        self.deaths = deaths
        self.lateness = lateness
        self.unsound_before = False
        self._connected_there = connected_there

    @property
    def calm(self) -> Delay:
        """From offer to ringing of those who rang before anything was wrong in this burst."""
        return calm(self.calls, self.burst.windows[0].from_ms)

    def troubles(self) -> list[str]:
        """What three witnesses and the books have against it; nothing lost, nobody connected twice: none."""
        columns = self.kept.books.real
        books = ""
        if not self.kept.books.sound and not self.unsound_before:
            counts = {str(outcome): count for outcome, count in columns.outcomes.items()}
            books = f"{columns.offered} offered, {counts}, {columns.connected_twice.count} connected twice"
        return [
            *map(str, self.verdict.disagreements),
            *([f"the books: {books}"] if books else []),
            *([f"{self.kept.unreadable} records of the journal cannot be read"] if self.kept.unreadable else []),
            *self.deaths,
        ]

    def check(self, excused: Collection[str] = (), *, overrun: bool = False) -> None:
        """Nothing is lost, nobody is connected twice, and no process died that was not killed."""
        troubles = [words for words in self.troubles() if words.partition(": ")[0] not in excused]
        assert not troubles, "\n".join(troubles)
        allowed = {"hung_up", "gave_up"} if self.burst.legs_max or overrun else {"hung_up"}
        turned_away = [call.call_id for call in self.calls if not call.durability and call.end not in allowed]
        assert not turned_away, f"never accepted, and did not leave by themselves: {turned_away}"
        assert self.verdict.accepted > 0

    def facts(self, *kinds: str, reason: str = "") -> list[Mapping[str, Any]]:
        """The journal's facts of this burst, of these kinds; with this reason, where one is asked for."""
        ours = f"{self.burst.run}-"
        return [
            entry
            for entry in self.kept.entries
            if entry["event"] == "fact"
            and entry["call_id"].startswith(ours)
            and entry["kind"] in kinds
            and (not reason or entry["reason"] == reason)
        ]

    def hit(self, window: Window) -> list[CallFelt]:
        """Those offered while it lasted, and those who were being set up when it began."""
        return [call for call in self.calls if offered_between(window.from_ms, window.to_ms)(call)]

    def unheard(self, window: Window) -> list[str]:
        """Calls that a PSAP took in the instant of the fault, whose acknowledgement nobody was left to carry.

        The caller confirmed, never heard `Connected` of that attempt, and was connected elsewhere: one caller, one
        conversation (P4), and a call-taker who found nobody on the line.
        """
        found = []
        for call in self.calls:
            heard = call.connected.attempt if call.connected else ""
            for attempt in call.confirmed:
                at_ms = self._connected_there.get((call.call_id, attempt))
                if heard and attempt != heard and at_ms is not None and abs(at_ms - window.from_ms) < INSTANT_MS:
                    found.append(call.call_id)
        return found

    def added(self, window: Window) -> Delay:
        """From offer to ringing of those who were hit, less the calm calls' middle."""
        return added(self.hit(window), self.calm.median_ms)

    def rings_again(self, window: Window, hit: Callable[[CallFelt], bool]) -> Delay:
        """From the fault (or the offer, if later) to the next ringing."""
        return to_ringing([call for call in self.calls if hit(call)], window.from_ms)

    def durabilities(self, window: Window) -> Counter[str]:
        """How well the first facts of those who were hit were kept, as they were told."""
        return Counter(call.durability for call in self.hit(window))

    def record(self, fault: str, **figures: Delay | Mapping[str, int]) -> None:
        """Prints the figures and adds them to build/failure-modes.json, with what a reader needs to judge them."""
        told = {name: value.as_json() if isinstance(value, Delay) else dict(value) for name, value in figures.items()}
        for name, value in figures.items():
            print(f"{fault}: {name.replace('_', ' ')}: {value if isinstance(value, Delay) else dict(value)}")
        kept = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
        kept[fault] = {
            **told,
            "calls_a_second": self.burst.calls_a_s,
            "seed": self.burst.seed,
            "callers_late_ms_max": self.lateness["offer_lag_ms_max"],
            "cores": os.cpu_count(),
            "load_average": round(os.getloadavg()[0], 1),
            "measured": time.strftime("%Y-%m-%d"),
            "command": "make failures" if LASTS > 1 else "make test",
        }
        FIGURES.parent.mkdir(exist_ok=True)
        FIGURES.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


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
