"""Which firewall an ingress asks: the one that counts the caller's calls, and the next when that one is gone."""

from __future__ import annotations

import asyncio
from functools import partial

from throughline.v1 import call_pb2, screening_pb2

from services.domain.identity import identity_of
from services.domain.routing import rendezvous
from services.host.network import Answers, Network, Server
from services.host.network.memory import MemoryNetwork
from services.ingress.replicas import Replicas
from services.wire import offers
from services.wire.methods import SCREEN
from simulator.virtual_loop import run_virtual
from tests.services.ingress_stage import Stage

ADDRESSES = ("firewall:1", "firewall:2", "firewall:3")


class _Own:
    def excuses(self, address: str) -> bool:
        return False


async def _serve(network: Network, asked: list[str]) -> dict[str, Server]:
    async def screen(at: str, _: screening_pb2.ScreenRequest) -> screening_pb2.ScreenResponse:
        asked.append(at)
        return screening_pb2.ScreenResponse()

    return {at: await network.serve(at, [Answers(SCREEN, partial(screen, at))]) for at in ADDRESSES}


def test_a_caller_is_always_screened_by_the_same_replica_and_then_by_the_same_next() -> None:
    """Rendezvous: two ingresses agree, a death moves the calls of that replica alone, its return moves them back."""

    async def scene() -> None:
        network, asked = MemoryNetwork(), list[str]()
        servers = await _serve(network, asked)
        ingresses = [Replicas(network, each, _Own()) for each in (ADDRESSES, ADDRESSES[::-1])]

        async def screened_by(caller: str) -> str:
            for replicas in ingresses:
                await replicas.ask(SCREEN, screening_pb2.ScreenRequest(), 0.15, caller)
            assert asked[-1] == asked[-2]
            return asked[-1]

        callers = [f"+150855501{n:02d}" for n in range(60)]
        at_first = {caller: await screened_by(caller) for caller in callers}
        assert set(at_first.values()) == set(ADDRESSES)
        assert at_first == {caller: await screened_by(caller) for caller in callers}
        await servers["firewall:2"].stop(0.0)
        without = {caller: await screened_by(caller) for caller in callers}
        for caller in callers:
            in_order = sorted(ADDRESSES, key=partial(rendezvous, caller))
            assert at_first[caller] == in_order[0]
            assert without[caller] == next(at for at in in_order if at != "firewall:2")
        await asyncio.sleep(2.0)
        await _serve_again(network, asked)
        assert at_first == {caller: await screened_by(caller) for caller in callers}

    async def _serve_again(network: Network, asked: list[str]) -> None:
        async def screen(_: screening_pb2.ScreenRequest) -> screening_pb2.ScreenResponse:
            asked.append("firewall:2")
            return screening_pb2.ScreenResponse()

        await network.serve("firewall:2", [Answers(SCREEN, screen)])

    run_virtual(scene())


def test_calls_without_a_number_go_by_where_they_come_from() -> None:
    """Network, trunk and cell: they are counted by these, so by one replica."""
    offer = call_pb2.Offer(call_id="call-1", caller="", source="net", trunk="t-7")
    assert identity_of(offers.to_domain(offer)) == "net\0t-7\0"

    async def scene() -> None:
        async with Stage() as stage:
            await stage.place(caller="", source="net", trunk="t-7").call()
            assert stage.count("calls_screened_total", verdict="pass") == 1

    run_virtual(scene())
