"""Runs one schedule: the installation comes up, people call, things go wrong, all heals, and what was seen is kept.

The digest is over everything that witnesses and journal say: two runs of one seed have the same, on any machine.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import random
import sys
import warnings
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import structlog

from services.domain.books import Books
from services.domain.fold import Outcome
from services.host.network.memory import MemoryNetwork
from services.journal import Record, Topic
from services.journal.memory import MemoryBroker
from simulator.cables import Cables
from simulator.injuries import FAMILIES, KINDS, Injury, Scene
from simulator.installation import SERVICE_OF, TRUNKS, Installation, addresses_of
from simulator.moments import Moments
from simulator.outside import Outside, Surroundings
from simulator.region import LINES, POSITIONS, PSAPS, texts, token_of
from simulator.replicas import SEGMENT, Ground
from simulator.schedule import Schedule
from simulator.settling import Said, Settling
from simulator.virtual_loop import EPOCH_MS, Stuck, VirtualLoop, running_loop, virtual_wall_ms

HUMANS: Final = 5.0
"""People are so many times as quick as in life."""
COMES_UP_S: Final = 1.5
"""From the first start to the first caller."""
LOOKS_EACH_S: Final = 1.0
SETTLES_WITHIN_S: Final = 60.0
"""From the last caller's end, and from the last injury's."""
LIMIT_S: Final = 400.0
PARTITIONS: Final = {Topic.CALLS: 3}
Counts = Mapping[str, Mapping[str, float]]
Disks = Mapping[str, Mapping[str, bytes]]
COUNTED_ON: Final = frozenset(
    {
        "throughline_failover_dials_total",
        "throughline_firewall_breaker_trips_total",
        "throughline_firewall_evaluators_started_total",
        "throughline_firewall_failed_open_total",
        "throughline_policy_not_taken_total",
        "throughline_policy_reverts_total",
        "throughline_failover_ingresses_silent",
        "throughline_ingress_attempts_failed_total",
        "throughline_ingress_calls_accepted_total",
        "throughline_ingress_journal_events_total",
        "throughline_ingress_neighbours_failed_total",
        "throughline_ingress_watchers",
        "throughline_ledger_behind_seconds",
        "throughline_ledger_store_troubles_total",
        "throughline_psap_gateway_doubts_total",
        "throughline_psap_gateway_psaps_attached",
        "throughline_psap_gateway_streams_ended_total",
        "throughline_region_not_served_total",
        "throughline_router_gateways_silent",
    }
)
"""The metrics whose course a checker asks for: to take all of them at each look would cost more than to check."""
GOES_ON: Final = frozenset({"roll", "joins", "steps"})
"""Kinds that go their own way when they have struck: another's healing ends none of them, and none strikes twice."""
AT_ONCE: Final = GOES_ON | {"reset", "half_open", "region_changed", "region_torn", "region_wrong"}
"""And those that are done when they strike: another kind's healing ends none of them."""
ALSO_OF: Final = {"isolated": "kafka", "policy_late": "kafka", "policy_burns": "evaluator"}
"""Kinds that hurt a part which another family's kinds hurt, too."""
FAMILY_OF: Final = {kind.name: family for family, kinds in FAMILIES.items() for kind in kinds}
_SILENT: Final = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(50)).bind()


@dataclass(frozen=True, slots=True)
class LedgerKept:
    """The ledger's own books: calls by (outcome, whether they are tests), and the callback list."""

    sums: Mapping[tuple[Outcome, bool], int]
    listed: Sequence[str]
    """The calls that are owed a callback; each should be there once."""


@dataclass(frozen=True, slots=True)
class Removed:
    """A file that a replica removed, and where each partition of `calls` ended in that instant."""

    name: str
    path: str
    data: bytes
    ends: Mapping[int, int]


