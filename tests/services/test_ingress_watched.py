"""An ingress says that it lives to those who watch it (protocol.md T1), under virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from throughline.v1 import call_pb2

from services.host.network import Broken, Status
from services.ingress.watchers import UNREAD_MAX, WORD_EVERY_S
from services.wire.methods import WATCH
from simulator.virtual_loop import run_virtual
from tests.services.ingress_stage import Stage, rings


def play(scene: Coroutine[Any, Any, None]) -> None:
    run_virtual(scene, limit_s=600)


def test_a_watcher_hears_the_incarnation_at_once_and_then_each_250_ms() -> None:
    """T1: a second without a word is a silence; calls under way change nothing of that."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.by_psap["P1"] = rings
            for number in range(50):
                await stage.place(f"call-{number}").offer()
            stream = stage.network.open("ingress:1", WATCH)
            await stream.write(call_pb2.WatchRequest(watcher="failover-1"))
            loop = asyncio.get_running_loop()
            before = loop.time()
            for _ in range(40):
                word = await stream.read()
                assert word is not None and word.incarnation == stage.world.incarnation
                assert loop.time() - before <= 0.25
                before = loop.time()
            assert stage.count("watchers") == 1
            stream.cancel()
            await asyncio.sleep(0.1)
            assert stage.count("watchers") == 0

    play(scene())


async def to_the_end(stream: Any) -> None:
    while await stream.read() is not None:
        pass


class NotRead:
    """A watcher's stream that takes no word after the first."""

    peer = "nobody"

    def __init__(self) -> None:
        self._said = False

    async def read(self) -> call_pb2.WatchRequest | None:
        """Its name, then nothing for ever."""
        if self._said:
            await asyncio.Event().wait()
        self._said = True
        return call_pb2.WatchRequest(watcher="failover-2")

    async def write(self, _: Any) -> None:
        """Never returns."""
        await asyncio.Event().wait()


def test_a_watcher_that_does_not_read_is_cut_and_holds_up_no_other() -> None:
    """Its words wait up to a bound; the others hear theirs in time (T1)."""

    async def scene() -> None:
        async with Stage() as stage:
            serving = asyncio.ensure_future(stage.ingress._watchers.watch(NotRead()))
            stream = stage.network.open("ingress:1", WATCH)
            await stream.write(call_pb2.WatchRequest(watcher="failover-1"))
            for _ in range(2 * UNREAD_MAX):
                await stream.read()
            assert serving.done() and asyncio.get_running_loop().time() <= 2 * UNREAD_MAX * WORD_EVERY_S + 1
            assert getattr(serving.exception(), "status", None) is Status.RESOURCE_EXHAUSTED
            assert stage.count("watchers") == 1
            stream.cancel()

    play(scene())


def test_a_drain_ends_the_watch_by_its_own_word() -> None:
    """Who stops by its own will says so: its streams end UNAVAILABLE("draining") (L4)."""

    async def scene() -> None:
        async with Stage() as stage:
            stream = stage.network.open("ingress:1", WATCH)
            await stream.write(call_pb2.WatchRequest(watcher="failover-1"))
            await stream.read()
            await stage.ingress.stop(0.0)
            with pytest.raises(Broken) as ended:
                await to_the_end(stream)
            assert (ended.value.status, ended.value.detail) == (Status.UNAVAILABLE, "draining")

    play(scene())


def test_facts_name_the_address_that_others_can_reach() -> None:
    """Failover learns from facts and ticks where to watch: `advertise`, where it is not the address bound (T1)."""

    async def scene() -> None:
        async with Stage(advertise="ingress-1.ingress:7000") as stage:
            await stage.place().call()
            await asyncio.sleep(1)
            conductors = {fact.conductor for fact in stage.facts()}
            assert [each.address for each in conductors if each is not None] == ["ingress-1.ingress:7000"]

    play(scene())
