"""Whom a line is asked to ring back, and when: urgent entries that nobody has taken up (protocol.md T3).

Three seconds after a call went onto the list for want of a conductor, its caller has not come back by a higher leg.
Then a line of the place where it was tried is asked to ring the caller; three times at most, further and further apart,
and after that it is people's. It is offered to one line at a time: the tries of every replica stand on the log.

A telephone cannot unring. So nobody is rung back before the journal is read to its end, nor while anything tells that
the conductor lives: it has the caller on its line, and an entry that was a mistake does no harm by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.domain.offer import can_be_rung_back
from services.domain.place import Place
from services.domain.take_overs.debts import Debts
from services.domain.take_overs.facts import TRIES_MAX
from services.domain.take_overs.open_call import OpenCall
from services.domain.take_overs.ranks import Ranks
from services.domain.take_overs.watch import Watch

AFTER_S: Final = 3.0
"""The caller's side has so long to come back by a higher leg."""
PAUSES_S: Final = (15.0, 45.0)
"""After the first try that came to nothing, and after the second."""
TRY_LASTS_S: Final = 90.0
"""A try of which nobody says for so long how it ended belonged to a replica that is gone."""
RANK_S: Final = 1.0
IN_HAND_MAX: Final = 8
"""Tries at once by one replica: callers on the line need the lines more."""


@dataclass(frozen=True, slots=True)
class RingBack:
    """Ask a line to ring this caller back."""

    call_id: str
    leg: int
    number: int
    """Which try it is, from 1."""
    caller: str
    place: Place
    psap_id: str
    """Whose call it is; empty for nobody's."""


class RingBacks:
    """See the module."""

    def __init__(self, debts: Debts, ranks: Ranks, watch: Watch) -> None:
        self._debts = debts
        self._ranks = ranks
        self._watch = watch
        self._in_hand: dict[str, int] = {}

    def look(self, now: float, *, read: bool) -> tuple[list[RingBack], list[str]]:
        """The tries to begin, and the calls whose try is to be withdrawn: carried on by a higher leg, attested, closed
        by anybody, or in the hands of a conductor that lives. `read`: the log has been read to its end."""
        withdrawn = [call_id for call_id, leg in self._in_hand.items() if not self.stands(call_id, leg, now)]
        begin: list[RingBack] = []
        for call in self._debts.urgent() if read else ():
            if len(self._in_hand) >= IN_HAND_MAX:
                break
            due_at = self._due_at(call)
            if call.call_id in self._in_hand or due_at is None or now < call.judged_from:
                continue
            if not self.stands(call.call_id, call.leg, now):
                continue
            if now >= due_at + RANK_S * self._ranks.of(call.call_id, keeper=False):
                number = max(call.tries, default=0) + 1
                begin.append(RingBack(call.call_id, call.leg, number, call.caller, call.place, call.first_tried))
                self._in_hand[call.call_id] = call.leg
        return begin, withdrawn

    def stands(self, call_id: str, leg: int, now: float) -> bool:
        """Whether the caller of this leg is still to be rung back."""
        call = self._debts.get(call_id)
        if call is None or call.leg != leg or call.urgent_at is None:
            return False
        return not any(self._watch.is_heard(each, now) for each in call.conductors)

    def over(self, call_id: str) -> None:
        """A try has ended, whatever came of it."""
        self._in_hand.pop(call_id, None)

    @staticmethod
    def _due_at(call: OpenCall) -> float | None:
        """When the next try is due; None where there is to be none. Nobody's telephone rings for a test."""
        assert call.urgent_at is not None, "an urgent entry has its instant"
        if call.test or call.told_its_end or not can_be_rung_back(call.caller):
            return None
        newest = max(call.tries, default=0)
        if newest >= TRIES_MAX:
            return None
        if not newest:
            return max(call.urgent_at, call.spoke_at or 0.0) + AFTER_S
        at, over = call.tries[newest]
        return at + PAUSES_S[newest - 1] + (0.0 if over else TRY_LASTS_S)
