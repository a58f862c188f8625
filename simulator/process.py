"""What runs on the virtual loop: processes, each with a queue of its own, and the handles that stand in it.

A process is all that was started in its context. It can be paused, as by SIGSTOP, and killed, as by SIGKILL: then not
even its `finally` runs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import ReferenceType, ref

if TYPE_CHECKING:
    from simulator.virtual_loop import VirtualLoop

T = TypeVar("T")

TASKS_MIN: Final = 1_000
"""Tasks of a process that are remembered at least, before those that are gone are forgotten."""


class State(Enum):
    """Of a process."""

    RUNS = "runs"
    PAUSED = "paused"
    DEAD = "dead"


class Process:
    """One process on the loop: what was started in its context, and all that this starts in turn.

    `clock_ahead_ms` is how far its wall clock is ahead of true time; it can be changed at any moment.
    """

    __slots__ = (
        "_left",
        "_remembered_max",
        "_tasks",
        "clock_ahead_ms",
        "context",
        "has_turn",
        "loop",
        "name",
        "ready",
        "runs",
        "state",
    )

    def __init__(self, loop: VirtualLoop, name: str) -> None:
        self.name = name
        self.loop = loop
        self.state = State.RUNS
        self.runs = True
        """Whether its state is RUNS: asked for at each step, and an Enum's members are slow to name."""
        self.has_turn = False
        """Whether it stands among those that have something to do: once, also while its turn is under way."""
        self.clock_ahead_ms = 0
        self.ready: deque[Handle] = deque()
        self._tasks: list[ReferenceType[asyncio.Task[Any]]] = []
        self._remembered_max = TASKS_MIN
        self._left: list[asyncio.Task[Any]] = []
        self.context = copy_context()
        self.context.run(PROCESS.set, self)

    def start(self, work: Coroutine[Any, Any, T], name: str | None = None) -> asyncio.Task[T]:
        """A task of this process."""
        return self.loop.create_task(work, name=name, context=self.context.copy())

    def wall_ms(self) -> int:
        """Its own wall clock: milliseconds since 1970."""
        return self.loop.wall_ms() + self.clock_ahead_ms

    def pause(self) -> None:
        """It does nothing more, and holds on to all that it has, until it is told to go on."""
        if self.runs:
            self._turn_to(State.PAUSED)
            self.loop.forget_turn(self)

    def go_on(self) -> None:
        """Whatever came meanwhile is found waiting, timers that are over too."""
        if self.state is State.PAUSED:
            self._turn_to(State.RUNS)
            if self.ready:
                self.loop.give_turn(self)

    def kill(self) -> None:
        """It does nothing more, ever: no `finally`, no `except`. Its tasks are kept as they stand until the loop ends,
        so that not even the collector wakes them."""
        self._turn_to(State.DEAD)
        self.loop.forget_turn(self)
        self._left = self._alive()  # before the turns are dropped: they alone hold a task that has not begun
        for task in self._left:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        self.ready = deque(maxlen=0)  # takes nothing

    def note(self, task: asyncio.Task[Any]) -> None:
        """It has begun this task. Remembered weakly: to hear of each end would cost as much as the task."""
        self._tasks.append(ref(task))
        if len(self._tasks) > self._remembered_max:
            self._tasks = [ref(task) for task in self._alive()]
            self._remembered_max = max(TASKS_MIN, 2 * len(self._tasks))

    def _alive(self) -> list[asyncio.Task[Any]]:
        return [task for each in self._tasks if (task := each()) is not None and not task.done()]

    def _turn_to(self, state: State) -> None:
        self.state = state
        self.runs = state is State.RUNS


PROCESS: ContextVar[Process] = ContextVar("process")


class Handle:
    """As asyncio.Handle, without its debugging."""

    __slots__ = ("args", "callback", "context", "process", "when_s")

    def __init__(
        self,
        process: Process,
        context: Context,
        callback: Callable[..., Any],
        args: tuple[Any, ...],
        when_s: float,
    ) -> None:
        self.process = process
        self.context = context
        self.callback: Callable[..., Any] | None = callback
        """None: it was cancelled."""
        self.args = args
        self.when_s = when_s
        """Negative: it is not among the timers."""

    def cancel(self) -> None:
        if self.callback is not None:
            self.callback, self.args = None, ()  # what it held is let go at once, as asyncio does
            if self.when_s >= 0:
                self.process.loop.cancelled_timers += 1

    def cancelled(self) -> bool:
        return self.callback is None

    def when(self) -> float:
        return self.when_s
