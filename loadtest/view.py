"""The live view of a run: phases, calls by outcome, the delay callers feel, what fails and where its calls go.

On a terminal it is redrawn four times a second; elsewhere it is a line each few seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loadtest.diary import wall_ms
from loadtest.scene import Scene, in_words
from loadtest.story import COMPRESSION, PHASES, RECOVERY, Phase, phase_at
from loadtest.tables import failures_table, phases_table

REDRAW_EACH_S: Final = 0.25
LINE_EACH_S: Final = 5.0
TALL_ROWS: Final = 36
WIDE_COLUMNS: Final = 100


class View:
    """What a person sees while a run goes on."""

    def __init__(self, scene: Scene, seed: int, calls: int, console: Console, *, plain: bool) -> None:
        self._plain = plain or not console.is_terminal
        self._scene = scene
        self._console = console
        self._heading = f"Throughline, seed {seed}: {calls} callers in the storm of 24 February 2016"
        self._began = time.monotonic()
        self._steps: list[str] = []

    def step(self, words: str) -> None:
        """Something else is being started, or done."""
        words = f"set-up {time.monotonic() - self._began:4.1f} s  {words}"
        self._steps.append(words)
        if self._plain:
            self._console.print(words, highlight=False)

    @asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """Shows the run while the block runs."""
        self._console.print(self._heading, highlight=False)
        self._console.print(f"Compression: {COMPRESSION}.", highlight=False)
        if self._plain:
            telling = asyncio.ensure_future(self._tell())
            try:
                yield
            finally:
                telling.cancel()
            return
        # Redrawn by a task, not by rich's own thread: the scene changes in this thread alone.
        with Live(self._drawn(), console=self._console, auto_refresh=False, transient=True) as live:
            drawing = asyncio.ensure_future(self._draw(live))
            try:
                yield
            finally:
                drawing.cancel()

    async def _draw(self, live: Live) -> None:
        while True:
            live.update(self._drawn(), refresh=True)
            await asyncio.sleep(REDRAW_EACH_S)

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
                self._console.print(f"{at_s:5.1f} s  {phase_at(at_s).name}: {in_a_line(self._scene)}", highlight=False)

    def _second(self) -> float | None:
        return self._scene.second(wall_ms()) if self._scene.began_ms else None

    # On a terminal.

    def _drawn(self) -> Panel:
        at_s = self._second()
        if at_s is None:
            return Panel(Text("\n".join(self._steps)), title=self._heading, title_align="left")
        parts: list[RenderableType] = [self._phases(at_s), phases_table(self._scene), failures_table(self._scene)]
        if self._console.height >= TALL_ROWS:
            parts.append(Text("\n".join(self._scene.latest), style="dim"))
        return Panel(Group(*parts), title=self._heading, title_align="left")

    def _phases(self, at_s: float) -> Table:
        table = Table.grid(padding=(0, 2))
        now = phase_at(at_s)
        width = 24 if self._console.width >= WIDE_COLUMNS else 12
        for phase in PHASES:
            done = min(max(at_s - phase.from_s, 0.0), phase.to_s - phase.from_s)
            bar = ProgressBar(total=phase.to_s - phase.from_s, completed=done, width=width)
            over = phase is RECOVERY and at_s > RECOVERY.to_s
            text = "the last callers are waited for" if over else phase.text
            style = "bold" if phase is now else "dim"
            table.add_row(Text(phase.name, style=style), bar, Text(text, style=style))
        return table


def in_a_line(scene: Scene, phase: Phase | None = None) -> str:
    """Calls by outcome, and the delay that callers feel."""
    felt = scene.to_ringing(phase)
    delay = "-" if felt.median_ms is None else f"{felt.median_ms:,} ms in the middle, {felt.worst_ms:,} ms at worst"
    return f"{in_words(scene.outcomes(phase))}; to ringing {delay}"
