"""Which calls this ingress has seen connected lately, for a leg that comes after all (protocol.md P5, P7).

A caller whose stream breaks just before `Connected` comes back by the next leg, while the call is settled already. Who
connected it is asked, as ever; what this ingress saw itself is believed where nobody can say. It is remembered for as
long as an originating network takes for its first tries (P2) and not longer: a talk ends, and nobody tells us.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from services.domain.calls.exchange import Resume

REMEMBERED_S: Final = 10.0
"""The tries of P2 (at once, then after 1, 2 and 4 s), each of which may be silent for a second or meet a draining
ingress. The hold of P7 is over in two."""
REMEMBERED_MAX: Final = 20_000


class Settlements:
    """One ingress's; bounded in number and time."""

    def __init__(self, calls_max: int = REMEMBERED_MAX) -> None:
        self._calls_max = calls_max
        self._calls: OrderedDict[str, tuple[float, Resume]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._calls)

    def note(self, call_id: str, connected: Resume, now: float) -> None:
        """This attempt of the call is connected, and nothing more is owed here."""
        self._calls.pop(call_id, None)
        self._calls[call_id] = (now + REMEMBERED_S, connected)
        while len(self._calls) > self._calls_max or next(iter(self._calls.values()))[0] <= now:
            self._calls.popitem(last=False)

    def take(self, call_id: str, now: float) -> Resume | None:
        """What was connected, for the leg that has come; that one settles it again, or learns that it is over."""
        until, connected = self._calls.pop(call_id, (now, None))
        return connected if now < until else None
