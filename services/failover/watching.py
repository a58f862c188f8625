"""The streams to every ingress: each says that it lives at least each 250 ms (protocol.md T1).

What follows from a word, a break or a silence is decided in `services/domain/take_overs/watch.py`. One task holds the
stream of an address for as long as the address means anything, and opens it again whenever it breaks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from throughline.v1 import call_pb2

from services.domain.events import Conductor
from services.domain.take_overs.watch import Watch
from services.host.network import Broken, Network, Status
from services.wire.methods import INGRESS_STATUS, WATCH

HUNG_S: Final = 5.0
"""A stream that said nothing for so long is opened anew: its other end may have gone without a word."""
ANSWERS_EVERY_S: Final = 0.25
STATUS_WITHIN_S: Final = 0.300
NAME_CHARS_MAX: Final = 128


class Watching:
    """See the module. `name`: this replica's own."""

    def __init__(self, network: Network, watch: Watch, name: str) -> None:
        self._network = network
        self._watch = watch
        self._name = name
        self._streams: dict[str, asyncio.Task[None]] = {}
        self._asking: dict[asyncio.Task[None], None] = {}

    def __len__(self) -> int:
        """How many addresses are watched."""
        return len(self._streams)

    def follow_watch(self) -> None:
        """Holds a stream to every address that means something, and to no other."""
        wanted = dict.fromkeys(self._watch.addresses())  # in their order, not a set's: the same in each run
        for address in [each for each in wanted if each not in self._streams]:
            task = asyncio.get_running_loop().create_task(self._hold(address), name=f"watch {address}")
            task.add_done_callback(_raise_in_the_open)
            self._streams[address] = task
        for address in [each for each in self._streams if each not in wanted]:
            self._streams.pop(address).cancel()

    def ask(self, conductor: Conductor, no_answer: Callable[[Conductor, float], None]) -> None:
        """Asks whether it lives, beside its stream (T5); tells `no_answer` where it does not say so."""
        task = asyncio.get_running_loop().create_task(
            self._ask(conductor, no_answer), name=f"status {conductor.address}"
        )
        self._asking[task] = None
        task.add_done_callback(self._asking.pop)
        task.add_done_callback(_raise_in_the_open)

    async def stop(self) -> None:
        """Lets go of every stream."""
        tasks = [*self._streams.values(), *self._asking]
        self._streams.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _hold(self, address: str) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if await self._listen(address):
                self._watch.broke(address, loop.time())
                await asyncio.sleep(self._watch.pause_s(address, loop.time()))
            else:
                await asyncio.sleep(ANSWERS_EVERY_S)

    async def _listen(self, address: str) -> bool:
        """Reads one stream to its end; True where it broke, False where we gave it up for its silence, or it answered
        in another way."""
        loop = asyncio.get_running_loop()
        stream = self._network.open(address, WATCH)
        hung = asyncio.timeout(HUNG_S)
        try:
            async with hung:
                await stream.write(call_pb2.WatchRequest(watcher=self._name))
                while (word := await stream.read()) is not None:
                    hung.reschedule(loop.time() + HUNG_S)
                    self._watch.heard(address, word.incarnation[:NAME_CHARS_MAX], loop.time())
        except TimeoutError:
            return False
        except Broken as broken:
            # One of an older version that cannot be watched answers all the same: it is asked instead.
            return broken.status is not Status.UNIMPLEMENTED or await self._answers(address) is None
        finally:
            stream.cancel()
        return True

    async def _ask(self, conductor: Conductor, no_answer: Callable[[Conductor, float], None]) -> None:
        if await self._answers(conductor.address) != conductor.incarnation:
            no_answer(conductor, asyncio.get_running_loop().time())

    async def _answers(self, address: str) -> str | None:
        """The incarnation that answers a question there; None for no answer."""
        try:
            answer = await self._network.ask(
                address, INGRESS_STATUS, call_pb2.StatusRequest(), within_s=STATUS_WITHIN_S
            )
        except Broken:
            return None
        incarnation = answer.incarnation[:NAME_CHARS_MAX]
        self._watch.heard(address, incarnation, asyncio.get_running_loop().time())
        return incarnation


def _raise_in_the_open(task: asyncio.Task[None]) -> None:
    """A mistake of ours reaches the loop's exception handler at once."""
    if not task.cancelled():
        task.result()
