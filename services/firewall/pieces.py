"""A list in pieces: between two of them calls have their turn, and a list may have a hundred thousand items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

PIECE_ITEMS: Final = 2_000
"""A millisecond of work, more or less."""


def in_pieces(items: Iterable[str]) -> Iterator[list[str]]:
    """All of them, so many at a time."""
    left = iter(items)
    while piece := list(islice(left, PIECE_ITEMS)):
        yield piece
