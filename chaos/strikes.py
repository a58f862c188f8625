"""How each kind of strike is done to a stage, and undone."""

from __future__ import annotations

import asyncio
import os
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from chaos.checker import Stood
from chaos.felt import Window
from chaos.links import CUT, Impairment, Links, mount_tmpfs, unmount
from chaos.schedule import EVERYBODY, KAFKA, NEEDS_NAMESPACES, Kind, Strike
from chaos.stage import KafkaMissed, Stage
from loadtest.diary import wall_ms
from services.host.settings import load
from services.ingress.settings import IngressSettings
from services.journal.journal import GATHER_S
from services.journal.safekeeping import WITHIN_S
from services.launch.child import Child

ENDS_WITHIN_S: Final = 10.0
BACK_WITHIN_S: Final = 60.0
DELAY: Final = Impairment(delay_ms=250.0, jitter_ms=150.0)
LOSS: Final = Impairment(loss=0.2)
ROOM: Final = "1m"
LEFT_BYTES: Final = 4096
"""What is left of it: for the facts of a call or two."""
FILLER: Final = "filler"
FAKETIME: Final = tuple(Path("/usr").glob("lib*/**/faketime/libfaketimeMT.so.1"))
JUMP_S: Final = 3600


class Striker:
    """Strikes at one stage. `links` is None where there are no namespaces."""

    def __init__(self, stage: Stage, links: Links | None) -> None:
        self._stage = stage
        self._links = links
        self.kills: Counter[str] = Counter()
        self.killed: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        """Names of the processes that were killed, and from when to when they said what may have died with them."""
        self.stood: list[Stood] = []
        self.troubles: list[str] = []
        """What should not have been, since somebody last took it from here."""
        self.backfilled_s: float | None = None
        """How long it took after Kafka's last return."""
        self.kafka_up = asyncio.Event()
        self.kafka_up.set()

    def why_not(self, kind: Kind) -> str:
        """Why a kind cannot be done here; empty where it can."""
        if kind in NEEDS_NAMESPACES and self._links is None:
            return "no network namespaces here"
        if kind is Kind.CLOCK_JUMP and not FAKETIME:
            return "no libfaketime here (Debian: faketime)"
        return ""

    @asynccontextmanager
    async def struck(self, strike: Strike, window: Window) -> AsyncIterator[None]:
        """Does it at the beginning of the block, and makes it well at its end. The window is closed where something is
        waited for that hurts nobody."""
        match strike.kind:
            case Kind.CALM:
                yield
            case Kind.KILL:
                await self._kill(strike.victim, window)
                yield
            case Kind.BROKER_KILL:
                self.kills["broker"] += 1
                await asyncio.to_thread(self._stage.cluster.kill, int(strike.victim))
                yield
                await asyncio.to_thread(self._stage.cluster.start_again, int(strike.victim))
            case Kind.PAUSE:
                async with self._stands_still(strike.victim):
                    yield
            case Kind.BROKER_PAUSE:
                self._stage.cluster.pause(int(strike.victim))
                try:
                    yield
                finally:
                    self._stage.cluster.go_on(int(strike.victim))
            case Kind.DELAY | Kind.LOSS | Kind.CUT_ONE_WAY | Kind.CUT_BOTH_WAYS:
                async with self._impaired(strike):
                    yield
            case Kind.SPOOL_FULL:
                async with self._without_room(strike.victim) as filler, self._without_kafka(window):
                    yield
                    filler.unlink()  # there is room again before Kafka is back
            case Kind.KAFKA_GONE:
                async with self._without_kafka(window):
                    yield
            case Kind.CLOCK_JUMP:
                async with self._clock_jumps(strike.victim, strike.lasts_s / 2):
                    yield
            case Kind.ROLLING_RESTART:
                await self._roll()
                yield

    async def all_well(self) -> None:
        """Waits until every process serves and every PSAP is attached; raises TimeoutError."""
        for name in list(self._stage.installation.children):
            await self._stage.installation.back(name, BACK_WITHIN_S)
        await self._stage.all_attached()

    async def well(self, name: str) -> None:
        """Waits until neither it nor its sibling is still coming back from the last strike; raises TimeoutError."""
        for child in self._stage.installation.of(self._stage.installation.children[name].service):
            await self._stage.installation.back(child.name, BACK_WITHIN_S)

    async def _kill(self, name: str, window: Window) -> None:
        self.kills[self._stage.installation.children[name].service] += 1
        await self._stage.installation.kill(name)
        self.killed[name].append(unwritten(window.from_ms, wall_ms()))

    @asynccontextmanager
    async def _stands_still(self, name: str) -> AsyncIterator[None]:
        child = self._stage.installation.children[name]
        from_ms = wall_ms()
        await self._stage.installation.pause(name)
        try:
            yield
        finally:
            to_ms = wall_ms()
            await self._stage.installation.go_on(name)
            self.stood.append(Stood(name, child.service, child.address, from_ms, to_ms))

    @asynccontextmanager
    async def _without_kafka(self, window: Window) -> AsyncIterator[None]:
        cluster = self._stage.cluster
        self.kafka_up.clear()
        window.from_ms = wall_ms()
        for node in cluster.nodes:
            self.kills["broker"] += 1
            await asyncio.to_thread(cluster.kill, node.number)
        yield
        await asyncio.to_thread(cluster.start_all_again)
        window.close(wall_ms())
        self.kafka_up.set()
        try:
            self.backfilled_s = await self._stage.nobody_misses_kafka()
        except KafkaMissed as missed:  # said, and everybody is made well all the same
            self.troubles.append(str(missed))

    @asynccontextmanager
    async def _impaired(self, strike: Strike) -> AsyncIterator[None]:
        assert self._links is not None, "asked for without namespaces"
        how = {Kind.DELAY: DELAY, Kind.LOSS: LOSS}.get(strike.kind, CUT)
        for peer in self._peers(strike):
            self._links.impair(strike.victim, peer, how)
            if strike.kind is not Kind.CUT_ONE_WAY:
                self._links.impair(peer, strike.victim, how)
        try:
            yield
        finally:
            self._links.mend()

    def _peers(self, strike: Strike) -> Iterator[str]:
        if strike.peer in (KAFKA, EVERYBODY):
            yield KAFKA
        for child in self._stage.installation.children.values():
            if child.name != strike.victim and strike.peer in (child.service, EVERYBODY):
                yield child.name

    @asynccontextmanager
    async def _without_room(self, name: str) -> AsyncIterator[Path]:
        """Its spool is on a disk of its own that is all but full, of the file that is yielded."""
        spool = self._stage.folder / "spool" / name
        children = self._stage.installation.children
        await self._end(children[name])
        spool.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(mount_tmpfs, spool, "-o", f"size={ROOM}")
        try:
            free = os.statvfs(spool)
            filler = spool / FILLER
            filler.write_bytes(bytes(free.f_bavail * free.f_frsize - LEFT_BYTES))
            await self._stage.installation.restart(name)
            yield filler
            await self._end(children[name])
        finally:
            await asyncio.to_thread(unmount, spool)
        await self._stage.installation.restart(name)

    @asynccontextmanager
    async def _clock_jumps(self, name: str, back_after_s: float) -> AsyncIterator[None]:
        """An hour forward, later an hour back; its wall clock alone: timers go by the monotonic clock, which nobody
        sets."""
        clock = self._stage.folder / f"{name}.clock"
        clock.write_text("+0\n")
        child = self._stage.installation.children[name]
        await self._end(child)
        await self._stage.installation.restart(
            name,
            LD_PRELOAD=str(FAKETIME[0]),
            FAKETIME_TIMESTAMP_FILE=str(clock),
            FAKETIME_NO_CACHE="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
        )
        _replace(clock, f"+{JUMP_S}\n")
        asyncio.get_running_loop().call_later(back_after_s, _replace, clock, f"-{JUMP_S}\n")
        yield
        await self._end(self._stage.installation.children[name])
        await self._stage.installation.restart(name)

    async def _end(self, child: Child) -> None:
        code = await child.end(ENDS_WITHIN_S)
        if code != 0:
            self.troubles.append(f"{child.name} was told to stop, and ended with {code}; {child.last_lines()}")

    async def _roll(self) -> None:
        installation = self._stage.installation
        for number in (1, 2):
            children = [child for child in installation.children.values() if child.name.endswith(f"-{number}")]
            await asyncio.gather(*map(self._end, children))
            await asyncio.gather(*(installation.restart(child.name) for child in children))
            await self._stage.all_attached()


def unwritten(struck_ms: int, dead_ms: int) -> tuple[float, float]:
    """From when to when a process that was killed said what may have been in its memory alone."""
    return struck_ms - in_memory_ms(), dead_ms


def in_memory_ms() -> int:
    """What was said so long before is on the log or on a disk (J4, J5): it is gathered, then given to the log, and when
    its budget is over to the spool, which has a bound as well."""
    return round((GATHER_S + WITHIN_S) * 1000) + load(IngressSettings).append_budget_ms


def _replace(path: Path, text: str) -> None:
    """In one step: who reads it meanwhile finds the old text or the new."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)
