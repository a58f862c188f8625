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
from loadtest.call_seen import Went
from loadtest.deaths import Conducted
from loadtest.demo import Told, Wanted
from loadtest.diary import wall_ms
from loadtest.region_tables import RegionTables
from loadtest.report import as_json, show
from loadtest.scene import Scene, in_words
from loadtest.story import (
    ALL_BACK,
    FAILURES,
    FAULTS,
    FIRST_HALF,
    HALF_S,
    KILLINGS,
    PHASES,
    RECOVERY,
    RESTART_AFTER_S,
    Stricken,
    choose_stricken,
    phase_at,
    twice_over,
)
from loadtest.tables import deaths_table
from loadtest.view import View
from loadtest.witness import Disagreement, Verdict
from loadtest.workload import STORM, plan, read_trace
from services.cli import app
from services.domain.books import books

REGION = RegionTables()
TRACE = read_trace(STORM)
BOSTON = REGION.psap_of_town["Boston"]
HEADINGS = ("phase", "calls", "own", "PSAP", "other", "admin", "ringing", "answer", "median", "worst")
FIRST_HEADINGS = ("what fails", "rang when", "new, since")
SECOND_HEADINGS = ("died", "gone from", "screened", "atlas", "second", "risk", "durable")
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
    assert [phase_at(at_s).name for at_s in (0, 39.9, 40, 70, 90, 500)] == [
        "calm", "calm", "failures", "recovery", "firewall killed", "bad policy"
    ]  # fmt: skip
    assert phase_at(500, FIRST_HALF) is RECOVERY


def test_the_second_half_is_the_same_storm_over_other_people() -> None:
    """The first half is what it is without the second; ids and callers are nobody's twice."""
    short = plan(TRACE, REGION, seed=3, run="t", speed=240)
    whole = plan(twice_over(TRACE), REGION, seed=3, run="t", speed=240)
    assert whole[: len(short)] == short
    assert len(whole) == 2 * len(short)
    assert all(call.at_s >= HALF_S for call in whole[len(short) :])
    for name in ("call_id", "caller"):
        assert len({getattr(call, name) for call in whole}) == len(whole), f"a {name} comes twice"


def test_each_death_has_time_to_be_over_within_its_phase() -> None:
    """A service is up again a few seconds after it is started again, and the last phase is everybody's."""
    for killing in KILLINGS:
        assert killing.phase.from_s <= killing.at_s <= killing.by_s
        assert killing.by_s + RESTART_AFTER_S + 3 <= killing.phase.to_s
        assert killing.phase is not ALL_BACK
    assert len({killing.phase for killing in KILLINGS}) == len(KILLINGS)


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


def scene_of_a_death() -> Scene:
    """The ingress at :1 is killed at 120 s, with `a` and `b` in hand, and is back at 127 s; `c` is at the other one.

    `a` rang, and rings again 0.4 s later by its second leg; `b` had not rung yet; `d` comes while it is gone.
    """
    scene = Scene(REGION, [])
    scene.begin(1_000_000)
    own = {"psap_id": BOSTON}
    for call_id, at_s, ingress in (("a", 119.0, ":1"), ("b", 119.9, ":1"), ("c", 119.5, ":2")):
        scene.hear_caller(event(call_id, "offered", at_s, leg=1, town="Boston", ingress=ingress))
        scene.hear_caller(event(call_id, "accepted", at_s + 0.01, leg=1, durability="durable"))
    scene.hear_caller(event("a", "ringing", 119.02, leg=1, **own))
    scene.hear_caller(event("c", "ringing", 119.52, leg=1, **own))
    scene.died("ingress-1", 1_120_000, ":1")
    for call_id, at_s, rang_s in (("a", 120.1, 120.4), ("b", 120.1, 120.2)):
        scene.hear_caller(event(call_id, "offered", at_s, leg=2, ingress=":2"))
        scene.hear_caller(event(call_id, "ringing", rang_s, leg=2, **own))
    scene.hear_caller(event("d", "offered", 121.0, leg=1, town="Boston", ingress=":1"))
    scene.hear_caller(event("d", "offered", 121.01, leg=2, ingress=":2"))
    scene.hear_caller(event("d", "accepted", 121.02, leg=2, durability="not_durable"))
    scene.hear_caller(event("d", "ringing", 121.05, leg=2, **own))
    scene.is_back("ingress-1", 1_127_000)
    scene.hear_caller(event("e", "offered", 128.0, leg=1, town="Boston", ingress=":1"))
    return scene


def test_a_death_is_felt_by_the_calls_in_hand_and_by_those_that_come_until_it_is_back() -> None:
    """From the offer to ringing; where it rang before, from the death until it rang again."""
    scene = scene_of_a_death()
    death = scene.deaths["ingress-1"]
    assert sorted(death.in_hand) == ["a", "b"]
    assert sorted(call.call_id for call in scene.struck(death)) == ["a", "b", "d"]
    felt, in_hand = scene.felt_of(death), scene.felt_of(death, in_hand=True)
    assert (felt.calls, felt.median_ms, felt.worst_ms) == (3, 300, 400)
    assert (in_hand.calls, in_hand.worst_ms) == (2, 400)
    assert scene.felt_of(scene.deaths["Kafka"]).calls == 0


def test_a_call_that_rings_on_through_a_death_feels_nothing_of_it() -> None:
    """Its conductor was another process."""
    scene = scene_of_a_death()
    assert scene.calls["c"].felt_since(1_120_000) is None
    assert scene.calls["e"].felt_since(1_120_000) is None, "it has not rung yet"