@dataclass(slots=True)
class Observed:
    """What one run left."""

    schedule: Schedule
    struck: Sequence[Injury] = ()
    """What injuries that waited for their moment did in it, as injuries of the kinds that they are."""
    began_ms: int = 0
    """The virtual wall time of the schedule's second 0."""
    callers: Sequence[Mapping[str, Any]] = ()
    far_end: Sequence[Mapping[str, Any]] = ()
    journal: Sequence[Mapping[str, Any]] = ()
    """Facts and outcomes, as the comparer takes them."""
    records: Sequence[Record] = ()
    """All that came to `calls`, also what is past its retention."""
    screenings: Sequence[Record] = ()
    policies: Sequence[Record] = ()
    """All that came to `screenings`, and to `policy`."""
    books: Books | None = None
    ledger: LedgerKept | None = None
    """What the ledger's tables say at the end."""
    spools: Disks = field(default_factory=dict)
    """By replica: every file that lies on its disk at the end."""
    settled: bool = False
    """Whether all came to rest within its time."""
    unsettled: Sequence[str] = ()
    """What had not."""
    ends_s: float = 0.0
    mistakes: list[str] = field(default_factory=list)
    """What failed where nobody waited for it, and processes that ended though nobody hurt them."""
    alarms: Mapping[str, Sequence[Said]] = field(default_factory=dict)
    """By replica: all that it said against itself when it was asked, twice a second."""
    counts: Counts = field(default_factory=dict)
    """By replica: every metric of all its processes, by name and labels."""
    looks: list[tuple[float, Counts]] = field(default_factory=list)
    """Those of COUNTED_ON in the schedule's second in which an injury strikes or heals, just before it does, oldest
    first."""
    disks: list[Disks] = field(default_factory=list)
    """By replica, in the same instants: every file that lay on its disk."""
    removed: list[Removed] = field(default_factory=list)
    """Every segment that a replica took off its disk."""
    digest: str = ""

    @property
    def injuries(self) -> tuple[Injury, ...]:
        """All that was done to anybody."""
        return (*self.schedule.injuries, *self.struck)


def run(schedule: Schedule) -> Observed:
    """The whole of it. Never raises for what the services do: a mistake, a deadlock are things observed.

    Who has switched the garbage's collection off keeps what a run leaves, some 8 MB."""
    seen = Observed(schedule)
    seen.mistakes += virtually(lambda: _play(schedule, seen), schedule.seed, LIMIT_S)
    return seen


def virtually(main: Callable[[], Coroutine[Any, Any, None]], seed: int, limit_s: float) -> list[str]:
    """Runs it to its end on a loop of its own; says whether it got stuck, and what failed where nobody waited."""
    loop = VirtualLoop(limit_s, seed)  # type: ignore[abstract]
    mistakes = []
    collecting = gc.isenabled()
    gc.disable()  # nothing is collected in the middle, where it would run what a dead process left undone
    quiet, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        loop.run_until_complete(main())
    except Stuck as stuck:
        mistakes.append(str(stuck))
    finally:
        mistakes += [_told(context) for context in loop.unhandled]
        loop.close()
        del loop
        if collecting:
            with warnings.catch_warnings():  # a process that was killed has begun what it never came to await
                warnings.simplefilter("ignore", RuntimeWarning)
                gc.collect()  # what is left of every process, while nobody hears what its last words fail with
            gc.enable()
        sys.unraisablehook = quiet
    return mistakes


async def _play(schedule: Schedule, seen: Observed) -> None:
    loop = running_loop()
    by = random.Random(repr((schedule.seed, "run")))
    cables = Cables(random.Random(by.random()), SERVICE_OF.__contains__)
    network = cables.network = MemoryNetwork(links=cables)
    broker = MemoryBroker(virtual_wall_ms, PARTITIONS)

    def sees_off(name: str, path: Path, data: bytes) -> None:
        if path.suffix == SEGMENT and data:
            ends = {number: broker.partition(Topic.CALLS, number).end for number in broker.partitions(Topic.CALLS)}
            seen.removed.append(Removed(name, str(path), data, ends))

    installation = Installation(Ground(cables, broker, texts(), by, _SILENT, sees_off))
    outside = Outside(
        surroundings(),
        lambda who: network.host(who.rpartition(":")[0] or who),
        seed=schedule.seed,
        wall_ms=virtual_wall_ms,
        human_speed=HUMANS,
    )
    scene = Scene(installation, outside, cables, network, broker, by, Moments(broker, network.context), KINDS)
    outside.listen(scene.moments.tell)
    installation.start()
    await outside.start()
    await asyncio.sleep(COMES_UP_S)
    seen.began_ms = loop.wall_ms()
    hurting = asyncio.ensure_future(_hurt(schedule, scene, seen))
    settling = Settling(scene)
    scene.read_on = settling.read_on
    probing = asyncio.ensure_future(settling.probe())
    try:
        await outside.run(schedule.calls)
        await hurting
        await _settle(settling, seen)
    finally:
        hurting.cancel()
        probing.cancel()
        seen.ends_s = loop.time()
        _look(scene, settling, seen)
        installation.close()


def surroundings() -> Surroundings:
    """Everybody who is there in every run."""
    return Surroundings(
        positions=POSITIONS,
        credentials={psap_id: token_of(psap_id) for psap_id in PSAPS},
        lines=LINES,
        gateways=addresses_of("psap_gateway"),
        ingresses=addresses_of("ingress"),
        trunks=TRUNKS,
    )


