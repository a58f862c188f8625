"""What a run came to: as tables for a person, and as JSON (docs/report.md says what each field is)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from loadtest.call_seen import Felt, Went
from loadtest.deaths import DeathSeen, Degraded
from loadtest.demo import Told
from loadtest.policy_pushed import PushTold
from loadtest.scene import FaultSeen
from loadtest.story import ARRIVALS, COMPRESSION, HUMANS, KAFKA_GONE_S, RESTART_AFTER_S, SUPERVISION, Phase
from loadtest.tables import deaths_table, failures_table, phases_table, policy_words
from loadtest.workload import STORM
from services.domain.books import Columns

FORMAT: Final = 2
DISAGREEMENTS_SHOWN_MAX: Final = 20


def as_json(told: Told) -> dict[str, Any]:
    """The whole run as plain data."""
    verdict = told.verdict
    return {
        "format": FORMAT,
        "sound": told.sound,
        "seed": told.wanted.seed,
        "trace": STORM.name,
        "compression": {"arrivals": ARRIVALS, "human_times": HUMANS, "protocol_budgets": 1},
        "began_ms": told.scene.began_ms,
        "set_up_s": round(told.set_up_s, 1),
        "took_s": round(told.took_s, 1),
        "books": {"calls": _columns(told.kept.books.real), "tests": _columns(told.kept.books.tests)},
        "records_unreadable": told.kept.unreadable,
        "phases": [_phase(told, phase) for phase in told.scene.each_phase()],
        "failures": [_failure(told, fault) for fault in told.scene.faults.values()],
        "supervision": {"restart_after_s": RESTART_AFTER_S, "kafka_gone_s": KAFKA_GONE_S},
        "killed": [_death(told, death) for death in told.scene.deaths.values()],
        "all_back": _all_back(told),
        "policy": None if told.push is None else _policy(told, told.push),
        "witnesses": {
            "calls": verdict.calls,
            "accepted": verdict.accepted,
            "connected": verdict.connected,
            "left_unanswered": verdict.left_unanswered,
            "never_accepted": verdict.never_accepted,
            "disagreements": [{"call_id": each.call_id, "words": each.words} for each in verdict.disagreements],
        },
        "lie": None if told.missing is None else {"witness": told.wanted.lie, "left_out": dict(told.missing)},
        "generator": dict(told.generator),
        "deaths": list(told.deaths),
    }


def _columns(columns: Columns) -> dict[str, Any]:
    return {
        "offered": columns.offered,
        **{str(outcome): count for outcome, count in columns.outcomes.items()},
        "balanced": columns.balanced,
        "at_risk": columns.at_risk,
        "not_durable": columns.not_durable,
        "connected_twice": columns.connected_twice.count,
        "never_offered": columns.never_offered.count,
        "leg_conflicts": columns.leg_conflicts.count,
    }


def _phase(told: Told, phase: Phase | None) -> dict[str, Any]:
    scene = told.scene
    return {
        "name": phase.name if phase is not None else "all",
        "from_s": phase.from_s if phase is not None else None,
        "to_s": phase.to_s if phase is not None else None,
        "went": _went(scene.outcomes(phase)),
        "to_ringing_ms": _felt(scene.to_ringing(phase)),
        "to_answer_ms": _felt(scene.to_answer(phase)),
        "degraded": _degraded(scene.degraded(phase)),
    }


def _failure(told: Told, fault: FaultSeen) -> dict[str, Any]:
    return {
        "psap_id": fault.stricken.psap_id,
        "name": fault.stricken.name,
        "fault": str(fault.stricken.fault),
        "struck_s": fault.struck_s,
        "healed_s": fault.healed_s,
        "in_hand": _went(told.scene.went_in_hand(fault)),
        "while_failing": _went(told.scene.went_while(fault)),
        "since_back": _went(told.scene.went_after(fault)),
    }


def _death(told: Told, death: DeathSeen) -> dict[str, Any]:
    scene = told.scene
    struck = scene.struck(death)
    return {
        "victim": death.killing.victim,
        "died_s": None if death.died_ms is None else scene.second(death.died_ms),
        "back_s": None if death.back_ms is None else scene.second(death.back_ms),
        "calls_in_hand": len(death.in_hand),
        "calls_new": len(struck) - len(death.in_hand),
        "went": _went(Counter(call.went for call in struck)),
        "degraded": _degraded(scene.degraded_in(death)),
        "to_ringing_ms": _felt(scene.felt_of(death)),
        "in_hand_to_ringing_ms": _felt(scene.felt_of(death, in_hand=True)),
    }


def _policy(told: Told, push: PushTold) -> dict[str, Any]:
    scene, seen = told.scene, push.seen
    return {
        "held": push.held,
        "commands": [asdict(each) for each in seen.commands],
        "touched": push.touched,
        "live_s": None if seen.live_ms is None else scene.second(seen.live_ms),
        "reverted_s": None if seen.reverted_ms is None else scene.second(seen.reverted_ms),
        "why": seen.why,
        "serves": seen.serves,
        "diverted": push.diverted,
        "answered": push.answered,
        "left": push.hung_up,
        "diverted_for_s": push.for_s,
        "calls_since": push.calls_since,
        "diverted_since": push.diverted_since,
    }


def _degraded(degraded: Degraded) -> dict[str, int | None]:
    return asdict(degraded)


def _went(went: Mapping[Went, int]) -> dict[str, int]:
    return {where.name.lower(): went.get(where, 0) for where in Went}


def _felt(felt: Felt) -> dict[str, int | None]:
    return {"calls": felt.calls, "median": felt.median_ms, "worst": felt.worst_ms}


def show(told: Told, console: Console) -> None:
    """The tables at the end of a run."""
    console.print(_books_table(told))
    console.print(phases_table(told.scene))
    console.print(failures_table(told.scene))
    if told.scene.deaths:
        console.print(deaths_table(told.scene))
        console.print(SUPERVISION, highlight=False)
        console.print(_all_back_words(told), highlight=False)
    if told.push is not None:
        console.print(policy_words(told.push), highlight=False)
    console.print(f"Compression: {COMPRESSION}.", highlight=False)
    lag = told.generator
    console.print(
        f"The callers' process was late by at most {lag['offer_lag_ms_max']:.0f} ms at an offer, "
        f"{lag['loop_lag_ms_max']:.0f} ms in its loop; it is in the delays above.",
        highlight=False,
    )
    _show_verdict(told, console)


def _all_back_words(told: Told) -> str:
    """What calls still had to do without once everything was back."""
    scene = told.scene
    if scene.all_back_ms is None:
        return "[red]Not everything is back.[/]"
    calls = scene.since_all_back()
    degraded = Degraded.of(calls, scene.conducted)
    return (
        f"Everything is back since {scene.second(scene.all_back_ms):.0f} s; of {len(calls)} calls since then "
        f"{degraded.unscreened} were not screened, {degraded.own_atlas} routed by an ingress's own atlas, "
        f"{degraded.second_leg} offered a second time, {degraded.at_risk} at risk, {degraded.not_durable} not durable."
    )


def _all_back(told: Told) -> dict[str, Any] | None:
    scene = told.scene
    if scene.all_back_ms is None:
        return None
    calls = scene.since_all_back()
    return {
        "since_s": scene.second(scene.all_back_ms),
        "calls_new": len(calls),
        "degraded": _degraded(Degraded.of(calls, scene.conducted)),
    }


def _books_table(told: Told) -> Table:
    columns = told.kept.books.real
    table = Table(title="The books, read from Kafka", title_justify="left")
    table.add_column("calls")
    table.add_column("", justify="right")
    for outcome, count in columns.outcomes.items():
        table.add_row(str(outcome).replace("_", " "), str(count))
    table.add_section()
    table.add_row("sum", str(sum(columns.outcomes.values())))
    table.add_row("offered", str(columns.offered))
    table.add_row("", "balanced" if columns.balanced else "[red]NOT BALANCED")
    if columns.at_risk:
        table.add_row("[yellow]accepted at risk", str(columns.at_risk))
    if columns.not_durable:
        table.add_row("[red]accepted not durable", str(columns.not_durable))
    if columns.connected_twice.count:
        table.add_row("[red]connected twice", str(columns.connected_twice.count))
    return table


def _show_verdict(told: Told, console: Console) -> None:
    verdict = told.verdict
    if told.missing is not None:
        what = told.missing.get("kind") or told.missing["event"]
        console.print(
            f"A lie, as asked for: the {told.wanted.lie}'s account lacks '{what}' of {told.missing['call_id']}."
        )
    for death in told.deaths:
        console.print(f"[red]Died:[/] {death}")
    for each in verdict.disagreements[:DISAGREEMENTS_SHOWN_MAX]:
        console.print(f"[red]Disagreement:[/] {each}", highlight=False)
    if len(verdict.disagreements) > DISAGREEMENTS_SHOWN_MAX:
        console.print(f"... and {len(verdict.disagreements) - DISAGREEMENTS_SHOWN_MAX} more")
    counts = (
        f"{verdict.accepted} calls accepted, {verdict.connected} connected, "
        f"{verdict.left_unanswered} hung up unanswered (on the callback list), {verdict.never_accepted} never accepted"
    )
    if told.sound:
        console.print(f"[green]All three witnesses agree[/] (callers, far end, journal): {counts}.", highlight=False)
    else:
        console.print(f"[red]The run is not sound[/]: {counts}.", highlight=False)
    console.print(f"Took {told.took_s:.0f} s, of which {told.set_up_s:.0f} s to start everything.", highlight=False)
