"""Records as they land, one line each, until whoever reads them has had enough."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from services.journal import Follower, Log, Topic
from services.readers.reading import ANSWERS_WITHIN_S, reach
from services.readers.wording import is_tick, line


async def tail(
    log: Log,
    topics: Sequence[Topic],
    since_ms: int,
    say: Callable[[str], None],
    *,
    show_numbers: bool = False,
    ticks: bool = False,
    answers_within_s: float = ANSWERS_WITHIN_S,
) -> None:
    """Says every record of these topics from `since_ms` on, for ever; raises NoJournal where the log never answers.

    Ticks of processes are left out unless they are asked for.

    Records of one partition come in their order, those of several as they are heard.
    """
    followers = [log.follow(topic, since_ms) for topic in topics]
    for follower in followers:
        await follower.start()
    telling = [asyncio.ensure_future(_tell(follower, say, show_numbers, ticks)) for follower in followers]
    try:
        for follower, topic in zip(followers, topics, strict=True):
            await reach(log, follower, topic, answers_within_s)
        await asyncio.gather(*telling)
    finally:
        for follower in followers:
            await follower.stop()
        for task in telling:
            task.cancel()
        await asyncio.gather(*telling, return_exceptions=True)


async def _tell(follower: Follower, say: Callable[[str], None], show_numbers: bool, ticks: bool) -> None:
    async for records in follower:
        for record in records:
            if ticks or not is_tick(record):
                say(line(record, show_numbers))
