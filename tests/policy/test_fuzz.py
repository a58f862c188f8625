"""A short part of `make fuzz`, and that it would find what it looks for."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

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


def test_a_seed_and_a_number_are_one_bundle() -> None:
    """What was found can be drawn again."""
    assert [drawn(3, number) for number in range(50)] == [drawn(3, number) for number in range(50)]
    assert drawn(3, 1) != drawn(4, 1)
