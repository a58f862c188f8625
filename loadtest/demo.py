"""The demonstration: a whole installation with a real Kafka on this machine, the storm, what fails and dies in it, a
bad policy, and three witnesses.

Everything that runs is a child process and ends with this one, however it ends: services and Kafka hold its lifeline,
callers and far end the pipe to their standard input, and a keeper removes the folder.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploy.kafka import Cluster
from loadtest.books import Kept, read_journal
from loadtest.call_told import Entry
from loadtest.children import Outsider
from loadtest.deaths import Conducted
from loadtest.diary import Diary, read_diary, wall_ms
from loadtest.lie import without_one
from loadtest.policy_push import PolicyPush
from loadtest.policy_pushed import PushTold, judge
from loadtest.region_tables import RegionTables
from loadtest.scene import Scene
from loadtest.storm import Storm
from loadtest.story import (
    ARRIVALS,
    FIRST_HALF,
    HUMANS,
    PHASES,
    RESTART_AFTER_S,
    RING_TIMEOUT_MS,
    callers_again,
    choose_stricken,
    twice_over,
)
from loadtest.witness import Verdict, compare
from loadtest.workload import STORM as TRACE
from loadtest.workload import PlannedCall, plan, read_trace
from services.domain.offer import SOS_URN
from services.host.lifeline import Lifeline, wrapped
from services.journal.kafka import KafkaLog
from services.journal.kafka_topics import apply
from services.launch.child import Child
from services.launch.credentials import POLICY_KEYS, operators
from services.launch.installation import Installation

SOURCE: Final = "demo"
LISTENS_WITHIN_S: Final = 20.0
ATTACHED_WITHIN_S: Final = 20.0
STOPS_WITHIN_S: Final = 8.0
FOLDER_WITHIN_S: Final = 5.0
PROCESSES: Final = {"caller": "originating", "far-end": "far_end"}

Say = Callable[[str], None]
OnEntry = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for. `lie` names a witness whose account is to lose one record; `folder` is kept if given; `short`
    leaves out the second half, in which processes die."""

    seed: int
    lie: str | None
    folder: Path | None
    short: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """The whole run, as the report tells it. `missing` is what the lie left out."""

    wanted: Wanted
    scene: Scene
    kept: Kept
    verdict: Verdict
    missing: Entry | None
    generator: Mapping[str, Any]
    deaths: tuple[str, ...]
    """Services that ended though nobody had killed them, with their last lines."""
    set_up_s: float
    took_s: float
    push: PushTold | None = None
    """None in the first half alone, where no policy is pushed."""

    @property
    def sound(self) -> bool:
        """Every accepted call is accounted for by three witnesses, the books balance, no service died by itself, and a
        bad policy did no more than it may."""
        kept = self.kept.books.sound and not self.kept.unreadable
        contained = self.push is None or self.push.held
        return not self.verdict.disagreements and kept and not self.deaths and contained


