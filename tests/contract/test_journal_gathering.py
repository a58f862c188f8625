"""Records that nobody waits for leave together (docs/decisions/0019), in order, and none stays behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.durability import Durability
from services.journal import Topic
from services.journal.journal import GATHER_S, GATHERED_MAX, Journal
from services.journal.memory import MemoryBroker, MemoryLog
from simulator.virtual_loop import run_virtual, virtual_wall_ms

MOMENT_S = 0.001


class Stage:
    """A journal on a memory log."""

    def __init__(self) -> None:
        self.broker = MemoryBroker(virtual_wall_ms)
        self.log = MemoryLog(self.broker)
        self.journal = Journal(self.log)

    def landed(self, topic: Topic = Topic.CALLS) -> list[bytes]:
        return [record.value for record in self.broker.records(topic)]


def play(story: Callable[[Stage], Awaitable[None]]) -> Stage:
    """A story under virtual time."""

    async def main() -> Stage:
        stage = Stage()
        await stage.journal.start()
        await story(stage)
        return stage

    return run_virtual(main())


def test_what_nobody_waits_for_leaves_after_the_gathering_time_and_not_before() -> None:
    """The first record starts the clock; the later ones go with it."""

    async def story(stage: Stage) -> None:
        stage.journal.append_soon(Topic.CALLS, "a", b"1")
        await asyncio.sleep(GATHER_S - MOMENT_S)
        stage.journal.append_soon(Topic.CALLS, "a", b"2")
        assert stage.landed() == []
        await asyncio.sleep(2 * MOMENT_S)
        assert stage.landed() == [b"1", b"2"]

    play(story)


def test_an_append_that_is_waited_for_takes_the_others_with_it_and_never_overtakes_them() -> None:
    """The order of a key is the order in which its facts were said."""

    async def story(stage: Stage) -> None:
        stage.journal.append_soon(Topic.CALLS, "a", b"1")
        assert await stage.journal.append(Topic.CALLS, "a", b"2") is Durability.DURABLE
        assert stage.landed() == [b"1", b"2"]
        assert asyncio.get_running_loop().time() < MOMENT_S

    play(story)


def test_a_status_that_others_follow_leaves_at_once() -> None:
    """R8: changes at once. Whoever builds a view of a compacted topic waits for its records."""

    async def story(stage: Stage) -> None:
        stage.journal.append_soon(Topic.PSAP_STATUS, "gateway-1", b"status")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert stage.landed(Topic.PSAP_STATUS) == [b"status"]
        assert asyncio.get_running_loop().time() == 0

    play(story)


def test_closing_leaves_nothing_behind() -> None:
    """What was gathered a moment before the end lands too."""

    async def story(stage: Stage) -> None:
        stage.journal.append_soon(Topic.CALLS, "a", b"1")
        assert await stage.journal.close() == 0

    assert play(story).landed() == [b"1"]


def test_so_many_at_once_do_not_wait_for_the_clock() -> None:
    """What is gathered is bounded."""

    async def story(stage: Stage) -> None:
        for number in range(GATHERED_MAX):
            stage.journal.append_soon(Topic.CALLS, "a", b"%d" % number)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(stage.landed()) == GATHERED_MAX

    play(story)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 2 * GATHER_S)), max_size=30))
def test_facts_of_a_call_land_in_their_order_whoever_waits_for_them(facts: list[tuple[bool, float]]) -> None:
    """Some awaited, some not, with any pauses between them."""

    async def story(stage: Stage) -> None:
        for number, (awaited, pause_s) in enumerate(facts):
            if awaited:
                await stage.journal.append(Topic.CALLS, "a", b"%d" % number)
            else:
                stage.journal.append_soon(Topic.CALLS, "a", b"%d" % number)
            await asyncio.sleep(pause_s)
        await stage.journal.close()

    assert play(story).landed() == [b"%d" % number for number in range(len(facts))]


@pytest.mark.parametrize("absent", [True, False])
def test_what_was_gathered_while_the_log_was_away_is_kept_as_well(absent: bool) -> None:
    """J6: handed over late, it meets the same queue."""

    async def story(stage: Stage) -> None:
        stage.log.fail(absent=absent)
        stage.journal.append_soon(Topic.CALLS, "a", b"1")
        await asyncio.sleep(2 * GATHER_S)
        assert stage.journal.queued == int(absent)
        stage.log.fail()
        await asyncio.sleep(5)
        assert stage.landed() == [b"1"]

    play(story)
