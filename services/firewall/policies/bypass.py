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
from services.host.files import NoFile
from services.host.world import World
from services.policy.life.bypass import By, Drilled, drill_doubt, drill_due

LOOK_EVERY_S: Final = 1.0
FIRST_DRILL_WITHIN_MS: Final = 60_000
"""The first comes at a moment of a replica's own within this, so that they do not all drill at once."""

Drill = Callable[[str], Awaitable[str | None]]
"""Screens one test call of this id by `drill_bundle` on the way of real ones: what kept it from that divert.

It must not count in windows, breakers or verdict metrics of real calls."""


class Bypass:
    """`passes` is asked for each call."""

    def __init__(self, world: World, settings: PolicySettings, feed: PolicyFeed, drill: Drill) -> None:
        self._world = world
        self._settings = settings
        self._feed = feed
        self._drill = drill
        self._file = False
        self._unread = ""
        """Why the file cannot be read, though something is there."""
        self._drilling: str | None = None
        """The test call for which alone it is on."""
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
        return bool(self.by)

    def passes(self, call_id: str) -> bool:
        """Whether this call passes, whatever the policies say."""
        return self.on or call_id == self._drilling

    @property
    def by(self) -> tuple[By, ...]:
        """What has switched it on, for every call."""
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
        found += [f"its file counts as there: {self._unread}"] if self._unread else []
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
                there, unread = True, ""
            except NoFile:
                there, unread = False, ""
            except Exception as trouble:  # of another mode, a folder, no descriptor left: better on than off
                there, unread = True, str(trouble)
            if (there, unread) != (self._file, self._unread):
                self._world.logger.error("bypass.file", there=there, unread=unread)
            self._file, self._unread = there, unread
        by = self.by
        for each, gauge in self._feed.metrics.bypassed.items():
            gauge.set(each in by)

    async def _drill_once(self, now_ms: int) -> None:
        """A drill that raises has failed, and the next one comes all the same."""
        call_id = f"drill-{self._settings.name}-{now_ms}"
        try:
            off = await self._drill(f"{call_id}-off")
            self._drilling = f"{call_id}-on"
            on = await self._drill(self._drilling)
            self._trouble = Drilled(off, on, needed=self.on).trouble
        except Exception as mistake:
            self._trouble = f"it raised {mistake!r}"
        finally:
            self._drilling = None
        if self._trouble:
            self._feed.metrics.drills_failed.inc()
            self._world.logger.error("bypass.drill_failed", why=self._trouble)
        else:
            self.drilled_ms = now_ms
            self._feed.metrics.drilled.set(now_ms / 1000)
            self._world.logger.info("bypass.drilled")
