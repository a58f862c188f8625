"""One leader of the log hangs (protocol.md J5): its breaker, and everybody else's records going on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.durability import Durability
from services.journal import Topic
from services.journal.disk import MemoryDisk
from services.journal.journal import Happening, Journal, JournalEvent
from services.journal.leaders import UNKNOWN_IN_A_ROW, Leaders
from services.journal.memory import MemoryBroker, MemoryLog
from services.journal.memory_broker import BROKERS, BrokerState
from services.journal.spool import Spool
from simulator.virtual_loop import VirtualLoop, run_virtual, virtual_wall_ms

BUDGET_S = 0.050
SICK, WELL, OTHER = BROKERS


class Stage:
    """A journal with a spool, on a log of three leaders."""

    def __init__(self) -> None:
        self.broker = MemoryBroker(virtual_wall_ms)
        self.log = MemoryLog(self.broker, deadline_s=5)
        self.events: list[JournalEvent] = []
        self.journal = Journal(
            self.log,
            budget_s=BUDGET_S,
            on_event=self.events.append,
            spool=Spool(MemoryDisk(), Path("spool"), random.Random(1), bytes_max=1_000_000),
            wall_ms=virtual_wall_ms,
        )

    def keys(self, leader: str, count: int, prefix: str = "") -> list[str]:
        """Keys that a leader must acknowledge."""
        every = (f"{prefix}{n}" for n in range(10_000))
        ours = [key for key in every if self.log.leader_of(Topic.CALLS, key) == leader]
        return ours[:count]

    async def say(self, key: str, value: bytes = b"1") -> tuple[Durability, float]:
        """How safe it is, and how long that took to hear."""
        begun = asyncio.get_running_loop().time()
        durability = await self.journal.append(Topic.CALLS, key, value)
        return durability, asyncio.get_running_loop().time() - begun

    def told(self, happening: Happening) -> int:
        return sum(event.happening is happening for event in self.events)

    def landed(self) -> list[str]:
        return [record.key for record in self.broker.records(Topic.CALLS)]


def play(story: Callable[[Stage], Awaitable[None]]) -> Stage:
    """A story under virtual time."""

    async def main() -> Stage:
        stage = Stage()
        await stage.journal.start()
        await story(stage)
        return stage

    return run_virtual(main())


def test_three_unknown_appends_open_the_leaders_breaker_and_nobody_waits_for_it_any_more() -> None:
    """J5: spool first, at once."""

    async def story(stage: Stage) -> None:
        stage.log.fail(hung=[SICK])
        for key in stage.keys(SICK, UNKNOWN_IN_A_ROW):
            durability, took_s = await stage.say(key)
            assert durability is Durability.AT_RISK and took_s == pytest.approx(BUDGET_S)
        for key in stage.keys(SICK, 10, "new-"):
            assert await stage.say(key) == (Durability.AT_RISK, 0.0)
        assert SICK in (stage.journal.health() or "")
        for key in stage.keys(WELL, 10):
            assert await stage.say(key) == (Durability.DURABLE, 0.0)

    stage = play(story)
    assert stage.told(Happening.BREAKER_OPENED) == 1
    assert stage.told(Happening.BYPASSED) == 10


def test_the_backfill_is_the_probe_and_its_first_success_closes_the_breaker() -> None:
    """J5: no call is spent on finding out."""

    async def story(stage: Stage) -> None:
        stage.log.fail(hung=[SICK])
        for key in stage.keys(SICK, 5):
            await stage.say(key)
        await asyncio.sleep(20)
        assert stage.told(Happening.BREAKER_CLOSED) == 0
        stage.log.fail()
        await asyncio.sleep(7)
        assert stage.journal.health() is None
        assert stage.told(Happening.BREAKER_CLOSED) == 1
        assert await stage.say(stage.keys(SICK, 1, "new-")[0]) == (Durability.DURABLE, 0.0)

    play(story)


def test_a_breaker_that_is_open_with_nothing_to_probe_is_closed_by_the_next_record() -> None:
    """The record goes to the spool first, the back-fill appends it at once, and its answer is the probe's."""

    async def story(stage: Stage) -> None:
        stage.log.fail(delay_s=0.2)
        for key in stage.keys(SICK, 3):
            await stage.say(key)
        await asyncio.sleep(5)
        assert stage.journal.queued == 0
        assert stage.journal.health() is None, "nothing waits"
        stage.log.fail()
        durability, _ = await stage.say(stage.keys(SICK, 1, "new-")[0])
        assert durability is not Durability.NOT_DURABLE
        await asyncio.sleep(0.1)
        assert stage.told(Happening.BREAKER_CLOSED) == 1

    play(story)


