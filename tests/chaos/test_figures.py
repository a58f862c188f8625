"""The arithmetic of chaos: bounds, sums over runs, growth. A figure that flatters is worse than none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.felt import Window, read_calls
from chaos.hands import Hurt, Waits, gateways_of, in_hand, waited
from chaos.paper import BEGIN, END, of_one_version, rewritten
from chaos.plot import svg
from chaos.record import RoundRecord, Setting, Totals, append, read
from chaos.soak import Sample, growths
from chaos.stage import misses_kafka
from loadtest.bounds import upper_bound

SETTING = Setting("2026-01-02T03:04:05Z-1", "python -m chaos run", 1, 5.0, 20, "abc", 2, 23)
TOLD = RoundRecord(
    number=1,
    kind="kill",
    strikes=["kill ingress-1", "kill ledger-1"],
    skipped=[],
    kills={"ingress": 1, "ledger": 1},
    calls=400,
    accepted=390,
    connected=300,
    never_accepted=10,
    lost=[],
    twice=[],
    unheard=[],
    woken=[],
    patient=250,
    in_vain=[],
    for_nothing=[],
    disagreements=[],
    ledger=[],
    tabled=395,
    listed=80,
    durability={"durable": 390, "never": 10},
    hands=[
        {"kind": "kill", "service": "ingress", "calls": ["round1-0001", "round1-0002", "round1-0003", "round1-0004"]},
        {"kind": "kill", "service": "ledger", "calls": []},
    ],
    hit_ms=[10, 20, 30],
    rang=3,
    went_on=1,
    meanwhile_ms=[40, None],
    copies=0,
)


def rows_of(*rounds: RoundRecord) -> list[Mapping[str, Any]]:
    """As they are read back."""
    return [{**asdict(SETTING), **asdict(each)} for each in rounds]


@given(st.integers(1, 10**6))
def test_the_bound_of_a_zero_is_the_rule_of_three(tries: int) -> None:
    """Exactly 1 - 0.05^(1/n), and close to 3/n where n is large."""
    bound = upper_bound(0, tries)
    assert math.isclose((1 - bound) ** tries, 0.05, rel_tol=1e-6)
    assert bound <= 3.0 / tries


@given(st.integers(2, 400), st.data())
def test_the_bound_of_a_few_is_where_so_few_would_be_seen_once_in_twenty_times(tries: int, data: st.DataObject) -> None:
    """Clopper and Pearson, against the sum of the binomial distribution itself."""
    seen = data.draw(st.integers(0, tries - 1))
    share = upper_bound(seen, tries)
    at_most = sum(math.comb(tries, k) * share**k * (1 - share) ** (tries - k) for k in range(seen + 1))
    assert math.isclose(at_most, 0.05, rel_tol=1e-4)
    assert upper_bound(seen, tries) < upper_bound(seen + 1, tries) <= 1


def test_rounds_of_many_runs_add_up_and_a_line_cut_short_is_left_out(tmp_path: Path) -> None:
    """An interrupted run keeps what it had judged."""
    runs = tmp_path / "deep" / "runs.jsonl"
    append(SETTING, TOLD, runs)
    append(replace(SETTING, run="2026-02-02T03:04:05Z-2"), TOLD, runs)
    with runs.open("a") as file:
        file.write('{"run": "cut sho')
    rows = list(read(runs))
    assert len(rows) == 2
    assert rows[0] == {**asdict(SETTING), **asdict(TOLD)}
    assert list(read(tmp_path / "none.jsonl")) == []


def test_the_paper_says_how_many_calls_stand_behind_each_zero() -> None:
    """A zero without its number of tries says nothing; what a person wrote around it stays."""
    rows = rows_of(TOLD, replace(TOLD, kind="calm", kills={}, hands=[]))
    paper = rewritten(f"before\n{BEGIN}old\n{END}after\n", rows)
    assert paper.startswith(f"before\n{BEGIN}") and paper.endswith(f"{END}after\n") and "old" not in paper
    assert f"| an accepted call is lost | 0 | 780 accepted calls | {upper_bound(0, 780):.2g} |" in paper
    assert f"| ingress | 1 | 4 | 0 | 0 | {upper_bound(0, 4):.2g} |" in paper, "those in its hands, and no others"
    assert "| ledger | 1 | none; of 395 in its tables, 80 on its list, 0 differ | - | - | - |" in paper
    assert (
        f"| the ledger's tables differ from the journal | 0 | 790 calls in them | {upper_bound(0, 790):.2g} |" in paper
    )
    assert (
        "| kill | 1 | 390 | 300 | 0 | 0 | 0 | 250 | 0 | 4 | 1 | 3 | 20 | 30 | 30 | 2 | 40 | for ever | for ever |"
        in paper
    )
    assert "| `python -m chaos run` | 1 | abc | 2 | 20 | 2 cores, 23 GB |" in paper
    assert rewritten(paper, rows) == paper


def test_a_difference_of_the_ledgers_tables_is_a_finding_wherever_findings_are_told() -> None:
    """In the round's verdict, in the sums, in the row of its kills, and among the other findings of the kind."""
    other = replace(TOLD, ledger=["round1-0001: a callback is owed, and the ledger's list does not have it"])
    assert not other.sound
    assert other.findings() == [f"the ledger's tables: {other.ledger[0]}"]
    totals = Totals()
    totals.add(other)
    assert not totals.sound
    paper = rewritten(f"{BEGIN}{END}", rows_of(other))
    assert "| the ledger's tables differ from the journal | 1 | 395 calls in them |" in paper
    assert "| ledger | 1 | none; of 395 in its tables, 80 on its list, 1 differ | - | - | - |" in paper
    assert "| kill | 1 | 390 | 300 | 0 | 0 | 1 |" in paper


