"""A trunk's words on the wire: `Dial`, one stream a number, and who has a call (R7, T3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from google.protobuf.message import DecodeError, Message
from throughline.v1 import holding_pb2, trunk_pb2

from loadtest.trunk import Dialled, Trunk, TrunkFault
from loadtest.wire import Refusal, Served, Server, Wire

DIAL: Final = "/throughline.v1.TrunkService/Dial"
WHO_HAS: Final = "/throughline.v1.HoldingService/WhoHas"
RESUME: Final = "/throughline.v1.HoldingService/Resume"
M = TypeVar("M", bound=Message)


class TrunkServer:
    """One trunk at one address."""

    def __init__(self, trunk: Trunk, wire: Wire) -> None:
        self.trunk = trunk
        self._wire = wire
        self._address = ""
        self._server: Server | None = None
        self._healed = asyncio.Event()
        self._healed.set()
        self._tells = asyncio.Event()
        self._tells.set()

    async def serve(self, address: str) -> str:
        """Binds host:port (port 0: any free one) and returns the address as bound."""
        questions = {WHO_HAS: self._who_has, RESUME: self._resume}
        self._server = await self._wire.serve(address, {DIAL: self._converse}, questions)
        self._address = self._server.address
        return self._address

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop()
            self._server = None

    async def strike(self, fault: TrunkFault) -> None:
        """From now on this is wrong with it; TrunkFault.NONE: all is well again."""
        self.trunk.fault = fault
        for well, ails in ((self._healed, {TrunkFault.HUNG}), (self._tells, {TrunkFault.HUNG, TrunkFault.MUTE})):
            if fault in ails:
                well.clear()
            else:
                well.set()
        if fault is TrunkFault.GONE:
            await self.stop()
        elif self._server is None:
            await self.serve(self._address)

    async def _converse(self, stream: Served) -> None:
        """One Dial: its end without a connection gives the channel back."""
        await self._healed.wait()
        first = _parsed(trunk_pb2.DialRequest.FromString, await stream.read() or b"")
        if first.WhichOneof("said") != "dial":
            raise Refusal("INVALID_ARGUMENT", "expected a number to dial as the first word")
        ring = self.trunk.dial(first.dial)
        hearing = asyncio.ensure_future(self._hear(stream, ring))
        try:
            while (said := await ring.unsaid.get()) is not None:
                await self._healed.wait()
                await stream.write(said.SerializeToString())
        finally:
            hearing.cancel()
            self.trunk.give_back(ring, "stream_lost")

    async def _hear(self, stream: Served, ring: Dialled) -> None:
        while (raw := await stream.read()) is not None:
            await self._healed.wait()
            try:
                heard = trunk_pb2.DialRequest.FromString(raw)
            except DecodeError:
                continue
            match heard.WhichOneof("said"):
                case "connect":
                    self.trunk.connect(ring)
                case "release":
                    self.trunk.give_back(ring, heard.release.reason or "released")
                case _:
                    continue
        self.trunk.give_back(ring, "stream_ended")

    async def _who_has(self, raw: bytes) -> bytes:
        await self._tells.wait()
        request = _parsed(holding_pb2.WhoHasRequest.FromString, raw)
        return self.trunk.who_has(request).SerializeToString()

    async def _resume(self, raw: bytes) -> bytes:
        await self._tells.wait()
        request = _parsed(holding_pb2.ResumeRequest.FromString, raw)
        return self.trunk.resume(request).SerializeToString()


def _parsed(read: Callable[[bytes], M], raw: bytes) -> M:
    try:
        return read(raw)
    except DecodeError as error:
        raise Refusal("INVALID_ARGUMENT", f"expected another message: {error}") from error
