"""The streams of every PSAP to its gateways: attached, kept alive, attached again when they break (R2).

There is one channel a gateway, whatever the number of PSAPs, and one beat for all streams: five hundred of them share a
process and a core. A stream on which its gateway says nothing for three heartbeats is dropped and attached anew.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from google.protobuf.message import DecodeError
from throughline.v1 import delivery_pb2

from loadtest.answering_point import AnsweringPoint, Fault
from loadtest.diary import tell
from loadtest.wire import Ended, Stream, Wire

ATTACH: Final = "/throughline.v1.GatewayService/Attach"
HEARTBEAT: Final = delivery_pb2.AttachRequest(heartbeat=delivery_pb2.PsapHeartbeat()).SerializeToString()
BEAT_S: Final = 0.1
SILENT_BEATS_MAX: Final = 3
AGAIN_AFTER_S: Final = (0.1, 0.25, 0.5, 1.0)
AFTER_REFUSAL_S: Final = 5.0
OK: Final = "OK"


class Attachment:
    """One PSAP's standing wish to be attached to one gateway: the `Line` that its answering point speaks on."""

    def __init__(
        self,
        point: AnsweringPoint,
        gateway: str,
        wire: Wire,
        credential: str,
        by: random.Random,
        tell: Callable[..., None] = tell,
    ) -> None:
        self.gateway = gateway
        self.attached = False
        self.heartbeat_s = 1.0
        self.ringing_heartbeat_s = 1.0
        self.last_said = 0.0
        self.last_heard = 0.0
        self._point = point
        self._wire = wire
        self._credential = credential
        self._random = by
        self._tell = tell
        self._stream: Stream | None = None

    def say(self, message: delivery_pb2.AttachRequest) -> None:
        self.say_bytes(message.SerializeToString())

    def say_bytes(self, message: bytes) -> None:
        self.last_said = asyncio.get_running_loop().time()
        if self._stream is not None:
            self._stream.say(message)

    def drop(self) -> None:
        if self._stream is not None:
            self._stream.cancel()

    async def keep(self) -> None:
        """Attaches, again and again; runs until cancelled."""
        tries = 0
        while True:
            while self._point.fault in (Fault.CUT, Fault.SILENT):
                await self._point.well.wait()
            status = await self._attach_once()
            tries = 0 if status == OK else tries + 1
            pause_s = AGAIN_AFTER_S[min(tries, len(AGAIN_AFTER_S) - 1)]
            if status == "PERMISSION_DENIED":
                pause_s = AFTER_REFUSAL_S
            await asyncio.sleep(pause_s * self._random.uniform(0.5, 1.5))

    async def _attach_once(self) -> str:
        """One stream's life. OK when it was welcomed, whatever ended it; else the status that refused it."""
        stream = self._stream = self._wire.open(self.gateway, ATTACH)
        welcomed = False
        try:
            hello = self._point.hello(self._credential)
            self.say(delivery_pb2.AttachRequest(hello=hello))
            while (raw := await stream.read()) is not None:
                message = delivery_pb2.AttachResponse.FromString(raw)
                self.last_heard = asyncio.get_running_loop().time()
                if message.WhichOneof("said") == "welcome" and not welcomed:
                    welcomed = self.attached = True
                    welcome = message.welcome
                    self.heartbeat_s = (welcome.heartbeat_ms or 1000) / 1000
                    self.ringing_heartbeat_s = (welcome.ringing_heartbeat_ms or 1000) / 1000
                    self._point.welcomed(self, hello)
                    self.last_said -= self._random.random()  # five hundred streams do not beat in one instant
                elif welcomed:
                    self._point.hear(self, message)
            status = OK
        except Ended as ended:
            status = ended.status
        except DecodeError:
            status = "INTERNAL"
        finally:
            self.attached, self._stream = False, None
            self._point.lost(self)
            stream.cancel()
        if not welcomed and status != "UNAVAILABLE":
            self._tell("attach_refused", psap_id=self._point.psap_id, gateway=self.gateway, status=status)
        return OK if welcomed else status

    def beat(self, now: float) -> None:
        """Says that the PSAP is there, when that is due; drops a stream whose gateway has fallen silent."""
        if not self.attached or self._point.fault is Fault.SILENT:
            return
        if now - self.last_heard > self.heartbeat_s * (SILENT_BEATS_MAX + 0.5):
            self.drop()
            return
        quiet_s = now - self.last_said + BEAT_S
        if quiet_s >= self.heartbeat_s or (quiet_s >= self.ringing_heartbeat_s and self._point.waits_on(self)):
            self.say_bytes(HEARTBEAT)


class Switchboard:
    """All PSAPs and all their streams."""

    def __init__(
        self,
        points: Iterable[AnsweringPoint],
        wire: Wire,
        by: random.Random,
        tell: Callable[..., None] = tell,
    ) -> None:
        self.points = {point.psap_id: point for point in points}
        self._random = by
        self._wire = wire
        self._tell = tell
        self._attachments: dict[str, list[Attachment]] = {}
        """By gateway."""
        self._tasks: list[asyncio.Task[None]] = []

    def attach(self, gateways: Iterable[str], credentials: Mapping[str, str]) -> None:
        """Every PSAP attaches to these gateways too, with its secret by PSAP id, and keeps attached."""
        for gateway in gateways:
            if gateway in self._attachments:
                continue
            self._attachments[gateway] = [
                Attachment(point, gateway, self._wire, credentials.get(psap_id, ""), self._random, self._tell)
                for psap_id, point in self.points.items()
            ]
            self._tasks += (asyncio.ensure_future(each.keep()) for each in self._attachments[gateway])

    async def keep_alive(self) -> None:
        """The heartbeat of all streams, and a word each time their number changes; runs until cancelled."""
        loop = asyncio.get_running_loop()
        told = -1
        while True:
            await asyncio.sleep(BEAT_S)
            self.beat(loop.time())
            attached = [each.attached for attachments in self._attachments.values() for each in attachments]
            if sum(attached) != told:
                told = sum(attached)
                self._tell("attached", streams=told, of=len(attached))

    def beat(self, now: float) -> None:
        """Each stream says that its PSAP is there, where that is due; to be called each BEAT_S."""
        for attachments in self._attachments.values():
            for attachment in attachments:
                attachment.beat(now)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._wire.close()
