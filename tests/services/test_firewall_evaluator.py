"""What becomes of calls when evaluation hangs, is slow, or dies: they pass, in time, and are screened again soon."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry
from structlog.stdlib import get_logger

from services.domain.policy import Flag, Pass
from services.firewall.evaluating import Evaluating
from services.firewall.evaluator import Evaluator, NotEvaluated
from services.firewall.metrics import FirewallMetrics
from services.firewall.screening import FAILED_OPEN
from services.host.children import Processes, Program
from services.policy.bundle import PASSES_ALL, Bundle
from tests.services.firewall_stage import FLAGS_ALL, Stage, bundle, play, rule

FLAGGED = Flag(7, "all", "odd")
SOON_S = 2.0


def test_a_call_that_the_evaluator_does_not_answer_passes_within_the_deadline() -> None:
    """100 ms, then a pass; the bundle is asked no more, and the built-in one answers from then on (L6)."""

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        replica.ailment.hangs = True
        loop = asyncio.get_running_loop()
        began = loop.time()
        verdict = await stage.asked("call-1")
        assert loop.time() - began == pytest.approx(0.1, abs=0.002)
        assert verdict.policy == FAILED_OPEN and verdict.HasField("pass")
        assert [digest for digest, _ in replica.policies.trips] == [FLAGS_ALL.digest]
        replica.ailment.hangs = False
        await asyncio.sleep(SOON_S)
        assert (await stage.asked("call-2")).policy.startswith("built-in-1-")
        assert replica.count("failed_open_total", why="silent") == 1
        assert FLAGS_ALL.digest not in {told.bundle for told in await stage.published()}

    play(scene, FLAGS_ALL)


def test_the_built_in_bundle_is_asked_again_since_nothing_stands_behind_it() -> None:
    """It fell with its evaluator, as anything would have."""

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        replica.ailment.hangs = True
        assert (await stage.asked("call-1")).policy == FAILED_OPEN
        replica.ailment.hangs = False
        await asyncio.sleep(SOON_S)
        assert (await stage.asked("call-2")).policy.startswith("built-in-1-")
        assert replica.policies.trips == [] and replica.firewall.remarks() == []

    play(scene)


def test_no_call_waits_while_an_evaluator_is_started() -> None:
    """Killed by somebody: the next calls pass at once, and soon they are evaluated again; the bundle is not blamed."""

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        replica.children.kill_all()
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert (await stage.asked("call-1")).policy == FAILED_OPEN
        assert loop.time() - began < 0.001
        await asyncio.sleep(SOON_S)
        assert await stage.screen("call-2") == FLAGGED
        assert replica.policies.trips == []

    play(scene, FLAGS_ALL)


def test_a_slow_evaluator_screens_what_it_can_and_the_rest_passes_in_time() -> None:
    """Calls queue for it no longer than the deadline: who gets no turn passes, and nobody is blamed for that."""

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        replica.ailment.slow_s = 0.03
        loop = asyncio.get_running_loop()
        began = loop.time()
        said = await asyncio.gather(*(stage.screen(f"call-{n}", f"+150855501{n:02d}") for n in range(10)))
        assert loop.time() - began < 0.11
        assert said.count(FLAGGED) == 2 and said.count(Pass()) == 8
        assert replica.policies.trips == [] and replica.count("evaluators_started_total") == 2  # with the shadow's
        replica.ailment.slow_s = 0.0
        assert await stage.screen("call-10") == FLAGGED

    play(scene, FLAGS_ALL)


@pytest.mark.parametrize("slow_s", [0.004, 0.007, 0.013, 0.024, 0.031, 0.045])
def test_a_burst_of_calls_says_nothing_against_the_bundle(slow_s: float) -> None:
    """A turn that comes at the end of the deadline leaves no time that anybody could be judged by."""

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        replica.ailment.slow_s = slow_s
        for burst in range(3):
            said = await asyncio.gather(*(stage.screen(f"call-{burst}-{n}", f"+150855501{n:02d}") for n in range(60)))
            assert FLAGGED in said
            await asyncio.sleep(SOON_S)
        assert replica.policies.trips == [] and replica.count("evaluators_started_total") == 2

    play(scene, FLAGS_ALL)


def test_one_death_is_one_death_however_many_calls_were_waiting() -> None:
    """Killed once, by somebody else, with twenty calls at it: those whose turn had not come know nothing of why."""

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        replica.ailment.slow_s = 0.02
        calls = [asyncio.ensure_future(stage.screen(f"call-{n}", f"+150855501{n:02d}")) for n in range(20)]
        await asyncio.sleep(0.01)
        replica.children.kill_all()
        assert set(await asyncio.gather(*calls)) == {Pass()}
        await asyncio.sleep(SOON_S)
        assert replica.policies.trips == []
        assert await stage.screen("call-20") == FLAGGED

    play(scene, FLAGS_ALL)


@pytest.mark.parametrize(("apart_s", "blamed"), [(10.0, True), (7_300.0, False)])
def test_a_bundle_is_blamed_for_deaths_that_lie_close_together(apart_s: float, blamed: bool) -> None:
    """Two kills in months of service are the machine's."""

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        replica.ailment.slow_s = 0.02
        for n in range(2):
            asking = asyncio.ensure_future(stage.screen(f"call-{n}"))
            await asyncio.sleep(0.01)
            replica.children.kill_all()
            assert await asking == Pass()
            await asyncio.sleep(apart_s)
        assert bool(replica.policies.trips) is blamed

    play(scene, FLAGS_ALL)


