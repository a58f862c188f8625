"""Asking a process to stop, from any thread, before or after somebody waits."""

from __future__ import annotations

import asyncio
import threading

from services.host.stop import Asked, Stop


async def test_a_stop_that_was_asked_before_anybody_waits_is_heard() -> None:
    """The parent may go while this process still imports its modules."""
    stop = Stop()
    assert stop.ask("parent gone", 0.5)
    async with asyncio.timeout(1):
        assert await stop.wait() == Asked("parent gone", 0.5)


async def test_a_stop_from_another_thread_wakes_all_who_wait() -> None:
    """The thread that watches the parent is not the loop's."""
    stop = Stop()
    waiting = [asyncio.create_task(stop.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    threading.Thread(target=stop.ask, args=("parent gone", 0.5)).start()
    async with asyncio.timeout(1):
        assert {asked.why for asked in await asyncio.gather(*waiting)} == {"parent gone"}


async def test_the_first_who_asks_is_the_one_who_counts() -> None:
    """A second signal is told apart from the first by what `ask` returns."""
    stop = Stop()
    assert stop.ask("SIGTERM", 10)
    assert not stop.ask("SIGINT", 1)
    assert (await stop.wait()).why == "SIGTERM"
