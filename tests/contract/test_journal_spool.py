"""The journal with a spool and a keeper (protocol.md J4, J5): how safe a fact is, and that none is lost by a crash."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.durability import Durability
from services.journal import Topic
from services.journal.disk import FolderTaken, MemoryDisk
from services.journal.journal import Happening, Journal, JournalEvent
from services.journal.memory import MemoryBroker, MemoryLog
from services.journal.safekeeping import WITHIN_S
from services.journal.spool import Spool
from simulator.virtual_loop import run_virtual, virtual_wall_ms
from tests.contract.guarded_log import Guarded

BUDGET_S = 0.050
FOLDER = Path("spool/ingress-1")


def restamped(value: bytes, age_ms: int, told: Durability | None) -> bytes:
    """The value, its age, and how safe somebody was told that it is."""
    return value.split(b"+")[0] + b"+%d+%s" % (age_ms, str(told).encode())


class Keeper:
    """A failover replica that keeps facts, or does not."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, bytes]] = []
        self.well = True
        self.takes_s = 0.001

    async def keep(self, key: str, value: bytes) -> bool:
        await asyncio.sleep(self.takes_s)
        if self.well:
            self.kept.append((key, value))
        return self.well


class Stage:
    """One replica: its journal and its disk, and a log that outlives both."""

    def __init__(self, bytes_max: int = 1_000_000, log: type[MemoryLog] = MemoryLog, queue_facts_max: int = 10) -> None:
        self.broker = MemoryBroker(virtual_wall_ms)
        self.disk = MemoryDisk()
        self.keeper = Keeper()
        self.events: list[JournalEvent] = []
        self.bytes_max = bytes_max
        self.queue_facts_max = queue_facts_max
        self.log = log(self.broker, deadline_s=5)
        self.journal = self.made()

    def made(self) -> Journal:
        """A journal on the disk as it is now."""
        return Journal(
            self.log,
            restamp=dict.fromkeys(Topic, restamped),
            budget_s=BUDGET_S,
            queue_facts_max=self.queue_facts_max,
            on_event=self.events.append,
            spool=Spool(self.disk, FOLDER, random.Random(1), bytes_max=self.bytes_max, segment_bytes_max=1_000),
            keep=self.keeper.keep,
            wall_ms=virtual_wall_ms,
        )

    async def crash_and_start(self, torn_bytes: int = 0) -> None:
        """The process is killed: what it had in memory is gone; the next one starts on its disk."""
        self.disk = self.disk.crashed(torn_bytes)
        self.log.fail(absent=True)  # nothing of the old process reaches the log any more
        self.log = MemoryLog(self.broker, deadline_s=5)
        self.journal = self.made()
        await self.journal.start()

    async def say(self, key: str, value: bytes, keep: bool = True) -> Durability:
        return await self.journal.append(Topic.CALLS, key, value, keep=keep)

    def landed(self, key: str) -> list[bytes]:
        """Values without their ages, in the order of their landing."""
        return [r.value.split(b"+")[0] for r in self.broker.records(Topic.CALLS) if r.key == key]

    def told(self, happening: Happening) -> int:
        return sum(event.happening is happening for event in self.events)


def play(story: Callable[[Stage], Awaitable[None]], **how: Any) -> Stage:
    """A story under virtual time."""

    async def main() -> Stage:
        stage = Stage(**how)
        await stage.journal.start()
        await story(stage)
        return stage

    return run_virtual(main())


def test_while_the_log_is_well_no_file_is_touched_and_nobody_keeps_a_copy() -> None:
    """Durability that costs a call nothing."""

    async def story(stage: Stage) -> None:
        for n in range(100):
            assert await stage.say(f"{n}", b"1") is Durability.DURABLE
        assert stage.disk.appends == 0
        assert stage.keeper.kept == []

    play(story)


