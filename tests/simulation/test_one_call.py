"""Landing (a): one call, offered to answered, through every real shell in one process under virtual time."""

from __future__ import annotations

import asyncio

import pytest
from throughline.v1 import call_pb2

from services.domain.events import FactKind
from services.domain.fold import Outcome
from services.domain.place import Circle
from services.journal import Topic
from simulator.virtual_loop import run_virtual
from tests.services.ingress_stage import WORCESTER, Caller
from tests.simulation.backbone import REGION, Backbone


def offer(call_id: str, leg: int = 1) -> call_pb2.Offer:
    return call_pb2.Offer(
        call_id=call_id, leg=leg, caller="+15085550101", service_urn="urn:service:sos", place=WORCESTER, source="test"
    )


def worcester() -> tuple[str, ...]:
    centre = WORCESTER.circle.centre
    return REGION.locate(Circle(centre.latitude, centre.longitude, 0.0)).candidates


def test_a_call_goes_from_its_offer_to_its_own_psap() -> None:
    """Screened, routed by place, rung through a gateway, confirmed, connected once, remembered by everyone."""

    async def scene() -> None:
        home = worcester()[0]
        async with Backbone([home]) as backbone:
            caller = Caller(backbone.network, offer("call-1"))
            words = await caller.call()
            assert sorted(words) == ["accepted", "connected", "connecting", "ringing"]
            assert caller.messages[-1].connected.where.psap_id == home
            assert len(backbone.psaps[home].connected) == 1
            await asyncio.sleep(3)
            assert [fact.kind for fact in backbone.facts()] == [
                FactKind.OFFERED, FactKind.SCREENED, FactKind.ROUTED,
                FactKind.ATTEMPTING, FactKind.RINGING, FactKind.ANSWERED,
            ]  # fmt: skip
            books = backbone.books()
            assert books.sound
            assert books.real.outcomes[Outcome.ANSWERED] == 1
            assert len(backbone.broker.records(Topic.SCREENINGS)) == 1
            assert len(backbone.broker.records(Topic.ROUTINGS)) == 1
            assert len(backbone.broker.records(Topic.DELIVERIES)) == 3

    run_virtual(scene(), limit_s=120)


@pytest.mark.parametrize("trouble", ["silent", "not_attached"])
def test_a_psap_that_is_not_there_is_reached_by_its_administrative_lines(trouble: str) -> None:
    """The second half of what the backbone is for, without a router's or a gateway's help."""

    async def scene() -> None:
        home = worcester()[0]
        async with Backbone([home] if trouble == "silent" else []) as backbone:
            for psap in backbone.psaps.values():
                psap.mute = True
            caller = Caller(backbone.network, offer("call-1"))
            began = asyncio.get_running_loop().time()
            await caller.offer()
            await caller.until("ringing")
            assert asyncio.get_running_loop().time() - began < 2
            await caller.until()
            where = caller.messages[-1].connected.where
            assert (where.psap_id, bool(where.line)) == (home, True)
            await asyncio.sleep(3)
            assert backbone.books().real.outcomes[Outcome.DIVERTED] == 1

    run_virtual(scene(), limit_s=120)


def test_a_caller_who_hangs_up_stands_on_the_callback_list_until_a_redial_is_answered() -> None:
    """Abandoned opens an entry; the same caller's answered redial closes it as reconnected (domain.md, redial)."""

    async def scene() -> None:
        home = worcester()[0]
        async with Backbone([home]) as backbone:
            first = Caller(backbone.network, offer("call-1"))
            await first.offer()
            await first.until("ringing")
            await first.say(hangup=call_pb2.Hangup())
            await first.until()
            await asyncio.sleep(10)
            assert backbone.books().real.outcomes[Outcome.CALLBACK_OPEN] == 1
            await Caller(backbone.network, offer("call-2")).call()
            await asyncio.sleep(10)
            outcomes = backbone.books().real.outcomes
            assert outcomes[Outcome.CALLBACK_OPEN] == 0
            assert (outcomes[Outcome.CALLBACK_CLOSED], outcomes[Outcome.ANSWERED]) == (1, 1)
            assert FactKind.RECONNECTED in {fact.kind for fact in backbone.facts()}

    run_virtual(scene(), limit_s=120)


def test_one_seed_is_one_story() -> None:
    """The same scene twice leaves the same journal, byte for byte."""

    def journal() -> list[bytes]:
        async def scene() -> list[bytes]:
            async with Backbone([worcester()[0]]) as backbone:
                await asyncio.gather(*(Caller(backbone.network, offer(f"call-{n}")).call() for n in range(20)))
                await asyncio.sleep(3)
                return [record.value for record in backbone.broker.records(Topic.CALLS)]

        return run_virtual(scene(), limit_s=120)

    assert journal() == journal()