def test_a_helper_that_was_starved_once_starves_no_bundle_of_those_who_waited() -> None:
    """Silent over one call; those behind it were not asked."""

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        replica.ailment.hangs = True
        calls = [asyncio.ensure_future(stage.screen(f"call-{n}", f"+150855501{n:02d}")) for n in range(5)]
        await asyncio.gather(*calls)
        why = [why for _, why in replica.policies.trips]
        assert len(why) == 1 and "no answer" in why[0]

    play(scene, FLAGS_ALL)


def test_an_evaluator_that_cannot_be_started_leaves_every_call_passing() -> None:
    """Out of processes, out of memory: said in /readyz, and mended by itself."""

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        replica.ailment.cannot_start = True
        replica.children.kill_all()
        await asyncio.sleep(SOON_S)
        assert (await stage.asked("call-1")).policy == FAILED_OPEN
        assert any("no evaluator runs" in each for each in replica.firewall.remarks())
        replica.ailment.cannot_start = False
        await asyncio.sleep(SOON_S)
        assert await stage.screen("call-2") == FLAGGED

    play(scene, FLAGS_ALL)


@pytest.mark.parametrize("unfit", [bundle(rule("no such language", FLAGGED), version=9)])
def test_a_bundle_that_cannot_be_compiled_never_takes_over(unfit: Bundle) -> None:
    """CrowdStrike: what was accepted and cannot be evaluated. The one before goes on answering."""

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        assert await stage.screen("call-0") == FLAGGED
        replica.policies.on = unfit
        assert await stage.screen("call-1") == FLAGGED
        await asyncio.sleep(SOON_S)
        assert [digest for digest, _ in replica.policies.trips] == [unfit.digest]
        assert (await stage.asked("call-2")).policy != FAILED_OPEN

    play(scene, FLAGS_ALL)


def test_a_bundle_that_ends_the_evaluator_when_it_is_loaded_leaves_the_one_before() -> None:
    """CrowdStrike: what passed every check ends whatever loads it, each time it is started. It is loaded twice."""

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        deadly = bundle(rule("true", Flag(9, "new", "odd")), version=10)
        replica.ailment.over, replica.ailment.ends = f'"bundle": {{"digest": "{deadly.digest}"'.encode(), True
        replica.policies.on = deadly
        await asyncio.sleep(SOON_S)
        assert [digest for digest, _ in replica.policies.trips] == [deadly.digest]
        assert (await stage.asked("call-1")).policy.startswith("built-in-1-")

    play(scene, FLAGS_ALL)


def test_a_new_bundle_answers_only_once_it_can_be_evaluated_and_no_call_is_lost_to_the_change() -> None:
    """Make before break: the old one is asked until the helper holds the new one."""

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        assert await stage.screen("call-0") == FLAGGED
        newer = bundle(rule("true", Flag(9, "new", "odd")), version=10)
        replica.policies.on = newer
        said = []
        for n in range(30):
            said.append(await stage.screen(f"call-{n + 1}"))
            await asyncio.sleep(0.05)
        assert set(said) == {FLAGGED, Flag(9, "new", "odd")} and said == sorted(said, key=lambda each: each.score)

    play(scene, FLAGS_ALL)


def test_who_gives_up_waiting_ends_no_evaluation() -> None:
    """An ingress asks the next replica after half its budget: the evaluator is not killed for that."""

    async def scene(stage: Stage) -> None:
        (replica,) = stage.replicas
        replica.ailment.slow_s = 0.08
        asking = asyncio.ensure_future(stage.asked("call-1"))
        await asyncio.sleep(0.04)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert await stage.screen("call-1") == FLAGGED
        assert replica.count("evaluators_started_total") == 2  # the live one's and the shadow's

    play(scene, FLAGS_ALL)


async def test_a_rule_that_burns_the_processor_costs_one_call_its_deadline() -> None:
    """The same with a real process, which holds its interpreter: killed, quarantined, and the next one serves."""
    burning = bundle(rule("true", FLAGGED), version=666)
    trips: list[str] = []
    children = Processes()
    evaluator = Evaluator(
        children,
        Program("tests.services.a_burning_evaluator", Evaluating),
        0.2,
        lambda: [PASSES_ALL, burning],
        lambda digest, _: trips.append(digest),
        (),
        FirewallMetrics(CollectorRegistry()),
        get_logger(),
    )
    await evaluator.start()
    async with asyncio.timeout(100):
        while not trips:  # on a machine without time for it, it is not blamed at once
            await _until_held(evaluator, burning)
            with pytest.raises(NotEvaluated, match="silent"):
                await evaluator.decide(burning, {}, 0)
        await _until_held(evaluator, PASSES_ALL)
        assert (await evaluator.decide(PASSES_ALL, {}, 0)).rule_id is None
    assert trips == [burning.digest] and not evaluator.holds(burning)
    await evaluator.stop()
    await children.close()


async def _until_held(evaluator: Evaluator, wanted: Bundle) -> None:
    while not evaluator.holds(wanted):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
