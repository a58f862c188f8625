"""The ingress's real shell with scripted neighbours, under virtual time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from typing import Any

import pytest
from throughline.v1 import call_pb2, delivery_pb2, place_pb2, screening_pb2

from services.domain.events import FactKind, Failure
from services.host.network import Broken, Status
from services.journal import Topic
from simulator.virtual_loop import run_virtual
from tests.services.ingress_stage import REGION, TEXTS, Caller, Raw, Stage, answers, is_silent, rejects, rings

OFFERED, SCREENED, ROUTED = FactKind.OFFERED, FactKind.SCREENED, FactKind.ROUTED
ATTEMPTING, RINGING, FAILED = FactKind.ATTEMPTING, FactKind.RINGING, FactKind.DELIVERY_FAILED


def play(scene: Coroutine[Any, Any, None]) -> None:
    run_virtual(scene, limit_s=600)


def test_a_call_is_screened_routed_rung_confirmed_and_connected() -> None:
    """The calm story, word by word and fact by fact (P1, P4, J1)."""

    async def scene() -> None:
        async with Stage() as stage:
            caller = stage.place()
            words = await caller.call()
            assert sorted(words) == ["accepted", "connected", "connecting", "ringing"]
            assert words[-1] == "connected"
            assert caller.messages[-1].connected.where.psap_id == "P1"
            await asyncio.sleep(1)
            assert stage.kinds() == [OFFERED, SCREENED, ROUTED, ATTEMPTING, RINGING, FactKind.ANSWERED]
            told = stage.facts()
            assert [fact.seq for fact in told] == list(range(6))
            assert told[0].offer is not None
            assert told[0].offer.caller == "+15085550101"
            assert {fact.caller_hash for fact in told} == {told[0].caller_hash}
            assert "5550101" not in told[0].caller_hash
            assert [fact.settled for fact in told] == [False] * 5 + [True]
            assert all(fact.due_in_ms > 0 for fact in told[:-1])

    play(scene())


def test_a_silent_firewall_costs_its_budget_and_no_more() -> None:
    """No verdict within 150 ms means unscreened, said and counted, and the call rings (architecture.md, bounds)."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.screen_after_s = 60
            caller = stage.place()
            await caller.offer()
            await caller.until("ringing")
            assert 0.15 <= asyncio.get_running_loop().time() < 0.2
            assert stage.count("calls_screened_total", verdict="unscreened") == 1
            await caller.until()
            assert caller.words[-1] == "connected"

    play(scene())


def test_a_suspicion_travels_to_the_router_and_to_the_psap() -> None:
    """A flag moves no call by itself; whoever has rules of their own is told (i3 CallSuspicion)."""

    async def scene() -> None:
        async with Stage() as stage:
            flag = screening_pb2.Flag(score=40, rule="repeats", reason="repeated")
            stage.verdict = screening_pb2.Verdict(flag=flag, policy="scripted")
            words = await stage.place().call()
            assert words[-1] == "connected"
            assert [asked.suspicion for asked in stage.asked_to_route] == [40]
            assert [offer.suspicion for offer in stage.offered] == [40]

    play(scene())


def test_without_a_router_our_own_atlas_finds_the_psap() -> None:
    """Worcester's own PSAP is rung though no router answers."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.route_after_s = 60
            words = await stage.place().call()
            assert words[-1] == "connected"
            assert stage.count("calls_routed_total", by="own_atlas") == 1
            (offer,) = stage.offered
            areas = TEXTS[REGION / "service_areas.csv"]
            assert offer.psap_id in {row.split(",")[1] for row in areas.splitlines() if row.startswith("Worcester,")}

    play(scene())


@pytest.mark.parametrize(
    ("script", "first_target"),
    [
        (rejects(delivery_pb2.REJECTION_FULL), "P2"),
        (rejects(delivery_pb2.REJECTION_REFUSED), "P2"),
        (rejects(delivery_pb2.REJECTION_NOT_ATTACHED), "P1"),
        (rejects(delivery_pb2.REJECTION_UNREACHABLE), "P1"),
        (is_silent, "P1"),
    ],
)
def test_each_kind_of_failure_by_itself_reaches_a_person(script: Any, first_target: str) -> None:
    """Full and refused: the alternate first. Not there: that PSAP's own administrative lines first (ladder)."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.by_psap["P1"] = script
            caller = stage.place()
            assert (await caller.call())[-1] == "connected"
            where = caller.messages[-1].connected.where
            assert where.psap_id == first_target
            assert bool(where.line) is (first_target == "P1")
            assert asyncio.get_running_loop().time() < 2
            await asyncio.sleep(1)
            assert stage.kinds()[-1] is (FactKind.DIVERTED if where.line else FactKind.ANSWERED)

    play(scene())


