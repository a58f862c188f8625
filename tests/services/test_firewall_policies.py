"""A whole firewall and the life of its policies: what is signed screens, and what goes wrong is gone by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from throughline.v1 import policy_pb2

from services.domain.policy import Divert, Pass
from services.firewall.policies.bypass import Bypass
from services.firewall.screening import Screener
from services.host.network import Broken, Status
from services.policy.files.built_in import built_in
from services.policy.files.canonical import Action
from services.wire.methods import EXPLAIN
from simulator.virtual_loop import run_virtual
from tests.policy.files import NUISANCE
from tests.services.firewall_stage import START_S, Replica, Stage
from tests.services.policy_stage import KEYS, KEYS_TEXT, Operators

TOO_MANY = "number_calls_3600s >= 3"
"""Grounds enough for the checker; true of every other caller in a bad hour."""
Scene = Callable[[Stage, Operators], Coroutine[Any, Any, None]]


def play(scene: Scene) -> None:
    async def staged() -> None:
        stage = Stage()
        for number in (1, 2):
            replica = Replica(stage, f"firewall-{number}", None, policy_keys=KEYS)
            replica.files.texts[KEYS] = KEYS_TEXT
            stage.replicas.append(replica)
            await replica.firewall.start()
        await asyncio.sleep(START_S)
        await scene(stage, Operators(stage.network))
        for replica in stage.replicas:
            await replica.firewall.stop(0.0)

    run_virtual(staged(), limit_s=20_000.0)


def test_what_two_people_have_signed_screens_until_one_reverts_it() -> None:
    """From handed in to live on both replicas, and back to the built-in one."""

    async def scene(stage: Stage, operators: Operators) -> None:
        assert (await stage.asked("call-0")).policy == built_in().label
        seven = await operators.forced_live(7)
        await asyncio.sleep(2)
        said = [await stage.screen(f"call-{number}", caller=NUISANCE) for number in range(1, 6)]
        assert said[:3] == [Pass()] * 3
        assert all(isinstance(each, Divert) for each in said[3:])
        assert (await stage.asked("call-6", at="firewall-2")).policy == seven.label
        await operators.direct(Action.BYPASS_ON)
        assert await stage.screen("call-7", caller=NUISANCE) == Pass()
        await operators.direct(Action.BYPASS_OFF)
        await operators.direct(Action.REVERT, at=2)
        await asyncio.sleep(2)
        assert (await stage.asked("call-8")).policy == built_in().label

    play(scene)


def test_a_policy_without_grounds_is_not_even_taken_in() -> None:
    """The checker is the last gate, by the evaluator's own words: nobody is diverted for a missing number."""

    async def scene(stage: Stage, operators: Operators) -> None:
        with pytest.raises(Broken) as broken:
            await operators.submit(7, "ann", "bob", when="'number == \"\"'")
        assert broken.value.status is Status.INVALID_ARGUMENT
        assert "cannot help" in broken.value.detail

    play(scene)


def test_a_policy_that_diverts_far_too_many_forced_live_is_gone_by_itself() -> None:
    """Massachusetts, June 2024: a few calls go to people at the desk, then everything passes, on every replica."""

    async def scene(stage: Stage, operators: Operators) -> None:
        bad = await operators.forced_live(7, when=TOO_MANY)
        await asyncio.sleep(2)
        diverted = 0
        for number in range(120):
            caller = f"+150855501{number % 20:02}"
            said = await stage.screen(f"call-{number}", caller=caller, at=f"firewall-{number % 2 + 1}")
            diverted += isinstance(said, Divert)
            await asyncio.sleep(0.1)
        assert 0 < diverted <= 20
        status = await operators.status(2)
        assert (status.state.live.version, list(status.state.quarantined)) == (0, [bad.digest])
        assert "breaker" in status.state.why

    play(scene)


def test_the_bypass_is_drilled_on_the_way_of_real_calls_and_counts_nowhere() -> None:
    """By the helper that evaluates, the guards, the region's own desk; no record, no metric of it."""

    async def scene(stage: Stage, operators: Operators) -> None:
        await asyncio.sleep(70)
        status = await operators.status()
        assert status.bypass_drilled_at_ms > 0
        assert [remark for remark in status.remarks if "bypass" in remark] == []
        assert await stage.published() == []
        replica = stage.replicas[0]
        assert replica.count("verdicts_total", verdict="pass") == 0
        replica.ailment.hangs = True
        await asyncio.sleep(2 * 3_600)
        failed = replica.registry.get_sample_value("throughline_policy_bypass_drills_failed_total")
        assert failed is not None and failed > 0

    play(scene)


@pytest.mark.parametrize("broken", ["the call's way", "the switch"])
def test_the_drill_finds_a_switch_that_reaches_no_call(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """It goes through the switch itself, and as calls ask it: a switch that is asked nowhere, or is never on."""
    if broken == "the switch":
        monkeypatch.setattr(Bypass, "passes", lambda *_: False)
    else:
        grounds = Screener._grounds
        monkeypatch.setattr(Screener, "_grounds", lambda *given, **more: replace(grounds(*given, **more), bypass=False))

    async def scene(stage: Stage, operators: Operators) -> None:
        await asyncio.sleep(70)
        status = await operators.status()
        assert status.bypass_drilled_at_ms == 0
        [remark] = [each for each in status.remarks if "the drill failed" in each]
        assert "was on" in remark

    play(scene)


def test_what_is_screened_while_kafka_is_away_is_explained_and_a_canary_goes_back_by_itself() -> None:
    """A firewall knows what it screened itself: it does not wait for its own words to come back from the topic."""

    async def scene(stage: Stage, operators: Operators) -> None:
        changed: dict[str, Any] = {
            "when": "source_calls_600s >= 0",
            "verdict": "{flag: 7}",
            "canary": "[{share: 1.0, calls_min: 100, minutes_min: 60}]",
        }
        await operators.submit(7, "ann", **changed)
        await operators.direct(Action.SHADOW, 7, **changed)
        await operators.direct(Action.CANARY, 7, **changed)
        await asyncio.sleep(2)
        first = stage.replicas[0]
        first.log.fail(absent=True)
        for number in range(8):
            await stage.asked(f"call-{number}", caller=f"+150855501{number:02}")
        found: policy_pb2.ExplainResponse = await operators.ask(EXPLAIN, policy_pb2.ExplainRequest(call_id="call-0"))
        assert [each.verdict.flag.score for each in found.screenings] == [7]
        state = (await operators.status()).state
        assert "where its forecast is 0.001" in state.why
        assert not state.HasField("candidate")
        first.log.fail(absent=False)
        await asyncio.sleep(30)
        assert (await operators.status(2)).state.why == state.why
        found = await operators.ask(EXPLAIN, policy_pb2.ExplainRequest(call_id="call-0"))
        assert len(found.screenings) == 1

    play(scene)
