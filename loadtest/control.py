"""How a process of the world outside is led: commands come as JSON lines on standard input.

The end of standard input is the end of whoever leads: the process then stops by itself, and is ended hard when it does
not within a second and a bit. A thread reads, so that even a blocked event loop cannot outlive its leader.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

GRACE_S = 1.2
EXIT_ORPHANED = 70


async def commands() -> AsyncIterator[dict[str, Any]]:
    """Each command; ends when the leader closes the pipe or says {"do": "stop"}. Raises ValueError for other lines."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[dict[str, Any] | Exception | None] = asyncio.Queue()

    def listen() -> None:
        for line in sys.stdin.buffer:
            if not line.strip():
                continue
            try:
                command = json.loads(line)
                if not isinstance(command, dict):
                    raise TypeError("not an object")
            except (ValueError, TypeError) as error:
                problem = ValueError(f"expected a JSON object a line on standard input; got {line[:80]!r}: {error}")
                loop.call_soon_threadsafe(heard.put_nowait, problem)
                return
            loop.call_soon_threadsafe(heard.put_nowait, command)
            if command.get("do") == "stop":
                return
        try:
            loop.call_soon_threadsafe(heard.put_nowait, None)
        except RuntimeError:
            return  # the loop is closed: the process is ending as it should
        time.sleep(GRACE_S)
        os._exit(EXIT_ORPHANED)

    threading.Thread(target=listen, name="control", daemon=True).start()
    while True:
        command = await heard.get()
        if isinstance(command, Exception):
            raise command
        if command is None or command.get("do") == "stop":
            return
        yield command