def test_when_nobody_answers_the_lines_ring_while_the_psap_rings_on() -> None:
    """Make before break (R6): at ring time-out the next rung is offered and the first ring is not given up."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.by_psap["P1"] = rings
            caller = stage.place()
            await caller.call()
            assert caller.messages[-1].connected.where.line
            assert 15 <= asyncio.get_running_loop().time() < 16
            assert FAILED not in stage.kinds()

    play(scene())


@pytest.mark.parametrize(
    ("gateway", "failure"),
    [
        (rejects(delivery_pb2.REJECTION_REFUSED), Failure.REFUSED),
        (rejects(delivery_pb2.REJECTION_NOT_ATTACHED), Failure.NOT_ATTACHED),
        (is_silent, Failure.UNREACHABLE),
    ],
)
def test_attempts_that_failed_are_counted_by_how(gateway: Any, failure: Failure) -> None:
    """What an operator sees first of a PSAP in trouble; a silence past the reach budget is one too (R1)."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.by_psap["P1"] = gateway
            await stage.place().call()
            await asyncio.sleep(1)
            failed = stage.kinds().count(FAILED)
            assert failed > 0
            counted = {each: stage.count("attempts_failed_total", failure=each) for each in Failure}
            assert counted == {each: failed if each is failure else 0 for each in Failure}

    play(scene())


def test_when_every_rung_fails_the_caller_waits_and_is_tried_again() -> None:
    """While a caller is on the line the ladder never ends in a hang-up (R6)."""

    async def scene() -> None:
        async with Stage() as stage:
            full = rejects(delivery_pb2.REJECTION_FULL)
            stage.by_psap = {"P1": full, "P2": full}
            stage.lines = full
            caller = stage.place()
            await caller.offer()
            await caller.until("waiting")
            stage.by_psap = {}
            await caller.until()
            assert caller.words[-1] == "connected"
            assert 2 <= asyncio.get_running_loop().time() < 4
            assert FactKind.WAITING in stage.kinds()

    play(scene())


def test_an_unconfirmed_answer_connects_nobody() -> None:
    """Only the caller's confirmation makes an answer a connection (P3, P4)."""

    async def scene() -> None:
        async with Stage() as stage:
            caller = stage.place()
            caller.confirms = False
            await caller.offer()
            await caller.until("connecting")
            await asyncio.sleep(1.4)
            await caller.say(confirm=call_pb2.Confirm(attempt="call-1/1/99"))
            await asyncio.sleep(0.4)
            assert FactKind.ANSWERED not in stage.kinds()
            assert FAILED in stage.kinds()
            caller.confirms = True
            await caller.until()
            assert caller.words[-1] == "connected"

    play(scene())


def test_a_hang_up_before_an_answer_is_abandoned_and_releases_the_ring() -> None:
    """`Hangup` is itself an open callback entry (P7)."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.by_psap["P1"] = rings
            caller = stage.place()
            await caller.offer()
            await caller.until("ringing")
            await caller.say(hangup=call_pb2.Hangup())
            await caller.until()
            await asyncio.sleep(1)
            assert stage.kinds()[-1] is FactKind.ABANDONED
            assert stage.count("calls_in_hand") == 0

    play(scene())


@pytest.mark.parametrize("how", ["cancel", "end"])
def test_a_stream_that_ends_without_a_word_is_broken_never_a_hang_up(how: str) -> None:
    """P6 and P7: CallerLost at once, and after two seconds a callback is due."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.by_psap["P1"] = rings
            caller = stage.place()
            await caller.offer()
            await caller.until("ringing")
            if how == "cancel":
                caller.stream.cancel()
            else:
                await caller.stream.done_writing()
            await asyncio.sleep(1.5)
            assert stage.kinds()[-1] is FactKind.CALLER_LOST
            await asyncio.sleep(1.5)
            assert stage.kinds()[-2:] == [FactKind.CALLER_LOST, FactKind.CALLBACK_DUE]

    play(scene())


def test_a_waiting_caller_hears_something_at_least_each_500_ms() -> None:
    """Heartbeats fill the silence while a PSAP rings (P1)."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.by_psap["P1"] = rings
            caller = stage.place()
            await caller.call()
            assert caller.longest_silence_s() <= 0.5

    play(scene())


def test_the_same_leg_twice_is_refused_and_a_higher_leg_is_carried() -> None:
    """ALREADY_EXISTS at the same process, also after the leg has ended (P8)."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.by_psap["P1"] = rings
            first = stage.place()
            await first.offer()
            await first.until("ringing")
            with pytest.raises(Broken) as refused:
                await stage.place().call()
            assert refused.value.status is Status.ALREADY_EXISTS
            del stage.by_psap["P1"]
            assert (await stage.place(leg=2).call())[-1] == "connected"
            with pytest.raises(Broken) as late:
                await stage.place(leg=2).call()
            assert late.value.status is Status.ALREADY_EXISTS

    play(scene())


