"""One task that says to many that we live.

Whoever hears nothing thinks us gone, so this task must outlive every mistake: what goes wrong with one of those to be
told is that one's, and is counted; the others hear their word all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeVar

Who = TypeVar("Who")


async def beat(
    every_s: float,
    everybody: Callable[[], Iterable[Who]],
    say: Callable[[Who], None],
    mistaken: Callable[[Exception, Who], None],
) -> None:
    """Each `every_s` seconds says a word to everybody, until cancelled. What `say` raises goes to `mistaken`."""
    while True:
        await asyncio.sleep(every_s)
        for who in list(everybody()):
            try:
                say(who)
            except Exception as mistake:
                mistaken(mistake, who)
