"""Asking a process to stop: from a signal, or from the thread that watches the parent, even before a loop runs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked for the stop, and how many seconds the calls in hand may take."""

    why: str
    grace_s: float


class Stop:
    """Asked once, from any thread; awaited in the loop."""

    def __init__(self) -> None:
        self._asked: Asked | None = None
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def ask(self, why: str, grace_s: float) -> bool:
        """Asks; returns False where it was asked before, which then stands."""
        if self._asked is not None:
            return False
        self._asked = Asked(why, grace_s)  # first this, then the wake-ups: `wait` looks in the other order
        for loop, event in list(self._waiting):
            loop.call_soon_threadsafe(event.set)
        return True

    @property
    def awaited(self) -> bool:
        """Whether anybody would hear of it: not before the loop runs."""
        return bool(self._waiting)

    async def wait(self) -> Asked:
        """Waits until it is asked."""
        event = asyncio.Event()
        entry = (asyncio.get_running_loop(), event)
        self._waiting.append(entry)
        try:
            while self._asked is None:
                await event.wait()
            return self._asked
        finally:
            self._waiting.remove(entry)
