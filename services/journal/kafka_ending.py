"""How what holds a client of aiokafka ends, producer or consumer, without waiting for a broker that hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from aiokafka.client import AIOKafkaClient

FAREWELL_S: Final = 0.2


async def stop_client(client: AIOKafkaClient, stop: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Stop what holds a client; returns its end, which may be still to come. TLS waits half a minute for a broker's
    farewell: here a moment, then its connections are cut."""
    transports = [each._writer.transport for each in client._conns.values() if each._writer is not None]
    stopping = asyncio.get_running_loop().create_task(stop)
    if not (await asyncio.wait({stopping}, timeout=FAREWELL_S))[0]:
        for transport in transports:
            transport.abort()
    return stopping
