"""Scripted neighbours for the world outside: an ingress and a gateway that say what a test tells them to."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from throughline.v1 import call_pb2, delivery_pb2

_aio: Any = grpc.aio  # its type stubs lack what is used here
Script = Callable[["Heard"], Awaitable[None]]
BOUND_S = 10.0


class Heard:
    """One stream as its server sees it."""

    def __init__(self, context: Any, asks: Any) -> None:
        self.context = context
        self.over = asyncio.Event()
        context.add_done_callback(lambda _: self.over.set())
        self._asks = asks

    async def read(self) -> Any:
        """The next message; None at the stream's end."""
        raw = await asyncio.wait_for(self.context.read(), BOUND_S)
        return None if raw is _aio.EOF else self._asks.FromString(raw)

    async def say(self, message: Any) -> None:
        await self.context.write(message.SerializeToString())

    async def expect(self, kind: str) -> Any:
        """The next message of this kind; others but heartbeats are a failure."""
        while True:
            message = await self.read()
            assert message is not None, f"expected {kind}, the stream ended"
            said = message.WhichOneof("said")
            if said == kind:
                return getattr(message, kind)
            assert said == "heartbeat", f"expected {kind}, got {message}"


@asynccontextmanager
async def serving(path: str, asks: Any, script: Script) -> AsyncIterator[str]:
    """Serves one stream method by a script; gives the address."""
    service, method = path.strip("/").split("/")

    async def converse(_: Any, context: Any) -> None:
        await script(Heard(context, asks))

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handlers = {method: grpc.stream_stream_rpc_method_handler(converse)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Waits until something holds, within a bound."""

    async def wait(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(2 * BOUND_S):
            while not holds():  # noqa: ASYNC110 - a file has no event
                await asyncio.sleep(0.02)

    return wait


@pytest.fixture
def ingress() -> Callable[[Script], Any]:
    """An ingress led by a script, once a leg."""
    return lambda script: serving("/throughline.v1.IngressService/PlaceCall", call_pb2.PlaceCallRequest, script)


@pytest.fixture
def gateway() -> Callable[[Script], Any]:
    """A gateway led by a script, once an attached stream."""
    return lambda script: serving("/throughline.v1.GatewayService/Attach", delivery_pb2.AttachRequest, script)


class Child:
    """A process of the world outside, led by JSON lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    def do(self, **command: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command).encode() + b"\n")

    async def told(self, event: str, **like: Any) -> dict[str, Any]:
        """The next line of this event whose fields are like these."""
        assert self.process.stdout is not None
        async with asyncio.timeout(BOUND_S):
            async for line in self.process.stdout:
                entry: dict[str, Any] = json.loads(line)
                if entry["event"] == event and all(entry.get(key) == value for key, value in like.items()):
                    return entry
        raise AssertionError(f"{event} was never told")

    async def end(self) -> int:
        """Closes its standard input, and waits for its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return await asyncio.wait_for(self.process.wait(), BOUND_S)


@pytest.fixture
async def child() -> AsyncIterator[Callable[..., Awaitable[Child]]]:
    """Starts `python -m loadtest NAME ...`; ends what still runs."""
    children: list[Child] = []

    async def start(name: str, *arguments: str | Path) -> Child:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "loadtest",
            name,
            *map(str, arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        children.append(Child(process))
        return children[-1]

    yield start
    for each in children:
        if each.process.returncode is None:
            each.process.kill()
            await each.process.wait()
