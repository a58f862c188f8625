"""The spool: what it acknowledged is there after any crash (protocol.md J4), on a disk that fails in every way."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.journal import Topic
from services.journal.disk import DiskTrouble, FolderTaken, MemoryDisk, NoRoom
from services.journal.segments import HEADER_BYTES, SALT_BYTES, Entry, header, payload_of, read, record
from services.journal.spool import TRIED_AGAIN_S, Spool, Spooled, Ticket
from simulator.virtual_loop import run_virtual

FOLDER = Path("spool/ingress-1")
SALT = bytes(range(SALT_BYTES))


def encode(entry: Entry, salt: bytes = SALT) -> bytes:
    return record(payload_of(entry), salt)


def spool_on(disk: MemoryDisk, bytes_max: int = 1_000_000, segment_bytes_max: int = 200) -> Spool:
    """Small segments, so that stories are short."""
    return Spool(disk, FOLDER, Random(1), bytes_max=bytes_max, segment_bytes_max=segment_bytes_max)


async def put(spool: Spool, key: str, value: bytes = b"fact") -> Ticket:
    """A fact, on disk."""
    return await spool.put(Topic.CALLS, key, value, 1_000)


def values(found: list[Spooled]) -> list[bytes]:
    return [spooled.value for spooled in found]


def play(story: Callable[[MemoryDisk], Awaitable[None]]) -> None:
    """A story under virtual time."""

    async def main() -> None:
        await story(MemoryDisk())

    run_virtual(main())


def test_the_next_process_finds_what_was_acknowledged_as_it_was_said() -> None:
    """J4: topic, key, bytes and instant, oldest first."""

    async def story(disk: MemoryDisk) -> None:
        spool = spool_on(disk)
        assert await spool.open() == []
        await spool.put(Topic.CALLS, "a", b"\x00one", 17)
        await spool.put(Topic.CALLS_UNREADABLE, "é", b"", 18)
        again = spool_on(disk.crashed())
        found = await again.open()
        assert [(each.topic, each.key, each.value, each.begun_ms) for each in found] == [
            (Topic.CALLS, "a", b"\x00one", 17),
            (Topic.CALLS_UNREADABLE, "é", b"", 18),
        ]

    play(story)


def test_what_comes_while_a_sync_runs_goes_into_the_next_one() -> None:
    """Group commit: a burst of a thousand costs two syncs, not a thousand."""

    async def story(disk: MemoryDisk) -> None:
        spool = spool_on(disk, segment_bytes_max=1_000_000)
        await spool.open()
        disk.slow_s = 0.01
        first = spool.put(Topic.CALLS, "first", b"", 0)
        await asyncio.sleep(0.005)
        await asyncio.gather(first, *(put(spool, f"{n}") for n in range(1000)))
        assert disk.appends == 2
        assert asyncio.get_running_loop().time() == pytest.approx(0.02)

    play(story)


def test_a_segment_goes_when_all_in_it_are_done_and_an_idle_spool_leaves_no_file() -> None:
    """Nothing that was done comes back unless its segment was still needed."""

    async def story(disk: MemoryDisk) -> None:
        spool = spool_on(disk)
        await spool.open()
        tickets = [await put(spool, f"{n}", b"x" * 80) for n in range(6)]
        assert len(disk.files) == 3
        for ticket in tickets[1:]:
            spool.done(ticket)
        await spool.close()
        found = await spool_on(disk.crashed()).open()
        assert [each.key for each in found] == ["0", "1"], "0 is needed, and 1 lies beside it"

    play(story)


def test_a_drained_spool_leaves_no_file_and_no_task() -> None:
    """With the log well again nothing remains."""

    async def story(disk: MemoryDisk) -> None:
        spool = spool_on(disk)
        await spool.open()
        for ticket in [await put(spool, f"{n}") for n in range(10)]:
            spool.done(ticket)
            spool.done(ticket)
        await asyncio.sleep(1)
        assert disk.files == {}
        assert spool.used_bytes == 0
        assert len(asyncio.all_tasks()) == 1

    play(story)


@pytest.mark.parametrize("torn_bytes", [0, 1, 10, 30, 60])
def test_a_torn_end_is_cut_counted_and_kept_aside(torn_bytes: int) -> None:
    """J4: a crash in the middle of a write takes nothing that was acknowledged before."""

    async def story(disk: MemoryDisk) -> None:
        spool = spool_on(disk)
        await spool.open()
        await put(spool, "a", b"kept")
        disk.slow_s = 1.0
        torn = spool.put(Topic.CALLS, "a", b"x" * 100, 0)
        await asyncio.sleep(0.5)
        left = disk.crashed(torn_bytes)
        again = spool_on(left)
        assert values(await again.open()) == [b"kept"]
        assert again.torn == (torn_bytes > 0)
        aside = [data for path, data in left.files.items() if path.suffix == ".aside"]
        assert [len(data) for data in aside] == ([torn_bytes] if torn_bytes else [])
        with pytest.raises(DiskTrouble):
            await torn

    play(story)


def test_a_flipped_byte_costs_its_own_fact_alone_and_its_bytes_are_kept_aside() -> None:
    """Never silently dropped: a person can look at the file."""
    whole = [encode(Entry(Topic.CALLS, f"{n}", b"value-%d" % n, n)) for n in range(5)]
    for at in range(len(whole[2])):
        damaged = bytearray(header(SALT) + b"".join(whole))
        begin = HEADER_BYTES + len(whole[0]) + len(whole[1])
        damaged[begin + at] ^= 0x40
        reading = read(bytes(damaged))
        assert [entry.key for entry in reading.entries] == ["0", "1", "3", "4"], at
        assert b"".join(reading.damaged) == bytes(damaged[begin : begin + len(whole[2])])
        assert reading.torn == b""


def test_damage_is_counted_and_its_file_outlives_the_segment() -> None:
    """The segment goes when its facts have landed; what could not be read of it stays."""

    async def story(disk: MemoryDisk) -> None:
        spool = spool_on(disk)
        await spool.open()
        for n in range(3):
            await put(spool, f"{n}", b"value")
        [path] = disk.files
        data = bytearray(disk.files[path])
        data[len(data) * 2 // 3] ^= 1
        disk.files[path] = bytes(data)
        left = disk.crashed()
        again = spool_on(left)
        found = await again.open()
        assert [each.key for each in found] == ["0", "2"]
        assert again.unreadable == 1
        for each in found:
            again.done(each.ticket)
        await again.close()
        assert [path.suffix for path in left.files] == [".aside"]

    play(story)


def test_a_file_that_cannot_be_read_is_counted_and_left_and_the_others_are_recovered() -> None:
    """One bad sector must not cost the rest."""

    async def story(disk: MemoryDisk) -> None:
        spool = spool_on(disk)
        await spool.open()
        for n in range(4):
            await put(spool, f"{n}", b"x" * 200)
        left = disk.crashed()
        bad = sorted(left.files)[1]
        left.unreadable.add(bad)
        again = spool_on(left)
        assert [each.key for each in await again.open()] == ["0", "2", "3"]
        assert again.unreadable == 1
        assert bad in left.files
        await put(again, "new")
        assert sorted(left.files)[-1].name == "00000005.spool", "no number is used twice"

    play(story)


@pytest.mark.parametrize("cut", [True, False])
def test_a_record_that_a_caller_wrote_into_a_fact_is_never_read(cut: bool) -> None:
    """J4: whatever a torn or damaged fact holds, only what this process said comes back; salts differ by segment."""

    async def story(disk: MemoryDisk) -> None:
        spool = spool_on(disk)
        await spool.open()
        await put(spool, "known")
        known = next(iter(disk.files.values()))
        forged = known + known[HEADER_BYTES:]
        spool = Spool(disk_2 := MemoryDisk(), FOLDER, Random(2), bytes_max=1_000_000)
        await spool.open()
        await put(spool, "caller", forged + b"x" * 100)
        [(path, data)] = disk_2.files.items()
        disk_2.files[path] = data[:-1] if cut else data[:-1] + b"y"
        again = spool_on(left := disk_2.crashed())
        assert await again.open() == []
        assert again.torn == 1
        assert [len(data) for path, data in left.files.items() if path.suffix == ".aside"]

    play(story)


def test_each_segment_has_a_salt_of_its_own() -> None:
    """A salt that leaks with one file is of no use for the next."""

    async def story(disk: MemoryDisk) -> None:
        spool = spool_on(disk)
        await spool.open()
        for n in range(4):
            await put(spool, f"{n}", b"x" * 200)
        assert len({data[:HEADER_BYTES] for data in disk.files.values()}) == 4

    play(story)


def test_damage_to_a_header_costs_no_fact_and_without_any_salt_the_whole_file_goes_aside() -> None:
    """The header stands there twice."""
    whole = header(SALT) + encode(Entry(Topic.CALLS, "a", b"1", 0))
    for at in range(HEADER_BYTES):
        damaged = bytearray(whole)
        damaged[at] ^= 0x40
        reading = read(bytes(damaged))
        assert [entry.key for entry in reading.entries] == ["a"]
        assert [len(part) for part in reading.damaged] == [HEADER_BYTES // 2]
    lost = bytes(HEADER_BYTES) + whole[HEADER_BYTES:]
    assert read(lost).damaged == (lost,)
    assert read(whole[: HEADER_BYTES - 1]).torn == whole[: HEADER_BYTES - 1]


def test_however_long_damaged_records_say_they_are_reading_stays_cheap() -> None:
    """Thousands of marks that each claim the rest of the file: a budget of checked bytes, and the rest goes aside."""
    head = struct.Struct("<8sII")
    count = 64 * 1024
    claims = b"".join(head.pack(SALT[:8], (count - n - 1) * head.size, 0) for n in range(count))
    data = header(SALT) + encode(Entry(Topic.CALLS, "a", b"1", 0)) + claims
    begun = time.process_time()
    reading = read(data)
    assert time.process_time() - begun < 1.0
    assert [entry.key for entry in reading.entries] == ["a"]
    assert reading.torn == claims


@pytest.mark.parametrize("name", ["1.spool", "000000001.spool", "٠٠٠٠٠٠٠١.spool", "9" * 5_000 + ".spool"])
def test_a_file_of_another_name_is_no_segment_and_shares_no_number_with_one(name: str) -> None:
    """J4: two files of one number would remove each other's facts. A stranger's file is let be."""

    async def story(disk: MemoryDisk) -> None:
        spool = spool_on(disk)
        await spool.open()
        await put(spool, "ours")
        left = disk.crashed()
        left.files[FOLDER / name] = left.files[FOLDER / "00000001.spool"].replace(b"ours", b"copy")
        again = spool_on(left)
        found = await again.open()
        assert [each.key for each in found] == ["ours"]
        for each in found:
            again.done(each.ticket)
        await again.close()
        assert list(left.files) == [FOLDER / name]

    play(story)


def test_a_record_of_a_newer_version_is_kept_aside() -> None:
    """Whole, and yet nothing that this version could append."""
    known = encode(Entry(Topic.CALLS, "a", b"1", 0))
    strange = record(payload_of(Entry(Topic.CALLS, "b", b"2", 0)).replace(b"calls", b"tolls"), SALT)
    reading = read(header(SALT) + known + strange + known)
    assert [entry.key for entry in reading.entries] == ["a", "a"]
    assert reading.damaged == (strange,)


def test_past_its_limit_a_spool_refuses_at_once_and_takes_again_when_there_is_room() -> None:
    """J6: loudly, and it recovers."""

    async def story(disk: MemoryDisk) -> None:
        spool = spool_on(disk, bytes_max=300, segment_bytes_max=100)
        await spool.open()
        first = await put(spool, "a", b"x" * 200)
        with pytest.raises(NoRoom):
            await put(spool, "b", b"x" * 200)
        troubled = spool.trouble is not None
        spool.done(first)
        await asyncio.sleep(0.1)
        assert troubled and spool.trouble is None
        await put(spool, "c", b"x" * 200)

    play(story)


def test_a_full_disk_refuses_and_what_was_acknowledged_before_is_there() -> None:
    """The write that did not fit is torn, and nothing is ever written behind it."""

    async def story(disk: MemoryDisk) -> None:
        spool = spool_on(disk, segment_bytes_max=1_000_000)
        await spool.open()
        await put(spool, "a", b"kept")
        disk.room_bytes = 20
        with pytest.raises(NoRoom):
            await put(spool, "b", b"refused")
        assert "no space" in (spool.trouble or "")
        disk.room_bytes = 1_000
        await put(spool, "c", b"after")
        assert spool.trouble is None
        again = spool_on(disk.crashed())
        assert values(await again.open()) == [b"kept", b"after"]
        assert again.torn == 1

    play(story)


def test_a_trouble_is_told_for_as_long_as_it_lasts_though_nothing_more_is_written() -> None:
    """J6: a disk that has room again is well again, whether or not a fact comes by that would find it out."""

    async def story(disk: MemoryDisk) -> None:
        spool = spool_on(disk)
        await spool.open()
        await put(spool, "a")
        disk.room_bytes = 20
        with pytest.raises(NoRoom):
            await put(spool, "b")
        await asyncio.sleep(2 * TRIED_AGAIN_S)
        assert "no space" in (spool.trouble or ""), "it lasts"
        disk.room_bytes = 1_000
        await asyncio.sleep(2 * TRIED_AGAIN_S)
        assert spool.trouble is None
        assert len(disk.files) == 1, "what it tries with is removed"
        assert values(await spool_on(disk.crashed()).open()) == [b"fact"]

    play(story)


def test_a_file_that_could_not_be_removed_is_removed_later() -> None:
    """J6: its room comes back, and its facts do not come back with every start."""

    async def story(disk: MemoryDisk) -> None:
        spool = spool_on(disk)
        await spool.open()
        ticket = await put(spool, "a")
        disk.broken = "it failed"
        spool.done(ticket)
        await asyncio.sleep(1)
        assert "it failed" in (spool.trouble or "")
        disk.broken = ""
        await asyncio.sleep(2 * TRIED_AGAIN_S)
        assert disk.files == {}
        assert spool.used_bytes == 0
        assert spool.trouble is None

    play(story)


def test_a_file_that_could_not_be_removed_is_removed_though_the_disk_was_written_to_meanwhile() -> None:
    """J6: that a fact went well says that the disk is well, and not that nothing was left on it."""

    async def story(disk: MemoryDisk) -> None:
        spool = spool_on(disk)
        await spool.open()
        ticket = await put(spool, "a", b"x" * 200)
        disk.broken = "it failed"
        spool.done(ticket)
        await asyncio.sleep(1)
        disk.broken = ""
        later = await put(spool, "b")
        assert spool.trouble is None
        await asyncio.sleep(2 * TRIED_AGAIN_S)
        assert len(disk.files) == 1
        spool.done(later)
        await asyncio.sleep(1)
        assert disk.files == {}
        assert spool.used_bytes == 0

    play(story)


def test_a_disk_that_stays_full_is_not_filled_with_empty_files() -> None:
    """Each try is one file at most, and it goes again."""

    async def story(disk: MemoryDisk) -> None:
        spool = spool_on(disk)
        await spool.open()
        disk.room_bytes = 0
        for n in range(50):
            with pytest.raises(NoRoom):
                await put(spool, f"{n}")
        await asyncio.sleep(1)
        assert disk.files == {}
        assert spool.used_bytes == 0

    play(story)


def test_a_fact_that_is_taken_back_before_it_is_written_is_not_written() -> None:
    """The log acknowledged it in the meantime."""

    async def story(disk: MemoryDisk) -> None:
        spool = spool_on(disk, segment_bytes_max=1_000_000)
        await spool.open()
        disk.slow_s = 0.01
        under_way = spool.put(Topic.CALLS, "a", b"written", 0)
        await asyncio.sleep(0.001)
        waiting = spool.put(Topic.CALLS, "b", b"waiting", 0)
        waiting.cancel()
        under_way.cancel()
        await asyncio.sleep(1)
        assert disk.files == {}
        assert spool.used_bytes == 0
        assert disk.appends == 1

    play(story)


def test_a_closed_spool_touches_its_folder_no_more() -> None:
    """It is the next process's by then."""

    async def story(disk: MemoryDisk) -> None:
        spool = spool_on(disk)
        await spool.open()
        ticket = await put(spool, "a")
        await spool.close()
        spool.done(ticket)
        with pytest.raises(DiskTrouble, match="closed"):
            await put(spool, "b")
        await asyncio.sleep(1)
        assert [each.key for each in await spool_on(disk).open()] == ["a"]

    play(story)


