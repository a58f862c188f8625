"""A service of nothing, to try a process's life with; the environment tells it what to do wrong."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from services.host.network import Server
from services.host.run import run
from services.host.settings import ServiceSettings
from services.host.stop import Stop
from services.host.world import World
from services.journal.memory import MemoryBroker, MemoryLog


class NothingSettings(ServiceSettings):
    """One field of its own."""

    service: ClassVar[str] = "nothing"
    stop_takes_s: float = Field(0.0, ge=0, description="Seconds that its stop takes, whatever the limit.")
    reads: Path | None = Field(None, description="A file to read at the start.")
    start_never_ends: bool = Field(False, description="Whether its start hangs.")
    trouble: str = Field("", description="What /readyz says.")


class Nothing:
    """Serves no method."""

    def __init__(self, world: World, settings: NothingSettings) -> None:
        self.address = ""
        self._world = world
        self._settings = settings
        self._server: Server | None = None

    async def start(self) -> None:
        if self._settings.reads is not None:
            await self._world.files.read_text(self._settings.reads)
        if self._settings.start_never_ends:
            await asyncio.Event().wait()
        self._server = await self._world.network.serve(self._settings.listen, [])
        self.address = self._server.address

    def troubles(self) -> Sequence[str]:
        return [self._settings.trouble] if self._settings.trouble else []

    def remarks(self) -> Sequence[str]:
        return ["nothing is served"]

    async def stop(self, grace_s: float) -> None:
        await asyncio.sleep(self._settings.stop_takes_s)
        if self._server is not None:
            await self._server.stop(grace_s)


if __name__ == "__main__":
    sys.exit(run(NothingSettings, Nothing, lambda _: MemoryLog(MemoryBroker(lambda: 0)), Stop()))
