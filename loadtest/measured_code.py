"""Which code a figure was measured with: figures of two versions do not add up.

A paper that is written, or a test that is added, changes nothing of what is measured: only the folders of the code
count.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
CODE: Final = ("services", "loadtest", "simulator", "chaos", "deploy", "protos", "data", "requirements.lock")
CHANGED: Final = "+"
UNKNOWN: Final = "unknown"


def commit(root: Path = ROOT, code: Sequence[str] = CODE) -> str:
    """The commit that last changed the code; where files differ from it, with `+` and a name of how they differ.
    "unknown" outside a repository."""
    try:
        last = _git(root, "log", "-1", "--format=%h", "--abbrev=10", "--", *code)
        here = [name for name in code if (root / name).exists()]
        changes = _git(root, "diff", "HEAD", "--", *here)
        fresh = _git(root, "ls-files", "--others", "--exclude-standard", "--", *here)
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN
    if not last:
        return UNKNOWN
    if not changes and not fresh:
        return last
    told = hashlib.sha256(changes.encode())
    for name in fresh.splitlines():
        told.update(f"{name}\n".encode() + (root / name).read_bytes())
    return f"{last}{CHANGED}{told.hexdigest()[:6]}"


def is_committed(commit: str) -> bool:
    """Whether anybody else can have the same code."""
    return commit not in ("", UNKNOWN) and CHANGED not in commit


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout.strip()
