"""Names, sizes and what a repository must not hold."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES_MAX = 350
HOMELESS = {"utils", "util", "common", "helpers", "helper", "base", "manager", "handler", "misc"}
TEXT = {".py", ".md", ".toml", ".proto", ".csv", ".json", ".yaml", ".yml", ".sh", ".lock", ""}
NUMBER = re.compile(r"\+1([2-9][0-9]{2})([0-9]{3})([0-9]{4})\b")


def committed() -> list[Path]:
    """Files that git holds or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def modules() -> list[Path]:
    return [
        p
        for p in committed()
        if p.suffix == ".py" and p.relative_to(ROOT).parts[0] in ("services", "loadtest", "simulator", "chaos")
    ]


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_is_read_in_one_sitting_and_says_what_it_is_for(path: Path) -> None:
    """At most 350 lines, a docstring first, and no name that could hold anything."""
    text = path.read_text()
    assert text.count("\n") <= LINES_MAX, f"{text.count(chr(10))} lines: split it by idea"
    assert text.startswith(('"""', 'r"""')), "a module opens with what it is for"
    assert not HOMELESS & set(re.split(r"[_.]", path.stem)), "a name that says what it holds, please"


def test_the_type_checker_is_shown_every_folder_with_python() -> None:
    """The tests too: a rename that breaks one of those that run for minutes is named in seconds."""
    shown = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["packages"]
    folders = {path.relative_to(ROOT).parts[0] for path in committed() if path.suffix == ".py" and path.parent != ROOT}
    assert folders - set(shown) == set()


def test_no_file_names_a_place_that_is_one_machines_own() -> None:
    """Paths of a home or a work folder mean nothing elsewhere."""
    pattern = re.compile(r"/(work|farm|home/[a-z]+|root)/[a-z.]")
    found = []
    for path in committed():
        if path.suffix in TEXT and path != Path(__file__):
            for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
                if pattern.search(line):
                    found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert found == []


def test_every_number_is_one_that_cannot_ring_a_real_person() -> None:
    """555-01XX, or the number of a phone without service (+1 911 ...), which nobody can dial."""
    found = []
    for path in committed():
        if path.suffix not in TEXT:
            continue
        for area, exchange, line in NUMBER.findall(path.read_text("utf-8", "replace")):
            if (exchange, line[:2]) != ("555", "01"):
                found.append(f"{path.relative_to(ROOT)}: +1{area}{exchange}{line}")
    assert found == []


def test_no_lock_file_holds_an_address() -> None:
    """Locked by hash alone: where a package comes from is the installation's business."""
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()[:80]}"
        for path in committed()
        if path.name.endswith(".lock") or path.name.endswith(".lock.toml")
        for line in path.read_text().splitlines()
        if "://" in line
    ]
    assert found == []
