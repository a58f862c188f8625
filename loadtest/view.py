"""The live view of a run: phases, calls by outcome, the delay callers feel, what fails and where its calls go.

On a terminal it is redrawn four times a second; elsewhere it is a line each few seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loadtest.diary import wall_ms
from loadtest.scene import FaultSeen, Scene, Went, each_phase, in_words
from loadtest.story import COMPRESSION, FAULT_TEXTS, PHASES, RECOVERY, phase_at

REDRAWS_A_SECOND: Final = 4
LINE_EACH_S: Final = 5.0
STEPS_MAX: Final = 3


class View:
    """What a person sees while a run goes on."""

    def __init__(self, scene: Scene, seed: int, calls: int, console: Console) -> None:
        self._scene = scene
        self._console = console
        self._heading = f"Throughline, seed {seed}: the storm of 24 February 2016, {calls} callers in Massachusetts"
        self._steps: list[str] = []
        self._live: Live | None = None

    def step(self, words: str) -> None:
        """Something else is being started, or done."""
        self._steps = [*self._steps[-STEPS_MAX + 1 :], words]
        if self._live is None:
            self._console.print(words, highlight=False)

    @asynccontextmanager
    async def shown(self, *, plain: bool) -> AsyncIterator[None]:
        """Shows the run while the block runs."""
        self._console.print(self._heading, highlight=False)
        self._console.print(f"Compression: {COMPRESSION}.", highlight=False)
        if plain or not self._console.is_terminal:
            telling = asyncio.ensure_future(self._tell())
            try:
                yield
            finally:
                telling.cancel()
            return
        with Live(
            get_renderable=self._drawn, console=self._console, refresh_per_second=REDRAWS_A_SECOND, transient=True
        ) as live:
            self._live = live
            try:
                yield
            finally:
                self._live = None

    async def _tell(self) -> None:
        """Plain lines: what happens, and each few seconds how it stands."""
        told = 0.0
        seen: list[str] = []
        while True:
            await asyncio.sleep(0.25)
            fresh = [words for words in self._scene.latest if words not in seen]
            seen = list(self._scene.latest)
            for words in fresh:
                self._console.print(words, highlight=False)
            at_s = self._second()
            if at_s is not None and at_s - told >= LINE_EACH_S:
                told = at_s
                self._console.print(f"{at_s:5.1f} s  {self._in_a_line()}", highlight=False)

    def _second(self) -> float | None:
        return self._scene.second(wall_ms()) if self._scene.began_ms else None

    def _in_a_line(self) -> str:
        at_s = self._second() or 0.0
        felt = self._scene.to_ringing()
        delay = "-" if felt.median_ms is None else f"{felt.median_ms:,} ms median, {felt.worst_ms:,} worst"
        return f"{phase_at(at_s).name}: {in_words(self._scene.outcomes())}; to ringing {delay}"

    # On a terminal.

    def _drawn(self) -> Panel:
        at_s = self._second()
        if at_s is None:
            return Panel(Text("\n".join(self._steps)), title=self._heading, title_align="left")
        parts = (self._phases(at_s), self._calls(), self._faults(), Text("\n".join(self._scene.latest), style="dim"))
        return Panel(
            Group(*parts), title=self._heading, title_align="left", subtitle=COMPRESSION, subtitle_align="left"
        )

    def _phases(self, at_s: float) -> Table:
        table = Table.grid(padding=(0, 2))
        now = phase_at(at_s)
        for phase in PHASES:
            done = min(max(at_s - phase.from_s, 0.0), phase.to_s - phase.from_s)
            bar = ProgressBar(total=phase.to_s - phase.from_s, completed=done, width=24)
            over = phase is RECOVERY and at_s > RECOVERY.to_s
            text = "the last callers are waited for" if over else phase.text
            style = "bold" if phase is now else "dim"
            table.add_row(Text(phase.name, style=style), bar, Text(text, style=style))
        return table

    def _calls(self) -> Table:
        table = Table(box=None, pad_edge=False)
        table.add_column("")
        for where in Went:
            table.add_column(str(where), justify="right")
        for heading in ("to ringing: median", "worst", "to an answer: median", "worst"):
            table.add_column(heading, justify="right")
        for phase in each_phase():
            went = self._scene.outcomes(phase)
            ringing, answer = self._scene.to_ringing(phase), self._scene.to_answer(phase)
            delays = (ringing.median_ms, ringing.worst_ms, answer.median_ms, answer.worst_ms)
            table.add_row(
                phase.name if phase is not None else "all",
                *(str(went[where] or "-") for where in Went),
                *("-" if delay is None else f"{delay:,} ms" for delay in delays),
            )
        return table

    def _faults(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for heading in ("PSAP", "state", "rang there", "while it fails", "since it is back"):
            table.add_column(heading)
        for fault in self._scene.faults.values():
            table.add_row(
                fault.stricken.name,
                _state(fault),
                in_words(self._scene.went_in_hand(fault)),
                in_words(self._scene.went_while(fault)),
                in_words(self._scene.went_after(fault)),
            )
        return table


def _state(fault: FaultSeen) -> Text:
    if fault.struck_s is not None and fault.healed_s is None:
        return Text(FAULT_TEXTS[fault.stricken.fault], style="bold red")
    return Text(fault.state, style="green" if fault.healed_s is not None else "")
