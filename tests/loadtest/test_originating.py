"""An originating network holds on to its callers (protocol.md P1 to P4, docs/clients.md)."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from throughline.v1 import call_pb2, place_pb2

from loadtest.carrier import Carrier, Outcome
from loadtest.channels import GrpcWire
from loadtest.diary import Diary, read_diary
from loadtest.leg import Call

Say = call_pb2.PlaceCallResponse
CALL = Call("call-1", "+16175550100", "urn:service:test.sos", place_pb2.Place(), "test")
WHERE = place_pb2.Where(psap_id="3175")


async def carry(tmp_path: Path, addresses: list[str], patience_s: float = 5.0) -> tuple[Outcome, list[dict[str, Any]]]:
    """Carries CALL, the first ingress first; gives its outcome and what was written down."""
    with Diary(tmp_path / "caller.jsonl", "caller") as diary:
        carrier = Carrier(addresses, diary, random.Random(first_index_zero(len(addresses))), GrpcWire())
        outcome = await carrier.carry(CALL, patience_s)
        await carrier.close()
    return outcome, read_diary(tmp_path / "caller.jsonl")


def first_index_zero(addresses: int) -> int:
    """A seed with which the network begins at its first ingress."""
    return next(seed for seed in range(1000) if random.Random(seed).randrange(addresses) == 0)


def events(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["event"] for entry in entries]


async def answer(heard: Any) -> None:
    """Accepts, rings, proposes, connects what was confirmed."""
    offer = await heard.expect("offer")
    attempt = f"{offer.call_id}/{offer.leg}/1"
    await heard.say(Say(accepted=call_pb2.Accepted(durability=call_pb2.DURABILITY_DURABLE, call_id=offer.call_id)))
    await heard.say(Say(ringing=call_pb2.Ringing(attempt=attempt, where=WHERE)))
    await heard.say(Say(connecting=call_pb2.Connecting(attempt=attempt)))
    confirm = await heard.expect("confirm")
    await heard.say(Say(connected=call_pb2.Connected(attempt=confirm.attempt, where=WHERE)))


async def test_a_call_is_offered_confirmed_and_connected(ingress: Callable[..., Any], tmp_path: Path) -> None:
    """P1, P4: an answer is confirmed, and Connected is the end."""
    async with ingress(answer) as address:
        outcome, seen = await carry(tmp_path, [address])
    assert outcome is Outcome.CONNECTED
    assert events(seen) == ["offered", "accepted", "ringing", "confirmed", "connected"]
    assert seen[1]["durability"] == "durable"
    assert seen[-1]["psap_id"] == "3175" and seen[-1]["attempt"] == "call-1/1/1"


async def test_the_newest_proposal_is_confirmed(ingress: Callable[..., Any], tmp_path: Path) -> None:
    """P4: each proposal is confirmed as it comes, so that the newest is confirmed last."""
    confirmed = []

    async def propose_twice(heard: Any) -> None:
        await heard.expect("offer")
        for attempt in ("call-1/1/1", "call-1/1/2"):
            await heard.say(Say(connecting=call_pb2.Connecting(attempt=attempt)))
            confirmed.append((await heard.expect("confirm")).attempt)
        await heard.say(Say(connected=call_pb2.Connected(attempt="call-1/1/2", where=WHERE)))

    async with ingress(propose_twice) as address:
        outcome, _ = await carry(tmp_path, [address])
    assert outcome is Outcome.CONNECTED
    assert confirmed == ["call-1/1/1", "call-1/1/2"]


async def test_a_silent_ingress_is_left_after_a_second_for_another(ingress: Callable[..., Any], tmp_path: Path) -> None:
    """P2: nothing down for 1 s, and leg n+1 goes to another ingress, naming what was confirmed."""
    legs: list[call_pb2.Offer] = []

    async def say_nothing(heard: Any) -> None:
        legs.append(await heard.expect("offer"))
        await heard.say(Say(ringing=call_pb2.Ringing(attempt="call-1/1/1", where=WHERE)))
        await heard.say(Say(connecting=call_pb2.Connecting(attempt="call-1/1/1")))
        await heard.expect("confirm")
        await asyncio.Event().wait()

    async def take(heard: Any) -> None:
        legs.append(await heard.expect("offer"))
        await heard.say(Say(connected=call_pb2.Connected(attempt="call-1/1/1", where=WHERE)))

    async with ingress(say_nothing) as silent, ingress(take) as other:
        outcome, seen = await carry(tmp_path, [silent, other])
    assert outcome is Outcome.CONNECTED
    assert [(leg.leg, leg.confirmed_attempt) for leg in legs] == [(1, ""), (2, "call-1/1/1")]
    assert not legs[0].HasField("confirmed_where") and legs[1].confirmed_where == WHERE, "and where it rang (P5)"
    broken = next(entry for entry in seen if entry["event"] == "leg_broken")
    assert broken["why"] == "silent"
    assert 950 < broken["after_ms"] < 2000


async def test_heartbeats_alone_keep_a_leg(ingress: Callable[..., Any], tmp_path: Path) -> None:
    """P1: a heartbeat each 500 ms is enough; the caller waits on."""

    async def beat_then_answer(heard: Any) -> None:
        for _ in range(4):
            await asyncio.sleep(0.5)
            await heard.say(Say(heartbeat=call_pb2.Heartbeat()))
        await answer(heard)

    async with ingress(beat_then_answer) as address:
        outcome, seen = await carry(tmp_path, [address])
    assert outcome is Outcome.CONNECTED
    assert "leg_broken" not in events(seen)


async def test_a_dead_ingress_costs_milliseconds(ingress: Callable[..., Any], tmp_path: Path) -> None:
    """P2: a refused connection is a broken stream at once, and the next leg follows at once."""
    async with ingress(answer) as gone:
        pass
    async with ingress(answer) as address:
        outcome, seen = await carry(tmp_path, [gone, address])
    assert outcome is Outcome.CONNECTED
    assert events(seen)[:3] == ["offered", "leg_broken", "offered"]
    assert seen[2]["after_ms"] < 500


async def test_a_draining_ingress_is_left_at_once(ingress: Callable[..., Any], tmp_path: Path) -> None:
    """P2, L4: UNAVAILABLE("draining") is followed by the next leg without a pause."""
    import grpc

    async def drain(heard: Any) -> None:
        await heard.expect("offer")
        await heard.context.abort(grpc.StatusCode.UNAVAILABLE, "draining")

    async with ingress(drain) as draining, ingress(answer) as other:
        outcome, seen = await carry(tmp_path, [draining, other])
    assert outcome is Outcome.CONNECTED
    assert seen[1]["details"] == "draining"
    assert seen[2]["after_ms"] < 500


async def test_an_ingress_that_accepts_and_breaks_is_not_hammered(ingress: Callable[..., Any], tmp_path: Path) -> None:
    """P2: the pauses grow while legs break, accepted or not."""

    async def accept_and_break(heard: Any) -> None:
        await heard.expect("offer")
        await heard.say(Say(accepted=call_pb2.Accepted(durability=call_pb2.DURABILITY_DURABLE)))

    async with ingress(accept_and_break) as one, ingress(accept_and_break) as other:
        outcome, seen = await carry(tmp_path, [one, other], patience_s=2.0)
    assert outcome is Outcome.GAVE_UP
    assert events(seen).count("offered") == 3, "at once, at once, after a second"


async def test_a_caller_without_patience_says_that_he_hangs_up(ingress: Callable[..., Any], tmp_path: Path) -> None:
    """P6: a hang-up is said, so that it is never taken for a broken stream."""
    said: list[str] = []

    async def ring_on(heard: Any) -> None:
        await heard.expect("offer")
        await heard.say(Say(ringing=call_pb2.Ringing(attempt="call-1/1/1", where=WHERE)))
        reading = asyncio.ensure_future(heard.read())
        while not reading.done():
            await heard.say(Say(heartbeat=call_pb2.Heartbeat()))
            await asyncio.wait({reading}, timeout=0.2)
        said.append(reading.result().WhichOneof("said"))

    async with ingress(ring_on) as address:
        outcome, seen = await carry(tmp_path, [address], patience_s=2.0)  # long enough to hear it ring
    assert outcome is Outcome.HUNG_UP
    assert said == ["hangup"]
    assert events(seen) == ["offered", "ringing", "hung_up"]


async def test_a_network_that_is_refused_does_not_insist(ingress: Callable[..., Any], tmp_path: Path) -> None:
    """A production ingress refuses the load tester for good."""
    import grpc

    async def refuse(heard: Any) -> None:
        await heard.context.abort(grpc.StatusCode.PERMISSION_DENIED, "production")

    async with ingress(refuse) as address:
        outcome, seen = await carry(tmp_path, [address])
    assert outcome is Outcome.REFUSED
    assert events(seen) == ["offered", "refused"]


async def test_a_caller_who_finds_no_ingress_gives_up(tmp_path: Path, ingress: Callable[..., Any]) -> None:
    """P2: legs are offered again and again until the caller leaves, and that is written down too."""
    async with ingress(answer) as gone:
        pass
    outcome, seen = await carry(tmp_path, [gone], patience_s=2.0)
    assert outcome is Outcome.GAVE_UP
    assert events(seen).count("offered") == 3, "at once, at once, after a second"
    assert events(seen)[-1] == "gave_up"


def planned(tmp_path: Path, callers: int) -> Path:
    """A plan of some callers, 20 a second."""
    lines = [
        {
            "at_s": 0.05 * n,
            "call_id": f"p-{n}",
            "caller": "+16175550100",
            "service_urn": "urn:service:test.sos",
            "source": "test",
            "lat": 42.3,
            "lon": -71.1,
            "radius_m": 60,
        }
        for n in range(callers)
    ]
    (tmp_path / "plan.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    return tmp_path / "plan.jsonl"


async def test_the_process_runs_a_plan_and_tells_how_late_it_was(
    ingress: Callable[..., Any], child: Callable[..., Any], tmp_path: Path
) -> None:
    """The load is open and its own lag is measured."""
    plan, witness = planned(tmp_path, 10), tmp_path / "w.jsonl"
    async with ingress(answer) as address:
        network = await child("originating", "--plan", plan, "--witness", witness)
        assert (await network.told("ready"))["callers"] == 10
        network.do(do="start", ingresses=[address])
        finished = await network.told("finished")
        assert await network.end() == 0
    assert finished["offer_lag_ms_max"] < 1000
    seen = read_diary(witness)
    assert sum(entry["event"] == "connected" for entry in seen) == 10


async def test_a_caller_who_loses_patience_does_not_blame_the_ingress(
    ingress: Callable[..., Any], child: Callable[..., Any], tmp_path: Path
) -> None:
    """Timers may come a little early: the end of a caller's patience is a hang-up all the same, and no silence (P2)."""

    async def hear_the_hang_up(heard: Any) -> None:
        await heard.expect("offer")
        await heard.expect("hangup")

    plan, witness = planned(tmp_path, 30), tmp_path / "w.jsonl"
    async with ingress(hear_the_hang_up) as address:
        network = await child("originating", "--plan", plan, "--witness", witness, "--human-speed", "400")
        network.do(do="start", ingresses=[address])
        await network.told("finished")
        assert await network.end() == 0
    seen = read_diary(witness)
    assert sum(entry["event"] == "hung_up" for entry in seen) >= 30
    assert [entry for entry in seen if entry["event"] == "leg_broken"] == []


@pytest.mark.parametrize("name", ["originating", "far_end"])
async def test_a_process_ends_with_its_leader(child: Callable[..., Any], tmp_path: Path, name: str) -> None:
    """The end of standard input is the end of the process, with exit code 0."""
    (tmp_path / "plan.jsonl").write_text("")
    options: dict[str, list[str | Path]] = {
        "originating": ["--plan", tmp_path / "plan.jsonl"],
        "far_end": ["--tokens", tmp_path],
    }
    process = await child(name, "--witness", tmp_path / "w.jsonl", *options[name])
    await process.told("ready" if name == "originating" else "listening")
    assert await process.end() == 0
