"""Very many keys and a number each, in room that is taken once. Pure.

What a firewall counts grows with the calls of an hour. Python keeps a hundred bytes and more for each key of a
dictionary; here it is sixteen, and they are there from the start: what is full costs no more than what is empty.
"""

from __future__ import annotations

from array import array
from typing import Final

_FULL_SHARE: Final = 0.8
"""A search that finds nothing looks at a dozen places then."""


class Table:
    """A dictionary of `keys_max` keys at most: 64-bit integers that nobody chose, such as `hash` makes of a text.

    Open addressing: a key is at its place, or at one of the next up to the first that is free. Nothing is taken out.
    """

    __slots__ = ("_keys", "_last", "_len", "_values")

    def __init__(self, keys_max: int) -> None:
        places = 1 << int(keys_max / _FULL_SHARE).bit_length()
        self._last = places - 1
        self._keys = array("q", bytes(8 * places))  # 0 where nobody is
        self._values = array("d", bytes(8 * places))
        self._len = 0

    def __len__(self) -> int:
        return self._len

    def get(self, key: int, /) -> float | None:
        """Its number; None where it is not here."""
        place = self._place(key)
        return self._values[place] if self._keys[place] else None

    def __setitem__(self, key: int, value: float, /) -> None:
        place = self._place(key)
        if not self._keys[place]:
            self._keys[place] = key or 1
            self._len += 1
        self._values[place] = value

    def _place(self, key: int) -> int:
        keys, last = self._keys, self._last
        key = key or 1
        place = key & last
        while (found := keys[place]) and found != key:
            place = (place + 1) & last
        return place
