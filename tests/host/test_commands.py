"""Commands at the edge of the world: one line for what cannot be used."""

from __future__ import annotations

import subprocess
import sys

import pytest

MALFORMED = [
    "doctor --kafka 127.0.0.1:9092.",
    "balance --kafka nowhere",
    "tail --kafka :9092",
    "topics apply --kafka broker:99999",
    "up --kafka broker:",
    "replay trace.csv --ingress nowhere",
    "routing status --kafka nowhere",
]


def throughline(words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *words.split()], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("words", MALFORMED)
def test_a_malformed_address_is_told_in_one_line(words: str) -> None:
    """What was expected and what came; exit code 2, and no traceback."""
    refused = throughline(words)
    assert refused.returncode == 2
    assert "expected host:port" in refused.stderr
    assert "Traceback" not in refused.stderr
