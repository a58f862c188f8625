"""The processes of the benchmark: how one is started, how it says that it is there, and how it ends with its parent.

A child prints one JSON object a line. Its first line says `{"listening": "host:port"}` or `{"ready": true}`. Programs
that take commands read them from their standard input, one JSON object a line, and answer each with one line.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import uvloop

from services.host.lifeline import hold

LINE_BYTES_MAX = 64 * 1024 * 1024
"""A round's answer holds the delays of each of its calls."""


def say(word: dict[str, Any]) -> None:
    """One line to the parent."""
    sys.stdout.write(json.dumps(word, separators=(",", ":")) + "\n")
    sys.stdout.flush()


async def commands() -> AsyncIterator[dict[str, Any]]:
    """What the parent wants, until it closes its end."""
    reader = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs a child's main; the process is gone as soon as its parent is."""
    hold(lambda: os._exit(0))
    uvloop.run(main)
