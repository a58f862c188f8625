"""Bad links are really bad: measured with two processes in network namespaces of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.links import why_not

ROOT = Path(__file__).parents[2]
WHY_NOT = why_not()
needs_namespaces = pytest.mark.skipif(bool(WHY_NOT), reason=f"not run: {WHY_NOT}")


@needs_namespaces
def test_a_link_is_whole_late_cut_one_way_and_whole_again() -> None:
    """A connection that stands meets each: late by both ways together, silent while one way is cut, and goes on."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.chaos.an_impaired_link"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    told = json.loads(run.stdout)
    assert told["whole"] < 100 and told["mended"] < 100
    assert 200 <= told["late"] < 400
    assert told["cut"] is None
    assert told["again"] is not None


@needs_namespaces
def test_nothing_of_it_is_seen_outside() -> None:
    """No bridge, no named namespace stays on the machine."""
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    assert "calls:" not in links
    assert subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout == ""