def test_a_hung_leader_holds_up_nobody_elses_backfill() -> None:
    """Each leader has a lane of its own: after an outage, two of three drain while the third hangs."""

    async def story(stage: Stage) -> None:
        keys = [f"{n}" for n in range(3_000)]
        sick = {key for key in keys if stage.log.leader_of(Topic.CALLS, key) == SICK}
        stage.log.fail(absent=True)
        for key in keys:
            stage.journal.append_soon(Topic.CALLS, key, b"1")
        await asyncio.sleep(1)
        stage.log.fail(hung=[SICK])
        await asyncio.sleep(3)
        assert set(stage.landed()) == set(keys) - sick
        stage.log.fail()
        assert await stage.journal.close(30) == 0
        assert set(stage.landed()) == set(keys)

    play(story)


@pytest.mark.parametrize("moves", [False, True])
def test_what_nobody_leads_holds_up_nobody_elses_backfill(moves: bool) -> None:
    """Kafka comes back with two brokers of three: what they lead lands within seconds, and what nobody leads, or what
    hangs, is tried beside it. So it is where a part of what a broker led is led by another by then."""

    async def story(stage: Stage) -> None:
        keys = [f"{n}" for n in range(3_000)]
        if moves:
            stage.broker.move(WELL, SICK)
        sick = {key for key in keys if stage.broker.partition_of(Topic.CALLS, key) % 3 == BROKERS.index(SICK)}
        stage.log.fail(absent=True)
        for key in keys:
            stage.journal.append_soon(Topic.CALLS, key, b"1")
        await asyncio.sleep(1)
        if moves:
            stage.log.fail(hung=BROKERS)
            await asyncio.sleep(3)
            stage.broker.move(WELL, WELL)
            stage.log.fail(hung=[SICK])
        else:
            stage.broker.turn(BrokerState.GONE, SICK)
            stage.log.fail()
        await asyncio.sleep(8)
        assert set(stage.landed()) == set(keys) - sick

    play(story)


def test_records_follow_their_key_to_its_new_leader() -> None:
    """A broker is fenced and its partitions move: what waited for it drains through the next leader."""

    async def story(stage: Stage) -> None:
        keys = stage.keys(SICK, 50)
        stage.log.fail(hung=[SICK])
        for key in keys:
            stage.journal.append_soon(Topic.CALLS, key, b"1")
            stage.journal.append_soon(Topic.CALLS, key, b"2")
        await asyncio.sleep(3)
        assert stage.landed() == []
        stage.broker.move(SICK, OTHER)
        stage.log.fail(hung=[SICK])
        assert await stage.journal.close(10) == 0
        for key in keys:
            values = [r.value for r in stage.broker.records(Topic.CALLS) if r.key == key]
            assert list(dict.fromkeys(values)) == [b"1", b"2"]
        assert (await stage.say("x"))[0] is Durability.NOT_DURABLE, "it is closed"

    play(story)


def test_a_loop_that_was_held_up_itself_blames_no_leader() -> None:
    """L2: the acknowledgements were there in time; it is we who come late to read them."""

    async def story(stage: Stage) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        stage.log.fail(delay_s=0.04)
        for key in stage.keys(WELL, 10):
            stage.journal.append_soon(Topic.CALLS, key, b"1")
        await asyncio.sleep(0.03)
        loop.jump(0.3)
        await asyncio.sleep(1)
        assert stage.told(Happening.ACKED) == 10
        assert stage.told(Happening.OVER_BUDGET) == 0

    play(story)


def test_nobodys_leader_is_found_out_while_all_is_well() -> None:
    """J5: the name costs time, so it is asked for only in doubt."""

    async def story(stage: Stage) -> None:
        asked: list[str] = []
        real = stage.log.leader_of

        class Watched(MemoryLog):
            def leader_of(self, topic: Topic, key: str) -> str:
                asked.append(key)
                return real(topic, key)

        journal = Journal(Watched(stage.broker))
        await journal.start()
        for n in range(20):
            await journal.append(Topic.CALLS, f"{n}", b"1")
        assert asked == []

    play(story)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_a_breaker_is_open_exactly_after_three_unknowns_in_a_row_of_its_own(steps: list[tuple[str, bool]]) -> None:
    """J5, whatever the other leaders do."""
    leaders = Leaders()
    row = dict.fromkeys("abc", 0)
    for leader, well in steps:
        was_open = leaders.is_open(leader)
        if well:
            row[leader] = 0
            assert leaders.in_time(leader) == was_open
        else:
            row[leader] += 1
            assert leaders.over_budget(leader) == (row[leader] == UNKNOWN_IN_A_ROW)
        for each in "abc":
            assert leaders.is_open(each) == (row[each] >= UNKNOWN_IN_A_ROW)
        assert leaders.in_doubt == any(row.values())
    assert not leaders.is_open("")
    assert not any(leaders.over_budget("") for _ in range(10)), "an unknown leader is never judged"
