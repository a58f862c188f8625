"""One service as a child process: started, heard to listen, watched, ended."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.host.lifeline import Lifeline
from services.host.logs import LISTENING

POLL_S = 0.02
LAST_LINES = 8


class ChildFailed(Exception):
    """A child ended, or did not come up in time; the message has its last lines."""


@dataclass(slots=True)
class Child:
    """A running service. Its output goes to `output`, so that a slow reader never holds it up."""

    service: str
    name: str
    process: subprocess.Popen[bytes]
    output: Path
    address: str = ""
    metrics_address: str = ""
    expected_to_end: bool = field(default=False)
    killed: bool = field(default=False)
    """By us, to see what becomes of the others."""
    begins_at: int = 0
    """Where its own part of `output` begins: one that is started again goes on in the file of the one before."""

    @property
    def pid(self) -> int:
        return self.process.pid

    def running(self) -> bool:
        return self.process.poll() is None

    async def listening(self, within_s: float) -> None:
        """Waits until it says where it listens; raises ChildFailed when it ends or says nothing in time."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        read = self.begins_at
        while True:
            alive = self.running()
            with self.output.open("rb") as file:
                file.seek(read)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    read += len(line)
                    if self._says_listening(line):
                        return
            if not alive:
                raise ChildFailed(f"{self.name} ended with exit code {self.process.returncode}; {self.last_lines()}")
            if loop.time() > until:
                raise ChildFailed(f"{self.name} did not listen within {within_s:.0f} s; {self.last_lines()}")
            await asyncio.sleep(POLL_S)

    def _says_listening(self, line: bytes) -> bool:
        if LISTENING.encode() not in line:
            return False
        try:
            said = json.loads(line)
        except ValueError:
            return False
        if said.get("event") != LISTENING:
            return False
        self.address, self.metrics_address = said["address"], said["metrics_address"]
        return True

    def last_lines(self) -> str:
        """The end of its output, for a message."""
        lines = self.output.read_text("utf-8", "replace").splitlines()[-LAST_LINES:]
        return "its last lines:\n  " + "\n  ".join(lines) if lines else "it said nothing"

    async def end(self, within_s: float) -> int | None:
        """SIGTERM, then SIGKILL after `within_s`; returns the exit code."""
        self.expected_to_end = True
        if self.running():
            self.process.send_signal(signal.SIGTERM)
        until = asyncio.get_running_loop().time() + within_s
        while self.running():
            if asyncio.get_running_loop().time() > until:
                self.process.kill()
                await asyncio.to_thread(self.process.wait)
                break
            await asyncio.sleep(POLL_S)
        return self.process.returncode


def start(
    service: str,
    name: str,
    folder: Path,
    lifeline: Lifeline,
    environment: Mapping[str, str],
    within: Sequence[str] = (),
) -> Child:
    """Starts `throughline run SERVICE` under that name; does not wait for it. `within` is a command that becomes it,
    such as `nsenter --net=...`."""
    output = folder / f"{name}.log"
    with output.open("ab") as file:
        begins_at = file.tell()
        process = lifeline.spawn(
            [*within, sys.executable, "-m", "services.cli", "run", service],
            environment=environment,
            stdout=file.fileno(),
            stderr=file.fileno(),
        )
    return Child(service, name, process, output, begins_at=begins_at)
