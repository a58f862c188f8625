"""The memory log in bad weather: brokers that fall, records that come late, drawn fates, processes that are killed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from random import Random

import pytest

from services.journal import Gap, Record, Topic, Unavailable, Unknown
from services.journal.memory import BrokerState, Faults, MemoryBroker, MemoryLog
from services.journal.memory_follower import MemoryFollower
from simulator.virtual_loop import EPOCH_MS, Process, State, run_virtual, running_loop, virtual_wall_ms

Weather = Callable[[MemoryBroker, MemoryLog, MemoryLog], Coroutine[None, None, None]]


def play(story: Weather, seed: int = 1) -> None:
    """A story of a client in bad weather and one that is well, under virtual time."""

    async def main() -> None:
        broker = MemoryBroker(virtual_wall_ms)
        await story(broker, MemoryLog(broker, random=Random(seed)), MemoryLog(broker))

    run_virtual(main())


def values(broker: MemoryBroker, topic: Topic = Topic.CALLS) -> list[bytes]:
    return [record.value for record in broker.records(topic)]


def key_led_by(broker: MemoryBroker, leader: str) -> str:
    """A key whose partition this broker leads."""
    return next(
        key
        for key in map(str, range(100))
        if broker.leader(Topic.CALLS, broker.partition_of(Topic.CALLS, key)) == leader
    )


READING: set[asyncio.Task[None]] = set()


async def started(
    log: MemoryLog, topic: Topic = Topic.CALLS, *, offset: int | None = None
) -> tuple[MemoryFollower, list[Record]]:
    """A follower, and the list into which it reads."""
    follower = log.follow(topic, offsets=None if offset is None else {0: offset})
    await follower.start()
    read: list[Record] = []

    async def consume() -> None:
        async for batch in follower:
            read.extend(batch)

    reading = asyncio.ensure_future(consume())
    READING.add(reading)
    reading.add_done_callback(READING.discard)
    await asyncio.sleep(0)
    return follower, read


async def outcome(acked: asyncio.Future[None]) -> str:
    """How an append ended."""
    try:
        await acked
    except (Unavailable, Unknown) as error:
        return type(error).__name__
    return "acknowledged"


def test_each_append_has_one_drawn_fate_and_lands_as_often_as_that_says() -> None:
    """J5: refused and lost ones never land; unknown ones may; a duplicate is the same record twice."""

    async def story(broker: MemoryBroker, log: MemoryLog, _: MemoryLog) -> None:
        log.suffer(Faults(refuse_share=0.2, lose_share=0.2, unacked_share=0.2, twice_share=0.2, delay_max_s=0.5))
        appends = {b"%d" % n: log.append(Topic.CALLS, f"{n % 9}", b"%d" % n) for n in range(1000)}
        ends = {value: await outcome(acked) for value, acked in appends.items()}
        assert asyncio.get_running_loop().time() <= 5.5
        await asyncio.sleep(6)
        landed = Counter(values(broker))
        told = Counter((end, landed[value]) for value, end in ends.items())
        assert told.keys() == {
            ("acknowledged", 1),
            ("acknowledged", 2),
            ("Unavailable", 0),
            ("Unknown", 0),
            ("Unknown", 1),
        }
        assert all(150 < count < 250 for count in told.values())

    play(story)


def test_the_same_seed_makes_the_same_weather() -> None:
    """A schedule that found something can be run again."""
    runs: list[list[tuple[str, bytes, int]]] = []

    async def story(broker: MemoryBroker, log: MemoryLog, _: MemoryLog) -> None:
        log.suffer(Faults(refuse_share=0.1, lose_share=0.1, unacked_share=0.1, twice_share=0.3, delay_max_s=3.0))
        appends = [log.append(Topic.CALLS, f"{n}", b"%d" % n) for n in range(200)]
        await asyncio.gather(*(outcome(acked) for acked in appends))
        log.kill()
        await asyncio.sleep(10)
        runs.append([(record.key, record.value, record.log_ms) for record in broker.records(Topic.CALLS)])

    for seed in (3, 3, 4):
        play(story, seed)
    assert runs[0] == runs[1] != runs[2]


def test_appends_that_land_keep_their_order_whatever_the_drawn_delays_are() -> None:
    """A partition is a queue; only a second copy may come out of turn."""

    async def story(broker: MemoryBroker, log: MemoryLog, _: MemoryLog) -> None:
        log.suffer(Faults(unacked_share=0.5, delay_max_s=2.0))
        await asyncio.gather(*(outcome(log.append(Topic.CALLS, "a", b"%d" % n)) for n in range(100)))
        assert values(broker) == [b"%d" % n for n in range(100)]

    play(story)


def test_a_second_copy_can_land_behind_newer_records_of_its_key() -> None:
    """J5: readers fold by what a fact says, not by where it lies."""

    async def story(broker: MemoryBroker, log: MemoryLog, _: MemoryLog) -> None:
        log.suffer(Faults(twice_share=1.0))
        await log.append(Topic.CALLS, "a", b"older")
        log.suffer(Faults())
        await log.append(Topic.CALLS, "a", b"newer")
        await asyncio.sleep(5)
        assert values(broker) == [b"older", b"newer", b"older"]

    play(story)


def test_appends_land_while_their_acknowledgements_never_come_and_reading_stands_still() -> None:
    """A network that carries one way only; what was missed is read when it carries both again."""

    async def story(broker: MemoryBroker, log: MemoryLog, well: MemoryLog) -> None:
        _, read = await started(log)
        _, others = await started(well)
        log.suffer(Faults(unacked_share=1.0, deaf=True))
        assert await outcome(log.append(Topic.CALLS, "a", b"1")) == "Unknown"
        assert [record.value for record in others] == values(broker) == [b"1"]
        await well.append(Topic.CALLS, "b", b"2")
        await asyncio.sleep(60)
        assert (read, len(others)) == ([], 2)
        assert "nothing was read" in (log.health() or "")
        log.suffer(Faults())
        await asyncio.sleep(0.001)
        assert sorted(record.value for record in read) == [b"1", b"2"]
        assert log.health() is None

    play(story)


def test_others_read_a_record_before_its_writer_hears_of_it() -> None:
    """An acknowledgement is a message of its own and can be slow."""

    async def story(_: MemoryBroker, log: MemoryLog, well: MemoryLog) -> None:
        others = (await started(well))[1]
        log.suffer(Faults(acked_after_s=3.0))
        acked = log.append(Topic.CALLS, "a", b"1")
        await asyncio.sleep(2.9)
        assert (len(others), acked.done()) == (1, False)
        assert "not been acknowledged" in (log.health() or "")
        await asyncio.sleep(0.2)
        assert acked.done()
        assert log.health() is None

    play(story)


@pytest.mark.parametrize(("back_after_s", "ends"), [(4.0, "acknowledged"), (6.0, "Unknown")])
def test_what_is_on_its_way_when_a_client_is_cut_off_lands_and_is_told_when_it_is_back(
    back_after_s: float, ends: str
) -> None:
    """J5: the broker has it and cannot say so; a producer asks again, up to the deadline."""

    async def story(broker: MemoryBroker, log: MemoryLog, _: MemoryLog) -> None:
        log.suffer(Faults(delay_s=0.1))
        acked = log.append(Topic.CALLS, "a", b"1")
        log.suffer(Faults(absent=True))
        asyncio.get_running_loop().call_later(back_after_s, log.suffer, Faults())
        assert await outcome(acked) == ends
        assert asyncio.get_running_loop().time() == min(back_after_s, 5.0)
        await asyncio.sleep(5)
        assert values(broker) == [b"1"]

    play(story)


def test_records_come_late_to_one_client_and_to_no_other_and_all_of_them_come() -> None:
    """An acknowledged record is not yet one that everybody has read."""

    async def story(broker: MemoryBroker, log: MemoryLog, well: MemoryLog) -> None:
        log.suffer(Faults(late_s=2.0))
        _, read = await started(log)
        _, others = await started(well)
        for n in range(30):
            await well.append(Topic.CALLS, f"{n}", b"%d" % n)
            await asyncio.sleep(0.1)
        assert len(others) == 30
        await asyncio.sleep(0.05)
        assert len(read) == 11, "those of the first second, and one more"
        await asyncio.sleep(0.9)
        assert len(read) == 20
        await asyncio.sleep(1.0)
        assert len(read) == 30

    play(story)


def test_a_late_follower_is_caught_up_only_with_all_that_was_acknowledged_before_its_start() -> None:
    """J7: the leaders told it the ends, so late records are never taken for none."""

    async def story(_: MemoryBroker, log: MemoryLog, well: MemoryLog) -> None:
        await well.append(Topic.CALLS, "a", b"1")
        log.suffer(Faults(late_s=2.0))
        follower, read = await started(log)
        await asyncio.sleep(1.9)
        assert (read, follower.caught_up.is_set()) == ([], False)
        await asyncio.sleep(0.2)
        assert (len(read), follower.caught_up.is_set()) == (1, True)

    play(story)


def test_a_hung_broker_stops_its_own_partitions_for_everybody_and_no_other() -> None:
    """One of three: what was sent to it lands when it goes on, and is not read meanwhile."""

    async def story(broker: MemoryBroker, log: MemoryLog, well: MemoryLog) -> None:
        sick, sound = key_led_by(broker, "broker-1"), key_led_by(broker, "broker-2")
        await log.append(Topic.CALLS, sick, b"before")
        broker.turn(BrokerState.HUNG, "broker-1")
        follower, read = await started(well)
        assert dict(follower.positions) == {}, "it cannot learn where that partition ends"
        waits = log.append(Topic.CALLS, sick, b"1")
        await log.append(Topic.CALLS, sound, b"2")
        await asyncio.sleep(3)
        assert (waits.done(), read) == (False, [])
        assert log.leader_of(Topic.CALLS, sick) == "broker-1"
        broker.turn(BrokerState.WELL, "broker-1")
        await waits
        await asyncio.sleep(0)
        assert sorted(record.value for record in read) == [b"1", b"2", b"before"]

    play(story)


def test_a_partition_whose_leader_is_gone_refuses_until_another_leads_it() -> None:
    """What was sent before is sent again to the next leader; what is said meanwhile is surely not written."""

    async def story(broker: MemoryBroker, log: MemoryLog, well: MemoryLog) -> None:
        key = key_led_by(broker, "broker-1")
        _, read = await started(well)
        log.suffer(Faults(delay_s=0.1))
        waits = log.append(Topic.CALLS, key, b"1")
        broker.turn(BrokerState.GONE, "broker-1")
        assert await outcome(log.append(Topic.CALLS, key, b"refused")) == "Unavailable"
        assert log.leader_of(Topic.CALLS, key) == ""
        assert "has no leader" in (log.health() or "")
        await asyncio.sleep(2)
        broker.move("broker-1", "broker-2")
        assert await outcome(waits) == await outcome(log.append(Topic.CALLS, key, b"2")) == "acknowledged"
        assert log.leader_of(Topic.CALLS, key) == "broker-2"
        assert log.health() is None
        await asyncio.sleep(0)
        assert [record.value for record in read] == values(broker) == [b"1", b"2"]

    play(story)


def test_a_broker_that_falls_is_silent_then_missed_then_replaced_and_leads_again_when_it_is_back() -> None:
    """What is said to it meanwhile waits, is refused, or goes to its successor; nothing of it is lost or doubled."""

    async def story(broker: MemoryBroker, log: MemoryLog, well: MemoryLog) -> None:
        key = key_led_by(broker, "broker-1")
        _, read = await started(well)
        falling = asyncio.ensure_future(broker.fall("broker-1", silent_s=2, leaderless_s=2, away_s=6))
        found: list[tuple[str, str]] = []

        async def say(n: int) -> None:
            leader = log.leader_of(Topic.CALLS, key)
            found.append((leader, await outcome(log.append(Topic.CALLS, key, b"%d" % n))))

        async with asyncio.TaskGroup() as group:
            for n in range(12):
                await asyncio.sleep(1 if n else 0.5)
                group.create_task(say(n))
        await falling
        assert found[:2] == [("", "Unavailable")] * 2
        assert Counter(found[2:]) == {
            ("broker-1", "acknowledged"): 4,
            ("broker-2", "acknowledged"): 6,
        }
        assert [record.value for record in read] == [b"%d" % n for n in range(12) if n not in (2, 3)]

    play(story)


def test_with_every_broker_gone_nothing_is_written_or_read_and_all_goes_on_when_they_are_back() -> None:
    """Kafka gone altogether, for every client at once."""

    async def story(broker: MemoryBroker, log: MemoryLog, well: MemoryLog) -> None:
        _, read = await started(log)
        broker.turn(BrokerState.GONE)
        for each in (log, well):
            assert await outcome(each.append(Topic.CALLS, "a", b"1")) == "Unavailable"
            assert each.health() == "no broker answers (memory log)"
        await asyncio.sleep(600)
        broker.turn(BrokerState.WELL)
        await well.append(Topic.CALLS, "a", b"2")
        await asyncio.sleep(0)
        assert [record.value for record in read] == [b"2"]
        assert log.health() is None

    play(story)


def test_compaction_leaves_holes_that_a_follower_passes_without_a_gap() -> None:
    """The newest record of each key stays where it was."""

    async def story(broker: MemoryBroker, log: MemoryLog, _: MemoryLog) -> None:
        for n, key in enumerate("abacabac"):
            await log.append(Topic.PSAP_STATUS, key, b"%d" % n)
        broker.compact(Topic.PSAP_STATUS)
        await log.append(Topic.PSAP_STATUS, "b", b"8")
        for offset, expected in ((0, [5, 6, 7, 8]), (4, [5, 6, 7, 8]), (6, [6, 7, 8]), (9, [])):
            follower, read = await started(log, Topic.PSAP_STATUS, offset=offset)
            await asyncio.sleep(0)
            assert [record.offset for record in read] == [int(record.value) for record in read] == expected
            assert follower.caught_up.is_set()
            assert (follower.gaps, dict(follower.positions)) == ([], {0: 9})

    play(story)


def test_a_follower_that_was_away_for_longer_than_the_retention_meets_a_gap() -> None:
    """J7: nothing is jumped over in silence, neither by one that starts nor by one that stood still."""

    async def story(broker: MemoryBroker, log: MemoryLog, well: MemoryLog) -> None:
        number = broker.partition_of(Topic.DELIVERIES, "a")
        standing, read = await started(log, Topic.DELIVERIES)
        await well.append(Topic.DELIVERIES, "a", b"0")
        await asyncio.sleep(0)
        log.suffer(Faults(deaf=True))
        for n in range(1, 4):
            await asyncio.sleep(1)
            await well.append(Topic.DELIVERIES, "a", b"%d" % n)
        broker.forget(Topic.DELIVERIES, older_than_ms=EPOCH_MS + 2500)
        log.suffer(Faults())
        await asyncio.sleep(0)
        assert [record.value for record in read] == [b"0", b"3"]
        assert standing.gaps == [Gap(Topic.DELIVERIES, number, 1, 3)]
        starting = log.follow(Topic.DELIVERIES, offsets={number: 2})
        await starting.start()
        assert starting.gaps == [Gap(Topic.DELIVERIES, number, 2, 3)]
        fresh, read = await started(log, Topic.DELIVERIES)
        await asyncio.sleep(0)
        assert (fresh.gaps, [record.offset for record in read]) == ([], [3])

    play(story)


def test_a_killed_process_hears_nothing_more_and_a_part_of_what_it_had_sent_arrives() -> None:
    """What was sent before some instant arrives, in its order; no acknowledgement wakes the dead."""
    arrived = set()

    async def story(broker: MemoryBroker, log: MemoryLog, well: MemoryLog) -> None:
        _, read = await started(log)
        log.suffer(Faults(delay_s=0.5, unacked_share=0.5))
        acked = [log.append(Topic.CALLS, "a", b"%d" % n) for n in range(5)]
        await asyncio.sleep(0.1)
        log.kill()
        log.suffer(Faults())
        await well.append(Topic.CALLS, "a", b"after")
        await asyncio.sleep(60)
        assert read == []
        assert not any(each.done() for each in acked)
        with pytest.raises(Unavailable):
            await log.append(Topic.CALLS, "a", b"never")
        landed = values(broker)
        landed.remove(b"after")
        assert landed == [b"%d" % n for n in range(len(landed))]
        arrived.add(len(landed))

    for seed in range(30):
        play(story, seed)
    assert arrived == {0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize("ends", [Process.pause, Process.kill])
def test_what_was_sent_lands_whatever_becomes_of_its_sender_meanwhile(ends: Callable[[Process], None]) -> None:
    """J5: a broker does not ask how its client is; one that was paused finds the acknowledgement waiting."""

    async def story(broker: MemoryBroker, log: MemoryLog, well: MemoryLog) -> None:
        _, read = await started(well)
        process = running_loop().process("ingress-1")
        log.suffer(Faults(delay_s=1.0))
        heard: list[asyncio.Future[None]] = []
        acked = process.context.run(log.append, Topic.CALLS, "a", b"1")
        process.context.run(acked.add_done_callback, heard.append)
        await asyncio.sleep(0.5)
        ends(process)
        await asyncio.sleep(60)
        assert [record.value for record in read] == [b"1"]
        assert heard == []
        process.go_on()
        await asyncio.sleep(0.001)
        assert heard == ([acked] if process.state is State.RUNS else [])

    play(story)


@pytest.mark.parametrize("gone_first", [True, False])
@pytest.mark.parametrize("killed", [True, False])
def test_what_leaders_that_are_gone_did_not_take_is_lost_with_its_sender(gone_first: bool, killed: bool) -> None:
    """Its client alone would send it again."""

    async def story(broker: MemoryBroker, log: MemoryLog, well: MemoryLog) -> None:
        async def ends() -> None:
            if killed:
                log.kill()
            else:
                await log.close()

        log.suffer(Faults(delay_s=0.5))
        acked = [log.append(Topic.CALLS, "a", b"%d" % n) for n in range(20)]
        if not gone_first:
            await ends()
        broker.turn(BrokerState.GONE)
        if gone_first:
            await ends()
        await asyncio.sleep(32)
        broker.turn(BrokerState.WELL)
        await well.append(Topic.CALLS, "a", b"after")
        await asyncio.sleep(1)
        assert values(broker) == [b"after"]
        if not killed:
            assert [await outcome(each) for each in acked] == ["Unknown"] * 20

    play(story)


def test_a_small_installation_has_fewer_partitions_and_loses_nothing_that_is_meant_for_others() -> None:
    """Ticks name their partitions as production has them (T1)."""

    async def story() -> None:
        broker = MemoryBroker(virtual_wall_ms, {Topic.CALLS: 3})
        log = MemoryLog(broker)
        for n in range(6):
            await log.append(Topic.CALLS, "a", b"%d" % n, partition=n)
        _, read = await started(log)
        await asyncio.sleep(0)
        assert [(record.partition, record.value) for record in read] == [(n % 3, b"%d" % n) for n in (0, 3, 1, 4, 2, 5)]

    run_virtual(story())


def test_a_follower_is_woken_once_for_all_that_lands_at_an_instant_and_never_for_another_topic() -> None:
    """A simulation is as fast as its followers are left alone."""

    async def story(_: MemoryBroker, log: MemoryLog, well: MemoryLog) -> None:
        batches: list[list[Record]] = []

        async def consume(follower: MemoryFollower) -> None:
            batches.extend([batch async for batch in follower])

        follower = log.follow(Topic.CALLS)
        await follower.start()
        reading = asyncio.ensure_future(consume(follower))
        await asyncio.sleep(1)
        waits = reading._fut_waiter  # type: ignore[attr-defined]
        await asyncio.gather(*(well.append(Topic.DELIVERIES, f"{n}", b"") for n in range(100)))
        await asyncio.sleep(1)
        assert reading._fut_waiter is waits  # type: ignore[attr-defined]
        await asyncio.gather(*(well.append(Topic.CALLS, f"{n}", b"") for n in range(100)))
        await asyncio.sleep(1)
        await follower.stop()
        await reading
        assert [len(batch) for batch in batches] == [100]

    play(story)
