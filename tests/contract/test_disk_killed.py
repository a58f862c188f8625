"""The real disk and a real kill -9 in the middle of group commits (protocol.md J4)."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import pytest

from services.host.disk import SyncedDisk
from services.journal.spool import Spool

ROOT = Path(__file__).resolve().parents[2]

# Says each fact's number once it is acknowledged, as a conductor says `Accepted`; takes back every third.
WRITER = """
import asyncio, os, random, sys
from pathlib import Path
from services.host.disk import SyncedDisk
from services.journal import Topic
from services.journal.spool import Spool

async def main():
    spool = Spool(SyncedDisk(), Path(sys.argv[1]), random.Random(), bytes_max=1 << 30, segment_bytes_max=20_000)
    await spool.open()
    print("open", flush=True)
    n = 0
    while True:
        for _ in range(50):
            put = spool.put(Topic.CALLS, str(n % 7), b"%d" % n, n)
            put.add_done_callback(lambda put, n=n: acknowledged(spool, n, put.result()))
            n += 1
        await asyncio.sleep(0.001)

def acknowledged(spool, n, ticket):
    if n % 3:
        os.write(1, b"%d\\n" % n)
    else:
        spool.done(ticket)

asyncio.run(main())
"""


def writer(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.mark.parametrize("seed", range(3))
async def test_every_acknowledged_fact_survives_a_kill_in_the_middle_of_group_commits(
    tmp_path: Path, seed: int
) -> None:
    """J4: what was said to be on disk is there, in order, and nothing that was never said."""
    folder = tmp_path / "spool"
    process = writer(folder)
    assert process.stdout is not None
    assert process.stdout.readline() == b"open\n"
    await asyncio.sleep(0.3 + random.Random(seed).random() / 4)  # the moment of the kill, not a wait for anything
    process.kill()
    said, _ = process.communicate(timeout=20)
    whole = said[: said.rfind(b"\n") + 1]
    acknowledged = {int(line) for line in whole.split()}
    assert len(acknowledged) > 50
    spool = Spool(SyncedDisk(), folder, random.Random(), bytes_max=1 << 30)
    found = [int(each.value) for each in await spool.open()]
    assert acknowledged <= set(found)
    assert found == sorted(found)
    assert spool.unreadable == 0
    assert spool.torn <= 1
    await spool.close()


async def test_a_second_process_on_one_folder_is_refused_and_a_killed_ones_folder_is_free(tmp_path: Path) -> None:
    """The lock ends with its process, however that ends."""
    folder = tmp_path / "spool"
    first = writer(folder)
    assert first.stdout is not None
    assert first.stdout.readline() == b"open\n"
    second = writer(folder)
    _, trouble = second.communicate(timeout=20)
    assert second.returncode == 1
    assert b"FolderTaken" in trouble
    first.kill()
    first.communicate(timeout=20)
    spool = Spool(SyncedDisk(), folder, random.Random(), bytes_max=1 << 30)
    assert await spool.open()
    await spool.close()
