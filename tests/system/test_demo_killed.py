"""However the demonstration ends, it leaves nothing behind: no process, no file."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import uuid
from pathlib import Path

import pytest

from tests.marked import MARK, marked

EARLY = 18
"""Moments while it comes up and the first callers call: most processes are started there."""
LATE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("firewall-1: killed", ()),
    ("the last callers are waited for", ("--short",)),
)
"""What it says in the middle of the story, while a service is away that will come back, and before its verdict; with
options."""
AT_ONCE = 2
"""A demonstration fills two cores by itself. Of more at once this test would measure its own load."""
EARLY_WITHIN_S = 16.0
SAYS_SO_WITHIN_S = 200.0
AFTER_S = 1.5
GONE_WITHIN_S = 2.0
INTERRUPTED_WITHIN_S = 20.0


class Copy:
    """One demonstration, with a mark and a temporary folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.scratch = folder
        self.said = folder.with_suffix(".txt")
        self.mark = uuid.uuid4().hex

    async def start(self, *options: str) -> asyncio.subprocess.Process:
        self.scratch.mkdir()
        self.said.touch()
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.cli",
            "demo",
            *options,
            env={**os.environ, "TMPDIR": str(self.scratch), MARK: self.mark},
            stdout=self.said.open("wb"),
            stderr=asyncio.subprocess.STDOUT,
        )

    async def says(self, words: str, process: asyncio.subprocess.Process) -> None:
        """Waits until it has said this."""
        async with asyncio.timeout(SAYS_SO_WITHIN_S):
            while words not in self.said.read_text():
                assert process.returncode is None, self.said.read_text()
                await asyncio.sleep(0.05)

    async def left_after(self, within_s: float) -> list[str]:
        """What is still there; looked at until nothing is, or the time is over."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        while True:
            left = [*marked(self.mark), *(path.name for path in self.scratch.iterdir())]
            if not left or loop.time() >= until:
                return left
            await asyncio.sleep(0.02)


@pytest.mark.timeout(3 * SAYS_SO_WITHIN_S)
async def test_a_killed_demonstration_leaves_nothing_within_two_seconds(tmp_path: Path) -> None:
    """At 20 seeded moments of the whole story, `kill -9`: each child holds a pipe to the parent and ends with it."""
    by = random.Random(2016)
    early = by.sample(range(int(EARLY_WITHIN_S * 1000)), EARLY)
    late = [(by.randrange(int(AFTER_S * 1000)), words, options) for words, options in LATE]
    some_at_once = asyncio.Semaphore(AT_ONCE)

    async def kill_after(moment_ms: int, words: str = "", options: tuple[str, ...] = ()) -> tuple[str, list[str]]:
        """Kills one so long after its start, or after it has said these words."""
        copy = Copy(tmp_path / f"at-{moment_ms}")
        async with some_at_once:
            process = await copy.start(*options)
            try:
                if words:
                    await copy.says(words, process)
                await asyncio.sleep(moment_ms / 1000)
                assert process.returncode is None, copy.said.read_text()
            finally:
                if process.returncode is None:
                    process.kill()
            await process.wait()
            return f"{words}{moment_ms}", await copy.left_after(GONE_WITHIN_S)

    async with asyncio.TaskGroup() as group:  # one that fails ends the others with their processes
        killed = [group.create_task(kill_after(*moment)) for moment in late]  # the longest first
        killed += [group.create_task(kill_after(moment_ms)) for moment_ms in early]
    assert {moment: left for moment, left in (task.result() for task in killed) if left} == {}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_demonstration_cleans_up_and_says_so(tmp_path: Path, asked: signal.Signals) -> None:
    """Ctrl-C: exit code 130, and nothing is left when it has ended."""
    copy = Copy(tmp_path / "scratch")
    process = await copy.start()
    await asyncio.sleep(random.Random(asked).uniform(4.0, 10.0))
    process.send_signal(asked)
    assert await asyncio.wait_for(process.wait(), INTERRUPTED_WITHIN_S) == 130, copy.said.read_text()
    assert await copy.left_after(0.0) == []
