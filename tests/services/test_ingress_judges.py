"""When an ingress trusts its neighbours, its own judgement, and its journal (L2, J4, T1); under virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from throughline.v1 import call_pb2, delivery_pb2, screening_pb2

from services.domain.events import FactKind, Tick
from services.domain.policy import Divert, Pass
from services.host.network import Answers
from services.journal import Topic
from services.journal.topics import TOPICS
from services.wire import facts, verdicts
from services.wire.methods import KEEP
from simulator.virtual_loop import VirtualLoop, run_virtual
from tests.services.ingress_stage import Stage, rings


def play(scene: Coroutine[Any, Any, None]) -> None:
    run_virtual(scene, limit_s=600)


@pytest.mark.parametrize("our_fault", [True, False])
def test_a_neighbour_is_not_left_alone_for_a_lateness_of_our_own(our_fault: bool) -> None:
    """Three questions without an answer open a breaker, unless our own loop was held up meanwhile (L2)."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.route_after_s = 60.0
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualLoop)
            for number in range(3):
                caller = stage.place(f"slow-{number}")
                await caller.offer()
                await asyncio.sleep(0.1)
                if our_fault:
                    loop.jump(0.2)
                await caller.until()
            stage.route_after_s = 0.0
            await stage.place("next").call()
            assert stage.count("calls_routed_total", by="router") == (1 if our_fault else 0)
            assert stage.count("failures_excused_total") == (3 if our_fault else 0)

    play(scene())


def test_a_firewall_that_diverts_everything_is_not_followed_for_long() -> None:
    """The last-line breaker needs nothing from it: the verdict is kept, and the call goes on as passed."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.verdict = screening_pb2.Verdict(divert=screening_pb2.Divert(desk="nuisance-desk", rule="r1"))
            for number in range(20):
                assert (await stage.place(f"call-{number}").call())[-1] == "connected"
            assert len(stage.dialled) == 9
            assert len(stage.offered) == 11
            assert stage.count("ignores_diverts") == 1
            assert stage.count("diverts_ignored_total") == 11
            await asyncio.sleep(1)
            (screened,) = [fact for fact in stage.facts("call-19") if fact.kind is FactKind.SCREENED]
            assert isinstance(screened.verdict, Divert) and screened.reason == "divert_ignored"
            stage.verdict = verdicts.to_wire(Pass())
            await asyncio.sleep(60)
            for number in range(50):
                await stage.place(f"later-{number}").call()
            assert stage.count("ignores_diverts") == 0

    play(scene())


def test_test_calls_move_no_last_line() -> None:
    """RFC 6881: a network that tries its way each minute has no real divert ignored, and hides none (L7)."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.verdict = screening_pb2.Verdict(divert=screening_pb2.Divert(desk="nuisance-desk", rule="r1"))
            for number in range(20):
                await stage.place(f"test-{number}", service_urn="urn:service:test.sos").call()
            assert (len(stage.dialled), stage.count("ignores_diverts")) == (20, 0)
            for number in range(20):
                await stage.place(f"call-{number}").call()
            assert (len(stage.dialled), stage.count("ignores_diverts")) == (29, 1)

    play(scene())


def test_what_opens_or_settles_a_call_is_kept_by_failover_while_kafka_is_away() -> None:
    """J4: a copy on another disk, of the facts that a take-over must know; the others wait for Kafka."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.log.fail(absent=True)
            assert (await stage.place("answered").call())[-1] == "connected"
            stage.by_psap["P1"] = rings
            lost = stage.place("lost")
            await lost.offer()
            await lost.until("ringing")
            lost.stream.cancel()
            await asyncio.sleep(3)
            kept = [(fact.call_id, fact.kind) for fact in stage.kept]
            assert sorted(kept) == sorted(
                [
                    ("answered", FactKind.OFFERED),
                    ("answered", FactKind.ANSWERED),
                    ("lost", FactKind.OFFERED),
                    ("lost", FactKind.CALLER_LOST),
                    ("lost", FactKind.CALLBACK_DUE),
                ]
            )
            stage.log.fail()
            await asyncio.sleep(5)

    play(scene())


@pytest.mark.parametrize("our_fault", [True, False])
def test_a_call_does_not_go_unscreened_because_we_were_late(our_fault: bool) -> None:
    """L1, L2: an answer that we were too slow to hear is asked for once more; a firewall's own silence is not."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.screen_after_s = 0.4
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualLoop)
            caller = stage.place("call")
            await caller.offer()
            await asyncio.sleep(0.1)
            stage.screen_after_s = 0.0
            if our_fault:
                loop.jump(0.1)
            await caller.until()
            verdict = "pass" if our_fault else "unscreened"
            assert stage.count("calls_screened_total", verdict=verdict) == 1

    play(scene())


def test_what_comes_while_a_keeper_is_asked_goes_into_its_next_request() -> None:
    """J4: with Kafka away a crowd's copies are a few requests, not one for each fact; none is forgotten."""

    async def scene() -> None:
        async with Stage(failovers=("failover:9",), setups_max=100) as stage:
            requests: list[int] = []

            async def keep(request: delivery_pb2.KeepRequest) -> delivery_pb2.KeepResponse:
                requests.append(len(request.facts))
                await asyncio.sleep(0.02)
                return delivery_pb2.KeepResponse()

            await stage.network.serve("failover:9", [Answers(KEEP, keep)])
            stage.log.fail(absent=True)
            callers = [stage.place(f"call-{number}") for number in range(100)]
            await asyncio.gather(*(caller.call() for caller in callers))
            await asyncio.sleep(1)
            assert sum(requests) >= 200, "Offered and Answered of each"
            assert len(requests) <= 40
            accepted = [said.accepted for caller in callers for said in caller.messages if said.HasField("accepted")]
            assert [each.durability for each in accepted] == [call_pb2.DURABILITY_DURABLE] * len(callers)

    play(scene())


async def never(_: delivery_pb2.KeepRequest) -> delivery_pb2.KeepResponse:
    """Hangs."""
    await asyncio.Event().wait()
    raise AssertionError


def test_a_hung_keeper_costs_its_share_of_100_ms_and_the_next_one_keeps() -> None:
    """The copies of a call go to one replica, in an order of its own; a silent one is asked last from then on (J4)."""

    async def scene() -> None:
        async with Stage(failovers=("failover:9", "failover:1")) as stage:
            await stage.network.serve("failover:9", [Answers(KEEP, never)])
            stage.log.fail(absent=True)
            for number in range(10):
                await stage.place(f"call-{number}").call()
            await asyncio.sleep(1)
            assert len([fact for fact in stage.kept if fact.kind is FactKind.OFFERED]) == 10

    play(scene())


def test_an_ingress_ticks_on_each_partition_of_the_journal_each_half_second() -> None:
    """T1, T2: time goes on in the log where no call does, and failover learns whom to watch."""

    async def scene() -> None:
        async with Stage() as stage:
            await asyncio.sleep(4.9)
            said = [(record.partition, facts.read(record.value)) for record in stage.broker.records(Topic.CALLS)]
            ticks = [(partition, tick) for partition, tick in said if isinstance(tick, Tick)]
            assert len(ticks) == 10 * TOPICS[Topic.CALLS].partitions
            (tick,) = {(tick.writer, tick.service, tick.conductor) for _, tick in ticks}
            assert tick[:2] == (f"ingress-1/{stage.world.incarnation}", "ingress")
            assert tick[2].address == "ingress:1"

    play(scene())
