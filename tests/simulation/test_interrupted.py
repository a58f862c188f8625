"""Ctrl-C ends the commands of simulation and fuzz in order: exit code 130, in words, and no process is left."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.marked import MARK, marked

MUTANTS = ("tests.simulation.bugs",)
FOUND = "take_over_says_diverted"
"""At its first schedule."""
LONG = "who_could_not_say_is_not_asked_again"
"""Sought for minutes."""
SIMULATE = ("services.cli", "simulate", "--calls", "20", "--schedules", "2000")
FUZZ = ("tests.fuzz", "--seed", "17")
BEGINS_WITHIN_S = 100.0
ENDS_WITHIN_S = 20.0


@pytest.mark.parametrize(
    ("words", "begun", "says"),
    [
        ((*MUTANTS, FOUND, LONG, "--jobs", "2"), lambda said, _: f"\n{FOUND}" in said, "interrupted; 1 had been found"),
        ((*SIMULATE, "--jobs", "2"), lambda _, kept: kept > 1, "schedules; the same command goes on from there"),
        ((*SIMULATE, "--jobs", "1"), lambda _, kept: kept > 1, "schedules; the same command goes on from there"),
        ((*FUZZ, "--workers", "2"), lambda said, _: "bundles tried" in said, "interrupted; the next run goes on after"),
    ],
    ids=["mutants", "simulate", "simulate in one process", "fuzz"],
)
@pytest.mark.timeout(BEGINS_WITHIN_S + 2 * ENDS_WITHIN_S)
async def test_ctrl_c_ends_the_command_and_whatever_it_began(
    tmp_path: Path, words: tuple[str, ...], begun: Callable[[str, int], bool], says: str
) -> None:
    """A terminal interrupts the whole group: exit code 130, in words, no traceback, and no process is left."""
    kept, said, mark = tmp_path / "kept.jsonl", tmp_path / "said.txt", uuid.uuid4().hex
    keep = () if words[: len(MUTANTS)] == MUTANTS else ("--keep", str(tmp_path if words[0] == FUZZ[0] else kept))
    with said.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *words, *keep),
            env={**os.environ, MARK: mark}, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    try:
        async with asyncio.timeout(BEGINS_WITHIN_S):
            while not begun(said.read_text(), len(kept.read_bytes().splitlines()) if kept.exists() else 0):
                assert process.returncode is None, said.read_text()
                await asyncio.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        code = await asyncio.wait_for(process.wait(), ENDS_WITHIN_S)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert code == 130, said.read_text()
    assert says in said.read_text() and "Traceback" not in said.read_text()
    assert "found:" not in said.read_text(), "what was ended by us is no find"
    async with asyncio.timeout(ENDS_WITHIN_S):
        while marked(mark):  # noqa: ASYNC110 - processes end, and tell nobody
            await asyncio.sleep(0.05)
