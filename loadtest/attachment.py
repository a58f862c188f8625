"""The streams of every PSAP to its gateways: attached, kept alive, attached again when they break (R2).

There is one channel a gateway, whatever the number of PSAPs, and one beat for all streams: five hundred of them share a
process and a core. A stream on which its gateway says nothing for three heartbeats is dropped and attached anew.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Mapping
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from throughline.v1 import delivery_pb2

from loadtest.answering_point import AnsweringPoint, Fault
from loadtest.channels import EOF, Speaker, open_channel
from loadtest.diary import tell

ATTACH: Final = "/throughline.v1.GatewayService/Attach"
HEARTBEAT: Final = delivery_pb2.AttachRequest(heartbeat=delivery_pb2.PsapHeartbeat()).SerializeToString()
BEAT_S: Final = 0.1
SILENT_BEATS_MAX: Final = 3
AGAIN_AFTER_S: Final = (0.1, 0.25, 0.5, 1.0)
AFTER_REFUSAL_S: Final = 5.0


class Attachment:
    """One PSAP's standing wish to be attached to one gateway: the `Line` that its answering point speaks on."""

    def __init__(self, point: AnsweringPoint, gateway: str, attach: Any, credential: str) -> None:
        self.gateway = gateway
        self.attached = False
        self.heartbeat_s = 1.0
        self.ringing_heartbeat_s = 1.0
        self.last_said = 0.0
        self.last_heard = 0.0
        self._point = point
        self._attach = attach
        self._credential = credential
        self._call: Any = None
        self._speaker: Speaker | None = None

    def say(self, message: delivery_pb2.AttachRequest) -> None:
        self.say_bytes(message.SerializeToString())

    def say_bytes(self, message: bytes) -> None:
        self.last_said = asyncio.get_running_loop().time()
        if self._speaker is not None:
            self._speaker.say(message)

    def drop(self) -> None:
        if self._call is not None:
            self._call.cancel()

    async def keep(self) -> None:
        """Attaches, again and again; runs until cancelled."""
        tries = 0
        while True:
            while self._point.fault in (Fault.CUT, Fault.SILENT):
                await self._point.well.wait()
            code = await self._attach_once()
            tries = 0 if code is grpc.StatusCode.OK else tries + 1
            pause_s = AGAIN_AFTER_S[min(tries, len(AGAIN_AFTER_S) - 1)]
            if code is grpc.StatusCode.PERMISSION_DENIED:
                pause_s = AFTER_REFUSAL_S
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))

    async def _attach_once(self) -> grpc.StatusCode:
        """One stream's life. OK when it was welcomed, whatever ended it; else the status that refused it."""
        call = self._call = self._attach()
        self._speaker = Speaker(call)
        welcomed = False
        try:
            hello = self._point.hello(self._credential)
            self.say(delivery_pb2.AttachRequest(hello=hello))
            while (raw := await call.read()) is not EOF:
                message = delivery_pb2.AttachResponse.FromString(raw)
                self.last_heard = asyncio.get_running_loop().time()
                if message.WhichOneof("said") == "welcome" and not welcomed:
                    welcomed = self.attached = True
                    welcome = message.welcome
                    self.heartbeat_s = (welcome.heartbeat_ms or 1000) / 1000
                    self.ringing_heartbeat_s = (welcome.ringing_heartbeat_ms or 1000) / 1000
                    self._point.welcomed(self, hello)
                    self.last_said -= random.random()  # five hundred streams do not beat in one instant
                elif welcomed:
                    self._point.hear(self, message)
            code: grpc.StatusCode = await call.code()
        except grpc.aio.AioRpcError as error:
            code = error.code()
        except DecodeError:
            code = grpc.StatusCode.INTERNAL
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            code = grpc.StatusCode.CANCELLED  # it is the stream that was dropped
        finally:
            self.attached, self._call, self._speaker = False, None, None
            self._point.lost(self)
            call.cancel()
        if not welcomed and code is not grpc.StatusCode.UNAVAILABLE:
            tell("attach_refused", psap_id=self._point.psap_id, gateway=self.gateway, status=code.name)
        return grpc.StatusCode.OK if welcomed else code

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

    def __init__(self, points: Iterable[AnsweringPoint]) -> None:
        self.points = {point.psap_id: point for point in points}
        self._channels: dict[str, Any] = {}
        self._attachments: list[Attachment] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def attach(self, gateways: Iterable[str], credentials: Mapping[str, str]) -> None:
        """Every PSAP attaches to these gateways too, with its secret by PSAP id, and keeps attached."""
        for gateway in gateways:
            if gateway in self._channels:
                continue
            channel = self._channels[gateway] = open_channel(gateway)
            attach = channel.stream_stream(ATTACH)
            for point in self.points.values():
                attachment = Attachment(point, gateway, attach, credentials.get(point.psap_id, ""))
                self._attachments.append(attachment)
                self._tasks.add(asyncio.ensure_future(attachment.keep()))

    async def keep_alive(self) -> None:
        """The heartbeat of all streams, and a word each time their number changes; runs until cancelled."""
        loop = asyncio.get_running_loop()
        told = -1
        while True:
            await asyncio.sleep(BEAT_S)
            now = loop.time()
            for attachment in self._attachments:
                attachment.beat(now)
            attached = sum(attachment.attached for attachment in self._attachments)
            if attached != told:
                told = attached
                tell("attached", streams=attached, of=len(self._attachments))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for channel in self._channels.values():
            await channel.close()
