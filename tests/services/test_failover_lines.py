"""Lines that are given back (R6), and what failover says of attempts at lines (P5, T3): its real shell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from throughline.v1 import delivery_pb2, holding_pb2

from services.domain.holding import NONE, UNKNOWN, Holding, Standing
from services.domain.where import Where
from services.host.network import Answers, Broken, Status
from services.wire import holding
from services.wire.methods import RESUME
from simulator.virtual_loop import run_virtual
from tests.services.failover_stage import P1_FIRST, P1_SECOND, REGION_LINE, TRUNKS, Dialled, FailoverStage, rings


class Channels:
    """A line that takes so many calls at once, and frees a channel a moment after a release, as a trunk does."""

    def __init__(self, channels: int, frees_after_s: float = 0.05) -> None:
        self._free = channels
        self._frees_after_s = frees_after_s

    async def __call__(self, dialled: Dialled) -> None:
        if not self._free:
            await dialled.reject(delivery_pb2.REJECTION_FULL)
            return
        self._free -= 1
        try:
            await dialled.ring()
            await dialled.hear()
            await asyncio.sleep(self._frees_after_s)
        finally:
            self._free += 1


class Trunks:
    """What the two trunks say of calls, by address; None is no answer."""

    def __init__(self) -> None:
        self.says: dict[str, Holding | None] = dict.fromkeys(TRUNKS, NONE)
        self.resumed: list[str] = []
        self.unwanted: list[str] = []

    def served(self, address: str) -> list[Answers[Any, Any]]:
        async def resume(request: holding_pb2.ResumeRequest) -> holding_pb2.ResumeResponse:
            (self.unwanted if request.unwanted else self.resumed).append(request.attempt)
            return holding.resume_response(await self._say(address))

        return [Answers(RESUME, resume)]

    async def _say(self, address: str) -> Holding:
        said = self.says[address]
        if said is None:
            await asyncio.Event().wait()
        assert said is not None
        return said


def play(scene: Callable[[FailoverStage, Trunks], Coroutine[Any, Any, None]], one_trunk: bool = False) -> None:
    async def staged() -> None:
        trunks = Trunks()
        async with FailoverStage(TRUNKS[:1] if one_trunk else TRUNKS, beside_dials=trunks.served) as stage:
            await scene(stage, trunks)

    run_virtual(staged(), limit_s=300)


def only_first_line(stage: FailoverStage, channels: int) -> None:
    stage.script("*", P1_FIRST, Channels(channels))
    stage.script("*", P1_SECOND, Channels(0))


# Rings that are given back.


def test_a_line_rung_for_thirty_seconds_is_given_to_a_call_that_waits_for_it() -> None:
    """The oldest such ring is released, its conductor hears no_answer, and the waiting call dials the line (R6)."""

    async def scene(stage: FailoverStage, _: Trunks) -> None:
        only_first_line(stage, 2)
        oldest = await stage.divert(call_id="oldest")
        assert await oldest.rung() == P1_FIRST
        await asyncio.sleep(10)
        younger = await stage.divert(call_id="younger")
        assert await younger.rung() == P1_FIRST
        await asyncio.sleep(25)
        waiting = await stage.divert(call_id="waiting")
        assert await waiting.rung() == P1_FIRST
        assert await oldest.rejected() == ("no_answer", "given_back")
        assert stage.count("rings_given_back_total") == 1
        last = await stage.divert(call_id="last")
        assert await last.rejected() == ("full", "every_line_failed"), "nobody else has rung for so long"

    play(scene, one_trunk=True)


def test_a_younger_ring_and_one_that_was_answered_are_not_given_back() -> None:
    """Thirty seconds of ringing; a conversation never (R6)."""

    async def answers_late(dialled: Dialled) -> None:
        if stage_taken:
            await dialled.reject(delivery_pb2.REJECTION_FULL)
            return
        stage_taken.append(dialled)
        await dialled.ring()
        await asyncio.sleep(29.8)
        await dialled.answer()
        await dialled.hear()

    stage_taken: list[Dialled] = []

    async def scene(stage: FailoverStage, _: Trunks) -> None:
        stage.script("*", P1_FIRST, answers_late)
        stage.script("*", P1_SECOND, Channels(0))
        first = await stage.divert(call_id="first")
        await first.rung()
        await asyncio.sleep(29)
        second = await stage.divert(call_id="second")
        assert await second.rejected() == ("full", "every_line_failed")
        await first.next("answer")
        third = await stage.divert(call_id="third")
        assert await third.rejected() == ("full", "every_line_failed")

    play(scene, one_trunk=True)


def test_a_channel_that_somebody_else_takes_meanwhile_costs_one_try_and_no_more() -> None:
    """The waiting call then goes to the next line: it has one ring given back at most (R6)."""

    async def scene(stage: FailoverStage, _: Trunks) -> None:
        taken: list[str] = []

        async def full_for_all_but_the_first(dialled: Dialled) -> None:
            taken.append(dialled.number.call_id)
            await (rings(dialled) if len(taken) == 1 else dialled.reject(delivery_pb2.REJECTION_FULL))

        stage.script("*", P1_FIRST, full_for_all_but_the_first)
        first = await stage.divert(call_id="first")
        await first.rung()
        await asyncio.sleep(31)
        second = await stage.divert(call_id="second")
        assert await second.rung() == P1_SECOND
        assert taken == ["first", "second", "second"]

    play(scene, one_trunk=True)


# Who has it?


async def resume(stage: FailoverStage, attempt: str = "call-1/1/1", *, unwanted: bool = False) -> Holding:
    request = holding_pb2.ResumeRequest(call_id=attempt.partition("/")[0], attempt=attempt, unwanted=unwanted)
    answer = await stage.network.ask("failover:1", RESUME, request, within_s=0.35)
    return holding.to_domain(answer)


async def talk(stage: FailoverStage) -> None:
    """A caller and a line are connected, and the conductor's stream has ended."""
    diversion = await stage.divert()
    await diversion.rung()
    await diversion.next("answer")
    await diversion.connect()
    await diversion.next("connected")
    await diversion.over()


