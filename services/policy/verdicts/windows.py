"""How many calls there were of a number, a network, a cell and a trunk within 10 s, a minute, ten minutes, an hour.

Distinct calls are counted: the same call_id once, whoever screened it (L3). Memory is bounded whatever numbers are made
up, and so is the error, to one side: a call older than the window is never counted, and each call of the newest 19/20
of it is, unless its key was forgotten for want of room. Every such error makes a verdict milder.

Time is `now`, in seconds of the process's own clock, so that a wall clock that is set changes no count; what other
replicas screened is told with its age, in any order. Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from math import floor, inf
from typing import Final

from services.domain.identity import cell_of, identity_of, own_number
from services.domain.offer import Offer
from services.policy.attributes import WINDOWS_S, Counted, counter
from services.policy.verdicts.lately import Lately

PARTS: Final = 20
"""Into so many parts a window is cut; one part is its error."""
LONGEST_S: Final = WINDOWS_S[-1]
KEYS_MAX: Final = 20_000
"""Of each kind; past it the one that has been silent longest is forgotten."""
CALLS_MAX: Final = 100_000
"""Calls that are known again by their id."""
FEW_MAX: Final = 4
"""So many calls of a key are kept as they came: most numbers call once, and most cells seldom."""
_Few = tuple[float, ...]
_NAMES: Final = {by: tuple(counter(by, window_s) for window_s in WINDOWS_S) for by in Counted}
_MINUTE_S, _HOUR_S = 60, 3600
_STATE: Final = "state"


@dataclass(frozen=True, slots=True)
class Keys:
    """By what one call is counted; an empty one counts nowhere. `identity` is never empty."""

    number: str
    source: str
    cell: str
    trunk: str
    identity: str

    @classmethod
    def of(cls, offer: Offer) -> Keys:
        """Those of an offer."""
        cell = cell_of(offer.place)
        return cls(own_number(offer.caller), offer.source, cell, offer.trunk, identity_of(offer))


@dataclass(frozen=True, slots=True)
class Counts:
    """The state of the windows as one call finds it, itself included."""

    by_name: Mapping[str, int]
    """By the attribute's name: `number_calls_60s`."""
    state_load: float
    """Calls of the last minute over the mean minute of the last hour; 0.0 until an hour is known: who has just started
    would take the first calls for a flood."""
    first: bool
    """Whether its identity was not there within the longest window before it."""
    again: bool = False
    """Whether this call had been counted before."""


