"""Virtual time itself: it jumps, it repeats, and it says why it cannot go on."""

from __future__ import annotations

import asyncio
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.virtual_loop import EPOCH_MS, Stuck, VirtualLoop, run_virtual, running_loop, virtual_wall_ms


def test_an_hour_of_sleep_takes_no_time() -> None:
    """The clock jumps to the next timer, and wall time with it."""

    async def sleep() -> tuple[float, int]:
        await asyncio.sleep(3599.5)
        return asyncio.get_running_loop().time(), virtual_wall_ms()

    began = time.monotonic()
    assert run_virtual(sleep()) == (3599.5, EPOCH_MS + 3_599_500)
    assert time.monotonic() - began < 5


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(min_value=0, max_value=1e5), min_size=1, max_size=30))
def test_timers_fire_at_their_instants_and_in_order(delays_s: list[float]) -> None:
    """Each timer sees its own instant (to a nanosecond a jump), whatever the others are."""

    async def measure() -> list[tuple[float, float]]:
        seen: list[tuple[float, float]] = []
        loop = asyncio.get_running_loop()

        async def one(delay_s: float) -> None:
            await asyncio.sleep(delay_s)
            seen.append((delay_s, loop.time()))

        await asyncio.gather(*(one(delay_s) for delay_s in delays_s))
        return seen

    seen = run_virtual(measure(), limit_s=2e5)
    assert [delay_s for delay_s, _ in seen] == sorted(delays_s)
    assert all(abs(at_s - delay_s) <= 1e-6 for delay_s, at_s in seen)


def test_the_same_seed_gives_the_same_run() -> None:
    """Tasks that race by their timers finish in one order, each time."""

    async def race(seed: int) -> list[int]:
        chance = random.Random(seed)
        finished: list[int] = []

        async def runner(number: int) -> None:
            for _ in range(10):
                await asyncio.sleep(chance.random())
            finished.append(number)

        await asyncio.gather(*(runner(number) for number in range(50)))
        return finished

    assert run_virtual(race(7)) == run_virtual(race(7))
    assert run_virtual(race(7)) != run_virtual(race(8))


def test_a_deadlock_says_who_waits() -> None:
    """Nothing ready and no timer left: the error names the task and its line."""

    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        await asyncio.create_task(wait_for_ever(), name="the-waiter")

    with pytest.raises(Stuck, match=r"deadlock.*\n(.*\n)*.*the-waiter: .*wait_for_ever at .*test_virtual_loop"):
        run_virtual(main())


def test_more_time_than_allowed_is_an_error() -> None:
    """A loop of timers that never ends stops at the limit."""

    async def tick() -> None:
        while True:  # noqa: ASYNC110
            await asyncio.sleep(1)

    with pytest.raises(Stuck, match="after 60 virtual seconds"):
        run_virtual(tick(), limit_s=60)


def test_going_round_without_time_moving_on_is_an_error() -> None:
    """A task that only yields never lets the clock move, and is told so."""

    async def spin() -> None:
        while True:  # noqa: ASYNC110
            await asyncio.sleep(0)

    with pytest.raises(Stuck, match="without time moving on"):
        run_virtual(spin())


def test_a_process_that_is_paused_with_work_waiting_takes_no_turns() -> None:
    """However often it had begun its turn anew before: time moves on without it, and it goes on where it stood."""

    async def scene() -> list[float]:
        loop = running_loop()
        process = loop.process("one")
        turns: list[float] = []

        async def busy() -> None:
            while len(turns) < 40:
                turns.append(loop.time())
                if len(turns) == 20:
                    process.pause()
                await asyncio.sleep(0)

        process.start(busy())
        await asyncio.sleep(5.0)
        assert len(turns) == 20
        process.go_on()
        await asyncio.sleep(1.0)
        return turns

    turns = run_virtual(scene())
    assert len(turns) == 40 and turns[-1] == 5.0


@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
def test_a_process_that_is_killed_before_its_first_step_leaves_no_mistake() -> None:
    """A kill in the very instant of a start is a kill like any other: nothing is told of its task."""

    async def scene() -> None:
        process = running_loop().process("killed at once")
        process.start(asyncio.sleep(1.0))
        process.kill()
        await asyncio.sleep(2.0)

    loop = VirtualLoop()  # type: ignore[abstract]
    loop.run_until_complete(scene())
    assert loop.unhandled == []


def test_a_failure_that_nobody_waits_for_fails_the_run() -> None:
    """What asyncio would only log is raised at the end."""

    async def fail() -> None:
        raise ValueError("lost")

    async def main() -> None:
        task = asyncio.create_task(fail())
        await asyncio.sleep(1)
        del task

    with pytest.raises(BaseExceptionGroup, match="nobody waited") as raised:
        run_virtual(main())
    assert [str(each) for each in raised.value.exceptions] == ["lost"]


def test_the_failure_of_the_main_coroutine_is_raised_as_it_is() -> None:
    """No wrapping: the test reads the exception of the code that it tests."""

    async def main() -> None:
        await asyncio.sleep(1)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run_virtual(main())


def test_threads_are_refused() -> None:
    """A thread lives in real time: it must come through a port."""

    async def main() -> None:
        await asyncio.to_thread(print)

    with pytest.raises(AssertionError, match="no threads under virtual time"):
        run_virtual(main())


def test_real_sockets_are_refused() -> None:
    """A socket lives in real time: it must come through a port."""

    async def main() -> None:
        await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)

    with pytest.raises(AssertionError, match=r"no (threads|real sockets) under virtual time"):
        run_virtual(main())
