"""What a replica does as long as it runs: tasks that nothing but its own end may end.

A part that ends all the same, by a mistake, by itself or as if somebody had cancelled it, is told and begun again after
a moment: a replica that is deaf, or looks no more, takes up no debt and would look well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from services.failover.mistakes import Mistakes

BEGIN_AGAIN_S: Final = 1.0
Run = Callable[[], Coroutine[Any, Any, None]]


class Ended(Exception):
    """A part is over that should not be; the message says how."""


class Parts:
    """See the module."""

    def __init__(self, mistakes: Mistakes) -> None:
        self._mistakes = mistakes
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping = False

    def begin(self, part: str, run: Run) -> None:
        """Runs it until `stop`."""
        if not self._stopping:
            self._tasks[part] = asyncio.get_running_loop().create_task(run(), name=part)
            self._tasks[part].add_done_callback(partial(self._over, part, run))

    def remarks(self) -> list[str]:
        """Those that do not run at this moment."""
        return [f"{part}: not at this moment" for part, task in self._tasks.items() if task.done()]

    async def stop(self) -> None:
        """Ends them all."""
        self._stopping = True
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()

    def _over(self, part: str, run: Run, task: asyncio.Task[None]) -> None:
        mistake = Ended("it was cancelled") if task.cancelled() else task.exception() or Ended("it came to its end")
        if not self._stopping and isinstance(mistake, Exception):
            self._mistakes.note(part, mistake)
            asyncio.get_running_loop().call_later(BEGIN_AGAIN_S, self.begin, part, run)