@pytest.mark.parametrize(
    ("failovers", "durability"),
    [(("failover:1",), call_pb2.DURABILITY_DURABLE), ((), call_pb2.DURABILITY_AT_RISK)],
)
def test_kafka_gone_delays_nobody_and_is_said(
    failovers: tuple[str, ...], durability: call_pb2.Durability.ValueType
) -> None:
    """On two disks with a failover replica's copy, on one without; ringing never waits; the facts follow later (J4)."""

    async def scene() -> None:
        async with Stage(failovers=failovers) as stage:
            stage.log.fail(absent=True)
            caller = stage.place()
            await caller.offer()
            await caller.until("ringing")
            assert asyncio.get_running_loop().time() < 0.1
            await caller.until()
            (accepted,) = [m.accepted for m in caller.messages if m.WhichOneof("said") == "accepted"]
            assert accepted.durability == durability
            assert stage.kinds() == []
            assert list(stage.ingress.remarks())
            stage.log.fail()
            await asyncio.sleep(5)
            assert stage.kinds() == [OFFERED, SCREENED, ROUTED, ATTEMPTING, RINGING, FactKind.ANSWERED]
            assert stage.facts()[0].age_ms > 0

    play(scene())


ODD_PLACES = {
    "nowhere": None,
    "nan": place_pb2.Place(circle=place_pb2.Circle(centre=place_pb2.Point(latitude=math.nan, longitude=math.inf))),
    "outside_the_world": place_pb2.Place(circle=place_pb2.Circle(centre=place_pb2.Point(latitude=91, longitude=181))),
    "many_points": place_pb2.Place(
        polygon=place_pb2.Polygon(points=[place_pb2.Point(latitude=i % 90, longitude=1) for i in range(3000)])
    ),
}


@pytest.mark.parametrize("place", ODD_PLACES.values(), ids=ODD_PLACES.keys())
@pytest.mark.parametrize("router", ["there", "gone"])
def test_an_odd_place_is_still_a_call(place: Any, router: str) -> None:
    """A missing or garbled location gets a default route, never a refusal (domain.md)."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.route_after_s = 60 if router == "gone" else 0
            assert (await stage.place(place=place).call())[-1] == "connected"

    play(scene())


@pytest.mark.parametrize(
    "fields",
    [
        {"caller": ""},
        {"caller": "+19115550100"},
        {"caller": "not a number \x00\x1b[2J"},
        {"service_urn": "urn:service:pizza"},
        {"service_urn": ""},
        {"call_id": ""},
        {"call_id": "x" * 4000},
        {"leg": 0},
        {"leg": 4_000_000_000},
    ],
)
def test_odd_fields_are_carried(fields: dict[str, Any]) -> None:
    """No number, a number that cannot be dialled, an unknown service, no id: each is a call."""

    async def scene() -> None:
        async with Stage() as stage:
            assert (await stage.place(**fields).call())[-1] == "connected"

    play(scene())


RAW_OFFERS = {
    "not_protobuf": b"\xff\xff\xff INVITE sip:911 \x00",
    "two_megabytes": call_pb2.PlaceCallRequest(
        offer=call_pb2.Offer(call_id="big", leg=1, caller="+15085550102", i3_call_id="x" * 2_000_000)
    ).SerializeToString(),
    "a_million_points": call_pb2.PlaceCallRequest(
        offer=call_pb2.Offer(
            call_id="outline",
            leg=1,
            place=place_pb2.Place(polygon=place_pb2.Polygon(points=[place_pb2.Point(latitude=1.5)] * 100_000)),
        )
    ).SerializeToString()
    * 10,
    "a_confirm_first": call_pb2.PlaceCallRequest(confirm=call_pb2.Confirm(attempt="a/1/1")).SerializeToString(),
    "nothing": b"",
}


@pytest.mark.parametrize("raw", RAW_OFFERS.values(), ids=RAW_OFFERS.keys())
def test_an_unreadable_offer_is_still_a_call_and_its_bytes_are_kept(raw: bytes) -> None:
    """P6: parsed in the handler, kept in `calls-unreadable`, carried under its own or a minted id."""

    async def scene() -> None:
        async with Stage() as stage:
            caller = Caller(stage.network, raw)
            assert (await caller.call())[-1] == "connected"
            (accepted,) = [m.accepted for m in caller.messages if m.WhichOneof("said") == "accepted"]
            assert accepted.call_id
            await asyncio.sleep(1)
            (kept,) = stage.broker.records(Topic.CALLS_UNREADABLE)
            assert kept.value == raw
            assert stage.kinds(accepted.call_id)[-1] is FactKind.ANSWERED
            assert stage.count("offers_odd_total", oddity="unreadable") == 1

    play(scene())


def test_unreadable_bytes_wait_for_kafka_unchanged() -> None:
    """Back-filled facts are stamped with their age; bytes kept as evidence are not touched (J1, P6)."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.log.fail(absent=True)
            raw = RAW_OFFERS["two_megabytes"]
            await Caller(stage.network, raw).call()
            stage.log.fail()
            await asyncio.sleep(5)
            (kept,) = stage.broker.records(Topic.CALLS_UNREADABLE)
            assert kept.value == raw

    play(scene())