def test_who_waited_and_reached_nobody_stands_among_the_patient_and_is_a_finding_where_nothing_was_hurt() -> None:
    """The figure is told whatever accounts for it."""
    hidden = replace(TOLD, in_vain=["round1-0001"])
    assert hidden.sound
    found = replace(hidden, in_vain=["round1-0001", "round1-0002"], for_nothing=["round1-0002"])
    assert found.findings() == ["round1-0002: waited, and reached nobody"]
    paper = rewritten(f"{BEGIN}{END}", rows_of(hidden, found))
    assert (
        f"| a patient caller waits and reaches nobody | 3 | 500 of them, accepted | {upper_bound(3, 500):.2g} |"
        in paper
    )
    assert "| the same, and no PSAP or network accounts for it | 1 | 500 of them |" in paper
    assert "| kill | 2 | 780 | 600 | 0 | 0 | 1 | 500 | 3 |" in paper


def test_rounds_of_before_the_ledger_was_looked_at_are_told_without() -> None:
    """Nothing compared is no zero."""
    old = [{key: value for key, value in rows_of(TOLD)[0].items() if key not in ("ledger", "tabled", "listed")}]
    paper = rewritten(f"{BEGIN}{END}", old)
    assert "| the ledger's tables differ from the journal | 0 | 0 calls in them | nothing is known |" in paper


def test_what_is_found_late_counts_as_found_and_not_as_a_round() -> None:
    """The second judgement of a round has no calls of its own."""
    late = replace(TOLD, calls=0, accepted=0, connected=0, kills={}, hit_ms=[], lost=["round1-0001"])
    paper = rewritten(f"{BEGIN}{END}", rows_of(TOLD, late))
    assert "| an accepted call is lost | 1 | 390 accepted calls |" in paper
    assert "| kill | 1 | 390 | 300 | 1 | 0 | 0 |" in paper
    assert f"| ingress | 1 | 4 | 1 | 0 | {upper_bound(1, 4):.2g} |" in paper


def test_brokers_stand_in_a_row_for_each_kind_that_kills_them() -> None:
    """Three that are killed at once are another thing than one of three."""
    hands: list[Mapping[str, Any]] = [{"kind": "kafka-gone", "service": "broker", "calls": ["round1-0001"]}]
    gone = replace(TOLD, kind="kafka-gone", kills={"broker": 3}, hands=hands)
    one = replace(gone, kind="broker-kill", kills={"broker": 1}, hands=[{**hands[0], "kind": "broker-kill"}])
    paper = rewritten(f"{BEGIN}{END}", rows_of(gone, one, one))
    assert "| broker, by kafka-gone | 3 | 1 | 0 | 0 |" in paper
    assert "| broker, by broker-kill | 2 | 2 | 0 | 0 |" in paper


def test_a_sleeper_that_connects_nobody_is_told_among_the_calls_in_its_hands() -> None:
    """Who stood beside it, and what a paused ledger or router had, says nothing of it."""
    ids = ["round1-0001", "round1-0002"]
    rounds = [
        replace(TOLD, kind="pause", kills={}, hands=[{"kind": "pause", "service": service, "calls": ids}])
        for service in ("ingress", "psap_gateway", "ledger", "router")
    ]
    paper = rewritten(f"{BEGIN}{END}", rows_of(*rounds))
    assert "| a paused process wakes and connects | 0 | 4 calls in its hands |" in paper


def test_rounds_of_one_commit_add_up_and_those_of_no_commit_never() -> None:
    """Two versions are two things that are measured, and a changed file is no version at all."""
    rows: list[Mapping[str, Any]] = [
        {"run": f"2026-01-0{day}", "commit": commit}
        for day, commit in enumerate(["old", "new", "new", "", "unknown", "new+"], 1)
    ]
    assert of_one_version(rows) == rows[1:3]
    assert of_one_version(rows, "old") == rows[:1]
    assert of_one_version(rows, "new+") == []
    assert of_one_version(rows[3:]) == []


