"""The disk in memory in bad weather, and the spool on it: what was acknowledged is there after any end (J4)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from services.journal import Topic
from services.journal.disk import BLOCK_BYTES, DiskTrouble, MemoryDisk, NoRoom
from services.journal.spool import Spool, Spooled, Ticket
from simulator.virtual_loop import run_virtual

FOLDER = Path("spool/ingress-1")
FILE = FOLDER / "a"


def play(story: Callable[[MemoryDisk], Awaitable[None]]) -> None:
    """A story under virtual time."""

    async def main() -> None:
        await story(MemoryDisk())

    run_virtual(main())


async def under_way(disk: MemoryDisk, doing: Awaitable[None]) -> asyncio.Future[None]:
    """Something that the disk is in the middle of; whoever asked for it will not look at its failure."""
    task = asyncio.ensure_future(doing)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.sleep(0.5)
    assert not task.done()
    return task


def ends(end: Callable[[MemoryDisk, Random], MemoryDisk]) -> set[bytes]:
    """What can stand behind a synced `old` where the process ended in the middle of appending `new`."""
    found: set[bytes] = set()

    async def story(disk: MemoryDisk) -> None:
        await disk.append(FILE, b"old")
        disk.slow_s = 1.0
        await under_way(disk, disk.append(FILE, b"new"))
        for seed in range(300):
            found.add((await end(disk, Random(seed)).read(FILE)).removeprefix(b"old"))

    play(story)
    return found


def test_of_a_write_under_way_when_its_process_is_killed_any_part_may_be_there() -> None:
    """J4: what was synced before always is."""
    assert ends(MemoryDisk.killed) == {b"", b"n", b"ne", b"new"}


def test_who_sees_a_file_off_is_told_of_what_was_acknowledged() -> None:
    """Of a write that failed any part may stand there, whole records too, and nobody counts on them (the simulator's
    seeds 78 and 85)."""
    gone: list[bytes] = []

    async def story(disk: MemoryDisk) -> None:
        disk.sees_off = lambda path, data: gone.append(data)
        await disk.append(FILE, b"old")
        disk.room_bytes = 2
        with pytest.raises(NoRoom):
            await disk.append(FILE, b"new")
        assert await disk.read(FILE) == b"oldne"
        await disk.remove(FILE)

    play(story)
    assert gone == [b"old"]


def test_a_loss_of_power_may_leave_rubbish_behind_such_a_write() -> None:
    """J4: zeros, or what lay on the disk before, up to a block."""
    found = ends(MemoryDisk.lost_power)
    assert {b"", b"n", b"ne", b"new"} < found
    assert any(each.startswith(b"new\0") for each in found)
    assert any(each[3:].strip(b"\0") for each in found)
    assert all(len(each) <= 3 + BLOCK_BYTES for each in found)


def test_a_file_that_was_being_removed_may_be_there_again() -> None:
    """Its facts are appended again then, and dropped by their readers (J5)."""
    found = set()

    async def story(disk: MemoryDisk) -> None:
        await disk.append(FILE, b"old")
        disk.hangs_s = 1.0
        await under_way(disk, disk.remove(FILE))
        for seed in range(10):
            found.add(FILE in disk.lost_power(Random(seed)).files)

    play(story)
    assert found == {True, False}


def test_the_dead_write_nothing_more() -> None:
    """What was under way belongs to the next process's disk as that found it, and to nobody else."""

    async def story(disk: MemoryDisk) -> None:
        disk.slow_s = 1.0
        appending = await under_way(disk, disk.append(FILE, b"new"))
        left = disk.crashed(2)
        with pytest.raises(DiskTrouble):
            await appending
        assert left.files == {FILE: b"ne"}
        await left.append(FILE, b"!")
        assert disk.files == {}
        assert MemoryDisk().files == {}, "another disk, for a replica that starts without its own"

    play(story)


def test_a_disk_that_hangs_does_nothing_until_it_goes_on() -> None:
    """A sync that does not come back: nothing fails, and nothing is done."""

    async def story(disk: MemoryDisk) -> None:
        await disk.append(FILE, b"old")
        disk.hang()
        doing: list[asyncio.Future[Any]] = [
            await under_way(disk, disk.append(FILE, b"new")),
            await under_way(disk, disk.remove(FOLDER / "b")),
        ]
        reading = asyncio.ensure_future(disk.read(FILE))
        await asyncio.sleep(600)
        assert not any(each.done() for each in (*doing, reading))
        disk.go_on()
        await asyncio.gather(*doing, reading)
        assert disk.files[FILE] == b"oldnew"

    play(story)


