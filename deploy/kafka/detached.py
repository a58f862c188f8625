"""Brokers that go on by themselves: a file beside their data remembers the process ids by which they are stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from deploy.kafka import jars
from deploy.kafka.cluster import STOP_LIMIT_S, Process, await_ready, layout, logged, prepare
from deploy.kafka.jars import CannotStart, Say
from services.host.lifeline import Lifeline


@dataclass(frozen=True, slots=True)
class Detached:
    """A broker as the file remembers it.

    `born` tells it from a later process with the same id; empty where /proc is not.
    """

    number: int
    address: str
    pid: int
    born: str

    @property
    def alive(self) -> bool:
        """Whether that very process runs."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return self.born == ""
        return _born(self.pid) == self.born


def start(folder: Path, brokers: int, port: int, say: Say, build: Path = jars.BUILD) -> list[Detached]:
    """Start brokers that outlive this process, and wait until they serve. Raises `CannotStart`."""
    running = remembered(folder)
    if any(broker.alive for broker in running):
        raise CannotStart(
            f"brokers of {folder} run already ({_addresses(running)}); stop them first, or choose another --data"
        )
    class_path = jars.class_path(say, build)
    nodes = layout(folder, brokers, port)
    lifeline = Lifeline()
    processes: dict[int, Process] = {}
    started: list[Detached] = []
    try:
        say(f"kafka: starting {brokers} broker{'s' if brokers > 1 else ''} in {folder}")
        prepare(nodes, class_path, lambda node, command: logged(node, command, lifeline))
        for node in nodes:
            with node.log.open("ab") as log:
                process = subprocess.Popen(
                    node.run_command(class_path),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            processes[node.number] = process
            started.append(Detached(node.number, node.address, process.pid, _born(process.pid)))
            _remember(folder, started)
        await_ready(nodes, processes)
    except BaseException:  # Ctrl-C too: half a cluster must not stay behind
        _stop(started)
        _memory(folder).unlink(missing_ok=True)
        raise
    finally:
        lifeline.close()
    return started


def stop(folder: Path) -> int:
    """Stop the brokers of a folder. Returns how many ran."""
    running = [broker for broker in remembered(folder) if broker.alive]
    _stop(running)
    _memory(folder).unlink(missing_ok=True)
    return len(running)


def remembered(folder: Path) -> list[Detached]:
    """The brokers that were started in a folder and not stopped since."""
    try:
        return [Detached(**broker) for broker in json.loads(_memory(folder).read_text())]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError):
        raise CannotStart(f"{_memory(folder)} cannot be read; end its brokers by hand and remove it") from None


def _stop(brokers: list[Detached]) -> None:
    for broker in brokers:
        if broker.alive:
            os.kill(broker.pid, signal.SIGTERM)
    kills_at = time.monotonic() + STOP_LIMIT_S
    while alive := [broker for broker in brokers if broker.alive]:
        if time.monotonic() > kills_at:
            for broker in alive:
                os.kill(broker.pid, signal.SIGKILL)
        time.sleep(0.05)


def _born(pid: int) -> str:
    """When a process started, in the kernel's ticks. A zombie counts as ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "ended" if fields[0] == "Z" else fields[19]


def _memory(folder: Path) -> Path:
    return folder / "running.json"


def _remember(folder: Path, brokers: list[Detached]) -> None:
    rows = [{"number": b.number, "address": b.address, "pid": b.pid, "born": b.born} for b in brokers]
    fresh = _memory(folder).with_suffix(".new")
    fresh.write_text(json.dumps(rows))
    fresh.replace(_memory(folder))


def _addresses(brokers: list[Detached]) -> str:
    return ",".join(broker.address for broker in brokers)
