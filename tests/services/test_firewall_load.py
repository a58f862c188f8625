"""The load of a call's home PSAP, as rules ask for it: what gateways say on `psap-status`, else nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from services.domain.gateways.attachments import Row
from services.domain.policy import Flag, Pass
from services.domain.routing import STALE_AFTER_SECONDS
from services.firewall.policies.source import Standing
from services.journal import Topic
from services.policy.verdicts.evaluating import Evaluation
from services.policy_cli.recordings import call_of
from services.wire import psap_status, screenings
from simulator.virtual_loop import run_virtual, virtual_wall_ms
from tests.services.firewall_stage import START_S, Replica, Stage, bundle, place_in, play, rule

BUSY = Flag(30, "busy", "psap_is_busy")
FLAGS_BUSY = bundle(rule("psap_load >= 3.0", BUSY))


class Gateway:
    """Says by records what a gateway would; each snapshot has all its rows."""

    def __init__(self, stage: Stage, name: str) -> None:
        self._stage = stage
        self._name = name
        self._seq = 0

    async def says(self, *rows: Row) -> None:
        self._seq += 1
        value = psap_status.encode(self._name, f"{self._name}:1", "1", self._seq, virtual_wall_ms(), rows)
        self._stage.broker.land(Topic.PSAP_STATUS, self._name, value)
        await asyncio.sleep(0.01)


def row(psap_id: str, ringing: int, connected: int = 0, attached: bool = True) -> Row:
    return Row(psap_id, attached, "", ringing, connected)


async def load_in(stage: Stage, call_id: str, town: str = "Birch", at: str = "firewall-1") -> object:
    """What the rules were given of a call that is screened now."""
    await stage.screen(call_id, at=at, place=place_in(town))
    (told,) = [each for each in await stage.published() if each.call_id == call_id]
    return screenings.inputs_of(told)["psap_load"]


def test_a_rule_hears_how_many_calls_ring_and_talk_at_the_callers_own_psap() -> None:
    """R8: Birch's is P2; another town's calls, a call without a place and one at sea have nothing of it."""

    async def scene(stage: Stage) -> None:
        gateway = Gateway(stage, "gateway-1")
        await gateway.says(row("P1", 9), row("P2", 1, 1))
        assert await stage.screen("call-1", place=place_in("Birch")) == Pass()
        await gateway.says(row("P1", 9), row("P2", 1, 2))
        assert await stage.screen("call-2", place=place_in("Birch")) == BUSY
        assert await stage.screen("call-3", place=place_in("Cedar")) == Pass()
        assert await stage.screen("call-4") == Pass()
        assert (await load_in(stage, "call-5", "Ash"), await load_in(stage, "call-6", "Birch")) == (9.0, 3.0)

    play(scene, FLAGS_BUSY)


def test_what_two_gateways_say_of_the_same_calls_counts_once() -> None:
    """R5: a PSAP's hello names at each gateway what another has connected."""

    async def scene(stage: Stage) -> None:
        for name in ("gateway-1", "gateway-2"):
            await Gateway(stage, name).says(row("P2", 0, 2))
        assert await load_in(stage, "call-1") == 2.0

    play(scene, FLAGS_BUSY)


def test_a_load_that_nobody_has_confirmed_for_six_seconds_is_unknown() -> None:
    """R8: gateways that are gone, or Kafka that is away, make it 0.0, and /readyz says so."""

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        gateway = Gateway(stage, "gateway-1")
        await gateway.says(row("P2", 4))
        assert await stage.screen("call-1", place=place_in("Birch")) == BUSY
        replica.log.fail(absent=True)
        await asyncio.sleep(STALE_AFTER_SECONDS)
        await gateway.says(row("P2", 4))
        assert await stage.screen("call-2", place=place_in("Birch")) == Pass()
        assert any("psap_load is 0.0" in line for line in replica.firewall.remarks())
        replica.log.fail()
        await asyncio.sleep(1)
        assert not any("psap_load" in line for line in replica.firewall.remarks())
        assert await stage.screen("call-3", place=place_in("Birch")) == BUSY

    play(scene, FLAGS_BUSY)


def test_the_same_call_gets_the_same_verdict_whatever_the_load_is_by_then() -> None:
    """L3: screening is idempotent by call_id, and the record holds what was known when it was asked."""

    async def scene(stage: Stage) -> None:
        gateway = Gateway(stage, "gateway-1")
        await gateway.says(row("P2", 3))
        assert await stage.screen("call-1", place=place_in("Birch")) == BUSY
        await gateway.says(row("P2", 0))
        assert await stage.screen("call-1", leg=2, place=place_in("Birch")) == BUSY
        assert await stage.screen("call-2", place=place_in("Birch")) == Pass()

    play(scene, FLAGS_BUSY)


