"""Which calls an ingress sets up now, which wait for their turn, and which get none (protocol.md L1).

More calls at once than it can carry would make each of them slower than its budgets, and a budget that runs out costs
another attempt: an overloaded ingress would spend itself on attempts that nobody needs. So a call takes one of some
places, held from screening to the first ringing, and given back earlier by a call that turns to lines: it then waits
for others, not for us. Who finds none waits, oldest first, in a room of so many calls; for how long is the machine's
to say. Past room or time a call overflows to lines, and is parked where they bring nothing. A parked call waits for a
place too, and every other one that is given back is the oldest parked call's: neither queue can starve the other
(docs/decisions/0028).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Protocol

from services.ingress.metrics import IngressMetrics


class Guest(Protocol):
    """A call that wants a place."""

    def admitted(self) -> None:
        """A place is this call's; it gives it back with `leave`."""


class Admission:
    """Places for calls that are being set up, and the two queues before them."""

    def __init__(self, places: int, waiting_max: int, parked_max: int, metrics: IngressMetrics) -> None:
        self._free = places
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
        if self._free > 0 and not queue:
            self._give(guest)
        elif parked or len(queue) < self._waiting_max:
            queue[guest] = None
            self._count()
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

    def _next(self) -> None:
        if self._free == 0 or not (self._waiting or self._parked):
            return
        parked_first = bool(self._parked) and (self._parked_is_next or not self._waiting)
        self._parked_is_next = not parked_first
        guest, _ = (self._parked if parked_first else self._waiting).popitem(last=False)
        self._give(guest)

    def _give(self, guest: Guest) -> None:
        self._free -= 1
        self._overflowed.discard(guest)
        self._count()
        guest.admitted()

    def _count(self) -> None:
        self._metrics.waiting.set(len(self._waiting))
        self._metrics.parked.set(len(self._parked))
