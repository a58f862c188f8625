"""Helpers in processes of their own, and the same in place: one contract for both."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.host.children import Ailment, Busy, Children, Gone, InPlace, Processes, Silent
from simulator.virtual_loop import run_virtual
from tests.contract.a_child import PROGRAM

START_S = 60.0
"""A machine that is busy takes its time to start a process."""
ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["processes", "in place"])
async def children(request: pytest.FixtureRequest) -> AsyncIterator[Children]:
    here: Children = Processes() if request.param == "processes" else InPlace()
    yield here
    await here.close()


async def test_a_child_answers_what_it_is_asked_and_remembers(children: Children) -> None:
    """Frames of any bytes, none of them mixed with what it prints; it keeps its state from one to the next."""
    child = await children.start(PROGRAM)
    assert await child.ask(b"", START_S) == b"1 "
    assert await child.ask(b"print", START_S) == b"2 print"
    large = bytes(range(256)) * 4_000
    assert await child.ask(large, START_S) == b"3 " + large
    assert child.lives


async def test_questions_asked_at_once_take_their_turn(children: Children) -> None:
    """Each gets its own answer."""
    child = await children.start(PROGRAM)
    said = await asyncio.gather(*(child.ask(b"q%d" % n, START_S) for n in range(20)))
    assert said == [b"%d q%d" % (n + 1, n) for n in range(20)]


@pytest.mark.parametrize("how", [b"die", b"fail"])
async def test_a_child_that_ends_is_gone_and_another_can_be_started(children: Children, how: bytes) -> None:
    """Whoever waits hears it at once, and whoever asks later too."""
    child = await children.start(PROGRAM)
    await child.ask(b"", START_S)
    if how == b"die" and isinstance(children, InPlace):
        children.kill_all()  # what would end a process ends a test
    else:
        with pytest.raises(Gone):
            await child.ask(how, START_S)
    assert not child.lives
    with pytest.raises(Gone):
        await child.ask(b"", START_S)
    assert await (await children.start(PROGRAM)).ask(b"", START_S) == b"1 "


async def test_a_child_that_does_not_answer_in_time_is_killed(children: Children) -> None:
    """Though it holds its interpreter and hears nothing: the parent needs nothing of it for that."""
    child = await children.start(PROGRAM)
    await child.ask(b"", START_S)
    if isinstance(children, InPlace):
        children.ailment.hangs = True
    began = asyncio.get_running_loop().time()
    with pytest.raises(Silent) as silent:
        await child.ask(b"burn", 0.5)
    assert 0.0 < silent.value.burned_s <= 0.6
    assert not child.lives
    assert asyncio.get_running_loop().time() - began < 5.0
    with pytest.raises(Gone):
        await child.ask(b"", START_S)


async def test_a_question_that_is_given_up_spoils_no_other_s_answer(children: Children) -> None:
    """Its answer could come later, and would be read as the next one's: so the helper ends."""
    child = await children.start(PROGRAM)
    await child.ask(b"", START_S)
    if isinstance(children, InPlace):
        children.ailment.slow_s = 5.0
    asking = asyncio.ensure_future(child.ask(b"burn", START_S))
    await asyncio.sleep(0.05)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not child.lives


async def test_who_does_not_get_a_turn_says_nothing_against_the_helper(children: Children) -> None:
    """It was busy with another's question: it lives, and answers that one."""
    child = await children.start(PROGRAM)
    await child.ask(b"", START_S)
    if isinstance(children, InPlace):
        children.ailment.slow_s = 0.5
    first = asyncio.ensure_future(child.ask(b"nap", START_S))
    await asyncio.sleep(0.05)
    with pytest.raises(Busy):
        await child.ask(b"q", 0.05)
    assert child.lives and await first == b"2 nap"


async def test_in_place_it_can_be_slow_and_fail_to_start() -> None:
    """What the simulator does to a firewall."""
    children = InPlace(Ailment(slow_s=0.01))
    child = await children.start(PROGRAM)
    assert await child.ask(b"q", 5.0) == b"1 q"
    with pytest.raises(Silent):
        await child.ask(b"q", 0.005)
    children.ailment.cannot_start = True
    with pytest.raises(Gone):
        await children.start(PROGRAM)


def test_in_place_it_is_never_slower_than_time() -> None:
    """Sums of instants are not exact: what is left of a wait can be too little for the clock to move."""

    async def ask_at_many_instants() -> None:
        child = await InPlace(Ailment(slow_s=0.1)).start(PROGRAM)
        for n in range(500):
            await asyncio.sleep(n / 30)
            await child.ask(b"q", 5.0)

    run_virtual(ask_at_many_instants(), limit_s=10_000.0)


async def test_a_process_that_takes_too_much_memory_ends_by_itself() -> None:
    """And the machine does not."""
    children = Processes()
    child = await children.start(PROGRAM)
    with pytest.raises(Gone):
        await child.ask(b"hog", START_S)
    await children.close()


PARENT = """
import asyncio, os, signal, sys
from services.host.children import Processes
from tests.contract.a_child import PROGRAM

async def main():
    child = await Processes().start(PROGRAM)
    print((await child.ask(b"pid", 20)).decode(), flush=True)
    asyncio.ensure_future(child.ask(b"burn", 60))
    await asyncio.sleep(0.2)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own word for it is Linux's")
async def test_a_child_that_burns_dies_with_its_parent() -> None:
    """Killed by SIGKILL, while the helper's interpreter is held: nothing in the helper could notice."""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    said, _ = await parent.communicate()
    assert parent.returncode == -signal.SIGKILL
    pid = int(said)
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        await asyncio.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the helper outlived its parent")
