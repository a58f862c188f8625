"""Reading a topic to the end that it had at the start, or saying in one line why that cannot be done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from services.journal import Follower, Log, Record, Topic
from services.journal.kafka_access import PAPER

ANSWERS_WITHIN_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.05


class NoJournal(Exception):
    """The journal cannot be read; the message says why and what to do."""


async def reach(log: Log, follower: Follower, topic: Topic, within_s: float = ANSWERS_WITHIN_S) -> None:
    """Waits until the log has answered the follower for the first time; raises NoJournal."""
    try:
        async with asyncio.timeout(within_s):
            while not follower.positions:  # noqa: ASYNC110 - a follower has no event for this
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        why = log.health() or f"expected the topic {topic!s}; there is none, `throughline topics apply` makes it"
        raise _no_journal(why, within_s) from None


async def read_to_end(
    log: Log,
    topic: Topic,
    take: Callable[[Sequence[Record]], None],
    since_ms: int | None = None,
    answers_within_s: float = ANSWERS_WITHIN_S,
) -> Follower:
    """Gives every record up to the end as seen at the start to `take`; returns the follower, stopped.

    A few records that landed meanwhile may be among the last. Raises NoJournal where the log never answers, or answers
    and then stands still.
    """
    follower = log.follow(topic, since_ms)
    await follower.start()
    reading = asyncio.ensure_future(_read(follower, take))
    try:
        await reach(log, follower, topic, answers_within_s)
        await _caught_up(log, follower, reading, answers_within_s)
        if reading.done():
            reading.result()
    finally:
        await follower.stop()
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
    return follower


async def _caught_up(log: Log, follower: Follower, reading: asyncio.Future[None], within_s: float) -> None:
    """Returns at the end, or with the reader's own; raises NoJournal where nothing comes, and the log says why."""
    loop = asyncio.get_running_loop()
    caught_up = asyncio.ensure_future(follower.caught_up.wait())
    ends: set[asyncio.Future[Any]] = {reading, caught_up}
    positions, moved_at, why = dict(follower.positions), loop.time(), None
    try:
        while not (await asyncio.wait(ends, timeout=_LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED))[0]:
            if positions != follower.positions:
                positions, moved_at, why = dict(follower.positions), loop.time(), None
            why = log.health() or why
            if why is not None and loop.time() - moved_at > within_s:
                raise _no_journal(why, within_s)
    finally:
        caught_up.cancel()


def _no_journal(why: str, waited_s: float) -> NoJournal:
    waited = f"{why} (waited {waited_s:.0f} s)"
    if PAPER in why:  # Kafka is there, and refuses us
        return NoJournal(waited)
    hint = "Say where with --kafka HOST:PORT, or make its topics (topics apply); `throughline doctor` looks closer"
    return NoJournal(f"{waited}. {hint}")


async def _read(follower: Follower, take: Callable[[Sequence[Record]], None]) -> None:
    async for records in follower:
        take(records)
