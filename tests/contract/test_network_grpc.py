"""What only the network between processes has: health, reflection, foreign senders, connections that never stand."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from throughline.v1 import call_pb2, delivery_pb2

from services.host.network import Broken, Converses, Server, Status, Stream
from services.host.network.grpc import GrpcNetwork
from services.host.settings import ROOT
from services.wire.methods import DELIVER, PLACE_CALL, TRANSPORT_BYTES_MAX

LIMIT_S = 10.0
SILENT_S = 8.0
HANGUP = call_pb2.PlaceCallRequest(hangup=call_pb2.Hangup())
Called = Stream[call_pb2.PlaceCallRequest, call_pb2.PlaceCallResponse]


@pytest.fixture
async def network() -> AsyncIterator[GrpcNetwork]:
    """Closed at the end."""
    made = GrpcNetwork()
    yield made
    await made.close()


async def hang(_: Called) -> None:
    """Says nothing."""
    await asyncio.Event().wait()


@pytest.fixture
async def server(network: GrpcNetwork) -> AsyncIterator[Server]:
    """Serves PlaceCall."""
    made = await network.serve("127.0.0.1:0", [Converses(PLACE_CALL, hang)])
    yield made
    await made.stop(0)


async def health(address: str, service: str) -> int:
    """What the standard health service says."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=LIMIT_S)
    return int(answer.status)


async def test_health_says_whether_the_service_is_ready(server: Server) -> None:
    """For the whole server and by the service's name; an unknown name is NOT_FOUND."""
    serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    for name in ("", "throughline.v1.IngressService"):
        assert await health(server.address, name) == serving
    server.set_ready(False)
    for name in ("", "throughline.v1.IngressService"):
        assert await health(server.address, name) == not_serving
    server.set_ready(True)
    assert await health(server.address, "") == serving
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await health(server.address, "throughline.v1.Nobody")
    assert error.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_names_what_is_served(server: Server) -> None:
    """A person with a generic client sees the methods."""
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        answer = await call.read()
        await call.done_writing()
    names = {service.name for service in answer.list_services_response.service}
    assert {"throughline.v1.IngressService", "grpc.health.v1.Health"} <= names


