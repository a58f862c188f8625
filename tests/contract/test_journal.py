"""The journal: no call waits for it beyond the budget or fails because of it, and its back-fill keeps the order."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.durability import Durability
from services.journal import Topic
from services.journal.journal import BACKFILL_WINDOW_MAX, Happening, Journal, JournalEvent
from services.journal.memory import MemoryBroker, MemoryLog
from services.journal.topics import TOPICS
from simulator.virtual_loop import run_virtual, virtual_wall_ms
from tests.contract.guarded_log import REFUSED, Guarded

BUDGET_S = 0.050


class Stage:
    """A journal on a memory log, and what it told."""

    def __init__(
        self, queue_facts_max: int = 10_000, queue_bytes_max: int = 1_000_000, log: type[MemoryLog] = MemoryLog
    ) -> None:
        self.broker = MemoryBroker(virtual_wall_ms)
        self.log = log(self.broker, deadline_s=5)
        self.events: list[JournalEvent] = []
        self.journal = Journal(
            self.log,
            restamp=dict.fromkeys(Topic, lambda value, age_ms, _: value + b"+%d" % age_ms),
            budget_s=BUDGET_S,
            queue_facts_max=queue_facts_max,
            queue_bytes_max=queue_bytes_max,
            on_event=self.events.append,
        )

    def landed(self, topic: Topic = Topic.CALLS) -> list[tuple[str, bytes]]:
        """Keys and values, in the order of each partition."""
        return [(record.key, record.value) for record in self.broker.records(topic)]

    def told(self, happening: Happening) -> int:
        """How often something happened."""
        return sum(event.happening is happening for event in self.events)


def play(story: Callable[[Stage], Awaitable[None]], **how: Any) -> Stage:
    """A story under virtual time."""

    async def main() -> Stage:
        stage = Stage(**how)
        await stage.journal.start()
        await story(stage)
        return stage

    return run_virtual(main())


def test_an_acknowledged_append_is_durable() -> None:
    """J4, and nothing is left to do afterwards."""

    async def story(stage: Stage) -> None:
        assert await stage.journal.append(Topic.CALLS, "a", b"1") is Durability.DURABLE
        assert stage.journal.health() is None

    stage = play(story)
    assert stage.landed() == [("a", b"1")]
    assert [event.happening for event in stage.events] == [Happening.ACKED]


@pytest.mark.parametrize("delay_s", [0.051, 3.0, 60.0])
def test_no_append_waits_beyond_the_budget(delay_s: float) -> None:
    """J5: 50 ms, then the caller hears `not_durable` and goes on ringing."""

    async def story(stage: Stage) -> None:
        loop = asyncio.get_running_loop()
        stage.log.fail(delay_s=delay_s)
        for key in ("a", "b", "c"):
            begun = loop.time()
            assert await stage.journal.append(Topic.CALLS, key, b"1") is Durability.NOT_DURABLE
            assert loop.time() - begun == pytest.approx(BUDGET_S)

    assert play(story).told(Happening.OVER_BUDGET) == 3


def test_an_absent_log_costs_a_call_no_time_at_all() -> None:
    """What is surely not written goes to the queue at once (J6)."""

    async def story(stage: Stage) -> None:
        stage.log.fail(absent=True)
        assert await stage.journal.append(Topic.CALLS, "a", b"1") is Durability.NOT_DURABLE
        assert asyncio.get_running_loop().time() == 0
        health = stage.journal.health()
        assert health is not None
        assert "1 facts wait in memory" in health

    play(story)


def test_a_late_acknowledgement_makes_no_duplicate() -> None:
    """The record that was unknown leaves the queue when its first append lands after all."""

    async def story(stage: Stage) -> None:
        stage.log.fail(delay_s=2)
        await stage.journal.append(Topic.CALLS, "a", b"1")
        stage.log.fail()
        assert await stage.journal.close(10) == 0

    stage = play(story)
    assert stage.landed() == [("a", b"1")]
    assert [event.happening for event in stage.events] == [Happening.OVER_BUDGET, Happening.ACKED_LATE]


def test_later_facts_of_a_call_wait_behind_its_queued_ones() -> None:
    """J5: once one fact of a call is queued, its later facts go the same way; other calls do not."""

    async def story(stage: Stage) -> None:
        stage.log.fail(absent=True)
        await stage.journal.append(Topic.CALLS, "a", b"1")
        stage.log.fail()
        assert await stage.journal.append(Topic.CALLS, "a", b"2") is Durability.NOT_DURABLE
        assert await stage.journal.append(Topic.CALLS, "b", b"1") is Durability.DURABLE
        await stage.journal.close(10)

    stage = play(story)
    assert [value.split(b"+")[0] for key, value in stage.landed() if key == "a"] == [b"1", b"2"]


def test_backfilled_facts_carry_their_age() -> None:
    """J1: re-stamped when they are appended at last, not when they were queued."""

    async def story(stage: Stage) -> None:
        stage.log.fail(absent=True)
        stage.journal.append_soon(Topic.CALLS, "a", b"1")
        await asyncio.sleep(30)
        stage.log.fail()
        await stage.journal.close(10)

    [(_, value)] = play(story).landed()
    age_ms = int(value.removeprefix(b"1+"))
    assert 30_000 <= age_ms <= 31_100, "the longest pause between two tries is a second"


def test_a_full_queue_keeps_the_oldest_facts_and_counts_the_rest() -> None:
    """J6: the oldest open debts; to lose a settlement only rings somebody back for nothing."""

    async def story(stage: Stage) -> None:
        stage.log.fail(absent=True)
        for n in range(5):
            await stage.journal.append(Topic.CALLS, f"{n}", b"fact")
        assert stage.journal.queued == 3
        stage.log.fail()
        assert await stage.journal.close(10) == 0

    stage = play(story, queue_facts_max=3)
    assert {key for key, _ in stage.landed()} == {"0", "1", "2"}
    assert stage.told(Happening.OVERFLOWED) == 2


def test_the_queue_is_bounded_in_bytes_too() -> None:
    """Ten thousand unreadable offers of sixteen megabytes would not fit into any memory."""

    async def story(stage: Stage) -> None:
        stage.log.fail(absent=True)
        for n in range(4):
            await stage.journal.append(Topic.CALLS_UNREADABLE, f"{n}", b"x" * 400)
        assert stage.journal.queued == 2
        stage.log.fail()
        await asyncio.sleep(5)
        assert stage.journal.queued == 0
        stage.log.fail(absent=True)
        await stage.journal.append(Topic.CALLS_UNREADABLE, "again", b"x" * 1000)
        assert stage.journal.queued == 1

    play(story, queue_bytes_max=1000)


def test_only_the_newest_state_of_a_key_waits_for_a_compacted_topic() -> None:
    """A gateway's snapshot each two seconds must not fill the queue during an outage."""

    async def story(stage: Stage) -> None:
        stage.log.fail(absent=True)
        for n in range(100):
            await stage.journal.append(Topic.PSAP_STATUS, "gateway-1", str(n).encode())
        assert stage.journal.queued == 1
        stage.log.fail()
        await stage.journal.close(10)

    stage = play(story)
    assert [value.split(b"+")[0] for _, value in stage.landed(Topic.PSAP_STATUS)] == [b"99"]
    assert stage.told(Happening.REPLACED) == 99


