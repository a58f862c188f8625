"""Callers who call at their planned instants, whatever becomes of them: an open, seeded load for some seconds."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from chaos.crowds import IN_THE_MIDST_S, gathered, next_crowd
from chaos.felt import Window
from chaos.stage import COMES_UP_WITHIN_S, HUMANS, Stage
from loadtest.children import Outsider
from loadtest.diary import wall_ms
from loadtest.workload import PlannedCall, plan
from services.domain.offer import SOS_URN

FINISHES_WITHIN_S: Final = 40.0
OnEntry = Callable[[Mapping[str, Any]], None]


class Burst:
    """One process of callers. `run` begins each call_id, with a dash after it, and is this burst's alone. With `crowds`
    some of them dial in one instant (crowds.py)."""

    def __init__(
        self,
        stage: Stage,
        run: str,
        *,
        for_s: float,
        calls_a_s: int,
        seed: int,
        legs_max: int | None = None,
        crowds: bool = False,
    ) -> None:
        self.run = run
        self.seed = seed
        self.calls_a_s = calls_a_s
        self.legs_max = legs_max
        self.windows: list[Window] = []
        self.diary = stage.folder / f"{run}.caller.jsonl"
        seconds = [float(second) for second in range(math.ceil(for_s)) for _ in range(calls_a_s)]
        calls = plan(seconds, stage.region, seed=seed, run=run, service_urn=SOS_URN, source="faults")
        if crowds:
            calls = gathered(calls)
        self.planned: list[PlannedCall] = [call for call in calls if call.at_s < for_s]
        self._crowds = crowds
        self._aim = random.Random(repr((seed, "aim")))
        self._stage = stage
        self._for_s = for_s
        self._began = 0.0
        self._callers: Outsider

    async def ready(self, on_entry: OnEntry | None = None) -> None:
        """The callers' process is up. `on_entry` hears all that they see, as they see it."""
        written = self._stage.folder / f"{self.run}.plan.jsonl"
        written.write_text("".join(call.to_json() + "\n" for call in self.planned))
        self._callers = await Outsider.start(
            "originating",
            *("--plan", written, "--witness", self.diary, "--seed", str(self.seed), "--human-speed", str(HUMANS)),
            *(("--legs-max", str(self.legs_max)) if self.legs_max else ()),
            *(("--tell",) if on_entry else ()),
            log=self._stage.folder / f"{self.run}.caller.log",
            on_entry=on_entry or (lambda _: None),
        )
        await self._callers.told("ready", COMES_UP_WITHIN_S)

    def begin(self) -> None:
        """From now on they call."""
        self._callers.do(do="start", ingresses=self._stage.installation.addresses("ingress"))
        self._began = time.monotonic()

    def called(self) -> int:
        """How many should have dialled by now, redials apart."""
        if not self._began:
            return 0
        elapsed = time.monotonic() - self._began
        return sum(call.at_s <= elapsed for call in self.planned)

    def over(self) -> bool:
        """Whether its last caller has dialled."""
        return bool(self._began) and time.monotonic() >= self._began + self._for_s

    async def second(self, at_s: float) -> None:
        """Waits for this second of the burst."""
        await asyncio.sleep(max(0.0, self._began + at_s - time.monotonic()))

    async def crowd(self) -> list[PlannedCall]:
        """Waits for the next crowd, until its calls are being set up; returns them. Where there are none it does not
        wait."""
        if not self._crowds:
            return []
        instant_s = next_crowd(time.monotonic() - self._began)
        await self.second(instant_s + self._aim.uniform(0.0, IN_THE_MIDST_S))
        return [call for call in self.planned if call.at_s == instant_s]

    @contextmanager
    def struck(self) -> Iterator[Window]:
        """The time in which something is wrong, from the first line of the block to its last."""
        window = Window(wall_ms())
        self.windows.append(window)
        try:
            yield window
        finally:
            window.close(wall_ms())

    async def finished(self, within_s: float = FINISHES_WITHIN_S) -> Mapping[str, Any]:
        """Waits for the last caller; returns how late the callers' own process was. Raises ChildEnded."""
        try:
            return await self._callers.told("finished", within_s)
        finally:
            await self._callers.stop()

    async def stop(self) -> None:
        """Sends everybody home; after `ready`, at any time, twice too."""
        await self._callers.stop()