def test_what_can_be_read_of_a_large_offer_is_salvaged() -> None:
    """The caller's number is what a callback needs."""

    async def scene() -> None:
        async with Stage() as stage:
            await Caller(stage.network, RAW_OFFERS["two_megabytes"]).call()
            await asyncio.sleep(1)
            offered = stage.facts("big")[0].offer
            assert offered is not None
            assert offered.caller == "+15085550102"

    play(scene())


def test_a_stream_that_ends_before_an_offer_is_counted() -> None:
    """So looks a message over the transport limit (P6)."""

    async def scene() -> None:
        async with Stage() as stage:
            caller = stage.place()
            await caller.stream.done_writing()
            assert await caller.stream.read() is None
            assert stage.count("streams_without_offer_total") == 1
            assert stage.all_facts() == []

    play(scene())


def test_rubbish_in_mid_call_is_counted_and_harms_nothing() -> None:
    """Unwanted words of a caller's side are no reason to lose the call."""

    async def scene() -> None:
        async with Stage() as stage:
            caller = stage.place()
            await caller.offer()
            await caller.stream.write(Raw(b"\xff\xff"))  # type: ignore[arg-type]
            await caller.say(offer=call_pb2.Offer(call_id="another"))
            await caller.until()
            assert caller.words[-1] == "connected"
            assert stage.count("words_unwanted_total") == 2

    play(scene())


def test_a_verdict_to_divert_goes_to_the_named_desk() -> None:
    """A policy can only divert to a staffed desk; if its lines fail the call is routed as any other."""

    async def scene(lines_fail: bool) -> None:
        async with Stage() as stage:
            stage.verdict = screening_pb2.Verdict(divert=screening_pb2.Divert(desk="nuisance-desk", rule="r1"))
            if lines_fail:
                stage.lines = rejects(delivery_pb2.REJECTION_FULL)
            caller = stage.place()
            assert (await caller.call())[-1] == "connected"
            assert stage.dialled[0].psap_id == "nuisance-desk"
            assert stage.dialled[0].reason == "policy"
            assert bool(caller.messages[-1].connected.where.line) is not lines_fail

    play(scene(lines_fail=False))
    play(scene(lines_fail=True))


def test_neighbours_who_talk_without_end_are_cut_short() -> None:
    """What a firewall, a router or a gateway says travels with every fact: it is bounded, and the call goes on."""

    async def scene() -> None:
        async with Stage() as stage:
            endless = "x" * 1_000_000
            stage.verdict = screening_pb2.Verdict(
                divert=screening_pb2.Divert(desk=endless, rule=endless, reason=endless), policy=endless
            )
            stage.lines = rejects(delivery_pb2.REJECTION_FULL)
            assert (await stage.place().call())[-1] == "connected"
            await asyncio.sleep(1)
            assert max(len(record.value) for record in stage.broker.records(Topic.CALLS)) < 4_096

    play(scene())


def test_a_load_test_with_the_real_service_is_refused_in_production() -> None:
    """`--real` against an installation marked production: refused before anything is accepted; test calls pass."""

    async def scene() -> None:
        async with Stage(production=True) as stage:
            with pytest.raises(Broken) as refused:
                await stage.place(source="loadtest").call()
            assert refused.value.status is Status.PERMISSION_DENIED
            words = await stage.place("t", source="loadtest", service_urn="urn:service:test.sos").call()
            assert words[-1] == "connected"
            assert stage.facts("t")[0].test

    play(scene())


def test_draining_finishes_calls_in_hand_and_refuses_new_ones() -> None:
    """L4: the rest end UNAVAILABLE("draining"), on which the originating side re-offers elsewhere at once (P2)."""

    async def scene() -> None:
        async with Stage() as stage:
            stage.by_psap["P1"] = lambda stream, offer: answers(stream, offer, after_s=3)
            caller = stage.place()
            await caller.offer()
            await caller.until("ringing")
            stopping = asyncio.ensure_future(stage.ingress.stop(grace_s=10))
            await asyncio.sleep(0.5)
            with pytest.raises(Broken) as refused:
                await stage.place("late").call()
            assert refused.value.status is Status.UNAVAILABLE
            await caller.until()
            assert caller.words[-1] == "connected"
            await stopping
            assert asyncio.get_running_loop().time() < 5

    play(scene())
