"""Virtual time: an asyncio event loop whose clock jumps to the next timer instead of waiting for it.

The real shells run on it unchanged, since `loop.time()` and asyncio's timers are their only clock. An hour of ringing
takes milliseconds, and the same code with the same seeds runs in the same order each time. What would wait for the
outside (a socket, a thread) is refused, and when nothing can ever happen again the run ends and says who waits for
what.

One loop carries many processes (`Process`), each with a queue of its own: what a process does runs in the order in
which asyncio would run it, and the seed says whose turn is next. A process can be paused, as by SIGSTOP, and killed, as
by SIGKILL: then not even its `finally` runs.
"""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Callable, Coroutine, Mapping
from contextvars import Context, copy_context
from heapq import heapify, heappop, heappush
from typing import Any, Final, NoReturn, TypeVar

from simulator.process import PROCESS, Handle, Process, State

__all__ = [
    "EPOCH_MS",
    "Process",
    "State",
    "Stuck",
    "VirtualLoop",
    "run_virtual",
    "running_loop",
    "virtual_wall_ms",
    "waiting",
]

T = TypeVar("T")

EPOCH_MS: Final = 1_456_318_800_000
"""Wall time at virtual second 0: 24 February 2016, 08:00 in Massachusetts."""
SPINS_MAX: Final = 1_000_000
"""Turns of processes within one instant before it counts as going round in circles."""
CANCELLED_MIN: Final = 200
"""Cancelled timers that stay in the heap at least, before they are cleared out."""


class Stuck(Exception):
    """The run cannot end well: a deadlock, no progress, or more virtual time than allowed."""


