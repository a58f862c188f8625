"""Starts the benchmark's own child processes and talks with them; their side is `bench/child`."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from bench.child import LINE_BYTES_MAX
from services.host.lifeline import Lifeline

STARTS_WITHIN_S = 30.0


class ProgramFailed(Exception):
    """A child ended or did not answer in time; what it printed on standard error stands above."""


class Program:
    """One child process of the benchmark."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.pid = process.pid
        self.address = ""
        """Where it listens, if it does."""
        self._process = process

    async def ask(self, command: dict[str, Any], within_s: float) -> dict[str, Any]:
        """A command and its answer; raises ProgramFailed."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        await self._process.stdin.drain()
        return await self.hear(within_s)

    async def hear(self, within_s: float) -> dict[str, Any]:
        """Its next line; raises ProgramFailed."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(within_s):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise ProgramFailed(f"{self.name} did not answer within {within_s:.0f} s") from None
        if not line:
            raise ProgramFailed(f"{self.name} ended with exit code {await self._process.wait()}")
        heard: dict[str, Any] = json.loads(line)
        return heard

    async def kill(self) -> None:
        """At once, as a machine would take it."""
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


class Crew:
    """The benchmark's own children; all are gone when its `async with` ends, or when this process does."""

    def __init__(self, lifeline: Lifeline) -> None:
        self._lifeline = lifeline
        self._programs: list[Program] = []

    async def start(self, name: str, module: str, *arguments: str) -> Program:
        """`python -m MODULE ARGUMENTS`, until it says its first line; raises ProgramFailed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_BYTES_MAX,
            pass_fds=self._lifeline.fds,
            env=self._lifeline.environment(),
            start_new_session=True,
        )
        program = Program(name, process)
        self._programs.append(program)
        program.address = str((await program.hear(STARTS_WITHIN_S)).get("listening", ""))
        return program

    async def __aenter__(self) -> Crew:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(program.kill() for program in self._programs))
