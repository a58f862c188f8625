"""The real ingress with two real gateways and the far end's PSAP, while gateways and callers' streams go; virtual time.

Whatever breaks when, each call ends with one call-taker, and the caller's side and the PSAP agree which attempt it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import example, given, settings
from hypothesis import strategies as st
from throughline.v1 import call_pb2, delivery_pb2, place_pb2

from loadtest.humans import TALK, Delay, Humans
from services.domain.books import Stories, books
from services.domain.fold import Outcome
from services.domain.holding import Holding, Standing
from services.domain.where import Where
from services.host.network import Broken
from simulator.virtual_loop import run_virtual
from tests.services.ingress_stage import LINE, Caller, RingStream, Stage, line_answers
from tests.simulation.test_gateway_restart import CALLS, FAR, GATEWAYS, MOMENTS, NEAR_S, Scene, When

OVER_BY_S = 40.0


@dataclass(frozen=True)
class Cut:
    """The stream of this caller breaks at that moment; the next leg follows after so many seconds (P2)."""

    call: int
    when: When
    after_s: float


class Talkative(Humans):
    """Talks outlast every break of a caller's stream: who comes back after the talk is over is rightly rung again."""

    def waits(self, delay: Delay, *who: object) -> float:
        """As ever, but for a talk."""
        return super().waits(delay, *who) * (20.0 if delay is TALK else 1.0)


class Network:
    """One caller's originating network (docs/clients.md): it remembers what it confirmed, and where that rang."""

    def __init__(self, stage: Stage, call_id: str, caller: str) -> None:
        self._stage = stage
        self._call_id = call_id
        self._caller = caller
        self._leg = 0
        self._confirmed = ""
        self._where: dict[str, place_pb2.Where] = {}
        self._on: Caller | None = None
        self._pause_s = 0.0

    def cut(self, after_s: float) -> None:
        self._pause_s = after_s
        if self._on is not None:
            self._on.stream.cancel()

    async def carry(self) -> str:
        """Until caller and person are connected; returns the attempt."""
        while True:
            self._leg += 1
            self._on = self._stage.place(
                self._call_id,
                self._leg,
                caller=self._caller,
                confirmed_attempt=self._confirmed,
                confirmed_where=self._where.get(self._confirmed),
            )
            try:
                await self._on.offer()
                while (said := await self._on.stream.read()) is not None:
                    match said.WhichOneof("said"):
                        case "ringing":
                            self._where[said.ringing.attempt] = said.ringing.where
                        case "connecting":
                            self._confirmed = said.connecting.attempt
                            await self._on.say(confirm=call_pb2.Confirm(attempt=self._confirmed))
                        case "connected":
                            return said.connected.attempt
            except Broken:
                pass
            await asyncio.sleep(self._pause_s)


async def play(seed: int, restarts: Sequence[tuple[str, When]], cuts: Sequence[Cut], far_s: Sequence[float]) -> None:
    scene = Scene(seed, far_s, humans=Talkative)
    for each in GATEWAYS:
        await scene.open(each)
    await scene.attach()
    stage = Stage(network=scene.network)
    stage.gateways, stage.candidates = {}, ["P1"]

    async def line(stream: RingStream, offer: delivery_pb2.RingOffer) -> None:
        """A line that has a call says so (P5)."""
        if await line_answers(stream, offer):
            where = Where(offer.psap_id, LINE)
            stage.lines_have[offer.call_id] = Holding(Standing.CONNECTED, offer.attempt, where)

    stage.lines = line
    await stage.__aenter__()
    callers = [Network(stage, call_id, f"+1508555010{number}") for number, call_id in enumerate(CALLS)]

    async def cut(one: Cut) -> None:
        await scene.diary.wait(one.when)
        callers[one.call].cut(one.after_s)

    troubles = [asyncio.ensure_future(scene.restart(*each)) for each in restarts]
    troubles += [asyncio.ensure_future(cut(each)) for each in cuts]
    async with asyncio.timeout(OVER_BY_S):
        ends = await asyncio.gather(*[caller.carry() for caller in callers])
    await asyncio.gather(*troubles)
    await asyncio.sleep(5)
    for call_id, attempt in zip(CALLS, ends, strict=True):
        at_the_psap = scene.connections()[call_id]
        if attempt in at_the_psap:
            assert at_the_psap == {attempt: 1}, "one call-taker, and the caller's side knows which"
        else:
            # Both gateways went between Connect and connected: nobody is left who could say, and the line is told so.
            last = [offer for offer in stage.dialled if offer.call_id == call_id][-1]
            assert not at_the_psap or last.maybe_connected, "connected at a line, and with a call-taker too"
    stories = Stories()
    for fact in stage.all_facts():
        stories.add(fact)
    told = books(stories.by_call.values())
    assert told.real.connected_twice.count == 0
    assert told.real.outcomes[Outcome.ANSWERED] + told.real.outcomes[Outcome.DIVERTED] == len(CALLS)
    assert not stage.ingress._calls, "a conductor is left behind"
    await stage.ingress.stop(0.0)
    await scene.close()


def run(
    seed: int,
    restarts: Sequence[tuple[str, When]],
    cuts: Sequence[Cut] = (),
    far_s: Sequence[float] = (NEAR_S, NEAR_S),
) -> None:
    run_virtual(play(seed, restarts, cuts, far_s), limit_s=120)


CONNECTED_IN_THE_HOLD = [
    Cut(0, When("offered", 1, 0.0), 0.0),
    Cut(0, When("offered", 1, 0.0), 1.0),
    Cut(0, When("connected", 4, 0.0), 0.05),
]
CUTS = st.builds(Cut, st.integers(0, len(CALLS) - 1), MOMENTS, st.sampled_from((0.0, 0.05, 1.0, 3.0)))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(1, 50), address=st.sampled_from(GATEWAYS), when=MOMENTS)
def test_a_gateway_restarted_at_any_moment_costs_no_call(seed: int, address: str, when: When) -> None:
    """R5: what rings or is being connected goes on through the other gateway."""
    run(seed, [(address, when)])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(1, 50), cuts=st.lists(CUTS, min_size=1, max_size=6))
@example(4, [Cut(2, When("answered", 3, 3.5), 3.0)])
def test_streams_cut_at_any_moment_connect_nobody_twice(seed: int, cuts: list[Cut]) -> None:
    """P5, P7: the next leg goes on with what rings, or hears that the caller is connected already."""
    run(seed, [], cuts)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(1, 50), one=MOMENTS, two=MOMENTS, cuts=st.lists(CUTS, max_size=4), far_s=FAR)
@example(1, When("offered", 5, 0.0), When("offered", 5, 0.0), CONNECTED_IN_THE_HOLD, (NEAR_S, NEAR_S))
@example(
    3, When("answered", 1, 0.0), When("offered", 5, 9.0), [Cut(3, When("connected", 1, 7.5), 0.05)], (NEAR_S, NEAR_S)
)
def test_gateways_and_callers_streams_may_go_at_once(
    seed: int, one: When, two: When, cuts: list[Cut], far_s: tuple[float, ...]
) -> None:
    """P5, P7, R5: all at once or one after the other, and each call has one person."""
    run(seed, [("gateway:1", one), ("gateway:2", two)], cuts, far_s)