def test_a_spool_on_a_disk_that_hangs_acknowledges_all_of_it_when_it_goes_on() -> None:
    """J4: the caller was told that it is not durable long before; nothing is lost by waiting."""

    async def story(disk: MemoryDisk) -> None:
        spool = spool_on(disk)
        await spool.open()
        disk.hang()
        puts = [spool.put(Topic.CALLS, f"{n}", b"%d" % n, 0) for n in range(100)]
        await asyncio.sleep(60)
        assert not any(each.done() for each in puts)
        disk.go_on()
        await asyncio.gather(*puts)
        assert len(await spool_on(disk.crashed()).open()) == 100

    play(story)


def test_a_spool_on_a_full_disk_takes_facts_again_when_room_comes_back() -> None:
    """J4: refused while it is full, and neither stuck nor torn afterwards."""

    async def story(disk: MemoryDisk) -> None:
        spool = spool_on(disk)
        await spool.open()
        await spool.put(Topic.CALLS, "a", b"before", 0)
        disk.room_bytes = 10
        with pytest.raises(NoRoom):
            await spool.put(Topic.CALLS, "a", b"refused", 0)
        disk.room_bytes = 10_000
        await spool.put(Topic.CALLS, "a", b"after", 0)
        assert spool.trouble is None
        assert [each.value for each in await spool_on(disk.crashed()).open()] == [b"before", b"after"]

    play(story)


def spool_on(disk: MemoryDisk) -> Spool:
    """Small segments, so that stories are short."""
    return Spool(disk, FOLDER, Random(1), bytes_max=10_000_000, segment_bytes_max=300)


class Lives:
    """Processes on one disk, one after the other, each of which ends in the middle of its work."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.said: set[bytes] = set()
        self.owed: set[bytes] = set()  # acknowledged, and not said to be done

    async def live(self, disk: MemoryDisk) -> MemoryDisk:
        """Checks what is there, works for a while, and ends; returns the disk as it is then."""
        spool = spool_on(disk)
        found = await spool.open()
        values = {each.value for each in found}
        assert self.owed <= values <= self.said
        disk.slow_s, disk.hangs_s, disk.fail_share = 0.01, 0.01, 0.1
        for each in found:
            self._perhaps_done(spool, each)
        for _ in range(self.random.randint(0, 60)):
            self._put(spool)
            await asyncio.sleep(self.random.choice((0, 0.001, 0.02)))
        return disk.lost_power(self.random) if self.random.random() < 0.5 else disk.killed(self.random)

    def _put(self, spool: Spool) -> None:
        value = b"%d" % len(self.said)
        self.said.add(value)

        def acknowledged(put: asyncio.Future[Ticket]) -> None:
            if not put.exception():
                self.owed.add(value)
                self._perhaps_done(spool, Spooled(put.result(), Topic.CALLS, "a", value, 0))

        spool.put(Topic.CALLS, "a", value, 0).add_done_callback(acknowledged)

    def _perhaps_done(self, spool: Spool, spooled: Spooled) -> None:
        if self.random.random() < 0.6:
            spool.done(spooled.ticket)
            self.owed.discard(spooled.value)


@pytest.mark.parametrize("seed", range(60))
def test_whatever_ends_a_process_the_next_one_finds_all_that_is_owed_and_nothing_that_was_never_said(
    seed: int,
) -> None:
    """J4: eight lives on one disk that fails, each ended by a kill or a loss of power in the middle of its work."""

    async def story(_: MemoryDisk) -> None:
        lives = Lives(seed)
        disk = MemoryDisk(random=Random(seed))
        for _life in range(8):
            disk = await lives.live(disk)
        assert len(lives.said) > 50

    play(story)


def test_a_well_disk_takes_its_time_and_may_be_torn_in_it() -> None:
    """J4: a kill within the drawn time of a sync finds any part of the write there, though the disk was well."""
    found: set[bytes] = set()

    async def story() -> None:
        chance = Random(1)
        for _ in range(40):
            disk = MemoryDisk(sync_s=(0.0005, 0.005), random=chance)
            began_s = asyncio.get_running_loop().time()
            await disk.append(FILE, b"old")
            assert 0.0005 <= asyncio.get_running_loop().time() - began_s <= 0.005
            writing = asyncio.ensure_future(disk.append(FILE, b"new"))
            writing.add_done_callback(lambda done: done.cancelled() or done.exception())
            await asyncio.sleep(0.0001)
            found.add(disk.killed(chance).files[FILE])

    run_virtual(story())
    assert found == {b"old", b"oldn", b"oldne", b"oldnew"}
