"""The wire is only ever extended: an old reader must understand a new writer, in the middle of a roll-out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUF = Path(sys.executable).with_name("buf")
BASELINE = "baseline.binpb"


def buf(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BUF, *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_the_protos_are_lint_clean() -> None:
    """buf's STANDARD rules."""
    linted = buf("lint", folder=ROOT / "protos")
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_the_protos_only_extend_what_was_agreed() -> None:
    """Against protos/baseline.binpb, which `buf build -o baseline.binpb` rewrites when a version is released."""
    compared = buf("breaking", "--against", BASELINE, folder=ROOT / "protos")
    assert compared.returncode == 0, compared.stdout + compared.stderr


def test_a_field_that_changes_its_meaning_is_noticed(tmp_path: Path) -> None:
    """The check itself can fail: leg's number given to another field is refused."""
    for path in (ROOT / "protos").rglob("*"):
        if path.is_file():
            copy = tmp_path / path.relative_to(ROOT / "protos")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    call = tmp_path / "throughline" / "v1" / "call.proto"
    call.write_text(call.read_text().replace("uint32 leg = 2;", "string leg = 2;"))
    compared = buf("breaking", "--against", BASELINE, folder=tmp_path)
    assert compared.returncode != 0
    assert "leg" in compared.stdout


def test_no_proto_can_drop_a_call() -> None:
    """Verdicts are pass, flag, divert; a word that drops has no place on the wire (promise 3)."""
    screening = (ROOT / "protos" / "throughline" / "v1" / "screening.proto").read_text()
    said = screening.partition("message Verdict {")[2].partition("oneof said {")[2].partition("}")[0]
    fields = [line.split()[1] for line in said.splitlines() if line.strip().endswith(";")]
    assert fields == ["pass", "flag", "divert"]
