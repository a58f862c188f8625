"""One timer at the earliest moment asked for, on the loop of production and under virtual time alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from services.host.alarm import Alarm
from simulator.virtual_loop import run_virtual


@given(st.lists(st.one_of(st.none(), st.integers(-50, 5_000)), min_size=1, max_size=20))
def test_it_comes_at_the_earliest_moment_since_it_was_cleared(asked_ms: list[int | None]) -> None:
    came: list[float] = []
    expected: list[float] = []

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        alarm = Alarm(lambda: came.append(loop.time()))
        wanted: float | None = None
        for ms in asked_ms:
            at = None if ms is None else began + ms / 1000
            alarm.no_later_than(at)
            wanted = None if at is None else at if wanted is None else min(wanted, at)
            assert alarm.is_set == (wanted is not None)
        expected.extend([] if wanted is None else [max(wanted, began)])
        await asyncio.sleep(6)
        assert not alarm.is_set

    run_virtual(scene())
    assert came == expected


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run])
def test_a_moment_that_has_passed_can_be_moved_like_any_other(
    run: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    """A loop whose handle for a past moment has no `when` once took every PSAP from a gateway."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        came: list[None] = []
        alarm = Alarm(lambda: came.append(None))
        alarm.no_later_than(loop.time() - 1)
        alarm.no_later_than(loop.time() + 5)
        alarm.no_later_than(loop.time() - 2)
        await asyncio.sleep(0.05)
        assert len(came) == 1
        alarm.no_later_than(loop.time() - 1)
        alarm.clear()
        await asyncio.sleep(0.05)
        assert len(came) == 1

    run(scene())
