"""How a process of the world outside is led: commands come as JSON lines on standard input.

The end of standard input is the end of whoever leads: the process then stops by itself, and is ended hard when it does
not within a second and a bit. A thread reads, from before anything heavy is imported, so that neither a slow start nor
a blocked event loop can outlive the leader.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

GRACE_S = 1.2
EXIT_ORPHANED = 70


class Leader:
    """Whoever writes to our standard input. `listen` as early as can be, `commands` when there is a loop."""

    def __init__(self) -> None:
        self._heard: deque[dict[str, Any] | Exception | None] = deque()
        self._wake: Callable[[], object] | None = None
        self._lock = threading.Lock()

    def listen(self) -> None:
        threading.Thread(target=self._listen, name="leader", daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin.buffer:
            if not line.strip():
                continue
            try:
                command = json.loads(line)
                if not isinstance(command, dict):
                    raise TypeError("not an object")
            except (ValueError, TypeError) as error:
                self._tell(ValueError(f"expected a JSON object a line on standard input; got {line[:80]!r}: {error}"))
                return
            self._tell(command)
        self._tell(None)
        time.sleep(GRACE_S)
        os._exit(EXIT_ORPHANED)

    def _tell(self, heard: dict[str, Any] | Exception | None) -> None:
        with self._lock:
            self._heard.append(heard)
            if self._wake is not None:
                with suppress(RuntimeError):  # the loop is closed: the process is ending as it should
                    self._wake()

    async def commands(self) -> AsyncIterator[dict[str, Any]]:
        """Each command, until the leader closes the pipe or says {"do": "stop"}. Raises ValueError at other lines."""
        import asyncio  # here, for the thread to listen that much earlier

        loop = asyncio.get_running_loop()
        fresh = asyncio.Event()
        with self._lock:
            self._wake = lambda: loop.call_soon_threadsafe(fresh.set)
            if self._heard:
                fresh.set()
        while True:
            await fresh.wait()
            fresh.clear()
            while self._heard:
                heard = self._heard.popleft()
                if isinstance(heard, Exception):
                    raise heard
                if heard is None or heard.get("do") == "stop":
                    return
                yield heard
