"""The benchmark's command line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.options import parse


def test_a_quick_run_is_short_and_leaves_out_the_chain() -> None:
    """For trying whether it works at all."""
    quick = parse(["--quick"])
    assert (quick.rounds, quick.seconds, quick.chain) == (2, 2.0, False)
    assert parse([]).chain


@pytest.mark.parametrize(
    "given", [["--rates", "0"], ["--rates", "x"], ["--rounds", "0"], ["--rates", "", "--in-hand", "0"]]
)
def test_a_load_that_makes_no_sense_is_refused(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """One line that says what was expected, and exit code 2."""
    with pytest.raises(SystemExit) as refusal:
        parse(given)
    assert refusal.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_help_shows_examples() -> None:
    """`python -m bench --help`, as a newcomer would ask."""
    asked = subprocess.run(
        [sys.executable, "-m", "bench", "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "--quick" in asked.stdout and "examples:" in asked.stdout
