"""The failover replica's real shell with scripted trunks, under virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from throughline.v1 import delivery_pb2

from services.domain.deliveries import Outcome
from services.domain.events import Failure
from services.domain.where import Where
from services.host.network import Broken, Status
from simulator.virtual_loop import run_virtual
from tests.services.failover_stage import (
    P1_FIRST,
    P1_SECOND,
    REGION_LINE,
    Dialled,
    Diversion,
    FailoverStage,
    Script,
    breaks,
    ends,
    hangs,
    rejects,
    rings,
)

ONE, TWO = "trunk:1", "trunk:2"
FULL, REFUSED = rejects(delivery_pb2.REJECTION_FULL), rejects(delivery_pb2.REJECTION_REFUSED)


def play(scene: Callable[[FailoverStage], Coroutine[Any, Any, None]], **stage: Any) -> None:
    async def staged() -> None:
        async with FailoverStage(**stage) as on:
            await scene(on)

    run_virtual(staged(), limit_s=120)


def now() -> float:
    return asyncio.get_running_loop().time()


async def answered(stage: FailoverStage, **call: Any) -> Diversion:
    diversion = await stage.divert(**call)
    await diversion.next("ringing")
    await diversion.next("answer")
    return diversion


# The calm way.


def test_a_line_is_dialled_rings_answers_and_is_connected() -> None:
    """The same words as at a gateway, with the line in `where` (R1); on record too."""

    async def scene(stage: FailoverStage) -> None:
        diversion = await stage.divert()
        assert await diversion.rung() == P1_FIRST
        await diversion.next("answer")
        await diversion.connect()
        done = await diversion.next("connected")
        assert (done.where.psap_id, done.where.line) == ("P1", P1_FIRST)
        await diversion.over()
        (dialled,) = stage.dialled
        assert (dialled.number.caller, dialled.number.reason, dialled.number.ring_ms) == (
            "+15085550101",
            "unreachable",
            15_000,
        )
        await asyncio.sleep(0.1)
        told = stage.deliveries()
        assert [each.outcome for each in told] == [Outcome.RINGING, Outcome.ANSWERED, Outcome.CONNECTED]
        assert {(each.where, each.by) for each in told} == {(Where("P1", P1_FIRST), "failover-1")}

    play(scene)


def test_an_unknown_owner_falls_to_the_regions_desk() -> None:
    """Somebody always answers for a PSAP that the directory does not know."""

    async def scene(stage: FailoverStage) -> None:
        diversion = await stage.divert("P-unheard-of")
        assert await diversion.rung() == REGION_LINE
        assert stage.dialled[0].number.where.psap_id == "region"
        assert stage.count("unknown_owners_total") == 1

    play(scene)


@pytest.mark.parametrize(
    ("reason", "kept"),
    [("unreachable", 0), ("not_attached", 0), ("ladder_exhausted", 0), ("full", 1), ("no_answer", 1), ("policy", 1)],
)
def test_half_of_a_lines_channels_are_kept_for_psaps_that_cannot_be_reached(reason: str, kept: int) -> None:
    """A call with another reason is refused as full before it takes them (R7): one of two channels here."""

    async def scene(stage: FailoverStage) -> None:
        diversion = await stage.divert(reason=reason)
        await diversion.rung()
        assert stage.dialled[0].number.keep_free == kept

    play(scene)


# Each kind of failure by itself.


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        (FULL, [(ONE, P1_FIRST), (TWO, P1_FIRST)]),
        (breaks, [(ONE, P1_FIRST), (TWO, P1_FIRST)]),
        (ends, [(ONE, P1_FIRST), (TWO, P1_FIRST)]),
        (hangs, [(ONE, P1_FIRST), (TWO, P1_SECOND)]),
    ],
)
def test_a_second_trunk_is_used_when_the_first_is_full_dead_or_hung(
    trouble: Script, expected: list[tuple[str, str]]
) -> None:
    """Full is not dead, and a second trunk must take it all the same (domain.md); a hang may be the fault of either."""

    async def scene(stage: FailoverStage) -> None:
        stage.script(ONE, "*", trouble)
        diversion = await stage.divert()
        assert await diversion.rung() == expected[-1][1]
        assert stage.tried() == expected
        assert now() < 1.1

    play(scene)


def test_a_trunk_that_is_not_there_costs_nothing() -> None:
    """A closed port is an error in milliseconds."""

    async def scene(stage: FailoverStage) -> None:
        diversion = await stage.divert()
        assert await diversion.rung() == P1_FIRST
        assert now() < 0.05

    play(scene, trunks=("trunk:9", TWO))


@pytest.mark.parametrize("trouble", [REFUSED, FULL, breaks])
def test_the_next_line_is_dialled_when_one_cannot_take_the_call(trouble: Script) -> None:
    """Lines in order, each kind at once (R7)."""

    async def scene(stage: FailoverStage) -> None:
        stage.script("*", P1_FIRST, trouble)
        diversion = await stage.divert()
        assert await diversion.rung() == P1_SECOND
        assert now() < 0.05

    play(scene)


def test_a_line_that_does_not_ring_is_released_after_a_second_and_the_next_is_dialled() -> None:
    """No ringing within 1 s: the dial is released, so that nobody picks up for nothing."""

    async def scene(stage: FailoverStage) -> None:
        stage.script("*", P1_FIRST, hangs)
        diversion = await stage.divert()
        assert await diversion.rung() == P1_SECOND
        first, second = stage.dialled
        assert second.at - first.at == pytest.approx(1.0, abs=0.005)
        await first.released.wait()
        assert first.heard == ["release"]

    play(scene)


def test_each_line_is_tried_at_most_once_through_each_trunk() -> None:
    """Finite: two lines, two trunks, four dials; each kind of failure has its own end (R7)."""

    async def scene(stage: FailoverStage) -> None:
        every = {(trunk, line) for trunk in (ONE, TWO) for line in (P1_FIRST, P1_SECOND)}
        for trouble, failure in ((FULL, "full"), (REFUSED, "refused"), (breaks, "unreachable"), (ends, "unreachable")):
            stage.dialled.clear()
            stage.script("*", "*", trouble)
            diversion = await stage.divert()
            assert await diversion.rejected() == (failure, "every_line_failed")
            assert len(stage.dialled) == 4
            assert set(stage.tried()) == every
        await asyncio.sleep(0.1)
        assert {(each.outcome, each.where) for each in stage.deliveries()} == {(Outcome.FAILED, Where("P1"))}

    play(scene)


def test_a_mix_of_troubles_is_told_as_what_it_comes_to() -> None:
    """All full is full; one hang among them means that somebody may still be there: unreachable."""

    async def scene(stage: FailoverStage) -> None:
        stage.script("*", "*", FULL)
        stage.script(TWO, P1_SECOND, hangs)
        diversion = await stage.divert()
        assert (await diversion.rejected())[0] == "unreachable"

    play(scene)


def test_a_hung_trunk_costs_one_caller_a_second_and_then_one_each_two_seconds() -> None:
    """Others go by the second trunk at once; a probe finds the first well again."""

    async def scene(stage: FailoverStage) -> None:
        stage.script(ONE, "*", hangs)
        first = await stage.divert()
        assert await first.rung() == P1_SECOND
        for number in range(2, 5):
            began = now()
            other = await stage.divert(call_id=f"call-{number}")
            assert await other.rung() == P1_FIRST
            assert now() - began < 0.05
        stage.script(ONE, "*", rings)
        await asyncio.sleep(2.0)
        probe = await stage.divert(call_id="call-9")
        assert await probe.rung() == P1_FIRST
        assert stage.dialled[-1].trunk == ONE
        again = await stage.divert(call_id="call-10")
        await again.rung()
        assert stage.dialled[-1].trunk == ONE

    play(scene)


def test_a_line_lost_while_it_rings_is_followed_by_the_next() -> None:
    """The caller hears ringing again, from the next line."""

    async def scene(stage: FailoverStage) -> None:
        async def rings_and_breaks(dialled: Any) -> None:
            await dialled.ring()
            await asyncio.sleep(0.2)
            await breaks(dialled)

        stage.script("*", P1_FIRST, rings_and_breaks)
        diversion = await stage.divert()
        assert await diversion.rung() == P1_FIRST
        assert await diversion.rung() == P1_FIRST  # through the other trunk
        assert await diversion.rung() == P1_SECOND

    play(scene)


def test_a_line_that_nobody_answers_is_the_conductors_to_give_up() -> None:
    """It rings until Release; then the trunk is told, and the stream ends well (R1)."""

    async def scene(stage: FailoverStage) -> None:
        stage.script("*", "*", rings)
        diversion = await stage.divert()
        await diversion.rung()
        await asyncio.sleep(20)
        await diversion.release("no_answer")
        await diversion.over()
        await stage.dialled[0].released.wait()
        assert stage.dialled[0].heard == ["release"]
        await asyncio.sleep(0.1)
        assert stage.deliveries()[-1].outcome is Outcome.RELEASED

    play(scene)


def test_a_trunk_that_gives_up_ringing_is_no_answer() -> None:
    """The trunk's own limit, later than the conductor's, ends the attempt as it says (R1)."""

    async def scene(stage: FailoverStage) -> None:
        async def rings_out(dialled: Any) -> None:
            await dialled.ring()
            await asyncio.sleep(16)
            await dialled.reject(delivery_pb2.REJECTION_NO_ANSWER)

        stage.script("*", "*", rings_out)
        diversion = await stage.divert()
        await diversion.rung()
        assert (await diversion.rejected())[0] == "no_answer"

    play(scene)


def test_a_call_that_the_trunk_has_already_is_superseded() -> None:
    """Its word is passed on, and no other line is dialled (R3)."""

    async def scene(stage: FailoverStage) -> None:
        stage.script("*", "*", rejects(delivery_pb2.REJECTION_SUPERSEDED))
        diversion = await stage.divert()
        assert (await diversion.rejected())[0] == "superseded"
        assert len(stage.dialled) == 1

    play(scene)


def test_without_a_trunk_the_answer_comes_at_once_and_readiness_says_why() -> None:
    """Unreachable, not a hang."""

    async def scene(stage: FailoverStage) -> None:
        diversion = await stage.divert()
        assert await diversion.rejected() == ("unreachable", "no_line_or_no_trunk")
        assert "THROUGHLINE_FAILOVER_TRUNKS" in stage.failover.troubles()[0]

    play(scene, trunks=())


# Confirm, release.


def test_an_answer_that_nobody_confirms_is_released_after_a_second() -> None:
    """Our own second is the authority (P4)."""

    async def scene(stage: FailoverStage) -> None:
        diversion = await answered(stage)
        began = now()
        assert await diversion.rejected() == ("expired", "not_confirmed_in_time")
        assert now() - began == pytest.approx(1.0, abs=0.005)
        await asyncio.sleep(0.1)
        assert stage.dialled[0].heard == ["release"]
        assert stage.deliveries()[-1].failure is Failure.EXPIRED

    play(scene)


def test_a_connect_before_any_answer_is_refused() -> None:
    """Nothing was proposed (P4)."""

    async def scene(stage: FailoverStage) -> None:
        stage.script("*", "*", rings)
        diversion = await stage.divert()
        await diversion.rung()
        await diversion.connect()
        assert await diversion.rejected() == ("expired", "connect_without_an_answer")
        await asyncio.sleep(0.1)
        assert stage.dialled[0].heard == ["release"]

    play(scene)


def test_a_conductor_that_is_gone_releases_the_line() -> None:
    """A broken stream is a release: the channel is free again."""

    async def scene(stage: FailoverStage) -> None:
        diversion = await answered(stage)
        diversion.stream.cancel()
        await asyncio.sleep(0.1)
        assert stage.dialled[0].heard == ["release"]
        assert stage.deliveries()[-1].outcome is Outcome.RELEASED

    play(scene)


def test_a_trunk_that_breaks_after_an_answer_ends_the_attempt() -> None:
    """Who answered is gone; the conductor climbs on."""

    async def scene(stage: FailoverStage) -> None:
        async def answers_and_breaks(dialled: Any) -> None:
            await dialled.ring()
            await dialled.answer()
            await breaks(dialled)

        stage.script("*", "*", answers_and_breaks)
        diversion = await answered(stage)
        assert await diversion.rejected() == ("unreachable", "trunk_unavailable")

    play(scene)


def test_a_connect_that_the_trunk_does_not_acknowledge_comes_to_an_end() -> None:
    """After two seconds, with a release."""

    async def scene(stage: FailoverStage) -> None:
        async def answers_and_hangs(dialled: Any) -> None:
            await dialled.ring()
            await dialled.answer()
            await dialled.hear()
            await dialled.hear()

        stage.script("*", "*", answers_and_hangs)
        diversion = await answered(stage)
        await diversion.connect()
        assert await diversion.rejected() == ("unreachable", "no_acknowledgement")
        await asyncio.sleep(0.1)
        assert stage.dialled[0].heard == ["connect", "release"]

    play(scene)


def test_a_trunk_that_connects_unasked_is_hung_up() -> None:
    """Nobody confirmed: no connection (P4)."""

    async def scene(stage: FailoverStage) -> None:
        async def connects_at_once(dialled: Any) -> None:
            await dialled.ring()
            await dialled.connected()
            await dialled.hear()

        stage.script("*", "*", connects_at_once)
        diversion = await stage.divert()
        await diversion.rung()
        assert await diversion.rejected() == ("refused", "trunk_connected_unasked")

    play(scene)


# The rest of its life.


def test_the_same_attempt_twice_is_refused_and_the_first_rings_on() -> None:
    """ALREADY_EXISTS (R1)."""

    async def scene(stage: FailoverStage) -> None:
        first = await stage.divert()
        await first.rung()
        second = await stage.divert()
        with pytest.raises(Broken) as broken:
            await second.stream.read()
        assert broken.value.status is Status.ALREADY_EXISTS
        await first.next("answer")
        assert stage.count("conductor_words_refused_total") == 1

    play(scene)


def test_without_kafka_lines_are_dialled_all_the_same() -> None:
    """A remark, no trouble; records land when Kafka is back (J6)."""

    async def scene(stage: FailoverStage) -> None:
        stage.log.fail(absent=True)
        diversion = await answered(stage)
        await diversion.connect()
        await diversion.next("connected")
        assert stage.failover.troubles() == []
        assert "journal" in stage.failover.remarks()[0]
        stage.log.fail()
        await asyncio.sleep(3)
        assert stage.deliveries()[-1].outcome is Outcome.CONNECTED

    play(scene)


def test_a_replica_that_stops_lets_its_calls_finish() -> None:
    """New attempts go to another replica at once; those in hand are connected (L4)."""

    async def scene(stage: FailoverStage) -> None:
        diversion = await answered(stage)
        stopping = asyncio.ensure_future(stage.failover.stop(5.0))
        await asyncio.sleep(0.01)
        refused = await stage.divert(call_id="call-2")
        with pytest.raises(Broken) as broken:
            await refused.stream.read()
        assert broken.value.status is Status.UNAVAILABLE
        await diversion.connect()
        await diversion.next("connected")
        await stopping
        assert now() < 2.0

    play(scene)


async def rejects_and_stays(dialled: Dialled) -> None:
    """Says its last word and holds the stream open all the same."""
    await dialled.reject(delivery_pb2.REJECTION_FULL)
    await asyncio.Event().wait()


async def connects_and_stays(dialled: Dialled) -> None:
    """Answers, connects, and never ends the stream."""
    await dialled.ring()
    await dialled.answer()
    if await dialled.hear() == "connect":
        await dialled.connected()
        await asyncio.Event().wait()


def test_a_trunk_that_holds_its_streams_open_leaves_no_task_behind() -> None:
    """`rejected` and `connected` are last words (R1): fifty of each leave as many tasks as there were before."""

    async def scene(stage: FailoverStage) -> None:
        await asyncio.sleep(1)
        before = len(asyncio.all_tasks())
        stage.script("*", "*", rejects_and_stays)
        for n in range(50):
            diversion = await stage.divert(call_id=f"full-{n}")
            await diversion.rejected()
        stage.script("*", "*", connects_and_stays)
        for n in range(50):
            diversion = await answered(stage, call_id=f"connected-{n}")
            await diversion.connect()
            await diversion.next("connected")
            await diversion.over()
        await asyncio.sleep(2)
        assert len(asyncio.all_tasks()) == before

    play(scene)
