"""A small tree of processes for test_lifeline: `root FOLDER` becomes the root, the others are its children."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from services.host.lifeline import Held, Lifeline, hold, wrapped

FOREIGN = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"]
STUBBORN = [
    *(sys.executable, "-I", "-S", "-c"),
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
]


def child(part: str) -> list[str]:
    """The command line of one part of the tree."""
    return [sys.executable, "-S", __file__, part]


def root(folder: Path) -> None:
    """Three kinds of children, a wrapper round a foreign program, one round a stubborn one, and the folder's keeper."""
    lifeline = Lifeline()
    for command in (
        wrapped([], remove=folder),
        child("graceful"),
        child("stubborn"),
        wrapped(FOREIGN),
        child("parent"),
        wrapped(STUBBORN),
    ):
        lifeline.spawn(
            command, stdout=subprocess.DEVNULL
        )  # the test must hear the end of the root, not of the last one
    print("whole", flush=True)
    time.sleep(600)


def graceful() -> None:
    """Ends at once when asked to."""
    stopping: list[bool] = []
    hold(lambda: stopping.append(True))
    while not stopping:
        time.sleep(0.02)


def stubborn() -> None:
    """Never heeds the request to stop."""
    hold(lambda: None)
    while True:
        time.sleep(600)


def parent(held: Held) -> None:
    """Has a child of its own, which sees the end of the root as soon as this process does."""
    Lifeline(held).spawn(child("stubborn"))
    time.sleep(600)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["root", folder]:
            root(Path(folder))
        case ["graceful"]:
            graceful()
        case ["stubborn"]:
            stubborn()
        case ["parent"]:
            parent(hold(lambda: None))
