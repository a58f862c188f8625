"""One open call as a take-over must know it: what is owed of it, by whom, and where it was tried (T2, T3, J2).

A fold of the call's facts, which come twice, in any order and over several legs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.domain.events import Conductor, Fact, FactKind
from services.domain.place import Place
from services.domain.take_overs.facts import LOST_CONDUCTOR, try_of

TRIED_MAX: Final = 16
DEFERRED_S: Final = 30.0
"""So long, at most, a ring that somebody attests defers what is due."""
BACKFILL_REST_S: Final = 2.0
"""So long after a back-filled fact of a call nothing is done about it: the rest of its facts follow."""
_LIST: Final = frozenset({FactKind.ABANDONED, FactKind.CALLBACK_DUE})
_TRIED: Final = frozenset({FactKind.ROUTED, FactKind.ATTEMPTING, FactKind.RINGING, FactKind.DIVERTING})


@dataclass(frozen=True, slots=True)
class Stamp:
    """Where a fact stands: its partition and the log's time of it. A kept copy is on no partition (None), and has the
    log's time at which it was kept."""

    partition: int | None
    log_ms: int


class _Word:
    """The latest of some facts, however they come: what it owes, and since when."""

    __slots__ = ("_of", "due_in_ms", "since_ms")

    def __init__(self) -> None:
        self._of: tuple[int, int, str] = (-1, -1, "")
        self.due_in_ms = 0
        self.since_ms = 0
        """The log's time of it, less its age."""

    def hear(self, fact: Fact, since_ms: int) -> None:
        of = (fact.at_ms, fact.seq, fact.writer)
        if of > self._of:
            self._of, self.due_in_ms, self.since_ms = of, fact.due_in_ms, since_ms
        elif of == self._of:
            self.since_ms = min(self.since_ms, since_ms)


