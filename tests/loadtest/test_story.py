"""The story and what is told of it: which PSAPs fail, where calls went, the report's fields."""

from __future__ import annotations

import asyncio
import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from loadtest.answering_point import Fault
from loadtest.books import Kept
from loadtest.demo import Told, Wanted
from loadtest.region_tables import RegionTables
from loadtest.report import as_json, show
from loadtest.scene import Scene, Went, in_words
from loadtest.story import FAILURES, FAULTS, PHASES, RECOVERY, Stricken, choose_stricken, phase_at
from loadtest.view import View
from loadtest.witness import Disagreement, Verdict
from loadtest.workload import STORM, plan, read_trace
from services.cli import app
from services.domain.books import books

REGION = RegionTables()
TRACE = read_trace(STORM)
BOSTON = REGION.psap_of_town["Boston"]
REPORT_PAGE = Path(__file__).parents[2] / "docs" / "report.md"


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 10_000))
def test_each_failure_has_a_psap_that_can_show_it(seed: int) -> None:
    """Four PSAPs, each with calls early in the middle phase, more of them, and calls again when it is back."""
    calls = plan(TRACE, REGION, seed=seed, run="t", speed=240)
    stricken = choose_stricken(calls, REGION)
    assert [each.fault for each in stricken] == list(FAULTS)
    assert len({each.psap_id for each in stricken}) == len(FAULTS)
    for each in stricken:
        called = [call.at_s for call in calls if REGION.psap_of_town[call.town] == each.psap_id]
        assert sum(FAILURES.from_s <= at_s < FAILURES.to_s for at_s in called) >= 2
        assert any(RECOVERY.from_s <= at_s for at_s in called)


def test_a_plan_too_thin_for_the_story_is_refused() -> None:
    """One call cannot show four failures; the message says so."""
    with pytest.raises(ValueError, match="expected 4 PSAPs"):
        choose_stricken(plan([0.0], REGION, seed=1, run="t"), REGION)


def test_phases_follow_each_other_without_a_gap() -> None:
    """Each instant has its phase; what comes after the last belongs to the last."""
    assert [phase.from_s for phase in PHASES[1:]] == [phase.to_s for phase in PHASES[:-1]]
    assert [phase_at(at_s).name for at_s in (0, 39.9, 40, 70, 500)] == [
        "calm", "calm", "failures", "recovery", "recovery"
    ]  # fmt: skip


def event(call_id: str, name: str, at_s: float, **more: Any) -> dict[str, Any]:
    return {"call_id": call_id, "event": name, "at_ms": 1_000_000 + round(at_s * 1000), **more}


def scene_of_three() -> Scene:
    """Boston is cut at 41 s while `b` rings; `a` came before, `c` comes after, `d` when it is back; `e` hangs up."""
    scene = Scene(REGION, [Stricken(BOSTON, "Boston", Fault.CUT)])
    scene.begin(1_000_000)
    own, line = {"psap_id": BOSTON}, {"psap_id": BOSTON, "line": "+16175550100"}
    for call_id, at_s in (("a", 5.0), ("b", 40.9), ("c", 50.0), ("d", 75.0), ("e", 76.0)):
        scene.hear_caller(event(call_id, "offered", at_s, town="Boston"))
        scene.hear_caller(event(call_id, "ringing", at_s + 0.02, **own))
    scene.hear_far_end(event("", "fault_struck", 41.0, psap_id=BOSTON, fault="cut", ringing=["b"]))
    scene.hear_far_end(event("", "fault_healed", 70.0, psap_id=BOSTON, fault="cut"))
    scene.hear_caller(event("a", "connected", 5.6, **own))
    scene.hear_caller(event("b", "connected", 43.0, **line))
    scene.hear_caller(event("c", "connected", 50.9, psap_id="region", line="+18575550199"))
    scene.hear_caller(event("d", "connected", 75.5, psap_id="3175"))
    scene.hear_caller(event("e", "hung_up", 77.0))
    return scene


