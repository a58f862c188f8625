"""How often a client of aiokafka knocks while no broker answers, under virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from aiokafka.client import ConnectionGroup

from services.journal.kafka_patience import PAUSE_MAX_S, teach_patience
from simulator.virtual_loop import run_virtual


class Client:
    """As much of aiokafka's client as asks brokers for something; connections are refused while `gone`."""

    def __init__(self) -> None:
        self.gone = False
        self.updates: list[float] = []
        self.knocks: list[float] = []
        self._conns: dict[Any, Any] = {}
        self._wanted = asyncio.Event()

    def connected(self) -> bool:
        return True

    def force_metadata_update(self) -> None:
        self._wanted.set()

    async def _metadata_update(self, cluster: object, topics: object) -> bool:
        self.updates.append(asyncio.get_running_loop().time())
        return not self.gone

    async def ready(self, node_id: int, *, group: object = ConnectionGroup.DEFAULT) -> bool:
        self.knocks.append(asyncio.get_running_loop().time())
        if self.gone:
            self.force_metadata_update()
        return not self.gone

    async def synchronize(self) -> None:
        """Asks for metadata whenever somebody wants it."""
        while True:
            await self._wanted.wait()
            await self._metadata_update(None, None)
            self._wanted.clear()

    async def fetch(self) -> None:
        """Tries to reach a broker, as a fetcher does each 50 ms."""
        while True:
            if await self.ready(1):
                await asyncio.sleep(0.5)
            await asyncio.sleep(0.05)


def play(scene: Callable[[Client], Coroutine[Any, Any, None]]) -> None:
    async def staged() -> None:
        client = Client()
        teach_patience(client)
        tasks = [asyncio.create_task(client.synchronize()), asyncio.create_task(client.fetch())]
        await scene(client)
        for task in tasks:
            task.cancel()

    run_virtual(staged())


def test_it_knocks_at_once_then_ever_less_often_down_to_once_a_second() -> None:
    """A moment's absence is noticed to be over at once, a long one costs next to nothing."""

    async def scene(client: Client) -> None:
        client.gone = True
        await asyncio.sleep(5)
        assert len([at for at in client.updates if at < 1]) >= 4
        client.updates.clear()
        client.knocks.clear()
        await asyncio.sleep(20)
        assert 15 <= len(client.updates) <= 21
        assert len(client.knocks) <= 21

    play(scene)


def test_its_return_is_noticed_within_the_longest_pause_and_the_next_absence_begins_anew() -> None:
    """J6: what waits for Kafka waits for a second more at most, and nobody need ask for it."""

    async def scene(client: Client) -> None:
        for begins in (30.0, 60.0):
            client.gone = True
            await asyncio.sleep(begins - asyncio.get_running_loop().time())
            client.gone = False
            client.knocks.clear()
            await asyncio.sleep(PAUSE_MAX_S + 0.06)
            assert client.knocks
            await asyncio.sleep(5)
            assert len(client.knocks) > 8  # twice a second: no pause is left
            client.updates.clear()
            client.gone = True
            await asyncio.sleep(1)
            assert len(client.updates) >= 3

    play(scene)


def test_who_has_a_connection_is_not_held_up_by_metadata_that_nobody_gives() -> None:
    """A broker too slow to describe the cluster may still take facts."""

    async def scene(client: Client) -> None:
        client.gone = True
        await asyncio.sleep(10)
        client._conns[2, ConnectionGroup.DEFAULT] = client
        begun = asyncio.get_running_loop().time()
        await client.ready(2)
        assert asyncio.get_running_loop().time() == begun

    play(scene)