@pytest.mark.parametrize(
    ("disk_works", "keeper_works", "safe"),
    [
        (True, True, Durability.DURABLE),
        (True, False, Durability.AT_RISK),
        (False, True, Durability.AT_RISK),
        (False, False, Durability.NOT_DURABLE),
    ],
)
def test_without_the_log_two_disks_are_durable_one_is_at_risk_and_none_is_said_loudly(
    disk_works: bool, keeper_works: bool, safe: Durability
) -> None:
    """J4, each word."""

    async def story(stage: Stage) -> None:
        stage.log.fail(absent=True)
        stage.disk.room_bytes = 1_000_000 if disk_works else 0
        stage.keeper.well = keeper_works
        assert await stage.say("a", b"1") is safe
        health = stage.journal.health() or ""
        assert ("1 facts wait in the spool" in health) == disk_works
        assert ("no space is left" in health) != disk_works
        stage.log.fail()
        assert await stage.journal.close(10) == 0
        assert stage.landed("a") == [b"1"]
        (landed,) = stage.broker.records(Topic.CALLS)
        assert landed.value.endswith(b"+" + safe.encode()), "the fact itself says how safe it was told to be"

    stage = play(story)
    assert stage.told(Happening.SPOOLED if disk_works else Happening.NOT_SPOOLED) == 1
    assert stage.told(Happening.KEPT if keeper_works else Happening.NOT_KEPT) == 1


def test_a_fact_that_neither_opens_nor_settles_is_not_kept_elsewhere() -> None:
    """J4: Keep is for facts that open or settle."""

    async def story(stage: Stage) -> None:
        stage.log.fail(absent=True)
        assert await stage.say("a", b"1", keep=False) is Durability.AT_RISK
        assert stage.keeper.kept == []
        stage.journal.append_soon(Topic.CALLS, "a", b"2", keep=True)
        await asyncio.sleep(0.1)
        assert stage.keeper.kept == [("a", b"2")]

    play(story)


def test_whoever_waits_hears_within_a_bound_what_is_known_then() -> None:
    """A hung disk and a hung keeper cost 150 ms beside the budget, and no more."""

    async def story(stage: Stage) -> None:
        stage.log.fail(delay_s=3)
        stage.disk.slow_s = 60
        stage.keeper.takes_s = 60
        begun = asyncio.get_running_loop().time()
        assert await stage.say("a", b"1") is Durability.NOT_DURABLE
        assert asyncio.get_running_loop().time() - begun == pytest.approx(BUDGET_S + WITHIN_S)
        stage.disk.slow_s = 0.02
        stage.keeper.takes_s = 60
        begun = asyncio.get_running_loop().time()
        assert await stage.journal.append(Topic.CALLS, "b", b"1") is Durability.NOT_DURABLE, "the disk still hangs"
        await asyncio.sleep(70)

    play(story)


def test_the_log_may_answer_while_the_disk_is_waited_for() -> None:
    """Its acknowledgement is as good as both copies."""

    async def story(stage: Stage) -> None:
        stage.log.fail(delay_s=0.1)
        stage.disk.slow_s = 1
        begun = asyncio.get_running_loop().time()
        assert await stage.say("a", b"1") is Durability.DURABLE
        assert asyncio.get_running_loop().time() - begun == pytest.approx(0.1)
        await stage.journal.close()
        assert list(stage.disk.files) == [], "it was taken back, or removed"

    play(story)


def test_what_a_former_process_left_lands_with_its_true_age_before_newer_facts_of_its_call() -> None:
    """J1, J5: the age counts from when it was first said, through crash and restart."""

    async def story(stage: Stage) -> None:
        stage.log.fail(absent=True)
        await stage.say("a", b"1")
        await stage.say("a", b"2")
        await asyncio.sleep(30)
        await stage.crash_and_start()
        assert await stage.say("a", b"3") is Durability.DURABLE, "both copies, or the log by then"
        assert await stage.journal.close(10) == 0
        assert stage.landed("a") == [b"1", b"2", b"3"]
        ages_ms = [int(record.value.split(b"+")[1]) for record in stage.broker.records(Topic.CALLS)][:2]
        assert all(30_000 <= age_ms < 30_100 for age_ms in ages_ms)
        assert stage.disk.files == {}

    stage = play(story)
    assert stage.told(Happening.RECOVERED) == 2