class VirtualLoop(asyncio.AbstractEventLoop):
    """An event loop under virtual time, which starts at 0 seconds and moves only when nothing is ready.

    `seed` says whose turn is next among the processes that have something to do.
    """

    def __init__(self, limit_s: float = 3600.0, seed: int = 0) -> None:
        self.limit_s = limit_s
        self.unhandled: list[Mapping[str, Any]] = []
        """What asyncio would only have logged: exceptions that nobody waited for."""
        self.runnable: list[Process] = []
        """The processes that have something to do now."""
        self.cancelled_timers = 0
        self._now_s = 0.0
        self._timers: list[tuple[float, int, Handle]] = []
        self._timers_made = 0
        self._choose = random.Random(seed)
        self._heard: Callable[..., object] | None = None
        self._running = self._stopping = self._closed = False
        self._outside = Process(self, "outside")

    # Time.

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now_s

    def wall_ms(self) -> int:
        """Virtual wall time in milliseconds since 1970; it moves with `time`."""
        return EPOCH_MS + round(self._now_s * 1000)

    def jump(self, ahead_s: float) -> None:
        """Moves the clock while something runs: it was held up for so long. Raises Stuck past the limit."""
        self._now_s += ahead_s
        if self._now_s > self.limit_s:
            raise Stuck(f"still running after {self.limit_s} virtual seconds; waiting:\n{waiting(self)}")

    # Processes.

    def process(self, name: str) -> Process:
        """A new process, which runs."""
        return Process(self, name)

    @property
    def outside(self) -> Process:
        """What belongs to no process of its own: the world."""
        return self._outside

    # What asyncio asks of a loop.

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Any:
        if context is None:
            context = copy_context()
        process = context.get(PROCESS, self._outside)
        handle = Handle(process, context, callback, args, -1.0)
        process.ready.append(handle)
        if not process.has_turn:
            self.give_turn(process)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Any:
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Any:
        if context is None:
            context = copy_context()
        handle = Handle(context.get(PROCESS, self._outside), context, callback, args, when if when > 0.0 else 0.0)
        self._timers_made = made = self._timers_made + 1
        heappush(self._timers, (when, made, handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        if context is None:
            context = copy_context()
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        process = context.get(PROCESS, self._outside)
        if process is not self._outside:
            process.note(task)
        return task

    def run_until_complete(self, future: Any) -> Any:
        running = asyncio.ensure_future(future, loop=self)
        running.add_done_callback(lambda _: self.stop())
        self.run_forever()
        if not running.done():
            raise RuntimeError("the loop was stopped before its end")
        return running.result()

    def run_forever(self) -> None:
        assert not self._running, "this loop runs already"
        self._running, self._stopping = True, False
        asyncio._set_running_loop(self)
        try:
            self._run()
        finally:
            asyncio._set_running_loop(None)
            self._running = False

    def stop(self) -> None:
        self._stopping = True

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True
        self._timers.clear()

    async def shutdown_asyncgens(self) -> None:
        """Nothing to do: the generators of what ran here end with it."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """There is none."""

    def get_debug(self) -> bool:
        return False

    def set_debug(self, enabled: bool) -> None:
        """There is nothing to switch on."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self._heard is None:
            self.unhandled.append(context)
        else:
            self._heard(self, context)

    def set_exception_handler(self, handler: Callable[..., object] | None) -> None:
        self._heard = handler

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> Any:
        """Refuses: a thread lives in real time."""
        raise AssertionError(f"no threads under virtual time, but {func!r} wants one: give it through a port")

    def create_server(self, *_: Any, **__: Any) -> NoReturn:
        """Refuses: a socket lives in real time."""
        raise AssertionError("no real sockets under virtual time: give it through a port")

    create_connection = create_server
    getaddrinfo = create_server

    # The heart of it.

    def give_turn(self, process: Process) -> None:
        """It has something to do."""
        if not process.has_turn and process.runs:
            process.has_turn = True
            self.runnable.append(process)

    def forget_turn(self, process: Process) -> None:
        """It has nothing to do, or may not do it."""
        if process.has_turn:
            process.has_turn = False
            self.runnable.remove(process)

    def _run(self) -> None:
        """A process has its turn: all that was ready when it began, as one round of asyncio's own loop. A timer that is
        due alone, while nothing else is to be done, is not queued first: it is half of all that happens."""
        runnable, timers, chance, spins = self.runnable, self._timers, self._choose.random, 0
        handle: Handle | None
        while not self._stopping:
            if not runnable:
                spins = 0
                self._to_next_timer()
                handle = timers[0][2]
                if handle.process.runs and not self._two_are_due():
                    heappop(timers)
                    handle.when_s = -1.0
                    self._call(handle)
                    handle = None
                    continue
            if timers and timers[0][0] <= self._now_s:
                self._ring_timers()
                continue
            spins += 1
            if spins > SPINS_MAX:
                raise Stuck(f"{SPINS_MAX} turns without time moving on; waiting:\n{waiting(self)}")
            among = len(runnable)
            process = runnable[int(chance() * among)] if among > 1 else runnable[0]
            ready = process.ready
            for _ in range(len(ready)):
                if not process.runs:
                    break
                handle = ready.popleft()
                if handle.callback is not None:
                    self._call(handle)
            handle = None  # what they hold is let go at once
            if process.has_turn and not process.ready:
                process.has_turn = False
                runnable.remove(process)

    def _call(self, handle: Handle) -> None:
        callback = handle.callback
        assert callback is not None, "what was cancelled is not called"
        try:
            handle.context.run(callback, *handle.args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as mistake:
            said = f"failed in a callback: {callback!r}"
            self.call_exception_handler({"message": said, "exception": mistake})

    def _two_are_due(self) -> bool:
        """Whether more than one timer is, cancelled ones among them."""
        timers, now_s = self._timers, self._now_s
        return (len(timers) > 1 and timers[1][0] <= now_s) or (len(timers) > 2 and timers[2][0] <= now_s)

    def _to_next_timer(self) -> None:
        """Nothing is ready: the clock moves on."""
        timers = self._timers
        if self.cancelled_timers > CANCELLED_MIN and self.cancelled_timers * 2 > len(timers):
            timers[:] = [each for each in timers if each[2].callback is not None]
            heapify(timers)
            self.cancelled_timers = 0
        while timers and timers[0][2].callback is None:
            heappop(timers)
            self.cancelled_timers -= 1
        if not timers:
            raise Stuck(f"deadlock: nothing is ready and no timer is left; waiting:\n{waiting(self)}")
        when_s = timers[0][0]
        if when_s > self._now_s:
            self.jump(when_s - self._now_s)
            self._now_s = max(self._now_s, when_s)  # not a hair less, whatever the sum came to

    def _ring_timers(self) -> None:
        """All that is due becomes ready."""
        timers, now_s = self._timers, self._now_s
        while timers and timers[0][0] <= now_s:
            handle = heappop(timers)[2]
            if handle.callback is None:
                self.cancelled_timers -= 1
                continue
            handle.when_s = -1.0  # it is in the heap no more
            process = handle.process
            process.ready.append(handle)
            if not process.has_turn and process.runs:
                process.has_turn = True
                self.runnable.append(process)


def waiting(loop: asyncio.AbstractEventLoop) -> str:
    """One line a task: its name and where it stands."""
    lines = []
    for task in sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name()):
        frames = task.get_stack(limit=1)
        where = f"{frames[-1].f_code.co_filename}:{frames[-1].f_lineno}" if frames else "not started"
        lines.append(f"  {task.get_name()}: {getattr(task.get_coro(), '__qualname__', '?')} at {where}")
    return "\n".join(lines) or "  no task"


def running_loop() -> VirtualLoop:
    """The virtual loop that runs now."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop), "virtual time needs run_virtual"
    return loop


def virtual_wall_ms() -> int:
    """The running loop's wall time: the `wall_ms` of a World under virtual time."""
    return running_loop().wall_ms()


def run_virtual(main: Coroutine[Any, Any, T], limit_s: float = 3600.0, seed: int = 0) -> T:
    """Runs `main` to its end under virtual time and returns what it returns.

    Raises what `main` raises, `Stuck` on a deadlock or past `limit_s` virtual seconds, and an ExceptionGroup when a
    task or callback failed and nobody waited for it.
    """
    loop = VirtualLoop(limit_s, seed)  # type: ignore[abstract]
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        result = runner.run(main)
    gc.collect(1)  # a lost task tells its exception when it is collected
    if loop.unhandled:
        failures = [context.get("exception") or Stuck(str(context["message"])) for context in loop.unhandled]
        raise BaseExceptionGroup("failed where nobody waited for it", failures)
    return result