def test_a_rejected_record_does_not_block_the_queue() -> None:
    """It is counted and dropped, before the queue or in it."""

    async def story(stage: Stage) -> None:
        large = b"x" * (TOPICS[Topic.CALLS].value_bytes_max + 1)
        assert await stage.journal.append(Topic.CALLS, "a", large) is Durability.NOT_DURABLE
        assert stage.journal.queued == 0
        stage.log.fail(absent=True)
        await stage.journal.append(Topic.CALLS, "a", large[:-1])  # its age makes it too large
        await stage.journal.append(Topic.CALLS, "a", b"next")
        stage.log.fail()
        assert await stage.journal.close(10) == 0

    stage = play(story)
    assert stage.told(Happening.REJECTED) == 2
    assert [value.split(b"+")[0] for _, value in stage.landed()] == [b"next"]


@pytest.mark.parametrize("topic", [Topic.CALLS, Topic.CALLS_UNREADABLE])
def test_a_record_that_is_always_refused_holds_up_no_other_key(topic: Topic) -> None:
    """By a missing ACL or for a reason of its own: the facts of calls that a leader's change put behind it land all the
    same."""

    async def story(stage: Stage) -> None:
        stage.journal.append_soon(topic, REFUSED, b"?")
        await asyncio.sleep(0.3)
        stage.log.fail(absent=True)
        for key in ("a", "b", "c"):
            stage.journal.append_now(Topic.CALLS, key, b"1")
        await asyncio.sleep(0.2)
        stage.log.fail()
        await asyncio.sleep(3.0)
        assert {key for key, _ in stage.landed()} == {"a", "b", "c"}

    play(story, log=Guarded)


@pytest.mark.parametrize(("bound", "size"), [({"queue_facts_max": 2_000}, 1), ({"queue_bytes_max": 200_000}, 100)])
def test_thousands_of_records_that_nobody_lets_us_write_cost_no_fact_of_a_call_anything(
    bound: dict[str, int], size: int
) -> None:
    """They fill what is theirs, in facts or in bytes, and are counted beyond it; a call is heard within its budget, its
    facts have all of their own room while the log is away, and none is behind them when it is back."""
    refused, of_calls = 5_000, 2_000

    async def story(stage: Stage) -> None:
        loop = asyncio.get_running_loop()
        for n in range(refused):
            stage.journal.append_soon(Topic.CALLS_UNREADABLE, f"{n}", b"?" * size)
        await asyncio.sleep(10)
        assert stage.journal.queued == 2_000
        for n in range(100):
            begun = loop.time()
            assert await stage.journal.append(Topic.CALLS, f"at once {n}", b"1") is Durability.DURABLE
            assert loop.time() - begun <= BUDGET_S
        stage.log.fail(absent=True)
        for n in range(of_calls):
            stage.journal.append_soon(Topic.CALLS, f"{n}", b"1" * size)
        await asyncio.sleep(5)
        assert stage.journal.queued == 4_000
        stage.log.fail()
        await asyncio.sleep(2)
        assert stage.journal.queued == 2_000
        assert f"no room for more of {Topic.CALLS_UNREADABLE}" in (stage.journal.health() or "")

    stage = play(story, log=Guarded, **bound)
    assert len(stage.landed()) == 100 + of_calls
    lost = [event.topic for event in stage.events if event.happening is Happening.OVERFLOWED]
    assert lost == [Topic.CALLS_UNREADABLE] * (refused - 2_000)


