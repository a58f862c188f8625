"""A candidate is looked at in a child process with limits: whatever a file does to its reader, it does it there.

The child is `python -m services.policy_cli.confined`. It gets the file's bytes on standard input and answers in JSON.
Memory and CPU are limited by the kernel, time by this side; what dies of it is a refusal like any other.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from services.host.exits import EXIT_FILE
from services.policy.files.reading import BYTES_MAX
from services.policy_cli import given

MEMORY_BYTES_MAX: Final = 2 * 1024**3
CPU_S_MAX: Final = 30
DEADLINE_S: Final = 300.0
"""A child that waits instead of working is not waited for."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing wrong with a bundle; `line` is 0 where it has none."""

    line: int
    what: str
    instead: str

    def told(self, name: str) -> str:
        """As a compiler says it, with what to write instead under it."""
        where = f"{name}:{self.line}" if self.line else name
        return f"{where}: {self.what}" + (f"\n    do: {self.instead}" if self.instead else "")


@dataclass(frozen=True, slots=True)
class Checked:
    """What the child found. With an error the bundle is refused."""

    errors: tuple[Remark, ...]
    warnings: tuple[Remark, ...] = ()
    bundle: Mapping[str, Any] | None = None
    """Its label, digest and counts; None where it could not be read."""
    shares: Mapping[str, float] | None = None
    """Of the corpus, by rule: what it would speak for."""

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        return {
            "refused": bool(self.errors),
            "errors": [asdict(each) for each in self.errors],
            "warnings": [asdict(each) for each in self.warnings],
            "bundle": self.bundle,
            "shares": self.shares,
        }

    def conclusion(self) -> str:
        """What an operator takes away."""
        if self.errors:
            return f"refused: {_counted(len(self.errors), 'error')}, {_counted(len(self.warnings), 'warning')}"
        assert self.bundle is not None, "a bundle without errors was read"
        said = self.bundle
        return (
            f"{said['label']} can be used: {_counted(said['rules'], 'rule')}, {said['diverting']} of them divert, "
            f"{_counted(len(self.warnings), 'warning')}"
        )


class CannotRead(Exception):
    """There is no such file or folder, or it cannot be read."""


def content_of(path: Path) -> bytes:
    """A bundle's bytes, one past the limit at most: a gigabyte is refused without being read. Raises CannotRead."""
    try:
        with given.opened(path) as file:
            return file.read(BYTES_MAX + 1)
    except OSError as error:
        raise CannotRead(f"cannot read {path}: {error.strerror or error}; expected a policy, as a YAML file") from None


def check(
    content: bytes,
    corpus: str,
    region: Path,
    *,
    memory_bytes: int = MEMORY_BYTES_MAX,
    cpu_s: int = CPU_S_MAX,
    deadline_s: float = DEADLINE_S,
) -> Checked:
    """Reads and checks a bundle in a child; `corpus` names the calls that it is tried on, empty: none. Raises
    CannotRead where their region is none."""
    # The child imports what we import, and nothing that lies about in the operator's folder.
    command = [sys.executable, "-P", "-m", "services.policy_cli.confined", corpus, str(region)]
    command += [str(memory_bytes), str(cpu_s)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(str(Path(each).resolve()) for each in sys.path if each)}
    try:
        child = subprocess.run(
            command, input=content, capture_output=True, timeout=deadline_s, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        return _refused(f"checking it took more than {deadline_s:.0f} s", "write fewer or simpler rules")
    if child.returncode == -signal.SIGXCPU or child.returncode == -signal.SIGKILL:
        return _refused(f"checking it took more than {cpu_s} s of CPU", "write fewer or simpler rules")
    last = child.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    if child.returncode == EXIT_FILE:
        raise CannotRead(last)
    try:
        return _checked(json.loads(child.stdout))
    except (ValueError, KeyError, TypeError):
        return _refused(f"the checker ended with {child.returncode}: {last[:300]}", "tell its maintainers")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _refused(what: str, instead: str) -> Checked:
    return Checked((Remark(0, what, instead),))


def _checked(said: Mapping[str, Any]) -> Checked:
    def remarks(kind: str) -> tuple[Remark, ...]:
        return tuple(Remark(int(each["line"]), str(each["what"]), str(each["instead"])) for each in said[kind])

    return Checked(remarks("errors"), remarks("warnings"), said["bundle"], said["shares"])
