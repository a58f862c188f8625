"""Holds a process still, as a hung machine or a stopped container would, and never for longer than its parent lives.

A stopped process cannot notice that its parent has ended (services/host/lifeline.py). So a small guard stops it, waits
beside it, and kills it when the parent is gone before it was let go on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Final

from services.host.lifeline import Lifeline, wrapped

_GUARD: Final = """
import os, signal, sys
pid = int(sys.argv[1])

def end(*_):
    os.kill(pid, signal.SIGKILL)
    os._exit(0)

signal.signal(signal.SIGTERM, end)
os.kill(pid, signal.SIGSTOP)
print("stopped", flush=True)
while True:
    signal.pause()
"""


class Frozen:
    """One process that stands still from the moment that this is made. Making it blocks for the start of the guard."""

    def __init__(self, pid: int, lifeline: Lifeline) -> None:
        self._pid = pid
        command = wrapped([sys.executable, "-I", "-S", "-c", _GUARD, str(pid)])
        self._guard = lifeline.spawn(command, stdout=subprocess.PIPE)
        assert self._guard.stdout is not None
        self._guard.stdout.readline()

    def thaw(self) -> None:
        """It goes on. Can be called twice, and when it has been killed meanwhile."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGCONT)
        if self._guard.poll() is None:
            self._guard.kill()  # the kernel kills what it wraps: the guard does nothing any more
            self._guard.wait()
        assert self._guard.stdout is not None
        self._guard.stdout.close()
