"""Figures of two versions of the code are never taken for figures of one."""

from __future__ import annotations

import subprocess
from pathlib import Path

from loadtest.measured_code import commit, is_committed


def git(root: Path, *words: str) -> None:
    who = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *words], cwd=root, capture_output=True, check=True)


def test_code_is_named_by_what_it_is_and_papers_do_not_count(tmp_path: Path) -> None:
    """A record that is written into a paper leaves the name as it is; any two states of the code differ."""
    assert commit(tmp_path) == "unknown" and not is_committed("unknown")
    git(tmp_path, "init")
    (tmp_path / "services").mkdir()
    code, paper = tmp_path / "services" / "code.py", tmp_path / "paper"
    code.write_text("one\n")
    paper.write_text("one\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "one")
    first = commit(tmp_path)
    assert is_committed(first)
    paper.write_text("two\n")
    assert commit(tmp_path) == first
    git(tmp_path, "commit", "-am", "a paper")
    assert commit(tmp_path) == first
    names = {first}
    for text in ("two\n", "three\n"):
        code.write_text(text)
        names.add(commit(tmp_path))
    (tmp_path / "services" / "more.py").write_text("new\n")
    names.add(commit(tmp_path))
    (tmp_path / "services" / "more.py").write_text("other\n")
    names.add(commit(tmp_path))
    assert len(names) == 5
    assert [name for name in names if is_committed(name)] == [first]
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "two")
    assert commit(tmp_path) not in names and is_committed(commit(tmp_path))
