"""The disk port: one contract for the disk in memory and the real one; a real kill is another test's."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from services.host.disk import SyncedDisk
from services.journal import Topic
from services.journal.disk import Disk, DiskTrouble, FolderTaken, MemoryDisk
from services.journal.spool import Spool


@pytest.fixture(params=["memory", "real"])
def disk(request: pytest.FixtureRequest) -> Disk:
    """A disk with nothing on it."""
    return MemoryDisk() if request.param == "memory" else SyncedDisk()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is not there yet, nor its parent."""
    return tmp_path / "spool" / "ingress-1"


async def test_what_is_appended_is_read_behind_what_was_there(disk: Disk, folder: Path) -> None:
    """Files only grow."""
    assert await disk.claim(folder) == []
    await disk.append(folder / "b", b"one")
    await disk.append(folder / "a", b"other")
    await disk.append(folder / "b", b"two")
    assert await disk.read(folder / "b") == b"onetwo"
    await disk.release(folder)
    assert await disk.claim(folder) == ["a", "b"]


async def test_a_file_that_is_removed_is_gone_and_may_begin_anew(disk: Disk, folder: Path) -> None:
    """A segment in which nothing is needed any more."""
    await disk.claim(folder)
    await disk.append(folder / "a", b"one")
    await disk.remove(folder / "a")
    await disk.remove(folder / "a")
    with pytest.raises(DiskTrouble):
        await disk.read(folder / "a")
    await disk.append(folder / "a", b"two")
    assert await disk.read(folder / "a") == b"two"


async def test_a_folder_is_held_by_one_and_free_when_it_lets_go(disk: Disk, folder: Path) -> None:
    """Two replicas with one name would eat each other's files."""
    await disk.claim(folder)
    with pytest.raises(FolderTaken, match="give each replica a name"):
        await disk.claim(folder)
    await disk.release(folder)
    await disk.release(folder)
    await disk.claim(folder)


async def test_a_folder_that_cannot_be_made_is_trouble_and_says_why(tmp_path: Path) -> None:
    """One line: what, where, why."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DiskTrouble, match=r"cannot use .*file/spool: "):
        await SyncedDisk().claim(tmp_path / "file" / "spool")


async def test_a_spool_on_the_real_disk_recovers_what_it_acknowledged(folder: Path) -> None:
    """J4, through an orderly stop; group commit makes few writes of many facts."""
    spool = Spool(SyncedDisk(), folder, random.Random(), bytes_max=10_000_000)
    await spool.open()
    puts = [spool.put(Topic.CALLS, f"{n}", b"fact", n) for n in range(2_000)]
    for put in puts:
        await put
    await spool.close()
    again = Spool(SyncedDisk(), folder, random.Random(), bytes_max=10_000_000)
    found = await again.open()
    assert [each.key for each in found] == [f"{n}" for n in range(2_000)]
    for each in found:
        again.done(each.ticket)
    await again.close()
    assert await SyncedDisk().claim(folder) == [], "the lock alone is there"
