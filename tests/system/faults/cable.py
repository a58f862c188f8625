"""A network cable in front of one port: it carries bytes until it is cut, and then carries none, and says nothing.

A cut cable is not a closed port: connections stand, new ones are taken, and nothing comes through, as when a switch
fails between two machines. What was on its way when it was cut is lost with its connection.
"""

from __future__ import annotations

import asyncio

CHUNK_BYTES = 65_536


class Cable:
    """From 127.0.0.1:`port` to 127.0.0.1:`to`."""

    def __init__(self, port: int, to: int) -> None:
        self._port = port
        self._to = to
        self._whole = asyncio.Event()
        self._whole.set()
        self._carrying: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", self._port)

    def cut(self) -> None:
        """From now on nothing passes."""
        self._whole.clear()

    def mend(self) -> None:
        """New connections pass again; those that were cut are broken, since some of their bytes are lost."""
        for task in self._carrying:
            task.cancel()
        self._whole.set()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        try:
            await self._whole.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
            try:
                there = asyncio.ensure_future(self._carry(reader, far_writer))
                back = asyncio.ensure_future(self._carry(far_reader, writer))
                try:
                    await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    there.cancel()
                    back.cancel()
            finally:
                far_writer.close()
        except (OSError, asyncio.CancelledError):
            pass  # nobody is at the other end, or the cable was mended: either way this connection is over
        finally:
            self._carrying.discard(task)
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await self._whole.wait()
            writer.write(data)
            await writer.drain()