class Windows:
    """One replica's counts: what it screened itself, and what it heard that others did."""

    def __init__(self, keys_max: int = KEYS_MAX, calls_max: int = CALLS_MAX) -> None:
        self._keys_max = keys_max
        self._tallies: dict[Counted, OrderedDict[str, _Few | _Tally]] = {by: OrderedDict() for by in Counted}
        self._state = _Tally()
        self._oldest_at: float | None = None
        """When the oldest call was that was told within an hour of it: from then on the state's calls are known."""
        self._nameless: OrderedDict[str, float] = OrderedDict()  # identities that are no number; their newest call
        self._calls: Lately[bool] = Lately(LONGEST_S, calls_max)  # whether it was the first of its identity

    def seen(self, call_id: str, keys: Keys, now: float, age_s: float = 0.0) -> Counts:
        """Counts a call that came `age_s` ago, once for its id, and tells what stands now. A call without an id is
        counted each time."""
        first = self._calls.get(call_id)
        again = first is not None
        if first is None:
            at = now - max(0.0, age_s)
            first = self._count(keys, at)
            if at >= now - LONGEST_S and (self._oldest_at is None or at < self._oldest_at):
                self._oldest_at = at
            if call_id:
                self._calls.note(call_id, first, now)
        return self._counts(keys, now, first, again)

    def _count(self, keys: Keys, at: float) -> bool:
        newest = self._newest(keys)
        for by, key in _by(keys):
            tallies = self._tallies[by]
            tally = tallies.get(key)
            if tally is None:
                tallies[key] = (at,)
                _bound(tallies, self._keys_max)
                continue
            tallies.move_to_end(key)
            if isinstance(tally, _Tally):
                tally.add(at)
            elif len(tally) < FEW_MAX:
                tallies[key] = (*tally, at)
            else:
                tallies[key] = _Tally((*tally, at))
        self._state.add(at)
        if keys.identity != keys.number:
            self._nameless[keys.identity] = at if newest is None else max(at, newest)
            self._nameless.move_to_end(keys.identity)
            _bound(self._nameless, self._keys_max)
        return newest is None or newest <= at - LONGEST_S

    def _newest(self, keys: Keys) -> float | None:
        """The newest call of this identity so far."""
        if keys.identity != keys.number:
            return self._nameless.get(keys.identity)
        tally = self._tallies[Counted.NUMBER].get(keys.number)
        if tally is None:
            return None
        return tally.newest if isinstance(tally, _Tally) else max(tally)

    def _counts(self, keys: Keys, now: float, first: bool, again: bool) -> Counts:
        by_name = dict.fromkeys((name for names in _NAMES.values() for name in names), 0)
        for by, key in _by(keys):
            tally = self._tallies[by].get(key)
            if tally is not None:
                within = tally.within(now) if isinstance(tally, _Tally) else _few_within(tally, now)
                by_name.update(zip(_NAMES[by], within, strict=True))
        return Counts(by_name, self._state_load(now), first, again)

    def _state_load(self, now: float) -> float:
        if self._oldest_at is None or now - self._oldest_at < _HOUR_S * (PARTS - 1) / PARTS:
            return 0.0
        state = dict(zip(WINDOWS_S, self._state.within(now), strict=True))
        mean = state[_HOUR_S] * _MINUTE_S / _HOUR_S
        return state[_MINUTE_S] / mean if mean else 0.0


def _by(keys: Keys) -> list[tuple[Counted, str]]:
    all_of_them = (
        (Counted.NUMBER, keys.number),
        (Counted.SOURCE, keys.source),
        (Counted.CELL, keys.cell),
        (Counted.TRUNK, keys.trunk),
    )
    return [(by, key) for by, key in all_of_them if key]


def _bound(kept: OrderedDict[str, _Few | _Tally] | OrderedDict[str, float], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)


class _Tally:
    """The calls of one key: for each window the parts of time in which there were any, oldest first, and how many."""

    __slots__ = ("_parts", "newest")

    def __init__(self, calls: _Few = ()) -> None:
        self.newest = -inf
        """When its newest call was."""
        self._parts: tuple[tuple[list[int], list[int]], ...] = tuple(([], []) for _ in WINDOWS_S)
        for at in calls:
            self.add(at)

    def add(self, at: float) -> None:
        self.newest = max(self.newest, at)
        for window_s, (parts, counts) in zip(WINDOWS_S, self._parts, strict=True):
            part = _part(at, window_s)
            if parts and part <= parts[-1] - PARTS:
                continue  # out of the window, by what is known already
            place = bisect_left(parts, part)
            if place < len(parts) and parts[place] == part:
                counts[place] += 1
                continue
            parts.insert(place, part)
            counts.insert(place, 1)
            gone = bisect_left(parts, parts[-1] - PARTS + 1)
            del parts[:gone], counts[:gone]

    def within(self, now: float) -> list[int]:
        """The calls in each window: those of the parts that lie in it whole."""
        found = []
        for window_s, (parts, counts) in zip(WINDOWS_S, self._parts, strict=True):
            oldest = _part(now, window_s) - PARTS + 1
            found.append(sum(islice(counts, bisect_left(parts, oldest), None)))
        return found


def _few_within(calls: _Few, now: float) -> list[int]:
    """The same of a key of few calls."""
    found = []
    for window_s in WINDOWS_S:
        oldest = _part(now, window_s) - PARTS + 1
        found.append(sum(_part(at, window_s) >= oldest for at in calls))
    return found


def _part(at: float, window_s: int) -> int:
    return floor(at * PARTS / window_s)