def test_all_is_back_when_the_last_of_them_is() -> None:
    """The calls offered since then, of any phase."""
    assert scene_of_a_death().all_back_ms is None
    scene = scene_of_a_death()
    for death in scene.deaths.values():
        scene.is_back(death.killing.victim, 1_127_500)
    assert scene.all_back_ms == 1_127_500
    assert [call.call_id for call in scene.since_all_back()] == ["e"]
    assert Scene(REGION, [], FIRST_HALF).all_back_ms is None


def test_what_calls_had_to_do_without_comes_from_callers_and_journal() -> None:
    """Unknown until the journal has been read; then counted by call, whatever the leg."""
    scene = scene_of_a_death()
    death = scene.deaths["ingress-1"]
    degraded = scene.degraded_in(death)
    assert (degraded.unscreened, degraded.own_atlas) == (None, None)
    assert (degraded.second_leg, degraded.not_durable, degraded.at_risk) == (3, 1, 0)
    scene.conducted = Conducted.told_by(
        [
            {"event": "fact", "call_id": "a", "kind": "screened", "reason": "unscreened_unavailable"},
            {"event": "fact", "call_id": "a", "kind": "screened", "reason": "unscreened_deadline_exceeded"},
            {"event": "fact", "call_id": "b", "kind": "screened", "reason": "shipped-1"},
            {"event": "fact", "call_id": "d", "kind": "routed", "reason": "own_atlas_polygon"},
            {"event": "fact", "call_id": "e", "kind": "screened", "reason": "unscreened_unavailable"},
            {"event": "outcome", "call_id": "a", "outcome": "answered"},
        ]
    )
    degraded = scene.degraded_in(death)
    assert (degraded.unscreened, degraded.own_atlas) == (1, 1)
    assert scene.degraded().unscreened == 2


def told(
    disagreements: tuple[Disagreement, ...] = (), deaths: tuple[str, ...] = (), scene: Scene | None = None
) -> Told:
    verdict = Verdict(5, 5, 4, 1, 0, disagreements)
    kept = Kept([], books([]), 0)
    lag = {"offer_lag_ms_max": 1.0, "loop_lag_ms_max": 2.0}
    return Told(Wanted(1, None, None), scene or scene_of_three(), kept, verdict, None, lag, deaths, 10.0, 100.0)


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
    """80 columns with every heading and figure whole; the compression, the supervision and the verdict are said."""
    page = StringIO()
    show(told(disagreements=(Disagreement("storm-1-0001", "lost"),)), Console(file=page, width=80))
    text = page.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    said = " ".join(text.split())
    for words in ("240:1", "10:1", "protocol budgets never", "storm-1-0001: lost", "not sound", "Boston"):
        assert words in said
    for words in (
        *HEADINGS,
        *FIRST_HEADINGS,
        *SECOND_HEADINGS,
        "systemd or Kubernetes",
        "Not everything is back",
        "firewall-1",
        "Kafka stopped",
    ):
        assert words in said


def test_a_death_that_is_over_is_told_in_a_row() -> None:
    """From when to when, and what its calls felt."""
    page = StringIO()
    Console(file=page, width=80).print(deaths_table(scene_of_a_death()))
    (row,) = [line.split() for line in page.getvalue().splitlines() if line.startswith("ingress-1")]
    assert row == ["ingress-1", "120", "to", "127", "2", "1", "-", "-", "3", "0", "1", "400"]


@pytest.mark.parametrize(("columns", "rows"), [(140, 60), (80, 60), (80, 24)])
@pytest.mark.parametrize("second_half", [False, True])
def test_the_live_view_fits_its_terminal(columns: int, rows: int, second_half: bool) -> None:
    """Where it stands, calls by outcome, delays, what fails or died: every heading whole, and no row beyond the last.

    On 24 rows there are the phases near now, and the table of this half.
    """
    scene, at_s, now = (scene_of_three(), 50.0, "failures  2 of 9")
    if second_half:
        scene, at_s, now = (scene_of_a_death(), 170.0, "all back  8 of 9")
    page = StringIO()
    console = Console(file=page, width=columns, height=rows, force_terminal=True, no_color=True)
    console.print(View(scene, "Throughline, seed 1", console, plain=False).drawn(at_s))
    text = re.sub(r"\x1b\[[0-9;]*m", "", page.getvalue())
    assert len(text.splitlines()) <= rows
    assert max(map(len, text.splitlines())) <= columns
    of_the_halves: tuple[str, ...] = (*FIRST_HEADINGS, *SECOND_HEADINGS)
    if rows == 24:
        of_the_halves = SECOND_HEADINGS if second_half else FIRST_HEADINGS
    for heading in ("seed 1", now, *HEADINGS, *of_the_halves):
        assert heading in text, f"{heading} is cut on {columns} columns"


async def test_without_a_terminal_it_is_told_in_lines() -> None:
    """What happens, and each phase as a whole when it is over."""
    scene = scene_of_three()
    page = StringIO()
    view = View(scene, "Throughline, seed 1", Console(file=page, width=80, force_terminal=False), plain=False)
    view.step("starting Kafka")
    scene.began_ms = wall_ms() - 69_800
    async with view.shown():
        await asyncio.sleep(0.8)
    text = " ".join(page.getvalue().split())
    for words in ("seed 1", "starting Kafka", "Boston: back", "recovery: they come back"):
        assert words in text
    assert "failures, as a whole: 1 own line, 1 region's line; to ringing 20 ms" in text


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
