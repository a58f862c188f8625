"""`throughline routing` at the edge: what is refused before anything is written, with one line and an exit code."""

from __future__ import annotations

import shutil
from pathlib import Path

from typer.testing import CliRunner, Result

from services.host.exits import EXIT_FILE, EXIT_UNAVAILABLE
from services.launch.routing_commands import routing

SAMPLE = Path(__file__).parents[2] / "data" / "massachusetts"
NO_KAFKA = "127.0.0.1:1"


def invoke(*words: str) -> Result:
    return CliRunner().invoke(routing, words)


def test_a_broken_region_is_refused_with_its_file_and_line(tmp_path: Path) -> None:
    """Checked whole before Kafka is asked, as each service would check it."""
    folder = shutil.copytree(SAMPLE, tmp_path / "region")
    (folder / "alternates.csv").write_text("psap_id,order,alternate_id\n3203,1,3203\n")
    refused = invoke("publish", str(folder), "--kafka", NO_KAFKA)
    assert refused.exit_code == EXIT_FILE
    assert "alternates.csv line 2" in refused.output
    (folder / "lines.csv").unlink()
    missing = invoke("publish", str(folder), "--kafka", NO_KAFKA)
    assert missing.exit_code == EXIT_FILE
    assert "lines.csv" in missing.output


def test_a_kafka_that_is_not_there_is_told_in_one_line() -> None:
    """Exit code 69, as the other commands."""
    told = invoke("status", "--kafka", NO_KAFKA)
    assert told.exit_code == EXIT_UNAVAILABLE
    assert told.output.count("\n") == 1
    assert "cannot read `routing`" in told.output
