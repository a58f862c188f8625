"""The port for work that blocks, such as SQL: in a thread in production, at once in tests and the simulator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class RunBlocking(Protocol):
    """Runs `work` to its end, returns what it returns and raises what it raises. Cancelling does not stop the work."""

    async def __call__(self, work: Callable[[], T]) -> T: ...


async def in_thread(work: Callable[[], T]) -> T:
    """In a thread, so that the event loop goes on meanwhile."""
    return await asyncio.to_thread(work)


async def at_once(work: Callable[[], T]) -> T:
    """In place: the event loop stands still meanwhile, and virtual time with it."""
    return work()