def test_closing_drains_what_nobody_waited_for() -> None:
    """`append_soon` is tracked."""

    async def story(stage: Stage) -> None:
        stage.log.fail(delay_s=0.02)
        for n in range(50):
            stage.journal.append_soon(Topic.CALLS, f"{n}", b"fact")
        assert await stage.journal.close(1) == 0

    assert len(play(story).landed()) == 50


def test_closing_gives_up_at_its_limit_and_says_how_much_was_lost() -> None:
    """A drain has a limit; what was lost is counted, and nothing goes on afterwards."""

    async def story(stage: Stage) -> None:
        stage.log.fail(absent=True)
        for n in range(7):
            stage.journal.append_soon(Topic.CALLS, f"{n}", b"fact")
        assert await stage.journal.close(2) == 7
        assert asyncio.get_running_loop().time() == pytest.approx(2)
        stage.log.fail()
        assert await stage.journal.append(Topic.CALLS, "late", b"fact") is Durability.NOT_DURABLE
        await asyncio.sleep(60)
        assert len(asyncio.all_tasks()) == 1

    stage = play(story)
    assert stage.landed() == []
    assert stage.told(Happening.OVERFLOWED) == 8


def test_a_cancelled_caller_leaves_its_record_on_its_way() -> None:
    """A conductor that ends must not take its last fact with it."""

    async def story(stage: Stage) -> None:
        stage.log.fail(delay_s=0.03)
        waiting = asyncio.create_task(stage.journal.append(Topic.CALLS, "a", b"1"))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.sleep(0.1)
        assert waiting.cancelled()
        assert await stage.journal.close() == 0

    assert play(story).landed() == [("a", b"1")]


def test_a_long_queue_is_drained_in_growing_windows() -> None:
    """Ten thousand facts are back within seconds, without a burst while the log is still weak."""

    async def story(stage: Stage) -> None:
        stage.log.fail(absent=True)
        for n in range(10_000):
            stage.journal.append_soon(Topic.CALLS, f"{n}", b"fact")
        await asyncio.sleep(1)
        stage.log.fail(delay_s=0.01)
        begun = asyncio.get_running_loop().time()
        assert await stage.journal.close(30) == 0
        rounds_s = 10_000 / TOPICS[Topic.CALLS].partitions / BACKFILL_WINDOW_MAX * 0.01
        assert asyncio.get_running_loop().time() - begun < 1.0 + 2 * rounds_s

    assert len(play(story).landed()) == 10_000


FAULTS = st.sampled_from(
    [{}, {}, {"absent": True}, {"delay_s": 0.02}, {"delay_s": 0.3}, {"delay_s": 6.0}, {"lost": True}]
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.sampled_from("abc")),
        st.tuples(st.just("soon"), st.sampled_from("abc")),
        st.tuples(st.just("fail"), FAULTS),
        st.tuples(st.just("pass"), st.sampled_from([0.01, 0.2, 3.0])),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_whatever_the_log_does_no_fact_is_lost_and_first_landings_keep_the_order_of_their_key(
    steps: list[tuple[str, object]],
) -> None:
    """The whole promise: bounded waits, every fact lands, and without its duplicates each key is read in order."""
    sent: dict[str, list[int]] = defaultdict(list)

    async def story(stage: Stage) -> None:
        loop = asyncio.get_running_loop()
        for number, (verb, argument) in enumerate(steps):
            match verb, argument:
                case "append", str(key):
                    sent[key].append(number)
                    begun = loop.time()
                    await stage.journal.append(Topic.CALLS, key, b"%d" % number)
                    assert loop.time() - begun <= BUDGET_S + 1e-6
                case "soon", str(key):
                    sent[key].append(number)
                    stage.journal.append_soon(Topic.CALLS, key, b"%d" % number)
                case "fail", dict(faults):
                    stage.log.fail(**faults)
                case "pass", float(seconds):
                    await asyncio.sleep(seconds)
        stage.log.fail()
        assert await stage.journal.close(60) == 0

    stage = play(story)
    for key, numbers in sent.items():
        landed = [int(value.split(b"+")[0]) for each, value in stage.landed() if each == key]
        assert sorted(set(landed)) == numbers
        # A first attempt that failed may be overtaken by one that was already on its way; a slow log reorders nothing.
        if all(argument not in ({"lost": True}, {"absent": True}) for _, argument in steps):
            assert list(dict.fromkeys(landed)) == numbers
    done = {Happening.ACKED, Happening.ACKED_LATE, Happening.BACKFILLED}
    assert sum(event.happening in done for event in stage.events) == sum(map(len, sent.values()))