def test_an_orderly_stop_without_the_log_leaves_the_facts_in_the_spool_and_loses_none() -> None:
    """A rolling restart during an outage."""

    async def story(stage: Stage) -> None:
        stage.log.fail(absent=True)
        for n in range(20):
            stage.journal.append_soon(Topic.CALLS, f"{n}", b"1")
        assert await stage.journal.close() == 0
        assert stage.told(Happening.LEFT) == 20
        await stage.crash_and_start()
        assert await stage.journal.close(10) == 0
        assert all(stage.landed(f"{n}") == [b"1"] for n in range(20))

    play(story)


def test_what_is_under_way_at_an_orderly_stop_is_spooled() -> None:
    """A log that hangs while the process stops: the append is unknown, so it is kept."""

    async def story(stage: Stage) -> None:
        stage.log.fail(lost=True)
        stage.journal.append_soon(Topic.CALLS, "a", b"1")
        assert await stage.journal.close(0.04) == 0
        assert stage.told(Happening.LEFT) == 1
        stage.log.fail()
        await stage.crash_and_start()
        assert await stage.journal.close(10) == 0
        assert stage.landed("a") == [b"1"]

    play(story)


def test_a_full_spool_is_loud_and_the_facts_wait_in_memory() -> None:
    """J6: calls go on as `not_durable`, in their own column, and nothing is lost while the process lives."""

    async def story(stage: Stage) -> None:
        stage.log.fail(absent=True)
        stage.keeper.well = False
        words = [await stage.say(f"{n}", b"x" * 200) for n in range(10)]
        assert words == [Durability.AT_RISK] * 3 + [Durability.NOT_DURABLE] * 7
        assert "expected at most 1000 bytes" in (stage.journal.health() or "")
        stage.log.fail()
        assert await stage.journal.close(10) == 0
        assert all(len(stage.landed(f"{n}")) == 1 for n in range(10))

    stage = play(story, bytes_max=1_000)
    assert stage.told(Happening.NOT_SPOOLED) == 7


def test_with_a_spool_the_queue_holds_more_and_has_a_bound_all_the_same() -> None:
    """Bounded by the spool's bytes and by a count."""

    async def story(stage: Stage) -> None:
        stage.log.fail(absent=True)
        for n in range(500):
            stage.journal.append_soon(Topic.CALLS, f"{n}", b"1")
        await asyncio.sleep(1)
        assert stage.journal.queued == 500, "its limit without a spool is 10"

    play(story)


def test_a_spool_that_another_process_holds_is_refused_at_the_start() -> None:
    """Two replicas of one name: one clear line, before any call is taken."""

    async def story(stage: Stage) -> None:
        with pytest.raises(FolderTaken):
            await stage.made().start()

    play(story)


def test_a_broken_disk_at_the_start_stops_no_call_and_is_tried_again() -> None:
    """Promise 2: nothing on the path can stop calls, and what lay on the disk lands when it is back."""

    async def story(stage: Stage) -> None:
        stage.log.fail(absent=True)
        await stage.say("a", b"1")
        stage.disk = stage.disk.crashed()
        stage.disk.broken = "input/output error"
        stage.log = MemoryLog(stage.broker)
        stage.journal = stage.made()
        await stage.journal.start()
        assert await stage.say("b", b"1") is Durability.DURABLE
        assert "input/output error" in (stage.journal.health() or "")
        stage.disk.broken = ""
        await asyncio.sleep(6)
        assert stage.journal.health() is None
        assert stage.landed("a") == [b"1"]

    play(story)


def test_a_disk_that_hangs_at_the_start_keeps_no_service_from_starting() -> None:
    """Promise 2: what the disk holds is back-filled when it answers."""

    async def story(stage: Stage) -> None:
        stage.log.fail(absent=True)
        await stage.say("a", b"1")
        stage.disk = stage.disk.crashed()
        stage.disk.hangs_s = 30
        stage.log = MemoryLog(stage.broker)
        stage.journal = stage.made()
        begun = asyncio.get_running_loop().time()
        await stage.journal.start()
        assert asyncio.get_running_loop().time() - begun <= 2
        assert "not open" in (stage.journal.health() or "")
        assert await stage.say("b", b"1") is Durability.DURABLE
        await asyncio.sleep(70)
        assert stage.landed("a") == [b"1"]
        assert stage.journal.health() is None

    play(story)


