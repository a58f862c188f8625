"""Where a fact is safe while the log does not have it: on our own disk, and at a failover replica (protocol.md J4).

Both at once are as good as the log's acknowledgement; one of them is `at_risk`, none `not_durable`. Whoever waits hears
as soon as it is settled, and after WITHIN_S at the latest, by what is known then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from services.domain.durability import Durability
from services.journal import Topic
from services.journal.backlog import Append
from services.journal.disk import DiskTrouble, FolderTaken
from services.journal.happenings import Happening
from services.journal.spool import Spool, Ticket

Keep = Callable[[str, bytes], Awaitable[bool]]
"""Asks a failover replica to keep a fact, by its call; true once it has it on its disk."""

WITHIN_S: Final = 0.150
OPEN_WITHIN_S: Final = 2.0
REOPEN_PAUSE_S: Final = 5.0
FLUSH_S: Final = 1.0


class Safekeeping:
    """The two copies of what is queued. `tell` hears what becomes of each; `found` is given what an open brings up."""

    def __init__(
        self,
        spool: Spool | None,
        keep: Keep | None,
        wall_ms: Callable[[], int],
        tell: Callable[[Happening, Append], None],
        found: Callable[[list[Append]], None],
    ) -> None:
        self._spool = spool
        self._keep = keep
        self._wall_ms = wall_ms
        self._tell = tell
        self._found = found
        self._keeping: dict[asyncio.Task[bool], None] = {}
        self._reopening: asyncio.Task[None] | None = None

    @property
    def trouble(self) -> str | None:
        """What is wrong with the spool; None when it is well, or when there is none."""
        return None if self._spool is None or self._spool.trouble is None else f"spool: {self._spool.trouble}"

    @property
    def has_spool(self) -> bool:
        """Whether facts outlive this process."""
        return self._spool is not None

    async def open(self) -> None:
        """Brings up what a former process left. A disk that does not work is tried again in the background, one that
        hangs is waited for there: calls are carried all the same. Raises FolderTaken where another process holds the
        folder."""
        if self._spool is None:
            return
        loop = asyncio.get_running_loop()
        opening = loop.create_task(self._open(self._spool), name="open the spool")
        await asyncio.wait({opening}, timeout=OPEN_WITHIN_S)
        if opening.done():
            trouble = opening.exception()
            if not isinstance(trouble, DiskTrouble) or isinstance(trouble, FolderTaken):
                opening.result()
                return
        self._reopening = loop.create_task(self._reopen(self._spool, opening), name="open the spool again")
        self._reopening.add_done_callback(_raise_in_the_open)

    def take(self, append: Append) -> None:
        """Makes the copies of a fact that has just been queued, and answers its caller when it is known how safe it
        is."""
        loop = asyncio.get_running_loop()
        if self._spool is not None and self._may_be_spooled(self._spool, append):
            begun_ms = self._wall_ms() - round((loop.time() - append.begun) * 1000)
            append.spooled = self._spool.put(append.topic, append.key, append.value, begun_ms)
            append.spooled.add_done_callback(partial(self._spooled, append))
        if append.keep and self._keep is not None:
            append.kept = loop.create_task(self._ask(self._keep, append), name="keep a copy")
            self._keeping[append.kept] = None
            append.kept.add_done_callback(partial(self._kept, append))
        self._judge(append, final=False)
        if append.awaited:
            timer = loop.call_later(WITHIN_S, self._judge, append, True)
            assert append.caller is not None, "it is awaited"
            append.caller.add_done_callback(lambda _: timer.cancel())

    def give_back(self, append: Append) -> None:
        """The fact has landed, or nobody wants it any more."""
        if append.spooled is not None and not append.spooled.cancel() and append.on_disk:
            assert self._spool is not None, "something was spooled"
            self._spool.done(append.spooled.result())

    async def close(self) -> None:
        """Lets the spool write what it has begun, within a limit, and lets go of it."""
        if self._reopening is not None:
            self._reopening.cancel()
        for task in list(self._keeping):
            task.cancel()
        if self._spool is not None:
            try:
                async with asyncio.timeout(FLUSH_S):
                    await self._spool.close()
            except TimeoutError:
                pass  # the disk hangs; what is not on it is counted by the journal

    def _may_be_spooled(self, spool: Spool, append: Append) -> bool:
        """Half of the room is for facts of calls alone: offers that cannot be read may be large, and whoever sends many
        must not take the room of calls; and what Kafka refuses for good stays."""
        if append.topic is not Topic.CALLS and spool.used_bytes + len(append.value) > spool.bytes_max // 2:
            self._tell(Happening.NOT_SPOOLED, append)
            return False
        return True

    async def _open(self, spool: Spool) -> None:
        loop = asyncio.get_running_loop()
        appends = []
        for spooled in await spool.open():
            age_ms = max(0, self._wall_ms() - spooled.begun_ms)
            append = Append(spooled.topic, spooled.key, spooled.value, loop.time() - age_ms / 1000)
            append.spooled = loop.create_future()
            append.spooled.set_result(spooled.ticket)
            appends.append(append)
        nothing = Append(Topic.CALLS, "", b"", loop.time())
        for happening, count in ((Happening.TORN, spool.torn), (Happening.UNREADABLE, spool.unreadable)):
            for _ in range(count):
                self._tell(happening, nothing)
        self._found(appends)

    async def _reopen(self, spool: Spool, opening: asyncio.Task[None]) -> None:
        while True:
            try:
                return await opening
            except DiskTrouble as trouble:
                spool.trouble = str(trouble)
            await asyncio.sleep(REOPEN_PAUSE_S)
            opening = asyncio.get_running_loop().create_task(self._open(spool), name="open the spool")

    async def _ask(self, keep: Keep, append: Append) -> bool:
        return await keep(append.key, append.value)

    def _spooled(self, append: Append, spooled: asyncio.Future[Ticket]) -> None:
        if not spooled.cancelled():
            self._tell(Happening.SPOOLED if append.on_disk else Happening.NOT_SPOOLED, append)
            self._judge(append, final=False)

    def _kept(self, append: Append, kept: asyncio.Task[bool]) -> None:
        self._keeping.pop(kept, None)
        if kept.cancelled():
            return
        self._tell(Happening.KEPT if append.at_keeper else Happening.NOT_KEPT, append)
        self._judge(append, final=False)
        kept.result()  # a mistake in `keep` reaches the loop's exception handler

    def _judge(self, append: Append, final: bool) -> None:
        """Answers the caller, where what is known is enough."""
        if not append.awaited:
            return
        pending = any(copy is not None and not copy.done() for copy in (append.spooled, append.kept))
        if append.on_disk and append.at_keeper:
            append.answer(Durability.DURABLE)
        elif final or not pending:
            safe = append.on_disk or append.at_keeper
            append.answer(Durability.AT_RISK if safe else Durability.NOT_DURABLE)


def _raise_in_the_open(task: asyncio.Task[None]) -> None:
    """A mistake of ours reaches the loop's exception handler."""
    if not task.cancelled():
        task.result()