def test_a_folder_is_one_processes_own() -> None:
    """Two replicas of one name would remove each other's files."""

    async def story(disk: MemoryDisk) -> None:
        spool = spool_on(disk)
        await spool.open()
        with pytest.raises(FolderTaken, match="give each replica a name of its own"):
            await spool_on(disk).open()
        await spool.close()
        await spool_on(disk).open()

    play(story)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 150)),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 0.005, 0.05])),
        st.tuples(st.just("done"), st.integers(0, 100)),
        st.tuples(st.just("slow"), st.sampled_from([0.0, 0.01])),
        st.tuples(st.just("room"), st.sampled_from([0, 100, 1_000_000])),
        st.tuples(st.just("crash"), st.integers(0, 400)),
        st.tuples(st.just("stop"), st.just(0)),
    ),
    max_size=50,
)


@settings(max_examples=300, deadline=None)
@given(STEPS)
@example([("put", 0), ("wait", 0.0), ("room", 0), ("crash", 1)])
def test_whatever_happens_acknowledged_facts_are_found_in_order_until_they_are_done(
    steps: list[tuple[str, int | float]],
) -> None:
    """J4, J5: crashes at any point, torn writes, full disks; found facts are those acknowledged and not done, and
    besides only facts that were said."""

    async def story() -> None:
        disk = MemoryDisk()
        spool = spool_on(disk)
        await spool.open()
        said: list[bytes] = []
        owed: dict[bytes, Ticket] = {}
        under_way: dict[bytes, asyncio.Future[Ticket]] = {}

        def note_acknowledged() -> None:
            for value in [value for value, ticket in under_way.items() if ticket.done()]:
                ticket = under_way.pop(value)
                if ticket.exception() is None:
                    owed[value] = ticket.result()

        async def reopen(left: MemoryDisk) -> tuple[MemoryDisk, Spool]:
            again = spool_on(left)
            found = await again.open()
            by_value = {each.value: each.ticket for each in found}
            assert owed.keys() <= by_value.keys() <= set(said)
            order = [said.index(each.value) for each in found]
            assert order == sorted(order)
            for each in found:
                if each.value not in owed:
                    again.done(each.ticket)
            owed.update({value: by_value[value] for value in owed})
            under_way.clear()
            return left, again

        for number, (verb, argument) in enumerate(steps):
            note_acknowledged()
            match verb:
                case "put":
                    value = b"%d:" % number + b"x" * int(argument)
                    said.append(value)
                    under_way[value] = spool.put(Topic.CALLS, "a", value, number)
                case "wait":
                    await asyncio.sleep(argument)
                case "done" if owed:
                    value = list(owed)[int(argument) % len(owed)]
                    spool.done(owed.pop(value))
                case "slow":
                    disk.slow_s = float(argument)
                case "room":
                    disk.room_bytes = int(argument)
                case "crash":
                    disk, spool = await reopen(disk.crashed(int(argument)))
                case "stop":
                    await spool.close()
                    note_acknowledged()
                    disk, spool = await reopen(disk.crashed())
        await spool.close()
        note_acknowledged()
        disk.room_bytes = 1_000_000  # where damage cannot be kept aside, its segment stays
        disk, spool = await reopen(disk.crashed())
        for ticket in owed.values():
            spool.done(ticket)
        await spool.close()
        assert [path for path in disk.files if path.suffix == ".spool"] == []

    run_virtual(story())
