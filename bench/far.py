"""The far end: PSAPs that ring and answer at once, and say so as soon as they are told to connect.

One program for both sides. It answers without a person's delay, so that what callers feel is the backbone alone,
and conversations are over as soon as they begin, so that none are held.
Argument: `{"gateway": "host:port", "psaps": [id, ...], "tokens": "folder"}`; no folder, no credentials.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import grpc
from throughline.v1 import delivery_pb2

from bench.child import run, say

EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]
ATTACH = "/throughline.v1.GatewayService/Attach"
WELCOME_WITHIN_S = 20
Up = delivery_pb2.AttachRequest


class AnsweringPoint:
    """One PSAP's stream to one gateway."""

    def __init__(self, psap_id: str, token: str, stream: Any) -> None:
        self._psap_id = psap_id
        self._token = token
        self._stream = stream
        self._sending = asyncio.Lock()  # grpc.aio wants one write at a time
        self.attached = asyncio.Event()
        self._beat_s = 0.0

    async def serve(self) -> None:
        """Attaches, and takes every call, until the gateway ends the stream."""
        await self._say(Up(hello=delivery_pb2.Hello(psap_id=self._psap_id, credential=self._token)))
        beating = asyncio.create_task(self._beat())
        try:
            while (heard := await self._stream.read()) is not EOF:
                match heard.WhichOneof("said"):
                    case "welcome":
                        self._beat_s = heard.welcome.heartbeat_ms / 1000
                        self.attached.set()
                    case "offer":
                        attempt = heard.offer.attempt
                        await self._say(Up(ringing=delivery_pb2.Rung(attempt=attempt, where=self._where())))
                        await self._say(Up(answer=delivery_pb2.Answer(attempt=attempt)))
                    case "connect":
                        done = delivery_pb2.ConnectDone(attempt=heard.connect.attempt, where=self._where())
                        await self._say(Up(connected=done))
                        await self._say(Up(ended=delivery_pb2.Ended(attempt=heard.connect.attempt)))
        finally:
            beating.cancel()

    def _where(self) -> Any:
        return {"psap_id": self._psap_id}

    async def _beat(self) -> None:
        await self.attached.wait()
        while True:
            await asyncio.sleep(self._beat_s)
            await self._say(Up(heartbeat=delivery_pb2.PsapHeartbeat()))

    async def _say(self, message: delivery_pb2.AttachRequest) -> None:
        async with self._sending:
            await self._stream.write(message)


async def main(gateway: str, psaps: dict[str, str]) -> None:
    """Attaches all, says so, and serves until the streams end."""
    channel = grpc.aio.insecure_channel(gateway, options=[("grpc.use_local_subchannel_pool", 1)])
    attach: Any = channel.stream_stream(
        ATTACH,
        request_serializer=Up.SerializeToString,
        response_deserializer=delivery_pb2.AttachResponse.FromString,
    )
    points = [AnsweringPoint(psap_id, token, attach()) for psap_id, token in psaps.items()]
    serving = [asyncio.create_task(point.serve()) for point in points]
    async with asyncio.timeout(WELCOME_WITHIN_S):
        for point in points:
            await point.attached.wait()
    say({"ready": True})
    await asyncio.gather(*serving)


if __name__ == "__main__":
    known = json.loads(sys.argv[1])
    folder = known["tokens"]
    run(
        main(
            known["gateway"], {each: Path(folder, each).read_text("utf-8") if folder else "" for each in known["psaps"]}
        )
    )
