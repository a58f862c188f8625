"""What a firewall reads of before its start, or hears late, is no reason to take a good policy back."""

from __future__ import annotations

import asyncio

import pytest
from throughline.v1 import screening_pb2

from services.domain.events import Conductor, Fact, FactKind, Tick
from services.domain.policy import Divert, Pass
from services.firewall.known_calls import KnownCalls
from services.firewall.policies.source import Standing
from services.journal import Topic
from services.policy.verdicts.answers import UNANSWERED_S
from services.wire import facts, verdicts
from simulator.virtual_loop import virtual_wall_ms
from tests.services.firewall_stage import DESK, DIVERTS_ALL, DIVERTS_REPEATS, Replica, Stage, bundle, play, rule


def land(stage: Stage, call_id: str, kind: FactKind) -> None:
    """What an ingress says of a call."""
    fact = Fact(call_id, 1, 9, "ingress-1/1", kind, virtual_wall_ms(), settled=kind is FactKind.DIVERTED)
    stage.broker.land(Topic.CALLS, call_id, facts.encode(fact))


async def ticking(stage: Stage, for_s: float) -> None:
    """Time passes in which each partition of `calls` has its ticks (T1)."""
    for _ in range(round(for_s)):
        tick = Tick("ingress-1/1", "ingress", Conductor("ingress-1:1", "1"), virtual_wall_ms())
        for number in stage.broker.partitions(Topic.CALLS):
            stage.broker.land(Topic.CALLS, "tick", facts.encode_tick(tick), partition=number)
        await asyncio.sleep(1.0)


async def a_nuisance(stage: Stage, pause_s: float, *, answered: bool) -> None:
    """Twelve calls of one caller, diverted from the third on, with ordinary ones between."""
    for n in range(12):
        if isinstance(await stage.screen(f"call-{n}"), Divert) and answered:
            land(stage, f"call-{n}", FactKind.DIVERTED)
        await stage.screen(f"other-{n}", caller=f"+15085550{120 + n}")
        await ticking(stage, pause_s)


@pytest.mark.parametrize("pause_s", [2.0, 15.0, 100.0])
def test_diverts_of_before_a_restart_that_were_answered_are_not_held_against_the_policy(pause_s: float) -> None:
    """A restart loses nothing that matters: a nuisance caller's calls were answered, each of them (L7)."""

    async def scene(stage: Stage) -> None:
        await a_nuisance(stage, pause_s, answered=True)
        before = stage.replicas[0]
        assert before.policies is not None and before.policies.trips == []
        await stage.stop(before)
        replica = await stage.start("firewall-1")
        for n in range(3):
            await ticking(stage, UNANSWERED_S)
            await stage.screen(f"another-{n}", caller="+15085550199")
        assert replica.policies is not None and replica.policies.trips == []
        assert isinstance(await stage.screen("call-2", leg=2), Divert)

    play(scene, DIVERTS_REPEATS)


def test_a_desk_at_which_nobody_sits_is_found_out() -> None:
    """`calls` is read all the time, and says nothing of the diverted calls: they are diverted no more."""

    async def scene(stage: Stage) -> None:
        await a_nuisance(stage, 10.0, answered=False)
        policies = stage.replicas[0].policies
        assert policies is not None
        assert [why for _, why in policies.trips][:1] == ["breaker state: unanswered, 3 of 3"]

    play(scene, DIVERTS_REPEATS)


def test_while_kafka_is_away_no_desk_is_blamed() -> None:
    """Nobody could tell here that the desk answers; it is told once Kafka is back, late (J6)."""

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        await ticking(stage, 5.0)
        replica.log.fail(absent=True)
        for n in range(8):
            await stage.screen(f"call-{n}")
            await stage.screen(f"other-{n}", caller=f"+15085550{120 + n}")
            await asyncio.sleep(30.0)
        replica.log.fail()
        await ticking(stage, 20.0)
        for n in range(2, 8):
            land(stage, f"call-{n}", FactKind.DIVERTED)
        await ticking(stage, 2 * UNANSWERED_S)
        await stage.screen("call-8")
        assert replica.policies is not None and replica.policies.trips == []

    play(scene, DIVERTS_REPEATS)


def test_what_a_policy_did_is_not_held_to_the_forecast_of_the_next() -> None:
    """Where a new version is live already, or the old one's calls are read at a start: the one to go back to, which
    kept to its forecast, is not put into quarantine for it (L7)."""
    before = bundle(rule('trunk == "trunk-9"', Divert(DESK, "of-a-trunk", "flood"), share=0.05), version=6)

    async def scene(stage: Stage) -> None:
        await stage.start("firewall-2", before)
        for number in range(220):
            trunk = "trunk-9" if number % 22 == 21 else "trunk-1"
            await stage.screen(f"call-{number}", caller=f"+1{200 + number}5550100", at="firewall-2", trunk=trunk)
            await asyncio.sleep(1.0)
        here, there = stage.replicas
        assert here.policies is not None and there.policies is not None
        assert here.count("heard_total") == 220
        assert (there.policies.trips, here.policies.trips) == ([], [])

    play(scene, DIVERTS_REPEATS)


class Mistaken(Standing):
    """Policies of which a mistake of ours ends the one who reads `screenings`."""

    def heard(self, screening: screening_pb2.Screening) -> None:
        raise ValueError(screening.call_id)


def test_a_firewall_that_hears_of_no_others_any_more_diverts_nobody() -> None:
    """Its windows and breakers are half of the truth then, until it is started again; it says so (L7)."""

    async def scene(stage: Stage) -> None:
        replica = Replica(stage, "firewall-1", Mistaken(DIVERTS_REPEATS))
        await replica.firewall.start()
        stage.replicas.append(replica)
        await asyncio.sleep(2.0)
        for n in range(4):
            await stage.screen(f"call-{n}")
            await asyncio.sleep(1.0)
        assert await stage.screen("call-4") == Pass()
        assert (await stage.published())[-1].kept_from == "no_history"
        assert any("has ended by a mistake of ours" in each for each in replica.firewall.remarks())

    play(scene, replicas=0)


def test_a_breaker_that_is_over_is_told_as_over_though_nobody_calls() -> None:
    """An operator looks at the gauge in a quiet night (docs/runbooks)."""

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        for n in range(8):
            await stage.screen(f"call-{n}", caller=f"+15085550{120 + n}")
        assert replica.count("breakers_tripped") > 0
        await ticking(stage, 4_000.0)
        assert replica.count("breakers_tripped") == 0

    play(scene, DIVERTS_ALL)


def test_records_of_endless_texts_take_no_more_memory_than_calls_do() -> None:
    """Who can write to Kafka: an id that no offer can have is no call's, and a network's name is cut as it is there."""
    calls = KnownCalls(DIVERTS_REPEATS)
    told = screening_pb2.Screening(
        call_id="c" * 50_000, verdict=verdicts.to_wire(Divert(DESK, "r", "why"), "p" * 50_000)
    )
    told.inputs.add(name="source", text="s" * 50_000)
    assert not calls.heard(told, DIVERTS_REPEATS, 0.0, 0.0)
    told.call_id = "call-1"
    assert calls.heard(told, DIVERTS_REPEATS, 0.0, 0.0)
    known = calls.known("call-1", 0.0, test=False)
    assert known is not None and known.heard is not None
    assert max(map(len, (known.heard.caller, known.policy, known.bundle))) < 300