async def _hurt(schedule: Schedule, scene: Scene, seen: Observed) -> None:
    """Strikes and heals at the schedule's instants."""
    loop = running_loop()
    began_s = loop.time()
    todo = [(each.at_s, 1, n, each) for n, each in enumerate(schedule.injuries)]
    todo += [(each.at_s + each.lasts_s, 0, n, each) for n, each in enumerate(schedule.injuries)]
    standing: list[Injury] = []
    for at_s, strikes, _, injury in sorted(todo, key=lambda each: each[:3]):
        await asyncio.sleep(max(0.0, began_s + at_s - loop.time()))
        seen.looks.append((at_s, _counted(scene, COUNTED_ON)))
        seen.disks.append(_on_disks(scene))
        kind = KINDS[injury.kind]
        if strikes:
            standing.append(injury)
            kind.strike(scene, injury)
        else:
            standing.remove(injury)
            told = len(scene.done)
            kind.heal(scene, injury)
            healed = (injury, *scene.done[told:])
            for other in standing:  # what hits the same part goes on
                if any(hits_the_same(other, each) for each in healed):
                    KINDS[other.kind].strike(scene, other)


def hits_the_same(other: Injury, healed: Injury) -> bool:
    """Whether that healing healed this one too: two kinds of a family do the same part ill, and who is cut off from
    everybody is one end of every way."""
    unlike = other.kind != healed.kind
    same = other.kind not in (AT_ONCE if unlike else GOES_ON) and bool(_families(other) & _families(healed))
    everybodys = "network" in _families(other) & _families(healed) and 1 in (len(other.targets), len(healed.targets))
    return same and (everybodys or bool(set(other.targets) & set(healed.targets)))


def _families(injury: Injury) -> set[str]:
    return {FAMILY_OF[injury.kind], ALSO_OF.get(injury.kind, FAMILY_OF[injury.kind])}


async def _settle(settling: Settling, seen: Observed) -> None:
    """Waits until all has come to rest, or its time is over: nothing is to be done, and no fact has come since the last
    look, so that whoever reads the journal has read it."""
    loop = running_loop()
    ends_s = loop.time() + SETTLES_WITHIN_S
    facts = -1
    while not seen.settled and loop.time() < ends_s:
        await asyncio.sleep(LOOKS_EACH_S)
        seen.unsettled = settling.unsettled()
        seen.settled = not seen.unsettled and settling.reading.facts == facts
        facts = settling.reading.facts


def _look(scene: Scene, settling: Settling, seen: Observed) -> None:
    began_s = (seen.began_ms - EPOCH_MS) / 1000
    seen.struck = [replace(each, at_s=each.at_s - began_s) for each in scene.done]
    kept = settling.read_on().kept()
    seen.records = settling.records
    seen.screenings, seen.policies = scene.broker.records(Topic.SCREENINGS), scene.broker.records(Topic.POLICY)
    seen.alarms = settling.alarms
    seen.callers, seen.far_end, seen.journal = scene.outside.callers, scene.outside.far_end, kept.entries
    seen.books = kept.books
    for name, replica in scene.installation.replicas.items():
        seen.mistakes += [f"{name} ended: {type(each).__name__}: {each}" for each in replica.failures]
    store = scene.installation.store
    if store is not None:
        seen.ledger = LedgerKept(store.sums(), [call.call_id for call in store.callbacks()])
    seen.spools = _on_disks(scene)
    seen.counts = _counted(scene)
    seen.digest = _digest(seen)


def _counted(scene: Scene, only: Collection[str] = ()) -> Counts:
    return {name: replica.counts(only) for name, replica in scene.installation.replicas.items()}


def _on_disks(scene: Scene) -> Disks:
    return {
        name: {str(path): bytes(data) for path, data in replica.disk.files.items()}
        for name, replica in scene.installation.replicas.items()
        if replica.disk.files
    }


def _digest(seen: Observed) -> str:
    whole = hashlib.sha256()
    for entry in (*seen.callers, *seen.far_end):
        whole.update(json.dumps(entry, sort_keys=True).encode())
    for record in seen.records:
        whole.update(record.value)
    whole.update(f"{seen.ends_s:.6f} {seen.settled}".encode())
    return whole.hexdigest()[:16]


def _told(context: Mapping[str, Any]) -> str:
    mistake = context.get("exception")
    return f"{context['message']}: {type(mistake).__name__}: {mistake}" if mistake else str(context["message"])


def seconds_of(seen: Observed, at_ms: int) -> float:
    """The schedule's second of a virtual wall time."""
    return (at_ms - seen.began_ms) / 1000
