"""How far long work has come: a line each two seconds on standard error; what is soon done says nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, TypeVar

T = TypeVar("T")

EVERY_S: Final = 2.0


class Progress:
    """`clock` gives seconds, `say` takes a line."""

    def __init__(self, clock: Callable[[], float], say: Callable[[str], None]) -> None:
        self._clock = clock
        self._say = say
        self._said_at = clock()

    def come(self, words: Callable[[], str]) -> None:
        """Something more is done; says so, if it is time to."""
        now = self._clock()
        if now - self._said_at >= EVERY_S:
            self._said_at = now
            self._say(words())

    def through(self, things: Sequence[T], what: str) -> Iterator[T]:
        """The same things, one by one, told as they are taken."""
        self._said_at = self._clock()
        for done, thing in enumerate(things):
            self.come(partial("{:,} of {:,} {}".format, done, len(things), what))
            yield thing
