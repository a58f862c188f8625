"""A process that was held up itself is a bad judge of others' silence (protocol.md L2), under virtual time."""

from __future__ import annotations

import asyncio

from services.host.lag import LATE_S, REMEMBERED_S, LoopLag
from simulator.virtual_loop import VirtualLoop, run_virtual


def blocked(for_s: float) -> None:
    """Holds the loop up, as a long computation would."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.jump(for_s)


def test_a_loop_that_comes_in_time_is_not_late() -> None:
    """However long it runs."""

    async def scene() -> None:
        lag = LoopLag()
        watching = asyncio.ensure_future(lag.watch())
        for _ in range(100):
            await asyncio.sleep(0.013)
            assert not lag.late
        watching.cancel()

    run_virtual(scene())


def test_a_loop_that_was_held_up_knows_it_before_anything_else_runs() -> None:
    """The first callback after the hold-up sees it, whether the watch has come to its timer or not."""

    async def scene() -> None:
        lag = LoopLag()
        watching = asyncio.ensure_future(lag.watch())
        await asyncio.sleep(1)
        blocked(LATE_S + 0.03)
        late = [lag.late]
        await asyncio.sleep(REMEMBERED_S - 0.02)
        late.append(lag.late)
        await asyncio.sleep(0.1)
        late.append(lag.late)
        assert late == [True, True, False], "a question that was asked before the hold-up may be open still"
        watching.cancel()

    run_virtual(scene())


def test_a_short_hold_up_is_none() -> None:
    """Less than 50 ms is every loop's daily life."""

    async def scene() -> None:
        lag = LoopLag()
        watching = asyncio.ensure_future(lag.watch())
        await asyncio.sleep(1)
        blocked(0.02)
        assert not lag.late
        watching.cancel()

    run_virtual(scene())
