"""The rig: a stage (chaos/stage.py) that serves many tests, and callers who go on calling while something is hurt.

One rig serves many tests, since it takes ten seconds to come up. Each test lets a burst of callers call in an open,
seeded load, hurts something in the middle, and makes it well again. What callers felt comes from their own diary
(chaos/felt.py); the verdict is that of the three witnesses, and of the books. Figures are printed and go to
build/failure-modes.json; `make failures` measures them with longer faults.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from chaos.bursts import FINISHES_WITHIN_S, OnEntry
from chaos.bursts import Burst as Callers
from chaos.felt import CallFelt, Delay, Window, added, calm, offered_between, read_calls, to_ringing
from chaos.stage import Stage, quiet_ports
from loadtest.books import Kept, read_journal
from loadtest.diary import read_diary
from loadtest.witness import Verdict, compare
from services.host.settings import ROOT
from services.journal.kafka import KafkaLog
from tests.system.faults.cable import Cable
from tests.system.takes import LASTS

NOISE = 3.0
"""A bound is asserted this many times over: two cores carry everything here, the callers included (takes.py)."""
CALLS_A_S = 8
CALM_S = 1.5
FAULT_S = 3.5 * LASTS
AFTER_S = 0.5
INSTANT_MS = 500
SETTLES_WITHIN_S = 20.0
FIGURES = ROOT / "build" / "failure-modes.json"


class Rig(Stage):
    """A stage for many bursts. The replica named by `cut_off` reaches Kafka through a cable that can be cut."""

    def __init__(
        self,
        folder: Path,
        *,
        brokers: int = 1,
        kafka_later: bool = False,
        settings: Mapping[str, str] | None = None,
        cut_off: str = "",
    ) -> None:
        self.bursts: Counter[str] = Counter()
        self.unsound: list[str] = []
        """Bursts that left the books unsound: what comes later is not blamed for them."""
        first = quiet_ports(2 * brokers + 2)
        behind, cable = first + 2 * brokers, first + 2 * brokers + 1
        self.cable = Cable(cable, behind)
        """On the way of `cut_off` alone to Kafka."""
        service = cut_off.rpartition("-")[0].replace("-", "_").upper()
        super().__init__(
            folder,
            brokers=brokers,
            kafka_port=first,
            aside=(behind, cable) if cut_off else None,
            kafka_later=kafka_later,
            settings=settings,
            own={cut_off: {f"THROUGHLINE_{service}_KAFKA": f"127.0.0.1:{cable}"}} if cut_off else None,
        )

    async def come_up(self) -> None:
        await self.cable.start()
        self.stack.push_async_callback(self.cable.close)
        await super().come_up()

    async def all_well(self) -> None:
        """Whatever an earlier test left down is started again."""
        for child in list(self.installation.children.values()):
            if not child.running():
                await self.installation.restart(child.name)
        await self.all_attached()

    async def burst(
        self,
        name: str,
        *,
        for_s: float,
        calls_a_s: int = CALLS_A_S,
        seed: int = 1,
        legs_max: int | None = None,
        on_entry: OnEntry | None = None,
    ) -> Burst:
        """Callers begin to call now; `name` begins each call_id, and from a test's second take on its number.
        `on_entry` hears all that callers see, as they see it.

        Whoever still talks from an earlier burst hangs up: call-takers are finite, and who finds none free is rung
        elsewhere, whatever a test does."""
        self.bursts[name] += 1
        again = f"-take{self.bursts[name]}" if self.bursts[name] > 1 else ""
        run = f"{name}{again}-{seed}"
        self.far_end.do(do="hang_up")
        burst = Burst(self, run, for_s=for_s, calls_a_s=calls_a_s, seed=seed, legs_max=legs_max)
        await burst.ready(on_entry)
        burst.begin()
        return burst


class Burst(Callers):
    """Callers, and what became of them."""

    def __init__(self, rig: Rig, run: str, **how: Any) -> None:
        super().__init__(rig, run, **how)
        self._rig = rig

    async def told(self, finishes_within_s: float = FINISHES_WITHIN_S) -> Told:
        """Waits for the last caller, and until the witnesses agree or have had the time to."""
        lateness = await self.finished(finishes_within_s)
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
        callers = read_diary(self.diary)
        far_end = read_diary(self._rig.far_end_diary)
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
