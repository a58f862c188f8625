"""What this firewall wants to stand on `policy`, until it does.

A wish is a pure change of what stands (services/policy/life/lifecycle.py). It is written as the next state, and counts
only if it lands as that; else it is made anew of what stands then. An urgent one, which only lets more calls pass,
holds here from the start, whatever becomes of the topic. No record waits in a queue: one that landed late would be
ignored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from services.host.world import World
from services.journal import Rejected, Topic, Unavailable, Unknown
from services.policy.life.lifecycle import OrderRefused, State
from services.policy.life.shelf import Shelf
from services.wire import policy_records

AGAIN_S: Final = 1.0
SEEN_WITHIN_S: Final = 2.0

Change = Callable[[State], State | None]


@dataclass(slots=True, eq=False)
class Wish:
    """One change, and its end: fulfilled, or refused by what stands meanwhile (OrderRefused)."""

    change: Change
    urgent: bool
    fulfilled: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Wishes:
    """The wishes of one firewall, in their order.

    `shelf` says what stands, as far as it was read; `stood` the highest serial that ever stood here, so that a topic
    which lost everything goes on behind it.
    """

    def __init__(self, world: World, shelf: Callable[[], Shelf], stood: Callable[[], int]) -> None:
        self._world = world
        self._shelf = shelf
        self._stood = stood
        self._pending: list[Wish] = []
        self._tries = 0
        self._wished = asyncio.Event()
        self._landed = asyncio.Event()
        self.trouble = ""
        """Why the topic cannot be written; empty while it can."""

    @property
    def urgent(self) -> int:
        """How many hold here alone."""
        return sum(wish.urgent for wish in self._pending)

    def add(self, change: Change, urgent: bool) -> Wish:
        """Wants this change from now on."""
        wish = Wish(change, urgent)
        wish.fulfilled.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody has to wait
        self._pending.append(wish)
        self._wished.set()
        return wish

    def withdraw(self, wish: Wish) -> None:
        """Wants it no more."""
        if wish in self._pending:
            self._pending.remove(wish)

    def over(self, state: State) -> State:
        """What stands, with what holds here already laid over it."""
        for wish in self._pending:
            if wish.urgent:
                try:
                    state = wish.change(state) or state
                except OrderRefused:
                    continue  # it ends with this when it is written
        return state

    def landed(self) -> None:
        """Records were read: what stands may have changed."""
        self._landed.set()
        self._landed = asyncio.Event()

    async def write_on(self) -> None:
        """Writes wishes for ever, one after the other. Begun once the topic was read to its end."""
        while True:
            await self._wished.wait()
            self._wished.clear()
            while self._pending:
                await self._write(self._pending[0])

    async def _write(self, wish: Wish) -> None:
        try:
            after = wish.change(self._shelf().state)
        except OrderRefused as refused:
            self._end(wish, refused)
            return
        if after is None:
            self._end(wish, None)
            return
        if not self._shelf().changes:
            after = replace(after, serial=max(after.serial, self._stood() + 1))
        self._tries += 1
        # Never the same key for two tries: compaction would keep the later, which another's may stand before.
        key, value = policy_records.encode(after, f"{self._world.name}-{self._world.incarnation}-{self._tries}")
        try:
            await self._world.log.append(Topic.POLICY, key, value)
            self.trouble = ""
        except (Unavailable, Rejected, Unknown) as trouble:
            self.trouble = f"`policy` cannot be written: {trouble}"
            self._world.logger.warning("policy.unwritten", serial=after.serial, why=str(trouble))
            await asyncio.sleep(AGAIN_S)
            return
        if not await self.until(lambda shelf: shelf.state.serial >= after.serial, SEEN_WITHIN_S):
            self.trouble = "`policy` was written, and is not read"

    async def until(self, stands: Callable[[Shelf], bool], within_s: float) -> bool:
        """Waits until the topic, as it was read, says so."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not stands(self._shelf()):
                    landed = self._landed
                    await landed.wait()
        return stands(self._shelf())

    def _end(self, wish: Wish, refused: OrderRefused | None) -> None:
        self.withdraw(wish)
        if not wish.fulfilled.done():
            if refused is None:
                wish.fulfilled.set_result(None)
            else:
                wish.fulfilled.set_exception(refused)
