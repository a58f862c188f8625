"""How many calls there were of a number, a network, a cell and a trunk within 10 s, a minute, ten minutes, an hour.

Distinct calls are counted: the same call_id once, whoever screened it (L3). Memory is bounded whatever numbers are made
up, and so is the error, to one side: a call older than the window is never counted, and each call of the newest 19/20
of it is, unless its key was forgotten for want of room. Every such error makes a verdict milder.

Most numbers call once, and a region has many: who called once is a place in a table (`table.py`), under the hash of the
number (64 bits, by a seed of this process, so that nobody can find two that are alike), and so is each call.

Time is `now`, in seconds of the process's own clock, so that a wall clock that is set changes no count; what other
replicas screened is told with its age, in any order. Pure.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from math import floor, inf
from typing import Final

from services.domain.identity import cell_of, identity_of, own_number
from services.domain.offer import Offer
from services.policy.attributes import WINDOWS_S, Counted, counter
from services.policy.verdicts.lately import Lately
from services.policy.verdicts.table import Table

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
_ByKey = list[tuple[Counted, int]]
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
    """Whether its identity was not there within the longest window before it; or it came with a later leg, and nobody
    here knew it, so that others of its identity that are known may have come after it."""
    again: bool = False
    """Whether this call had been counted before."""


class Windows:
    """One replica's counts: what it screened itself, and what it heard that others did."""

    def __init__(self, keys_max: int = KEYS_MAX, calls_max: int = CALLS_MAX) -> None:
        self._keys_max = keys_max
        self._once: Lately[int, float] = Lately(LONGEST_S, 2 * keys_max, Table)  # when who called once did so
        self._tallies: dict[Counted, dict[int, _Few | _Tally]] = {by: {} for by in Counted}  # who called more often
        self._state = _Tally()
        self._oldest_at: float | None = None
        """When the oldest call was that was told within an hour of it: from then on the state's calls are known."""
        self._nameless: Lately[int, float] = Lately(LONGEST_S, keys_max, Table)
        """Identities that are no number; their newest call."""
        self._calls: Lately[int, float] = Lately(LONGEST_S, calls_max, Table)
        """Whether it was the first of its identity: 1.0 or 0.0."""

    def seen(self, call_id: str, keys: Keys, now: float, age_s: float = 0.0, leg: int = 1) -> Counts:
        """Counts a call whose leg came `age_s` ago, once for its id, and tells what stands now. A call without an id is
        counted each time."""
        known, by_key = self._calls.get(hash(call_id), now), _by(keys)
        first = self._hear(call_id, keys, by_key, now, age_s, leg) if known is None else bool(known)
        return self._counts(by_key, now, first, known is not None)

    def knows(self, call_id: str, now: float) -> bool:
        """Whether this call has been counted."""
        return self._calls.get(hash(call_id), now) is not None

    def heard(self, call_id: str, keys: Keys, now: float, age_s: float, leg: int = 1) -> None:
        """Counts a call that is not known, by the leg with which another replica met it."""
        self._hear(call_id, keys, _by(keys), now, age_s, leg)

    def _hear(self, call_id: str, keys: Keys, by_key: _ByKey, now: float, age_s: float, leg: int = 1) -> bool:
        at = now - max(0.0, age_s)
        first = self._count(keys, by_key, at, now) or leg > 1
        if at >= now - LONGEST_S and (self._oldest_at is None or at < self._oldest_at):
            self._oldest_at = at
        if call_id:
            self._calls.note(hash(call_id), first, now)
        return first

    def _count(self, keys: Keys, by_key: _ByKey, at: float, now: float) -> bool:
        """Whether it is the first of its identity."""
        newest = self._newest(keys, by_key, now)
        for by, key in by_key:
            tally = self._tally(by, key, now)
            if tally:
                _note(self._tallies[by], key, _with(tally, at), self._keys_max)
            else:
                self._once.note(key, at, now)
        self._state.add(at)
        if keys.identity != keys.number:
            self._nameless.note(hash(keys.identity), at if newest is None else max(at, newest), now)
        return newest is None or newest <= at - LONGEST_S

    def _newest(self, keys: Keys, by_key: _ByKey, now: float) -> float | None:
        """The newest call of this identity so far."""
        if keys.identity != keys.number:
            return self._nameless.get(hash(keys.identity), now)
        tally = self._tally(*by_key[0], now)  # its number comes first
        return tally.newest if isinstance(tally, _Tally) else max(tally, default=None)

    def _tally(self, by: Counted, key: int, now: float) -> _Few | _Tally:
        tally = self._tallies[by].get(key)
        if tally is not None:
            return tally
        once = self._once.get(key, now)
        return () if once is None else (once,)

    def _counts(self, by_key: _ByKey, now: float, first: bool, again: bool) -> Counts:
        by_name = dict.fromkeys((name for names in _NAMES.values() for name in names), 0)
        for by, key in by_key:
            by_name.update(zip(_NAMES[by], _within(self._tally(by, key, now), now), strict=True))
        return Counts(by_name, self._state_load(now), first, again)

    def _state_load(self, now: float) -> float:
        if self._oldest_at is None or now - self._oldest_at < _HOUR_S * (PARTS - 1) / PARTS:
            return 0.0
        state = dict(zip(WINDOWS_S, self._state.within(now), strict=True))
        mean = state[_HOUR_S] * _MINUTE_S / _HOUR_S
        return state[_MINUTE_S] / mean if mean else 0.0


