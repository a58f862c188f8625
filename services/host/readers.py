"""The tasks by which something is read for ever, and the followers that they read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from services.journal import Follower


class Readers:
    """Those of one part of a service. `ended` is told of each task that ends, whatever ended it: where that was not by
    `stop`, nobody reads on."""

    def __init__(self, ended: Callable[[asyncio.Task[None]], None]) -> None:
        self.stopping = False
        self._ended = ended
        self._followers: list[Follower] = []
        self._tasks: list[asyncio.Task[None]] = []

    def follow(self, *followers: Follower) -> None:
        """These are stopped before the tasks."""
        self._followers += followers

    def begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Begins a task."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    async def stop(self) -> None:
        """Follows no longer, and ends every task."""
        self.stopping = True
        for follower in self._followers:
            await follower.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
