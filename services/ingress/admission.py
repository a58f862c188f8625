"""Which calls an ingress sets up now, which wait for their turn, and which get none (protocol.md L1).

More calls at once than it can carry would make each of them slower than its budgets, and a budget that runs out costs
another attempt: an overloaded ingress would spend itself on attempts that nobody needs. So a call takes one of some
places, held from screening to the first ringing, and given back earlier by a call that turns to lines: it then waits
for others, not for us. Who finds none waits, oldest first, in a room of so many calls; for how long is the machine's
to say. Past room or time a call overflows to lines, and is parked where they bring nothing. A parked call waits for a
place too, and every other one that is given back is the oldest parked call's: neither queue can starve the other
(docs/decisions/0028).

While our own loop is late most places are held back: what a call needs at once, a word that it is here, is cheap, and
what can wait is not. New streams and heartbeats come first, so that nobody offers anew for want of a word.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

from services.ingress.metrics import IngressMetrics

PLACES_OF_A_LATE_LOOP: Final = 4
"""A late loop gives one of so many of its places, and at least one."""
LOOKS_AGAIN_AFTER_S: Final = 0.025


class Guest(Protocol):
    """A call that wants a place."""

    def admitted(self) -> None:
        """A place is this call's; it gives it back with `leave`."""


class Admission:
    """Places for calls that are being set up, and the two queues before them."""

    def __init__(
        self, places: int, waiting_max: int, parked_max: int, metrics: IngressMetrics, late: Callable[[], bool]
    ) -> None:
        """`late`: whether our own loop is late (L2)."""
        self._free = places
        self._held_back = places - max(1, places // PLACES_OF_A_LATE_LOOP)
        self._late = late
        self._looks_again: asyncio.TimerHandle | None = None
        self._waiting_max = waiting_max
        self._parked_max = parked_max
        self._metrics = metrics
        self._waiting: OrderedDict[Guest, None] = OrderedDict()
        self._parked: OrderedDict[Guest, None] = OrderedDict()
        self._overflowed: set[Guest] = set()
        self._parked_is_next = False

    @property
    def full(self) -> bool:
        """Whether a call that is offered now would overflow, and as many as may be have done so already."""
        no_room = self._free == 0 and len(self._waiting) >= self._waiting_max
        return no_room and len(self._overflowed) >= self._parked_max

    def enter(self, guest: Guest, parked: bool) -> bool:
        """Asks for a place, which may be given before this returns. False where there is no room to wait for one."""
        queue = self._parked if parked else self._waiting
        if self._may_give and not queue:
            self._give(guest)
        elif parked or len(queue) < self._waiting_max:
            queue[guest] = None
            self._count()
            self._look_again()
        else:
            return False
        return True

    def overflow(self, guest: Guest, why: str) -> None:
        """The call turns to lines for want of a place."""
        self._metrics.overflowed[why].inc()
        self._waiting.pop(guest, None)
        self._overflowed.add(guest)
        self._count()

    def forget(self, guest: Guest) -> None:
        """The call needs a place no more."""
        self._waiting.pop(guest, None)
        self._parked.pop(guest, None)
        self._overflowed.discard(guest)
        self._count()

    def leave(self) -> None:
        """Gives a place back: to the oldest who waits, in a turn of the loop of its own."""
        self._free += 1
        asyncio.get_running_loop().call_soon(self._next)

    @property
    def _may_give(self) -> bool:
        return self._free > (self._held_back if self._late() else 0)

    def _look_again(self) -> None:
        """In a moment, where there are places that a late loop holds back."""
        if self._free > 0 and self._looks_again is None:
            self._looks_again = asyncio.get_running_loop().call_later(LOOKS_AGAIN_AFTER_S, self._looked_again)

    def _looked_again(self) -> None:
        self._looks_again = None
        self._next()

    def _next(self) -> None:
        if not (self._waiting or self._parked):
            return
        if not self._may_give:
            self._look_again()
            return
        parked_first = bool(self._parked) and (self._parked_is_next or not self._waiting)
        self._parked_is_next = not parked_first
        guest, _ = (self._parked if parked_first else self._waiting).popitem(last=False)
        self._give(guest)
        self._look_again()

    def _give(self, guest: Guest) -> None:
        self._free -= 1
        self._overflowed.discard(guest)
        self._count()
        guest.admitted()

    def _count(self) -> None:
        self._metrics.waiting.set(len(self._waiting))
        self._metrics.parked.set(len(self._parked))