def test_large_offers_that_nobody_could_read_leave_half_the_spool_to_calls() -> None:
    """P6 keeps them, J4 comes first."""

    async def story(stage: Stage) -> None:
        stage.log.fail(absent=True)
        for n in range(10):
            stage.journal.append_soon(Topic.CALLS_UNREADABLE, f"{n}", b"x" * 200)
        await asyncio.sleep(1)
        assert await stage.say("a", b"x" * 200, keep=False) is Durability.AT_RISK

    assert play(story, bytes_max=1_000).told(Happening.NOT_SPOOLED) == 8


@pytest.mark.parametrize("topic", [Topic.CALLS_UNREADABLE, Topic.DELIVERIES])
def test_what_nobody_lets_us_write_holds_no_room_of_calls_on_the_disk(topic: Topic) -> None:
    """It stays for ever, and the facts of calls that were written beside it do not: each time Kafka is away they find
    half of the spool's room, however often that is."""

    async def story(stage: Stage) -> None:
        for n in range(20):
            stage.log.fail(absent=True)
            for part in range(5):
                stage.journal.append_soon(topic, f"{n}.{part}", b"?" * 10)
                stage.journal.append_soon(Topic.CALLS, f"{n}.{part}", b"1" * 200)
                await asyncio.sleep(0.1)
            stage.log.fail()
            await asyncio.sleep(3)
        assert [stage.landed(f"{n}.{part}") for n in range(20) for part in range(5)] == [[b"1" * 200]] * 100

    stage = play(story, bytes_max=3_000, log=Guarded, queue_facts_max=1_000)
    unspooled = [event.topic for event in stage.events if event.happening is Happening.NOT_SPOOLED]
    assert Topic.CALLS not in unspooled


def test_a_mistake_of_the_keeper_is_heard_of_and_harms_no_call() -> None:
    """Loud, and the fact is at risk, not lost."""

    async def story(stage: Stage) -> None:
        async def mistaken(key: str, value: bytes) -> bool:
            raise ZeroDivisionError

        stage.keeper.keep = mistaken  # type: ignore[method-assign]
        stage.journal = Journal(
            stage.log,
            spool=Spool(stage.disk, Path("spool/other"), random.Random(1), bytes_max=1_000),
            keep=mistaken,
            wall_ms=virtual_wall_ms,
        )
        await stage.journal.start()
        stage.log.fail(absent=True)
        assert await stage.say("a", b"1") is Durability.AT_RISK

    with pytest.raises(BaseExceptionGroup) as raised:
        play(story)
    assert raised.group_contains(ZeroDivisionError)


FAULTS = st.sampled_from([{}, {}, {"absent": True}, {"delay_s": 0.02}, {"delay_s": 0.3}, {"lost": True}])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.sampled_from("abc")),
        st.tuples(st.just("soon"), st.sampled_from("abc")),
        st.tuples(st.just("fail"), FAULTS),
        st.tuples(st.just("slow"), st.sampled_from([0.0, 0.03, 0.3])),
        st.tuples(st.just("room"), st.sampled_from([0, 200, 1_000_000])),
        st.tuples(st.just("pass"), st.sampled_from([0.01, 0.2, 3.0])),
        st.tuples(st.just("crash"), st.sampled_from([0, 20, 1_000])),
        st.tuples(st.just("stop"), st.just(None)),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_no_fact_that_was_said_to_be_safe_is_lost_by_any_crash(steps: list[tuple[str, object]]) -> None:
    """J4, J5: what was called durable or at risk lands, in the order of its key where nothing was lost on the way."""
    safe: dict[str, list[bytes]] = defaultdict(list)
    said: dict[str, list[bytes]] = defaultdict(list)

    async def story(stage: Stage) -> None:
        stage.keeper.well = False  # what is at risk is on our own disk
        for number, (verb, argument) in enumerate(steps):
            match verb, argument:
                case "append", str(key):
                    said[key].append(b"%d" % number)
                    if await stage.say(key, b"%d" % number) is not Durability.NOT_DURABLE:
                        safe[key].append(b"%d" % number)
                case "soon", str(key):
                    said[key].append(b"%d" % number)
                    stage.journal.append_soon(Topic.CALLS, key, b"%d" % number)
                case "fail", dict(faults):
                    stage.log.fail(**faults)
                case "slow", float(seconds):
                    stage.disk.slow_s = seconds
                case "room", int(room_bytes):
                    stage.disk.room_bytes = room_bytes
                case "pass", float(seconds):
                    await asyncio.sleep(seconds)
                case "crash", int(torn_bytes):
                    await stage.crash_and_start(torn_bytes)
                case "stop", None:
                    lost = await stage.journal.close()
                    assert lost == 0 or stage.disk.room_bytes < 1_000 or stage.disk.slow_s
                    await stage.crash_and_start()
        stage.log.fail()
        stage.disk.slow_s, stage.disk.room_bytes = 0.0, 1_000_000
        assert await stage.journal.close(60) == 0

    stage = play(story)
    for key in "abc":
        landed = stage.landed(key)
        assert set(safe[key]) <= set(landed) <= set(said[key])
        if all(argument not in ({"lost": True}, {"absent": True}) for _, argument in steps):
            first = [value for value in dict.fromkeys(landed) if value in safe[key]]
            assert first == safe[key]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=12), st.integers(1, 80), st.integers(1, 400))
