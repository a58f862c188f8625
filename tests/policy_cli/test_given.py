"""A file that an operator names and that is none: refused at once, by every command, and nothing is waited for."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from services.places.region import REGION_FILES
from services.policy_cli import given
from tests.policy_cli.test_commands import NOBODY, NUISANCE, invoke

WITHIN_S = 30
"""A wait without an end is longer than the start of a child on a busy machine."""
SIGNS = ("--firewall", NOBODY, "--key")
NAMED = {
    "check": ("check",),
    "replay": ("replay",),
    "replay --live": ("replay", str(NUISANCE), "--live"),
    "replay --trace": ("replay", str(NUISANCE), "--trace"),
    "sign": ("sign", "--key", "none.key"),
    "sign --key": ("sign", str(NUISANCE), "--key"),
    "submit": ("submit", "--firewall", NOBODY),
    "submit --signature": ("submit", str(NUISANCE), "--firewall", NOBODY, "--signature"),
    "diff": ("diff", str(NUISANCE)),
    "promote": ("promote", *SIGNS, "ann.key"),
    "promote --key": ("promote", "7", *SIGNS),
    "bypass --key": ("bypass", "on", *SIGNS),
    "countersign": ("countersign", *SIGNS, "none.key"),
}


@pytest.fixture(autouse=True)
def _impatient() -> Iterator[None]:
    """Ends what waits."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"it has waited for {WITHIN_S} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(WITHIN_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(params=["a pipe", "a folder", "a device", "another device"])
def no_file(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """What is no file, and the word for it."""
    word: str = request.param
    if word == "a pipe":
        os.mkfifo(tmp_path / "pipe")
        return tmp_path / "pipe", word
    if word == "a folder":
        return tmp_path, word
    return Path("/dev/zero" if word == "a device" else "/dev/tty"), "a device"


@pytest.mark.parametrize("command", NAMED)
def test_what_is_no_file_is_refused_at_once_and_said(
    command: str, no_file: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 66 and one line, as for any file that cannot be read: who reads it has callers waiting."""
    path, word = no_file
    monkeypatch.chdir(tmp_path)
    assert invoke("keygen", "ann").exit_code == 0
    result = invoke(*NAMED[command], path)
    assert result.exit_code == 66, result.output
    assert f"it is {word}; expected " in result.stderr
    assert str(path) in result.stderr and len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", sorted(REGION_FILES))
def test_a_region_of_pipes_is_no_region(tmp_path: Path, name: str) -> None:
    """The checker's child reads it too, and would be waited for five minutes."""
    for each in REGION_FILES:
        (tmp_path / each).write_bytes(b"")
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    for command in ("check", "replay"):
        result = invoke(command, NUISANCE, "--region", tmp_path)
        assert (result.exit_code, result.stdout) == (66, ""), result.output
        assert "holds no region that can be used" in result.stderr
        assert re.search(rf"it is a pipe\b.*{re.escape(name)}", result.stderr)


def test_a_name_that_leads_to_a_file_is_as_good_as_the_file(tmp_path: Path) -> None:
    """Policies are kept under such names, where tools keep their versions."""
    (tmp_path / "nuisance.yaml").symlink_to(NUISANCE)
    with given.opened(tmp_path / "nuisance.yaml") as file:
        assert file.read() == NUISANCE.read_bytes()


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the opening; nothing stays open of it."""
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(Path, "stat", lambda path, **_: os.stat(NUISANCE))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="it is a pipe"):
        given.opened(tmp_path / "pipe")
    assert len(os.listdir("/proc/self/fd")) == before
