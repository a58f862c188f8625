"""The switch past all policies, and the system's own hourly drill of it.

Three things switch it on, and each is enough: a file, the environment, one signed order (`feed.py`). The file
needs neither Kafka nor Kubernetes nor a login to anything but the machine. `services/policy/life/bypass.py` decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from services.firewall.policies.feed import PolicyFeed
from services.firewall.policies.settings import PolicySettings
from services.host.files import FileTrouble
from services.host.world import World
from services.policy.life.bypass import By, Drilled, drill_doubt, drill_due

LOOK_EVERY_S: Final = 1.0
FIRST_DRILL_WITHIN_MS: Final = 60_000
"""The first comes at a moment of a replica's own within this, so that they do not all drill at once."""

Drill = Callable[[bool], Awaitable[bool]]
"""Screens one test call by `drill_bundle` on the way of real ones, the bypass on or off as told; was it diverted?

It must not count in windows, breakers or verdict metrics of real calls."""


class Bypass:
    """`on` is asked for each call."""

    def __init__(self, world: World, settings: PolicySettings, feed: PolicyFeed, drill: Drill) -> None:
        self._world = world
        self._settings = settings
        self._feed = feed
        self._drill = drill
        self._file = False
        self._since_ms = world.wall_ms()
        self._first_ms = self._since_ms + world.random.randrange(FIRST_DRILL_WITHIN_MS)
        self._tried_ms = 0
        self._trouble = ""
        self._task: asyncio.Task[None] | None = None
        self.drilled_ms = 0
        """When the last drill went well, in wall milliseconds; 0 before the first."""

    @property
    def on(self) -> bool:
        """Whether every call passes."""
        return self._file or self._settings.bypass or self._feed.bypassed()

    @property
    def by(self) -> tuple[By, ...]:
        """What has switched it on."""
        found = {By.FILE: self._file, By.ENVIRONMENT: self._settings.bypass, By.ORDER: self._feed.bypassed()}
        return tuple(each for each, is_on in found.items() if is_on)

    async def start(self) -> None:
        """Looks for the file once, so that the first call meets it, and goes on looking."""
        await self._look()
        self._task = asyncio.get_running_loop().create_task(self._look_on(), name="bypass")

    async def stop(self) -> None:
        """Looks no longer."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def remarks(self) -> list[str]:
        """What an operator should know, one line each."""
        doubt = drill_doubt(self._world.wall_ms(), self.drilled_ms, self._since_ms)
        found = [f"on, by {', '.join(self.by)}: every call passes"] if self.on else []
        found += [f"the drill failed: {self._trouble}"] if self._trouble else []
        return [f"bypass: {line}" for line in [*found, doubt] if line]

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self._look()
            now_ms = self._world.wall_ms()
            if drill_due(now_ms, self._tried_ms, self.drilled_ms, self._first_ms):
                self._tried_ms = now_ms
                await self._drill_once(now_ms)

    async def _look(self) -> None:
        path = self._settings.bypass_file
        if path is not None:
            try:
                await self._world.files.read_text(path)
                there = True
            except FileTrouble:
                there = False
            if there != self._file:
                self._world.logger.error("bypass.file", there=there)
            self._file = there
        by = self.by
        for each, gauge in self._feed.metrics.bypassed.items():
            gauge.set(each in by)

    async def _drill_once(self, now_ms: int) -> None:
        """The one wide net here: a drill that raises has failed, and the next one comes all the same."""
        try:
            drilled = Drilled(diverted_off=await self._drill(False), passed_on=not await self._drill(True))
            self._trouble = drilled.trouble
        except Exception as mistake:
            self._trouble = f"it raised {mistake!r}"
        if self._trouble:
            self._feed.metrics.drills_failed.inc()
            self._world.logger.error("bypass.drill_failed", why=self._trouble)
        else:
            self.drilled_ms = now_ms
            self._feed.metrics.drilled.set(now_ms / 1000)
            self._world.logger.info("bypass.drilled")
