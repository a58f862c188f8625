"""How often a client of aiokafka knocks at a Kafka that is gone.

aiokafka has one pause between tries, always the same. A leader that moves wants a short one: a fact waits for it, and
is not safe until then. A Kafka that is away wants a long one: each connection refused makes the client ask for
metadata, which makes it connect, and an idle process knocks two hundred times a second and logs a line each time. So a
short pause is set there, and while *no* broker answers, whoever has no connection waits here.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiokafka.client import AIOKafkaClient, ConnectionGroup

PAUSE_FIRST_S: Final = 0.05
PAUSE_MAX_S: Final = 1.0


def teach_patience(client: AIOKafkaClient) -> None:
    """Before the client is started. From then on it knocks once a pause while no broker answers, the pause growing."""
    patience = _Patience(client)
    client._metadata_update = patience.update
    client.ready = patience.ready


class _Patience:
    """Stands before the two ways in which a client reaches a broker: for metadata, and for anything else."""

    def __init__(self, client: AIOKafkaClient) -> None:
        self._client = client
        self._update = client._metadata_update
        self._ready = client.ready
        self._answers = asyncio.Event()
        self._answers.set()
        self._pause_s = 0.0

    async def update(self, cluster: Any, topics: Any) -> bool:
        """Asks one broker after the other. Where none answers, the pause, and it is asked for again."""
        updated = bool(await self._update(cluster, topics))
        if updated:
            self._pause_s = 0.0
            self._answers.set()
        else:
            self._answers.clear()
            self._pause_s = min(max(self._pause_s * 2, PAUSE_FIRST_S), PAUSE_MAX_S)
            await asyncio.sleep(self._pause_s)
            # Once whoever asked has heard: those who wait in `ready` ask for nothing meanwhile.
            asyncio.get_running_loop().call_soon(self._client.force_metadata_update)
        return updated

    async def ready(self, node_id: Any, *, group: Any = ConnectionGroup.DEFAULT) -> bool:
        """Connects to a broker where that is not done yet, after the pause where none answers."""
        connection = self._client._conns.get((node_id, group))
        if not self._answers.is_set() and not (connection is not None and connection.connected()):
            try:
                async with asyncio.timeout(self._pause_s):
                    await self._answers.wait()
            except TimeoutError:
                pass
        return bool(await self._ready(node_id, group=group))