async def test_a_watcher_of_the_health_does_not_hold_up_a_stop(network: GrpcNetwork) -> None:
    """A platform's probe watches for ever: a drain waits for calls, not for it."""
    server = await network.serve("127.0.0.1:0", [Converses(PLACE_CALL, hang)])
    async with grpc.aio.insecure_channel(server.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        began = asyncio.get_running_loop().time()
        await server.stop(LIMIT_S)
        assert asyncio.get_running_loop().time() - began < LIMIT_S / 2
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_a_foreign_message_over_the_transport_limit_looks_like_the_end_of_the_stream(
    network: GrpcNetwork,
) -> None:
    """P6: the handler reads None and is cancelled; the sender is told RESOURCE_EXHAUSTED."""
    events: list[object] = []
    over = asyncio.Event()

    async def listen(stream: Called) -> None:
        try:
            events.append(await stream.read())
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            events.append("cancelled")
            raise
        finally:
            over.set()

    server = await network.serve("127.0.0.1:0", [Converses(PLACE_CALL, listen)])
    options = [("grpc.max_send_message_length", -1)]
    try:
        async with grpc.aio.insecure_channel(server.address, options=options) as channel:
            bare: Any = channel  # without serializers, and with the reader-writer style
            call = bare.stream_stream(PLACE_CALL.path)()
            await call.write(b"x" * (TRANSPORT_BYTES_MAX + 1))
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await call.read()
            assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            async with asyncio.timeout(LIMIT_S):
                await over.wait()
        assert events == [None, "cancelled"]
    finally:
        await server.stop(0)


async def test_a_writer_does_not_hang_where_its_connection_never_stands(network: GrpcNetwork) -> None:
    """The neighbour's port is open and nobody speaks; the stream is given up while a task writes to it."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        stream = network.open(f"127.0.0.1:{mute.getsockname()[1]}", PLACE_CALL)
        writing = asyncio.ensure_future(stream.write(HANGUP))
        await asyncio.sleep(0.02)
        stream.cancel()
        async with asyncio.timeout(1):
            with pytest.raises(Broken):
                await writing


HUNG = """
import asyncio, sys
from throughline.v1 import delivery_pb2
from services.host.network import Converses
from services.host.network.grpc import GrpcNetwork
from services.wire.methods import DELIVER

async def hang(stream):
    await stream.read()
    print("called", flush=True)
    await asyncio.Event().wait()

async def serve():
    server = await GrpcNetwork().serve("127.0.0.1:0", [Converses(DELIVER, hang)])
    print(server.address, flush=True)
    await asyncio.Event().wait()

async def call():
    stream = GrpcNetwork().open(sys.argv[2], DELIVER)
    await stream.write(delivery_pb2.DeliverRequest())
    await stream.read()

asyncio.run(serve() if sys.argv[1] == "serve" else call())
"""
NOTICED_WITHIN_S = 6.0


@asynccontextmanager
async def another_process(*words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs `HUNG` with these words; killed at the end, stopped or not."""
    command = (sys.executable, "-c", HUNG, *words)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def test_a_client_that_hangs_is_found_out_within_seconds(network: GrpcNetwork) -> None:
    """A stopped process sends no end: without pings its caller would be rung people for, for as long as it pleases."""
    called, over = asyncio.Event(), asyncio.Event()

    async def listen(stream: Stream[delivery_pb2.DeliverRequest, delivery_pb2.DeliverResponse]) -> None:
        try:
            await stream.read()
            called.set()
            await asyncio.Event().wait()
        finally:
            over.set()

    server = await network.serve("127.0.0.1:0", [Converses(DELIVER, listen)])
    try:
        async with another_process("call", server.address) as client, asyncio.timeout(LIMIT_S + NOTICED_WITHIN_S):
            await called.wait()
            client.send_signal(signal.SIGSTOP)
            async with asyncio.timeout(NOTICED_WITHIN_S):
                await over.wait()
    finally:
        await server.stop(0)


async def test_a_server_that_hangs_while_a_phone_rings_is_found_out_within_seconds(network: GrpcNetwork) -> None:
    """R5: a conductor hears nothing while it rings; only a ping tells a gateway that hangs from one that waits."""
    async with another_process("serve") as server, asyncio.timeout(LIMIT_S + NOTICED_WITHIN_S):
        assert server.stdout is not None
        address = (await server.stdout.readline()).decode().strip()
        stream = network.open(address, DELIVER)
        await stream.write(delivery_pb2.DeliverRequest())
        assert await server.stdout.readline() == b"called\n"
        server.send_signal(signal.SIGSTOP)
        async with asyncio.timeout(NOTICED_WITHIN_S):
            with pytest.raises(Broken) as broken:
                await stream.read()
    assert broken.value.status is Status.UNAVAILABLE


async def test_a_conversation_that_is_silent_for_long_lives_on(network: GrpcNetwork) -> None:
    """Pings of both sides are no abuse: a phone may ring for half a minute."""
    answered = asyncio.Event()

    async def slow(stream: Stream[delivery_pb2.DeliverRequest, delivery_pb2.DeliverResponse]) -> None:
        await stream.read()
        await answered.wait()
        await stream.write(delivery_pb2.DeliverResponse())

    server = await network.serve("127.0.0.1:0", [Converses(DELIVER, slow)])
    try:
        stream = network.open(server.address, DELIVER)
        await stream.write(delivery_pb2.DeliverRequest())
        reading = asyncio.ensure_future(stream.read())
        _, pending = await asyncio.wait({reading}, timeout=SILENT_S)
        assert pending, f"ended after a silence: {reading}"
        answered.set()
        assert await reading is not None
    finally:
        await server.stop(0)


async def test_closing_the_network_breaks_what_is_open(network: GrpcNetwork, server: Server) -> None:
    """Whoever reads hears Broken, and is not cancelled."""
    stream = network.open(server.address, PLACE_CALL)
    await stream.write(HANGUP)
    reading = asyncio.ensure_future(stream.read())
    await asyncio.sleep(0.02)
    await network.close()
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(Broken):
            await reading


FORKS = 200
"""With gRPC's own fork handlers one child of seven crashed before it became another program."""


async def test_children_of_a_process_that_serves_start_whole() -> None:
    """A firewall's helpers and a stage's services are started while gRPC's threads are at work."""
    forker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.contract.a_forker", str(FORKS)), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await forker.communicate()
    assert (forker.returncode, said.decode()) == (0, f"{{0: {FORKS}}}\n")