class Demo:
    """One run. `scene` is there as soon as it is made, for a live view; `say` gets a line for each step."""

    def __init__(self, wanted: Wanted, say: Say) -> None:
        self.region = RegionTables()
        self.calls = _plan(self.region, wanted)
        self.stricken = choose_stricken(self.calls, self.region)
        self.scene = Scene(self.region, self.stricken, FIRST_HALF if wanted.short else PHASES)
        self.wanted = wanted
        self._say = say
        self._lifeline = Lifeline()
        self._deaths: list[str] = []

    async def run(self) -> Told:
        """Tells the story; raises ChildFailed, ChildEnded, CannotStart or NoJournal where it cannot."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with AsyncExitStack() as stack:
            stack.callback(self._lifeline.close)
            folder = await stack.enter_async_context(self._folder())
            installation, callers, far_end, cluster = await self._start(stack, folder)
            gateways = installation.addresses("psap_gateway")
            far_end.do(do="attach", gateways=gateways)
            streams = len(self.region.psap_names) * len(gateways)
            await far_end.told("attached", ATTACHED_WITHIN_S, streams=streams)
            set_up_s = loop.time() - began
            self._say(f"{len(self.region.psap_names)} PSAPs attached to {len(gateways)} gateways; the storm begins")
            push: PolicyPush | None = None
            if self.scene.push is not None:
                push = PolicyPush(self.scene, self.scene.push, installation, self._lifeline, folder)
            generator = await Storm(self.scene, callers, far_end, installation, cluster, push).run()
            await asyncio.gather(callers.stop(), far_end.stop())
            await installation.stop(STOPS_WITHIN_S)
            log = KafkaLog(cluster.bootstrap, client_id="demo-witness")
            try:
                kept = await read_journal(log)
            finally:
                await log.close()
            self.scene.conducted = Conducted.told_by(kept.entries)
            verdict, missing = self._compare(folder, kept)
            seen = self.scene.push
            pushed = None if seen is None else judge(seen, self.scene.calls, kept.entries)
            took_s = loop.time() - began
        deaths = tuple(self._deaths)
        return Told(self.wanted, self.scene, kept, verdict, missing, generator, deaths, set_up_s, took_s, pushed)

    # Coming up.

    @asynccontextmanager
    async def _folder(self) -> AsyncIterator[Path]:
        """The run's own folder: removed with this process, unless it was asked for by name."""
        if self.wanted.folder is not None:
            await asyncio.to_thread(self.wanted.folder.mkdir, parents=True, exist_ok=False)
            yield self.wanted.folder
            return
        folder = Path(tempfile.gettempdir()) / f"throughline-demo-{os.getpid()}-{secrets.token_hex(4)}"
        self._lifeline.spawn(wrapped([], remove=folder))
        async with asyncio.timeout(FOLDER_WITHIN_S):
            while not folder.is_dir():  # noqa: ASYNC110 - the keeper makes it
                await asyncio.sleep(0.01)
        yield folder

    async def _start(self, stack: AsyncExitStack, folder: Path) -> tuple[Installation, Outsider, Outsider, Cluster]:
        """Kafka, callers and far end at once; then the services, which must know Kafka and the trunk."""
        self._say("starting Kafka, the callers and the far end")
        cluster = Cluster(folder / "kafka", lifeline=self._lifeline, scratch=True, say=self._say)
        stack.push_async_callback(asyncio.to_thread, cluster.close)
        (folder / "plan.jsonl").write_text("".join(call.to_json() + "\n" for call in self.calls))
        callers, far_end, kafka = await asyncio.gather(
            self._outsider(stack, folder, "caller", self._hear_callers, "--plan", folder / "plan.jsonl", "--tell"),
            self._outsider(stack, folder, "far-end", self.scene.hear_far_end, "--tokens", folder / "tokens"),
            asyncio.to_thread(cluster.start),
        )
        await apply(kafka)
        self._say(f"Kafka serves at {kafka}; starting the services")
        installation = Installation(
            folder,
            self._lifeline,
            kafka=kafka,
            region_dir=self.region.folder,
            trunks=[(await far_end.told("listening", LISTENS_WITHIN_S))["trunk"]],
            settings={
                "THROUGHLINE_INGRESS_RING_TIMEOUT_MS": str(RING_TIMEOUT_MS),
                POLICY_KEYS: str(operators(folder)[1]),
            },
            restart_after_s=RESTART_AFTER_S,
            on_death=self._on_death,
        )
        stack.push_async_callback(installation.stop, STOPS_WITHIN_S)
        await installation.start()
        await callers.told("ready", LISTENS_WITHIN_S)
        return installation, callers, far_end, cluster

    async def _outsider(
        self, stack: AsyncExitStack, folder: Path, witness: str, on_entry: OnEntry, *arguments: str | Path
    ) -> Outsider:
        outsider = await Outsider.start(
            PROCESSES[witness],
            *("--witness", folder / f"{witness}.jsonl", "--seed", str(self.wanted.seed)),
            *("--human-speed", str(HUMANS), *arguments),
            log=folder / f"{witness}.log",
            on_entry=on_entry,
        )
        stack.push_async_callback(outsider.stop)
        return outsider

    def _hear_callers(self, entry: Mapping[str, Any]) -> None:
        if "call_id" in entry:
            self.scene.hear_caller(entry)

    def _on_death(self, child: Child) -> None:
        self._deaths.append(f"{child.name} ended with exit code {child.process.returncode}; {child.last_lines()}")
        self.scene.say(wall_ms(), f"{child.name} ended by itself")

    # The verdict.

    def _compare(self, folder: Path, kept: Kept) -> tuple[Verdict, Entry | None]:
        """Joins the witnesses' accounts; one of them less a record, where a lie was asked for."""
        accounts: dict[str, list[Entry]] = {
            "caller": list(read_diary(folder / "caller.jsonl")),
            "far-end": list(read_diary(folder / "far-end.jsonl")),
            "journal": list(kept.entries),
        }
        with Diary(folder / "journal.jsonl", "journal") as diary:
            for entry in kept.entries:
                diary.write(entry["event"], **{key: value for key, value in entry.items() if key != "event"})
        missing: Entry | None = None
        if self.wanted.lie is not None:
            accounts[self.wanted.lie], missing = without_one(
                self.wanted.lie, accounts[self.wanted.lie], self.wanted.seed
            )
        return compare(accounts["caller"], accounts["far-end"], accounts["journal"]), missing


def _plan(region: RegionTables, wanted: Wanted) -> list[PlannedCall]:
    trace_s = read_trace(TRACE)
    run = f"storm-{wanted.seed}"
    calls = plan(
        trace_s if wanted.short else twice_over(trace_s),
        region,
        seed=wanted.seed,
        run=run,
        speed=ARRIVALS,
        service_urn=SOS_URN,
        source=SOURCE,
    )
    return calls if wanted.short else [*calls, *callers_again(calls, run)]
