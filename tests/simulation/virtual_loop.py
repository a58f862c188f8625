"""Virtual time: an asyncio event loop whose clock jumps to the next timer instead of waiting for it.

The real shells run on it unchanged, since `loop.time()` and asyncio's timers are their only clock. An hour of ringing
takes milliseconds, and the same code with the same seeds runs in the same order each time. What would wait for the
outside (a socket, a thread) is refused, and when nothing can ever happen again the run ends and says who waits for
what.
"""

from __future__ import annotations

import asyncio
import gc
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

T = TypeVar("T")

EPOCH_MS: Final = 1_456_318_800_000
"""Wall time at virtual second 0: 24 February 2016, 08:00 in Massachusetts."""
SPINS_MAX: Final = 1_000_000
"""Turns of the loop within one instant before it counts as going round in circles."""


class Stuck(Exception):
    """The run cannot end well: a deadlock, no progress, or more virtual time than allowed."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop under virtual time, which starts at 0 seconds and moves only when nothing is ready."""

    def __init__(self, limit_s: float = 3600.0) -> None:
        self._now_s = 0.0
        self.limit_s = limit_s
        self.unhandled: list[Mapping[str, Any]] = []
        """What asyncio would only have logged: exceptions that nobody waited for."""
        super().__init__(_JumpingSelector(self))
        self.set_exception_handler(lambda _, context: self.unhandled.append(context))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now_s

    def wall_ms(self) -> int:
        """Virtual wall time in milliseconds since 1970; it moves with `time`."""
        return EPOCH_MS + round(self._now_s * 1000)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        """Refuses: a thread lives in real time."""
        raise AssertionError(f"no threads under virtual time, but {func!r} wants one: give it through a port")

    def jump(self, ahead_s: float) -> None:
        """Moves the clock; raises Stuck past the limit."""
        self._now_s += ahead_s
        if self._now_s > self.limit_s:
            raise Stuck(f"still running after {self.limit_s} virtual seconds; waiting:\n{waiting(self)}")


class _JumpingSelector(selectors.BaseSelector):
    """Where a loop would wait for sockets until its next timer, this moves the loop's clock to that timer."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._keys: dict[Any, selectors.SelectorKey] = {}
        self._spins = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck(f"deadlock: nothing is ready and no timer is left; waiting:\n{waiting(self._loop)}")
        if timeout > 0:
            self._spins = 0
            self._loop.jump(timeout)
        else:
            self._spins += 1
            if self._spins > SPINS_MAX:
                raise Stuck(f"{SPINS_MAX} turns without time moving on; waiting:\n{waiting(self._loop)}")
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        # The loop's own wake-up socket comes first and is never needed: nobody wakes it from outside.
        assert not self._keys, f"no real sockets under virtual time, but {fileobj!r} wants one: give it through a port"
        key = self._keys[fileobj] = selectors.SelectorKey(fileobj, 0, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


def waiting(loop: asyncio.AbstractEventLoop) -> str:
    """One line a task: its name and where it stands."""
    lines = []
    for task in sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name()):
        frames = task.get_stack(limit=1)
        where = f"{frames[-1].f_code.co_filename}:{frames[-1].f_lineno}" if frames else "not started"
        lines.append(f"  {task.get_name()}: {getattr(task.get_coro(), '__qualname__', '?')} at {where}")
    return "\n".join(lines) or "  no task"


def virtual_wall_ms() -> int:
    """The running loop's wall time: the `wall_ms` of a World under virtual time."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop), "virtual wall time needs run_virtual"
    return loop.wall_ms()


def run_virtual(main: Coroutine[Any, Any, T], limit_s: float = 3600.0) -> T:
    """Runs `main` to its end under virtual time and returns what it returns.

    Raises what `main` raises, `Stuck` on a deadlock or past `limit_s` virtual seconds, and an ExceptionGroup when a
    task or callback failed and nobody waited for it.
    """
    loop = VirtualLoop(limit_s)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        result = runner.run(main)
    gc.collect(1)  # a lost task tells its exception when it is collected
    if loop.unhandled:
        failures = [context.get("exception") or Stuck(str(context["message"])) for context in loop.unhandled]
        raise BaseExceptionGroup("failed where nobody waited for it", failures)
    return result
