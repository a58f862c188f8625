"""`throughline up`, as a person runs it: a Kafka of its own, a table, a doctor's visit, Ctrl-C, and nothing left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

LIMIT_S = 120.0
SERVICES = ("firewall-1", "router-1", "psap-gateway-1", "psap-gateway-2", "failover-1", "ledger-1")
INGRESSES = ("ingress-1", "ingress-2")
MARK = "MARK_OF_AN_UP_TEST"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")


@contextmanager
def up(output: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Starts it, and ends it whatever happens."""
    environment = {**os.environ, "COLUMNS": "160", "TMPDIR": str(output.parent), MARK: str(output.parent)}
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.cli", "up", *words],
            env=environment, stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def wait_for(process: subprocess.Popen[bytes], output: Path, pattern: str) -> re.Match[str]:
    """Waits until the output has this."""
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        over = process.poll() is not None
        if found := re.search(pattern, output.read_text()):
            return found
        assert not over, f"ended with {process.returncode}: {output.read_text()}"
        time.sleep(0.05)
    raise AssertionError(f"no {pattern} within {LIMIT_S} s: {output.read_text()}")


def living(output: Path) -> dict[int, str]:
    """The processes that descend from this test's command, itself included: process id and command line."""
    mark = f"{MARK}={output.parent}".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            except (OSError, UnicodeDecodeError):
                continue  # it has ended meanwhile
    return found


def none_living(output: Path, within_s: float) -> bool:
    """Whether all of them end in time."""
    until = time.monotonic() + within_s
    while living(output):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.timeout(300)
def test_everything_comes_up_is_well_and_goes_down_without_a_trace(tmp_path: Path) -> None:
    """Exit code 0 after Ctrl-C; no process, no folder and no Kafka stays."""
    output = tmp_path / "up.txt"
    with up(output) as process:
        kafka = wait_for(process, output, r"Kafka: ([\d.:]+)\. Try")[1]
        told = output.read_text()
        for name in (*SERVICES, *INGRESSES):
            assert re.search(rf"{name} .*127\.0\.0\.1:\d+", told), name
        doctor = subprocess.run(
            [sys.executable, "-m", "services.cli", "doctor", "--kafka", kafka],
            capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        assert doctor.returncode == 0, doctor.stdout
        assert "in-sync copies: all copies" in doctor.stdout
        assert len(living(output)) > len(SERVICES) + len(INGRESSES)
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 0, output.read_text()
    assert none_living(output, 2), living(output)
    assert "had to be killed" not in output.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["up.txt"]


@pytest.mark.timeout(300)
def test_a_kafka_that_is_there_is_used_and_a_child_that_dies_is_told(tmp_path: Path, kafka: str) -> None:
    """The others go on, and the exit code is 1 at the end."""
    output = tmp_path / "up.txt"
    folder = tmp_path / "kept"
    with up(output, "--kafka", kafka, "--folder", str(folder)) as process:
        wait_for(process, output, r"Kafka: ([\d.:]+)\. Try")
        os.kill(next(pid for pid, command in living(output).items() if command.endswith("run router")), signal.SIGKILL)
        wait_for(process, output, r"router-1 ended by itself with exit code -9")
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 1
    assert (folder / "router-1.log").is_file()
    assert "starting Kafka" not in output.read_text()


@pytest.mark.timeout(300)
def test_nothing_outlives_it_where_it_is_killed(tmp_path: Path, kafka: str) -> None:
    """kill -9: the lifeline ends every service within two seconds (three here: others use the machine)."""
    output = tmp_path / "up.txt"
    with up(output, "--kafka", kafka) as process:
        wait_for(process, output, r"Kafka: ([\d.:]+)\. Try")
        assert len(living(output)) > len(SERVICES) + len(INGRESSES)
        process.kill()
        process.wait()
        assert none_living(output, 3), living(output)
    assert [path.name for path in tmp_path.iterdir()] == ["up.txt"]