def _by(keys: Keys) -> _ByKey:
    all_of_them = (
        (Counted.NUMBER, keys.number),
        (Counted.SOURCE, keys.source),
        (Counted.CELL, keys.cell),
        (Counted.TRUNK, keys.trunk),
    )
    return [(by, hash((by, key))) for by, key in all_of_them if key]


def _note(tallies: dict[int, _Few | _Tally], key: int, tally: _Few | _Tally, most: int) -> None:
    """Puts it last, and forgets the first where there are too many."""
    tallies.pop(key, None)
    tallies[key] = tally
    while len(tallies) > most:
        del tallies[next(iter(tallies))]


class _Tally:
    """The calls of one key: for each window a ring of its newest parts, how many calls in each; half a kilobyte."""

    __slots__ = ("_counts", "_last", "newest")

    def __init__(self, calls: _Few = ()) -> None:
        self.newest = -inf
        """When its newest call was."""
        self._last = [-PARTS] * len(WINDOWS_S)  # the newest part of each window's ring
        self._counts = array("I", bytes(4 * PARTS * len(WINDOWS_S)))
        for at in calls:
            self.add(at)

    def add(self, at: float) -> None:
        """One call more; nothing where it is out of the window, by what is known already."""
        self.newest = max(self.newest, at)
        for ring, window_s in enumerate(WINDOWS_S):
            part = _part(at, window_s)
            for passed in range(max(self._last[ring], part - PARTS) + 1, part + 1):
                self._counts[ring * PARTS + passed % PARTS] = 0
            self._last[ring] = max(self._last[ring], part)
            if part > self._last[ring] - PARTS:
                self._counts[ring * PARTS + part % PARTS] += 1

    def within(self, now: float) -> list[int]:
        """Those of the parts that lie in each window whole."""
        found = []
        for ring, window_s in enumerate(WINDOWS_S):
            oldest, last = _part(now, window_s) - PARTS + 1, self._last[ring]
            counts = self._counts[ring * PARTS : (ring + 1) * PARTS]
            found.append(sum(counts[part % PARTS] for part in range(max(oldest, last - PARTS + 1), last + 1)))
        return found


def _with(tally: _Few | _Tally, at: float) -> _Few | _Tally:
    """One call more: a few are kept as they came."""
    if isinstance(tally, _Tally):
        tally.add(at)
        return tally
    return (*tally, at) if len(tally) < FEW_MAX else _Tally((*tally, at))


def _within(tally: _Few | _Tally, now: float) -> list[int]:
    """The calls in each window."""
    if isinstance(tally, _Tally):
        return tally.within(now)
    found = []
    for window_s in WINDOWS_S:
        oldest = _part(now, window_s) - PARTS + 1
        found.append(sum(_part(at, window_s) >= oldest for at in tally))
    return found


def _part(at: float, window_s: int) -> int:
    return floor(at * PARTS / window_s)