def test_where_calls_went_is_seen_from_the_psap_of_their_town() -> None:
    """Own PSAP, own line, alternate, region's line, hung up; calls in hand apart from those that came later."""
    scene = scene_of_three()
    fault = scene.faults[BOSTON]
    assert [scene.calls[call_id].went for call_id in "abcde"] == [
        Went.OWN, Went.OWN_LINE, Went.REGION_LINE, Went.ALTERNATE, Went.LEFT
    ]  # fmt: skip
    assert in_words(scene.went_in_hand(fault)) == "1 own line"
    assert in_words(scene.went_while(fault)) == "1 region's line"
    assert scene.went_after(fault) == {Went.ALTERNATE: 1, Went.LEFT: 1}
    assert in_words({}) == "-"


def test_delays_are_felt_from_the_first_offer() -> None:
    """By phase, over all legs; a call that never rang has none."""
    scene = scene_of_three()
    scene.hear_caller(event("f", "offered", 80.0, town="Boston"))
    scene.hear_caller(event("f", "offered", 81.0))
    scene.hear_caller(event("f", "ringing", 81.5))
    felt = scene.to_ringing(RECOVERY)
    assert (felt.calls, felt.median_ms, felt.worst_ms) == (3, 20, 1500)
    assert scene.to_answer(PHASES[0]).median_ms == 600


def told(disagreements: tuple[Disagreement, ...] = (), deaths: tuple[str, ...] = ()) -> Told:
    verdict = Verdict(5, 5, 4, 1, 0, disagreements)
    kept = Kept([], books([]), 0)
    lag = {"offer_lag_ms_max": 1.0, "loop_lag_ms_max": 2.0}
    return Told(Wanted(1, None, None), scene_of_three(), kept, verdict, None, lag, deaths, 10.0, 100.0)


def test_a_run_is_sound_only_without_disagreement_or_death() -> None:
    """The exit code hangs on it."""
    assert told().sound
    assert not told(disagreements=(Disagreement("c", "lost"),)).sound
    assert not told(deaths=("router-1 ended",)).sound


def keys(value: Any) -> set[str]:
    """Every key of nested plain data."""
    if isinstance(value, dict):
        return {*value, *(key for each in value.values() for key in keys(each))}
    return {key for each in value for key in keys(each)} if isinstance(value, list) else set()


def test_every_field_of_the_report_is_documented() -> None:
    """docs/report.md names each, and the report is JSON."""
    report = json.loads(json.dumps(as_json(told(disagreements=(Disagreement("c", "lost"),)))))
    documented = set(re.findall(r"`([a-z_]+)`", REPORT_PAGE.read_text()))
    assert keys(report) - {"calls", "tests"} - documented == set()


def test_the_end_of_a_run_is_told_in_tables_that_fit() -> None:
    """110 columns without a terminal; the compression and the verdict are said."""
    page = StringIO()
    show(told(disagreements=(Disagreement("storm-1-0001", "lost"),)), Console(file=page, width=110))
    text = page.getvalue()
    assert max(map(len, text.splitlines())) <= 110
    for words in ("240:1", "10:1", "protocol budgets never", "storm-1-0001: lost", "not sound", "Boston"):
        assert words in " ".join(text.split())


async def test_the_live_view_draws_the_scene() -> None:
    """Phases, calls by outcome, delays, what fails and where its calls go; on a terminal and elsewhere, and on 80
    columns with every heading whole."""
    for terminal, width in ((True, 140), (True, 80), (False, 80)):
        page = StringIO()
        console = Console(file=page, width=width, height=60, force_terminal=terminal)
        view = View(scene_of_three(), 1, 386, console, plain=False)
        view.step("starting Kafka")
        async with view.shown():
            await asyncio.sleep(0.6)
        text = page.getvalue()
        assert "Boston" in text and "seed 1" in text
        if terminal:
            for heading in ("what fails", "rang when", "new, since", "ringing", "answer", "median", "worst", "PSAP"):
                assert heading in text, f"{heading} is cut at {width} columns"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["demo", "--lie", "nobody"], 2, "nobody"),
        (["replay", "no-such-file.csv", "--ingress", "127.0.0.1:1"], 2, "no-such-file.csv"),
        (["replay", "x.csv"], 2, "ingress"),
    ],
)
def test_a_command_that_cannot_be_carried_out_says_why(words: list[str], code: int, said: str) -> None:
    """One line that names what was wrong, and an exit code that is neither 0 nor 1."""
    result = CliRunner().invoke(app, words)
    assert result.exit_code == code
    assert said in result.output