@settings(max_examples=200)
def test_a_killed_process_leaves_the_beginning_of_each_call_and_no_hole_in_it(
    pauses_ms: list[int], sync_ms: int, killed_after_ms: int
) -> None:
    """J1, J5: what a call said first is on the disk first, though some were within their budget, and some held back."""

    async def story(stage: Stage) -> None:
        stage.log.fail(lost=True)
        stage.disk.slow_s = sync_ms / 1000

        async def say_all() -> None:
            for number, pause_ms in enumerate(pauses_ms):
                stage.journal.append_soon(Topic.CALLS, "call-1", b"%d" % number)
                await asyncio.sleep(pause_ms / 1000)

        saying = asyncio.ensure_future(say_all())
        await asyncio.sleep(killed_after_ms / 1000)
        saying.cancel()
        await stage.crash_and_start()
        await asyncio.sleep(10)
        landed = stage.landed("call-1")
        assert landed == [b"%d" % number for number in range(len(landed))]

    play(story)


@pytest.mark.parametrize("killed_after_s", [0.002, 0.015, 0.2])
def test_a_fact_that_is_refused_waits_behind_those_that_are_under_way(killed_after_s: float) -> None:
    """J5: the disk has what the call said first, whenever the process is killed, and the back-fill keeps the order."""

    async def story(stage: Stage) -> None:
        stage.disk.slow_s = 0.01
        said = []
        for value, absent in ((b"1", False), (b"2", True), (b"3", False)):
            stage.log.fail(lost=not absent, absent=absent)
            said.append(asyncio.ensure_future(stage.say("a", value)))
            await asyncio.sleep(0.001)
        await asyncio.sleep(killed_after_s)
        for each in said:
            each.cancel()
        await stage.crash_and_start()
        await asyncio.sleep(10)
        landed = stage.landed("a")
        assert landed == [b"1", b"2", b"3"][: len(landed)]
        assert len(landed) == 3 or killed_after_s < 0.2

    play(story)


def test_a_fact_that_passes_the_log_by_waits_behind_those_that_are_under_way() -> None:
    """J5: the breaker may open between two facts of one call; the first of them is on the disk first."""

    async def story(stage: Stage) -> None:
        stage.log.fail(lost=True)
        leader = stage.log.leader_of(Topic.CALLS, "a")
        keys = [f"{n}" for n in range(99) if stage.log.leader_of(Topic.CALLS, f"{n}") == leader][:3]
        others = [asyncio.ensure_future(stage.say(key, b"0")) for key in keys]
        await asyncio.sleep(0.6 * BUDGET_S)
        said = [asyncio.ensure_future(stage.say("a", b"1"))]
        await asyncio.sleep(0.6 * BUDGET_S)
        assert stage.told(Happening.BREAKER_OPENED) == 1
        said.append(asyncio.ensure_future(stage.say("a", b"2")))
        await asyncio.wait([*others, *said])
        await stage.crash_and_start()
        await asyncio.sleep(10)
        assert stage.landed("a") == [b"1", b"2"]

    assert play(story).told(Happening.BYPASSED) == 1