async def never_said(stage: Stage) -> None:
    """No gateway has ever said anything."""


async def said_long_ago(stage: Stage) -> None:
    """And no more since: the topic is compacted, so the record is there for ever."""
    await Gateway(stage, "gateway-1").says(row("P2", 9))
    await asyncio.sleep(STALE_AFTER_SECONDS + 1)


async def said_nonsense(stage: Stage) -> None:
    """A record that is no snapshot."""
    stage.broker.land(Topic.PSAP_STATUS, "gateway-1", b"\xff\xff")


async def said_by_who_is_not_attached(stage: Stage) -> None:
    """Its conversations may be over for hours; nobody could tell the gateway."""
    await Gateway(stage, "gateway-1").says(row("P2", 0, 9, attached=False))


@pytest.mark.parametrize("before", [never_said, said_long_ago, said_nonsense, said_by_who_is_not_attached])
@pytest.mark.parametrize("absent", [False, True], ids=["", "without-kafka"])
def test_a_firewall_that_starts_knows_no_load_that_nobody_says_now(
    before: Callable[[Stage], Awaitable[None]], absent: bool
) -> None:
    """A restart, an old topic, a missing Kafka: 0.0, and calls are screened as ever (L6)."""

    async def staged() -> None:
        stage = Stage()
        await before(stage)
        replica = Replica(stage, "firewall-1", Standing(FLAGS_BUSY))
        replica.log.fail(absent=absent)
        await replica.firewall.start()
        await asyncio.sleep(START_S)
        assert await stage.screen("call-1", place=place_in("Birch")) == Pass()
        assert replica.count("verdicts_total", verdict="pass") == 1
        await replica.firewall.stop(0.0)

    run_virtual(staged())


def test_what_was_recorded_says_the_same_when_it_is_replayed() -> None:
    """The record holds the load that was known, so `explain` and `replay --recorded` need no gateway (L3)."""

    async def scene(stage: Stage) -> None:
        await Gateway(stage, "gateway-1").says(row("P2", 3))
        for call_id, town in (("call-1", "Birch"), ("call-2", "Cedar")):
            await stage.screen(call_id, place=place_in(town))
        calls = map(call_of, await stage.published())
        evaluation = Evaluation(FLAGS_BUSY)
        said = {call.call_id: evaluation.decide(call.inputs, call.at_ms).rule_id for call in calls}
        assert said == {"call-1": "busy", "call-2": None}

    play(scene, FLAGS_BUSY)


def test_the_state_s_load_survives_a_restart_and_is_unknown_where_the_last_hour_cannot_be_read() -> None:
    """J7: a call each minute for an hour, then three at once; who starts without Kafka knows of no flood."""

    async def given(stage: Stage, call_id: str, at: str) -> object:
        await stage.screen(call_id, at=at)
        (told,) = [each for each in await stage.published() if each.call_id == call_id]
        return screenings.inputs_of(told)["state_load"]

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        assert await given(stage, "first", "firewall-1") == 0.0
        for n in range(60):
            await asyncio.sleep(60)
            await stage.screen(f"steady-{n}")
        for n in range(2):
            await stage.screen(f"more-{n}")
        before = await given(stage, "last", "firewall-1")
        assert isinstance(before, float) and 3.0 < before < 5.0
        await stage.stop(replica)
        await stage.start()
        after = await given(stage, "again", "firewall-1")
        assert isinstance(after, float) and before <= after < 6.0
        alone = Replica(stage, "firewall-2", Standing(FLAGS_BUSY))
        alone.log.fail(absent=True)
        await alone.firewall.start()
        await asyncio.sleep(START_S)
        await stage.screen("unheard", at="firewall-2")
        alone.log.fail()
        await asyncio.sleep(5)
        heard = await given(stage, "unheard-2", "firewall-2")
        assert isinstance(heard, float) and heard > 1.0
        told = {each.call_id: screenings.inputs_of(each)["state_load"] for each in await stage.published()}
        assert told["unheard"] == 0.0
        await alone.firewall.stop(0.0)

    play(scene)


def test_who_asks_for_no_load_is_told_nothing_of_it() -> None:
    """A remark that nobody can act upon hides the next one."""

    async def scene(stage: Stage) -> None:
        assert stage.replicas[0].firewall.remarks() == []

    play(scene)


def test_a_restart_hears_the_load_again_at_once() -> None:
    """R8: what was said within six seconds is read back, with its own age."""

    async def scene(stage: Stage) -> None:
        await Gateway(stage, "gateway-1").says(row("P2", 3))
        await stage.stop(stage.replicas[0])
        await stage.start()
        assert await stage.screen("call-1", place=place_in("Birch")) == BUSY

    play(scene, FLAGS_BUSY)
