"""A short part of `make fuzz`, and that it would find what it looks for."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.fuzz.bundles import KINDS, drawn
from tests.fuzz.run import Run

COUNT = 500


def test_five_hundred_generated_bundles_do_no_harm(tmp_path: Path) -> None:
    """Read, checked, compiled and asked, in a process with limits: none drops a call, crashes or takes too long; and
    each kind is among them, those that are accepted too."""
    run = Run(7, tmp_path)
    run.batch(0, COUNT)
    assert run.found == []
    outcomes = Counter(run.batches[0]["outcomes"])
    assert outcomes.total() == COUNT
    assert {told.split(": ")[0] for told in outcomes} >= set(KINDS) - {"large"}
    assert {told.split(": ")[1] for told in outcomes} == {"refused", "unfit", "faulty", "accepted"}


def test_a_process_that_ends_over_a_bundle_is_told_and_the_next_is_tried(tmp_path: Path) -> None:
    """One that ends over each of them: each is found and kept, and a second run knows it from the file."""
    ends = "import sys; print('begins', sys.argv[2], flush=True); sys.exit(3)"
    run = Run(7, tmp_path, (sys.executable, "-c", ends))
    run.batch(0, 3)
    assert [each["number"] for each in run.found] == [0, 1, 2]
    assert (tmp_path / "found-7-1.yaml").read_bytes() == drawn(7, 1)[1]
    assert Run(7, tmp_path).found == run.found


def test_the_first_so_many_bundles_are_tried_once_and_by_this_version_of_the_code(tmp_path: Path) -> None:
    """Not more than are asked for; later the rest of a batch; nothing counts that another version was tried with."""
    ends = (sys.executable, "-c", "import sys; print('begins', sys.argv[2], flush=True); sys.exit(3)")
    run = Run(7, tmp_path, ends, "abc")
    assert list(run.untried(3)) == [(0, 3)]
    run.batch(0, 3)
    assert list(Run(7, tmp_path, ends, "abc").untried(2)) == []
    assert list(Run(7, tmp_path, ends, "abc").untried(2_500)) == [(3, 997), (1_000, 1_000), (2_000, 500)]
    other = Run(7, tmp_path, ends, "abd")
    assert (other.tried, other.found, list(other.untried(3))) == (0, [], [(0, 3)])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--count", "-3"), "--count: expected 1 or more, got -3"),
        (("--count", "many"), "--count: expected a whole number, got 'many'"),
        (("--workers", "0"), "--workers: expected 1 or more, got 0"),
        (("--keep", __file__), "expected a folder that can be written to"),
    ],
)
def test_words_that_mean_nothing_are_refused(words: tuple[str, ...], says: str) -> None:
    """In one line, before anything is tried."""
    command = [sys.executable, "-m", "tests.fuzz", *words]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, says in ended.stderr, "Traceback" in ended.stderr) == (2, True, False)


def test_a_seed_and_a_number_are_one_bundle() -> None:
    """What was found can be drawn again."""
    assert [drawn(3, number) for number in range(50)] == [drawn(3, number) for number in range(50)]
    assert drawn(3, 1) != drawn(4, 1)
