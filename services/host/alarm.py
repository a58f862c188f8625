"""A timer that comes at the earliest of the moments it was set to.

Most deadlines move on before they come: setting a timer anew for each would cost more than letting one come too early,
which its owner sees from its deadlines and answers by setting it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Alarm:
    """One timer of the running loop. It keeps its own moment: not every loop's handles tell theirs."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def no_later_than(self, at: float | None) -> None:
        """Comes at `at` (the loop's time), or before it if it was set earlier. None: nothing is waited for any more."""
        if self._timer is not None:
            if at is not None and self._at <= at:
                return
            self.clear()
        if at is not None:
            self._at = at
            self._timer = asyncio.get_running_loop().call_at(at, self._come)

    @property
    def is_set(self) -> bool:
        """Whether it will come."""
        return self._timer is not None

    def clear(self) -> None:
        """Comes no more, until it is set again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _come(self) -> None:
        self._timer = None
        self._ring()