def test_what_was_connected_here_is_known_here() -> None:
    """With the attempt's name and the line; no trunk is asked (P5)."""

    async def scene(stage: FailoverStage, trunks: Trunks) -> None:
        await talk(stage)
        assert await resume(stage) == Holding(Standing.CONNECTED, "call-1/1/1", Where("P1", P1_FIRST))
        assert trunks.resumed == []

    play(scene)


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        (NONE, NONE, Standing.NONE),
        (NONE, None, Standing.UNKNOWN),
        (UNKNOWN, NONE, Standing.UNKNOWN),
        (None, Holding(Standing.CONNECTED, "call-1/1/1", Where("region", REGION_LINE)), Standing.CONNECTED),
    ],
)
def test_nobody_is_said_only_where_every_trunk_says_so(
    first: Holding | None, second: Holding | None, together: Standing
) -> None:
    """A replica that was restarted remembers nothing: NONE comes from the trunks' own mouths (P5)."""

    async def scene(stage: FailoverStage, trunks: Trunks) -> None:
        trunks.says = {TRUNKS[0]: first, TRUNKS[1]: second}
        assert (await resume(stage)).standing is together

    play(scene)


def test_a_resume_lets_go_of_a_ring_before_it_says_nobody() -> None:
    """The old conductor hears superseded, the line stops ringing, and a late offer of the attempt rings nobody (P5)."""

    async def scene(stage: FailoverStage, trunks: Trunks) -> None:
        stage.script("*", "*", rings)
        diversion = await stage.divert()
        await diversion.rung()
        assert (await resume(stage)).standing is Standing.NONE
        assert trunks.resumed == ["call-1/1/1"] * 2
        assert await diversion.rejected() == ("superseded", "resumed")
        await asyncio.wait_for(stage.dialled[0].released.wait(), 1)
        late = await stage.divert()
        assert await late.rejected() == ("superseded", "let_go")
        assert len(stage.dialled) == 1

    play(scene)


