"""The debts: which calls are owed a word, by whom, and since when (protocol.md T2, J1, J2).

A fold of `calls`, smaller than the books': it keeps what a take-over must know of each open call (open_call.py) and
forgets settled ones. Every order of facts gives the same debts. Copies that a replica keeps (J4) are folded in the same
way, before they are on the log.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import ItemsView, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from heapq import heappop, heappush
from typing import Final

from services.domain.events import EVERY_LEG, Conductor, Fact
from services.domain.take_overs.open_call import OpenCall, Stamp

WINDOW_MS: Final = 15 * 60 * 1000
"""An open call writes a fact at least each 5 minutes; what is older than this is the ledger's."""
CALLS_MAX: Final = 200_000
SETTLED_MAX: Final = 100_000
"""Calls that are remembered as settled, for the window after that was seen, so that a copy of an old fact does not open
them again: what is older than that opens no call."""
SETTLED_FOR_S: Final = WINDOW_MS / 1000


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
