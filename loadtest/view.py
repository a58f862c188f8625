"""The live view of a run: where it stands, calls by outcome, the delay callers feel, what fails or died.

On a terminal it is redrawn four times a second, and fits one of 24 rows: there it shows the phases near this moment,
and of the two halves' tables the one of now. Elsewhere it is a line each few seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
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
from loadtest.story import COMPRESSION, HALF_S, Phase, phase_at
from loadtest.tables import deaths_table, failures_table, phases_table

REDRAW_EACH_S: Final = 0.25
LINE_EACH_S: Final = 5.0
TALL_ROWS: Final = 48
"""From here on there is room for every phase, both tables and what was said last."""
OTHER_ROWS: Final = (22, 18)
"""What all but the phases' rows take on a terminal that is not so tall, in the first half and in the second."""
PHASES_MIN: Final = 2
BAR_SPARE_COLUMNS: Final = 46


class View:
    """What a person sees while a run goes on."""

    def __init__(self, scene: Scene, heading: str, console: Console, *, plain: bool) -> None:
        self._plain = plain or not console.is_terminal
        self._scene = scene
        self._console = console
        self._heading = heading
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
        with Live(self.drawn(self._second()), console=self._console, auto_refresh=False, transient=True) as live:
            drawing = asyncio.ensure_future(self._draw(live))
            try:
                yield
            finally:
                drawing.cancel()

    async def _draw(self, live: Live) -> None:
        while True:
            live.update(self.drawn(self._second()), refresh=True)
            await asyncio.sleep(REDRAW_EACH_S)

    async def _tell(self) -> None:
        """Plain lines: what happens, and each few seconds how it stands."""
        told = 0.0
        seen: list[str] = []
        phases = self._scene.phases
        now = phases[0]
        while True:
            await asyncio.sleep(0.25)
            fresh = [words for words in self._scene.latest if words not in seen]
            seen = list(self._scene.latest)
            for words in fresh:
                self._console.print(words, highlight=False)
            at_s = self._second()
            if at_s is None:
                continue
            for phase in phases[phases.index(now) : phases.index(self._phase(at_s))]:
                whole = in_a_line(self._scene, phase)
                self._console.print(f"{at_s:5.1f} s  {phase.name}, as a whole: {whole}", highlight=False)
                now = phases[phases.index(phase) + 1]
                self._console.print(f"{at_s:5.1f} s  {now.name}: {now.text}", highlight=False)
            if at_s - told >= LINE_EACH_S:
                told = at_s
                self._console.print(f"{at_s:5.1f} s  {now.name}; so far {in_a_line(self._scene)}", highlight=False)

    def _phase(self, at_s: float) -> Phase:
        return phase_at(at_s, self._scene.phases)

    def _second(self) -> float | None:
        return self._scene.second(wall_ms()) if self._scene.began_ms else None

    # On a terminal.

    def drawn(self, at_s: float | None) -> Panel:
        """The whole picture at a second of the story; None: it has not begun."""
        if at_s is None:
            return Panel(Text("\n".join(self._steps)), title=self._heading, title_align="left")
        scene = self._scene
        parts: list[RenderableType] = [self._standing(at_s)]
        if self._console.height >= TALL_ROWS:
            parts += [phases_table(scene), failures_table(scene)]
            if scene.deaths:
                parts.append(deaths_table(scene))
            parts.append(Text("\n".join(scene.latest), style="dim"))
        else:
            second_half = at_s >= HALF_S and bool(scene.deaths)
            parts.append(phases_table(scene, self._near(at_s, self._console.height - OTHER_ROWS[second_half])))
            parts.append(deaths_table(scene) if second_half else failures_table(scene))
        return Panel(Group(*parts), title=self._heading, title_align="left")

    def _near(self, at_s: float, rows: int) -> Sequence[Phase]:
        """The phases that have begun, as many of the last as there is room for."""
        begun = [phase for phase in self._scene.phases if phase.from_s <= at_s]
        return begun[-max(rows, PHASES_MIN) :]

    def _standing(self, at_s: float) -> RenderableType:
        """Which phase it is, how far the whole is, and what happens now."""
        phases, now = self._scene.phases, self._phase(at_s)
        ends_s = phases[-1].to_s
        width = max(self._console.width - BAR_SPARE_COLUMNS, 10)
        line = Table.grid(padding=(0, 2))
        line.add_row(
            Text(now.name, style="bold"),
            Text(f"{phases.index(now) + 1} of {len(phases)}"),
            ProgressBar(total=ends_s, completed=min(at_s, ends_s), width=width),
            Text(f"{min(at_s, ends_s):.0f} of {ends_s:.0f} s"),
        )
        return Group(line, Text("the last callers are waited for" if at_s > ends_s else now.text, style="dim"))


def in_a_line(scene: Scene, phase: Phase | None = None) -> str:
    """Calls by outcome, and the delay that callers feel."""
    felt = scene.to_ringing(phase)
    delay = "-" if felt.median_ms is None else f"{felt.median_ms:,} ms in the middle, {felt.worst_ms:,} ms at worst"
    return f"{in_words(scene.outcomes(phase))}; to ringing {delay}"