def test_a_talk_that_is_unwanted_is_told_to_every_trunk_and_forgotten_here() -> None:
    """The trunks hang up; what this replica saw connected says nothing any more (P5)."""

    async def scene(stage: FailoverStage, trunks: Trunks) -> None:
        await talk(stage)
        assert await resume(stage, unwanted=True) == NONE
        assert trunks.unwanted == ["call-1/1/1"] * 2
        assert await resume(stage) == NONE
        assert trunks.resumed == ["call-1/1/1"] * 2

    play(scene)


def test_a_connection_that_is_being_made_is_not_waited_for_where_it_is_unwanted() -> None:
    """It is let go of at once, and its conductor hears so (P5)."""

    async def never_connects(dialled: Dialled) -> None:
        await dialled.ring()
        await dialled.answer()
        await dialled.hear()
        await dialled.hear()

    async def scene(stage: FailoverStage, trunks: Trunks) -> None:
        stage.script("*", "*", never_connects)
        diversion = await stage.divert()
        await diversion.rung()
        await diversion.next("answer")
        await diversion.connect()
        await asyncio.sleep(0.05)
        began = asyncio.get_running_loop().time()
        assert await resume(stage, unwanted=True) == NONE
        assert asyncio.get_running_loop().time() - began < 0.1
        assert await diversion.rejected() == ("superseded", "unwanted")

    play(scene)


@pytest.mark.parametrize("attempt", ["call-1/1/1", "", "call-2", "call-2/1/x", f"{'c' * 300}/1/1"])
def test_a_resume_of_another_calls_attempt_lets_go_of_nothing(attempt: str) -> None:
    """Who knows a call's name must not end another call's ring, nor fill the memory of what was let go (P5)."""

    async def scene(stage: FailoverStage, trunks: Trunks) -> None:
        stage.script("*", "*", rings)
        diversion = await stage.divert()
        await diversion.rung()
        asked = holding_pb2.ResumeRequest(call_id="c" * 300 if len(attempt) > 256 else "call-2", attempt=attempt)
        with pytest.raises(Broken) as refused:
            await stage.network.ask("failover:1", RESUME, asked, within_s=0.35)
        assert refused.value.status is Status.INVALID_ARGUMENT
        assert trunks.resumed == []
        assert not stage.dialled[0].released.is_set()

    play(scene)


def test_a_resume_waits_for_a_connection_that_is_being_made() -> None:
    """Between connect and its acknowledgement nobody lets go (P5)."""

    async def connects_slowly(dialled: Dialled) -> None:
        await dialled.ring()
        await dialled.answer()
        assert await dialled.hear() == "connect"
        await asyncio.sleep(0.15)
        await dialled.connected()

    async def scene(stage: FailoverStage, _: Trunks) -> None:
        stage.script("*", "*", connects_slowly)
        diversion = await stage.divert()
        await diversion.rung()
        await diversion.next("answer")
        await diversion.connect()
        await asyncio.sleep(0.05)
        assert (await resume(stage)).standing is Standing.CONNECTED
        await diversion.next("connected")

    play(scene)


def test_a_late_connect_after_a_resume_is_refused() -> None:
    """The conductor that was away may ring, and never connect (P3, P5)."""

    async def scene(stage: FailoverStage, _: Trunks) -> None:
        diversion = await stage.divert()
        await diversion.rung()
        await diversion.next("answer")
        assert (await resume(stage)).standing is Standing.NONE
        with suppress(Broken):  # its stream is over already
            await diversion.connect()
        assert await diversion.rejected() == ("superseded", "resumed")
        await asyncio.sleep(1)
        assert "connect" not in stage.dialled[0].heard

    play(scene)
