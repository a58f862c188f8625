"""Which processes a test has started, and what these have started in turn: each bears the test's mark."""

from __future__ import annotations

from pathlib import Path

MARK = "THROUGHLINE_TEST_MARK"


def marked(mark: str) -> list[str]:
    """Every process, by its command, whose environment holds the mark: a parent hands it to its children."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:120])
        except OSError:
            continue  # it has ended meanwhile, or is not ours
    return found