def test_calls_that_stood_with_the_victim_are_told_from_those_that_called_meanwhile() -> None:
    """Whoever rang there must ring again, and is in the figures; whoever stood elsewhere thins nothing out."""

    def call(
        name: str, at_ms: int, *more: tuple[int, str], ingress: str = "one", line: str = ""
    ) -> list[dict[str, Any]]:
        where = {"attempt": f"{name}/1/1", "psap_id": "P", "line": line}
        offered = {"event": "offered", "call_id": name, "at_ms": at_ms, "leg": 1, "ingress": ingress}
        return [offered, *({"event": event, "call_id": name, "at_ms": ms, **where} for ms, event in more)]

    calls = read_calls(
        [
            *call("again", 0, (50, "ringing"), (300, "ringing")),
            *call("on", 0, (50, "ringing"), (900, "connected")),
            *call("ever", 0, (50, "ringing")),
            *call("other", 0, (50, "ringing"), (300, "hung_up"), ingress="two"),
            *call("line", 0, (50, "ringing"), (400, "hung_up"), line="+15550100", ingress="two"),
            *call("early", 90, (120, "ringing")),
            *call("during", 150, (180, "ringing")),
            *call("after", 250, (260, "ringing")),
        ]
    )
    kill = Hurt("kill", "ingress", "one", Window(100, 200))
    far_end = [
        {"event": event, "at_ms": at_ms, "attempt": f"{name}/1/1", "gateway": gateway}
        for event, at_ms, name, gateway in (
            *(("offered", 40, "again", "g1"), ("ringing", 45, "on", "g1"), ("offered", 40, "other", "g2")),
            *(("ringing", 101, "again", "g2"), ("offered", 102, "on", "g2")),
        )
    ]
    gateways = gateways_of(far_end)
    assert waited(calls, [kill], gateways) == (Waits([200, None, 20], 2, 1), Waits([30], 1, 0))
    later = Hurt("kill", "ingress", "one", Window(250, 270))
    assert waited(calls, [later, kill], gateways)[0] == Waits([200, None, 20, None, 10], 3, 1), "the first counts"
    assert waited(calls, [Hurt("calm", "", "", Window(100, 200))], gateways) == (Waits([], 0, 0), Waits([30], 1, 0))

    def names(service: str, address: str = "") -> list[str]:
        return [each.call_id for each in in_hand(calls, Hurt("kill", service, address, Window(100)), gateways)]

    assert names("psap_gateway", "g1") == ["again", "on"], "they were handed on later"
    assert names("psap_gateway", "g2") == ["other"]
    assert names("failover") == ["line"]
    assert names("router") == ["early"]
    assert names("ledger") == []
    assert names("broker") == ["again", "on", "ever", "other", "line", "early"]


def test_a_process_that_does_not_answer_is_not_taken_for_well() -> None:
    """Kafka's return is over when everybody says so."""
    metrics = "# TYPE throughline_ingress_journal_queued_facts gauge\nthroughline_ingress_journal_queued_facts {}\n"
    assert misses_kafka("ready\n", metrics.format(0)) == ""
    assert misses_kafka("ready\n", metrics.format(7)) == "7 facts wait"
    assert "journal" in misses_kafka("not ready: the journal is away\n", metrics.format(0))
    assert misses_kafka("", metrics.format(0)) == misses_kafka("ready\n", "") == "does not answer"


def test_a_paper_without_marks_is_not_overwritten() -> None:
    """Nothing of a person's is lost."""
    with pytest.raises(ValueError, match="expected the lines"):
        rewritten("nothing to see", [])


def test_memory_that_grows_after_the_warm_up_is_a_leak() -> None:
    """The first tenth does not count; 5 % is the limit; a broker's heap is Java's own business."""
    steady = [Sample(at_s, "steady", 50 if at_s < 10 else 100, tasks=5) for at_s in range(101)]
    leaky = [Sample(at_s, "leaky", 100 + at_s / 10) for at_s in range(101)]
    broker = [Sample(at_s, "broker-1", 100 + at_s) for at_s in range(101)]
    found = {(each.name, each.measure): each for each in growths([*steady, *leaky, *broker])}
    assert [name for (name, _), each in found.items() if each.leaks] == ["leaky"]
    assert found["steady", "memory_mb"].share == 0
    assert found["steady", "tasks"].end == 5
    assert growths([]) == []


def test_whatever_else_grows_is_a_leak_too_also_from_nothing() -> None:
    """Descriptors, tasks, facts that wait and the spool each have a bound; what calls bring and take stays below it."""

    def leaks(begin: float, end: float, measure: str) -> bool:
        samples = [Sample(at_s, "router-1", 100, **{measure: begin if at_s < 50 else end}) for at_s in range(101)]
        [grown] = [each for each in growths(samples) if each.measure == measure]
        return grown.leaks

    for measure in ("descriptors", "tasks", "queued_facts", "spool_kb"):
        assert leaks(0, 1_000, measure) and leaks(300, 600, measure), measure
        assert not leaks(0, 5, measure) and not leaks(1_000, 1_000, measure), measure
        assert not leaks(300, 10, measure)


def test_a_plot_holds_every_line_and_needs_nothing_else() -> None:
    """One file that a browser shows by itself."""
    drawn = svg("a & b", {"memory": {"ingress-1": [(0, 1), (60, 2)], "router-1": [(0, 1)]}, "tasks": {}})
    assert drawn.count("<polyline") == 2
    assert "a &amp; b" in drawn and "ingress-1" in drawn and "1.0 min" in drawn
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")
