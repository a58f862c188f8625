"""However a run of chaos is ended, it ends within seconds, leaves nothing behind, and what was judged is on record."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from pathlib import Path

import pytest

from chaos.record import read
from services.host.lifeline import Lifeline
from tests.marked import MARK, marked

ROOT = Path(__file__).parents[2]
SAYS_SO_WITHIN_S = 200.0
ENDS_WITHIN_S = 10.0
GONE_WITHIN_S = 2.0
JUDGED = "round 1 ("
"""It says so of a round once that is written down."""
WITHOUT_KAFKA = ("--only", "kafka-gone", "--kafka-gone", "300")
"""Services that are told to stop then write their facts to a disk first, or wait for Kafka."""
FULL = ("--only", "spool-full")
"""A disk is mounted in the run's own folder."""
A_PARENT = f"import sys; from {Lifeline.__module__} import Lifeline; Lifeline().spawn(sys.argv[1:]).wait()"


class Started:
    """A run, with a mark that all its processes bear."""

    def __init__(self, folder: Path) -> None:
        self.said = folder / "said.txt"
        self.runs = folder / "runs.jsonl"
        self.folders = ROOT / "build" / "chaos"
        self.mark = uuid.uuid4().hex
        self.before = self._there()
        self.process: asyncio.subprocess.Process

    def _there(self) -> set[Path]:
        """Folders of runs, and what is mounted or a network here."""
        mounts = (line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines())
        networks = *Path("/sys/class/net").iterdir(), *Path("/run").glob("netns/*")
        return {*self.folders.glob("2*"), *map(Path, mounts), *networks}

    async def start(self, *options: str, parent: tuple[str, ...] = ()) -> None:
        words = ("--minutes", "5", "--seed", "5", "--rate", "5", "--runs", str(self.runs))
        with self.said.open("wb") as said:
            self.process = await asyncio.create_subprocess_exec(
                *(*parent, sys.executable, "-m", "chaos", "run", *words, *options),
                env={**os.environ, MARK: self.mark},
                cwd=ROOT,
                stdout=said,
                stderr=asyncio.subprocess.STDOUT,
            )

    async def says(self, words: str) -> None:
        """Waits until it has said this."""
        async with asyncio.timeout(SAYS_SO_WITHIN_S):
            while words not in self.said.read_text():
                assert self.process.returncode is None, self.said.read_text()
                await asyncio.sleep(0.05)

    async def gone(self, within_s: float) -> None:
        """Waits until nothing of it is left: then its namespaces are gone as well, with all that was in them."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        while left := [*marked(self.mark), *sorted(map(str, self._there() - self.before))]:
            assert loop.time() < until, left
            await asyncio.sleep(0.1)


@pytest.mark.timeout(2 * SAYS_SO_WITHIN_S)
@pytest.mark.parametrize(
    ("asked", "words", "options"),
    [
        (signal.SIGTERM, JUDGED, ("--only", "delay")),
        (signal.SIGTERM, "kafka-gone for", WITHOUT_KAFKA),
        (signal.SIGINT, "spool-full ingress", FULL),
    ],
    ids=["judged", "without Kafka", "a full disk"],
)
async def test_a_run_that_is_told_to_end_does_so_within_seconds(
    tmp_path: Path, asked: signal.Signals, words: str, options: tuple[str, ...]
) -> None:
    """At once, whatever it is at: a round that goes on, or Kafka away. Rounds that were judged stay on record."""
    run = Started(tmp_path)
    await run.start(*options)
    try:
        await run.says(words)
        run.process.send_signal(asked)
        assert await asyncio.wait_for(run.process.wait(), ENDS_WITHIN_S) == 130, run.said.read_text()
        await run.gone(GONE_WITHIN_S)
    finally:
        if run.process.returncode is None:
            run.process.kill()
    assert [row["number"] for row in read(run.runs)] == ([1] if words == JUDGED else [])


@pytest.mark.timeout(2 * SAYS_SO_WITHIN_S)
async def test_a_run_ends_with_its_parent(tmp_path: Path) -> None:
    """One that is killed, as a test runner may be, tells it nothing: the kernel closes the pipe between them."""
    run = Started(tmp_path)
    await run.start(*WITHOUT_KAFKA, parent=(sys.executable, "-c", A_PARENT))
    try:
        await run.says("kafka-gone for")
        assert len(marked(run.mark)) > 10
    finally:
        run.process.kill()
    await run.process.wait()
    await run.gone(ENDS_WITHIN_S + GONE_WITHIN_S)
