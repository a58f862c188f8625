"""What is taken again, and what is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.host.settings import ROOT
from tests.system.takes import OverBound, within

TESTS = """
from pathlib import Path
import pytest
from tests.system.takes import taken_again, within

def take(name):
    with (Path(__file__).parent / name).open("a") as takes:
        takes.write("x")
    return (Path(__file__).parent / name).stat().st_size

@taken_again
def test_slow_once():
    within(5 if take("slow_once") == 1 else 1, 2, "s")

@taken_again
def test_always_slow():
    take("always_slow")
    within(5, 2, "s")

@taken_again
def test_wrong():
    assert take("wrong") > 1
"""


@pytest.mark.parametrize(
    ("faults_last", "takes", "ends"),
    [
        ("1", {"slow_once": 2, "always_slow": 3, "wrong": 1}, "2 failed, 1 passed, 3 rerun"),
        ("4", {"slow_once": 1, "always_slow": 1, "wrong": 1}, "3 failed"),
    ],
    ids=["make test", "make failures"],
)
def test_only_a_bound_is_taken_again_and_three_takes_over_it_fail(
    tmp_path: Path, faults_last: str, takes: dict[str, int], ends: str
) -> None:
    """Slow once passes, slow always fails after three takes; what is wrong fails at its first. Who measures, once."""
    (tmp_path / "test_them.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", "-c", "/dev/null"]
    run = subprocess.run(
        [*command, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "FAULTS_LAST": faults_last},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert {name: (tmp_path / name).stat().st_size for name in takes} == takes, run.stdout + run.stderr
    assert ends in run.stdout


@pytest.mark.parametrize("took", [2.5, float("nan"), float("inf")])
def test_what_is_no_figure_is_over_its_bound_too(took: float) -> None:
    """Nobody rang at all, say."""
    within(2.0, 2.0, "s")
    with pytest.raises(OverBound, match=r"s: .*, and 2 at most"):
        within(took, 2.0, "s")
