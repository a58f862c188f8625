"""The debts: which calls are owed a word, by whom, and since when (protocol.md T2, J1, J2).

A fold of `calls`, smaller than the books': it keeps what a take-over must know of each open call and forgets settled
ones. The facts of a call come twice, in any order and over several legs, and every order gives the same debt. Copies
that a replica keeps (J4) are folded in the same way, before they are on the log.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import ItemsView, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Final

from services.domain.events import EVERY_LEG, Conductor, Fact, FactKind
from services.domain.place import Place
from services.domain.take_over_facts import LOST_CONDUCTOR, try_of

WINDOW_MS: Final = 15 * 60 * 1000
"""An open call writes a fact at least each 5 minutes; what is older than this is the ledger's."""
CALLS_MAX: Final = 200_000
SETTLED_MAX: Final = 100_000
"""Calls that are remembered as settled, for the window after that was seen, so that a copy of an old fact does not open
them again: what is older than that opens no call."""
SETTLED_FOR_S: Final = WINDOW_MS / 1000
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


class OpenCall:
    """What is known of a call that nobody has settled. All but what every leg shares is of its highest leg.

    A leg that the ledger infers to be closed is kept as well, and owes nothing: the next one may need what it told."""

    __slots__ = (
        "_caller_leg", "_deferred_from", "_latest", "call_id", "caller", "caller_hash", "closed_through", "conductors",
        "due_in_ms", "judged_from", "leg",
        "listed", "lost", "partition", "place", "since_ms", "spoke_at", "taken_over_at", "test", "told_its_end",
        "tried", "tries", "urgent_at",
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
        self._latest: tuple[int, int, str] = (-1, -1, "")
        self._deferred_from: float | None = None
        self.due_in_ms = 0
        self.since_ms = 0
        """The log's time of the latest fact, less its age."""
        self.conductors: tuple[Conductor, ...] = ()
        """More than one where the leg was taken by two (P8)."""
        self.listed = False
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
        latest = (fact.at_ms, fact.seq, fact.writer)
        since_ms = stamp.log_ms - fact.age_ms
        if latest > self._latest:
            self._latest, self.due_in_ms, self.since_ms = latest, fact.due_in_ms, since_ms
        elif latest == self._latest:
            self.since_ms = min(self.since_ms, since_ms)
        if fact.conductor is not None and fact.conductor not in self.conductors:
            self.conductors += (fact.conductor,)
        self.lost |= fact.kind is FactKind.CALLER_LOST
        # One that owes another fact is no last word: a parked call is on the list with its caller on the line (L1).
        self.listed |= fact.kind in _LIST and fact.due_in_ms == 0
        if (
            self.urgent_at is not None
            and fact.conductor is not None
            and fact.age_ms == 0
            and stamp.partition is not None
        ):
            self.spoke_at = now
            self.told_its_end |= fact.kind in _LIST and fact.due_in_ms == 0
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


class Debts:
    """Every open call within the window. Bounded; what does not fit is the ledger's, and counted."""

    def __init__(self, *, calls_max: int = CALLS_MAX, settled_max: int = SETTLED_MAX) -> None:
        self.dropped = 0
        """Open calls that were forgotten for want of room, or since their window was over."""
        self._calls: OrderedDict[str, OpenCall] = OrderedDict()
        self._settled: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """By call, when what settled it was seen here, and through which leg."""
        self._owing: dict[Conductor | None, set[str]] = {}
        self._listed_under: dict[str, tuple[Conductor | None, ...]] = {}
        self._urgent: dict[str, OpenCall] = {}
        self._by_age: dict[int | None, list[tuple[int, str]]] = {}
        """By partition a heap of `since_ms` and call; what it says of a call may be older than what is known of it."""
        self._newest_ms: dict[int, int] = {}
        """The time of each partition, as it was seen here last."""
        self._calls_max = calls_max
        self._settled_max = settled_max

    def __len__(self) -> int:
        """How many debts are open."""
        return len(self._listed_under)

    def get(self, call_id: str) -> OpenCall | None:
        """An open call; None where it is settled, or was never heard of."""
        call = self._calls.get(call_id)
        return None if call is None or call.closed else call

    def is_settled(self, call_id: str, leg: int) -> bool:
        """Whether this leg of it is known to be settled."""
        return leg <= self._settled_through(call_id)

    def owing(self) -> ItemsView[Conductor | None, AbstractSet[str]]:
        """Debts by conductor; those of two stand under both, those of nobody known under None."""
        return self._owing.items()

    def urgent(self) -> list[OpenCall]:
        """Calls that replicas put onto the list and nobody has closed since."""
        return list(self._urgent.values())

    def add(self, fact: Fact, stamp: Stamp, now: float) -> None:
        """Takes a fact, or a copy of one that came before. One older than the window opens no call: it is the
        ledger's."""
        fact = _within_bounds(fact)
        call_id = fact.call_id
        if stamp.partition is not None:
            self._newest_ms[stamp.partition] = stamp.log_ms
        through = self._settled_through(call_id)
        if through < fact.closes_through:
            through = fact.closes_through
            self._settle(call_id, through, now)
        if through == EVERY_LEG:
            self._remove(call_id)
            return
        call = self._calls.get(call_id)
        if call is None:
            if stamp.partition is not None and self._is_old(stamp.partition, stamp.log_ms - fact.age_ms):
                return
            call = self._calls[call_id] = OpenCall(fact)
            self._note_age(call, stamp.partition, stamp.log_ms - fact.age_ms)
        before = (call.partition, call.since_ms)
        call.closed_through = max(call.closed_through, through)
        call.add(fact, stamp, now)
        if call.since_ms < before[1] or call.partition != before[0]:
            self._note_age(call, call.partition, call.since_ms)
        self._calls.move_to_end(call_id)
        self._place(call)
        if len(self._calls) > self._calls_max:
            self._drop(next(iter(self._calls)))

    def forget_before(self, newest_ms: Mapping[int, int], now: float) -> None:
        """Drops what has said nothing for the window, by the time of its own partition: the clock of a broker that is
        wrong makes nobody's debts old but those of its own partitions. Copies are old by the slowest clock. What was
        settled is forgotten by our own time: a broker's clock that is ahead for a moment must not have anybody rung
        back whom a person has served, and to remember it for longer costs a name."""
        self._newest_ms = dict(newest_ms)
        for partition in list(self._by_age):
            by_age, older = self._by_age[partition], []
            while by_age and self._is_old(partition, by_age[0][0]):
                older.append(heappop(by_age)[1])
            for call in filter(None, map(self._calls.get, older)):
                if call.partition == partition and self._is_old(partition, call.since_ms):
                    self._drop(call.call_id)
                elif call.call_id in self._calls:
                    self._note_age(call, call.partition, call.since_ms)
        while self._settled and now - next(iter(self._settled.values()))[0] > SETTLED_FOR_S:
            self._settled.popitem(last=False)

    def _is_old(self, partition: int | None, since_ms: int) -> bool:
        slowest_ms = min(self._newest_ms.values(), default=0)
        newest_ms = slowest_ms if partition is None else self._newest_ms.get(partition, 0)
        return since_ms < newest_ms - WINDOW_MS

    def _note_age(self, call: OpenCall, partition: int | None, since_ms: int) -> None:
        heappush(self._by_age.setdefault(partition, []), (since_ms, call.call_id))

    def _settled_through(self, call_id: str) -> int:
        return self._settled.get(call_id, (0.0, -1))[1]

    def _settle(self, call_id: str, through: int, now: float) -> None:
        self._settled[call_id] = (now, through)
        self._settled.move_to_end(call_id)
        if len(self._settled) > self._settled_max:
            self._settled.popitem(last=False)

    def _drop(self, call_id: str) -> None:
        self.dropped += self._calls[call_id].owes
        self._remove(call_id)

    def _remove(self, call_id: str) -> None:
        self._calls.pop(call_id, None)
        self._urgent.pop(call_id, None)
        self._take_off(call_id)

    def _place(self, call: OpenCall) -> None:
        """Keeps the indexes."""
        under: tuple[Conductor | None, ...] = ()
        if call.owes:
            under = call.conductors or (None,)
        if set(self._listed_under.get(call.call_id, ())) != set(under):
            self._take_off(call.call_id)
            if under:
                self._listed_under[call.call_id] = under
                for conductor in under:
                    self._owing.setdefault(conductor, set()).add(call.call_id)
        if call.urgent_at is not None and not call.closed:
            self._urgent[call.call_id] = call
        else:
            self._urgent.pop(call.call_id, None)

    def _take_off(self, call_id: str) -> None:
        for conductor in self._listed_under.pop(call_id, ()):
            ids = self._owing[conductor]
            ids.discard(call_id)
            if not ids:
                del self._owing[conductor]


def _within_bounds(fact: Fact) -> Fact:
    """No honest fact comes before it happened, or leaves the next for longer than the window: one that says so would
    never be late."""
    if fact.age_ms >= 0 and fact.due_in_ms <= WINDOW_MS:
        return fact
    return replace(fact, age_ms=max(0, fact.age_ms), due_in_ms=min(fact.due_in_ms, WINDOW_MS))