class OpenCall:
    """What is known of a call that nobody has settled. All but what every leg shares is of its highest leg.

    Where that was taken by two (P8), each owes for itself: one that puts the call onto the list has said the end of its
    own part, and what the other owes stands. A leg that the ledger infers to be closed is kept as well, and owes
    nothing: the next one may need what it told."""

    __slots__ = (
        "_caller_leg", "_conductors", "_deferred_from", "_ended", "_last", "_last_open", "_listed", "call_id", "caller",
        "caller_hash", "closed_through", "judged_from", "leg", "lost", "partition", "place", "spoke_at",
        "taken_over_at", "test", "told_its_end", "tried", "tries", "urgent_at",
    )  # fmt: skip

    def __init__(self, fact: Fact) -> None:
        self.call_id = fact.call_id
        self.closed_through = -1
        """This leg and those below owe nothing more, since the caller reached somebody by another call (J2)."""
        self.test = True
        self.caller = ""
        self.caller_hash = ""
        self.place: Place = None
        """As the caller's number: of the highest leg that told it."""
        self._caller_leg = -1
        self.tried: dict[str, int] = {}
        """PSAPs and owners of lines where any leg tried it, with the first instant of each."""
        self.partition: int | None = None
        self.judged_from = 0.0
        """Nothing is done about it before this: its facts are being back-filled, or a higher leg rings somewhere."""
        self._begin_leg(fact.leg)

    def _begin_leg(self, leg: int) -> None:
        self.leg = leg
        self._deferred_from: float | None = None
        self._last = _Word()
        self._last_open = _Word()
        """The same without the ends that conductors said."""
        self._conductors: tuple[Conductor, ...] = ()
        self._ended: frozenset[Conductor] = frozenset()
        """Those of them that put it onto the list."""
        self._listed = False
        """Whoever took it over did."""
        self.lost = False
        self.taken_over_at: float | None = None
        """When a TakenOver was seen here last."""
        self.urgent_at: float | None = None
        """When it was seen here that a replica put it onto the list (T3)."""
        self.spoke_at: float | None = None
        """When its own conductor was last seen to say something after that: it lived."""
        self.told_its_end = False
        """And what it said was the end of it: the entry is one like any other."""
        self.tries: dict[int, tuple[float, bool]] = {}
        """Tries to have it rung back: by number, when one was last heard of, and whether it is over."""

    @property
    def conductors(self) -> tuple[Conductor, ...]:
        """Those whose part is not over; all of them where none is left. More than one where two took the leg (P8)."""
        return tuple(each for each in self._conductors if each not in self._ended) or self._conductors

    @property
    def listed(self) -> bool:
        """Whether it is on the list, by all who had it or by whoever took it over."""
        return self._listed or (bool(self._ended) and len(self._ended) == len(self._conductors))

    @property
    def due_in_ms(self) -> int:
        """Within this another fact is owed; 0 for none."""
        return self._word.due_in_ms

    @property
    def since_ms(self) -> int:
        """The log's time of the latest fact, less its age."""
        return self._word.since_ms

    @property
    def _word(self) -> _Word:
        return self._last_open if 0 < len(self._ended) < len(self._conductors) else self._last

    @property
    def owes(self) -> bool:
        """Whether another fact is owed: not where it is on the list, nor where its latest fact owes none."""
        return not self.closed and not self.listed and (self.due_in_ms > 0 or self.lost)

    @property
    def closed(self) -> bool:
        """Whether its highest leg is."""
        return self.leg <= self.closed_through

    @property
    def first_tried(self) -> str:
        """Whose call it is: where it was tried first; empty for nowhere."""
        return min(self.tried, key=lambda psap_id: (self.tried[psap_id], psap_id), default="")

    def leave_alone_until(self, at: float) -> None:
        """Nothing is done about it before this."""
        self.judged_from = max(self.judged_from, at)

    def defer(self, now: float, for_s: float) -> bool:
        """What is due waits, since a higher leg is said to ring; False once it has waited for `DEFERRED_S`: a lie must
        not put it off for ever. A take-over and the tries after it have a span each."""
        if self._deferred_from is None:
            self._deferred_from = now
        if now - self._deferred_from >= DEFERRED_S:
            return False
        self.leave_alone_until(now + for_s)
        return True

    def add(self, fact: Fact, stamp: Stamp, now: float) -> None:
        """Takes a fact that does not settle the call."""
        self._add_shared(fact, stamp, now)
        if fact.leg > self.leg:
            self._begin_leg(fact.leg)
        if fact.leg < self.leg:
            return
        # One that owes another fact is no last word: a parked call is on the list with its caller on the line (L1).
        ends = fact.kind in _LIST and fact.due_in_ms == 0
        since_ms, by = stamp.log_ms - fact.age_ms, fact.conductor
        self._last.hear(fact, since_ms)
        if not ends or by is None:
            self._last_open.hear(fact, since_ms)
        if by is not None and by not in self._conductors:
            self._conductors += (by,)
        if ends and by is None:
            self._listed = True
        elif ends and by is not None:
            self._ended |= {by}
        self.lost |= fact.kind is FactKind.CALLER_LOST
        if self.urgent_at is not None and by is not None and fact.age_ms == 0 and stamp.partition is not None:
            self.spoke_at = now
            self.told_its_end |= ends
        if fact.kind is FactKind.TAKEN_OVER:
            self.taken_over_at = now
        elif fact.kind is FactKind.CALLBACK_DUE and fact.urgent and fact.reason == LOST_CONDUCTOR:
            if fact.age_ms == 0 and self.urgent_at is None:
                self.urgent_at, self._deferred_from = now, None
        elif (tried := try_of(fact)) is not None:
            number, over = tried
            self.tries[number] = (now, over or self.tries.get(number, (now, False))[1])

    def _add_shared(self, fact: Fact, stamp: Stamp, now: float) -> None:
        self.test &= fact.test
        self.caller_hash = max(self.caller_hash, fact.caller_hash)
        offer = fact.offer
        if offer is not None and offer.caller and (fact.leg, offer.caller) > (self._caller_leg, self.caller):
            self._caller_leg, self.caller, self.place = fact.leg, offer.caller, offer.place
        if fact.kind in _TRIED and fact.where is not None and fact.where.psap_id:
            psap_id = fact.where.psap_id
            if psap_id in self.tried or len(self.tried) < TRIED_MAX:
                self.tried[psap_id] = min(fact.at_ms, self.tried.get(psap_id, fact.at_ms))
        if stamp.partition is not None:
            self.partition = stamp.partition
        if fact.age_ms > 0:
            self.leave_alone_until(now + BACKFILL_REST_S)
