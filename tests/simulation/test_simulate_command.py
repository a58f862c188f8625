"""`throughline simulate` as it is used: by its words, its exit code and what it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from loadtest.bounds import upper_bound
from services.cli import app
from simulator import record
from simulator.campaign import Result, Tally, Wanted, campaign
from simulator.checkers import Finding
from simulator.record import Kept, OtherRun
from simulator.schedule import draw, kinds_named
from tests.simulation.bugs.families import KNOWN


def simulate(*words: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services.cli", "simulate", *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, "PYTHONHASHSEED": hash_seed}
    )


def test_the_same_seed_is_the_same_run_in_any_process() -> None:
    """To the digest of all that witnesses and journal say, whatever Python's own hashes are."""
    words = ("--schedules", "1", "--seed", "3", "--calls", "30", "--trace", "c1")
    one, other = simulate(*words, hash_seed="1"), simulate(*words, hash_seed="2")
    assert one.returncode == other.returncode == 0, one.stderr
    assert "digest" in one.stdout and "offered" in one.stdout
    assert one.stdout == other.stdout


def test_a_campaign_sums_up_what_it_ran_and_goes_on_from_what_it_kept(tmp_path: Path) -> None:
    """Three schedules, then five: the three are not run again."""
    keep = ("--keep", str(tmp_path / "kept.jsonl"), "--calls", "10", "--seed", "5")
    first = simulate("--schedules", "3", "--jobs", "1", *keep)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "3 schedules" in first.stdout and "no findings: with 95 %" in first.stdout
    second = simulate("--schedules", "5", "--jobs", "2", *keep)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "3 of 5 schedules were run before" in second.stderr
    assert "5 schedules" in second.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--only", "thunder"), "no such fault: thunder; families are process"),
        (("--only", "kil"), "no such fault: kil; did you mean kill"),
        (("--only", "kill@foo"), "kill never hits foo; it hits failover-1, "),
        (("--only", "kafka@kafka"), "kafka never hits kafka; it hits broker-1, "),
        (("--only", "kill=ingress-9"), "kill never hits ingress-9; it hits failover-1, "),
        (("--only", "steps=at once everybody dies"), "no such story: at once everybody dies; "),
        (("--keep", "/"), "--keep /: Is a directory; expected a file"),
        (("--trace", "c1", "--schedules", "2"), "--trace only tells a call of one schedule"),
        (("--trace", "c1", "--record"), "--trace only tells a call of one schedule"),
        (("--trace", "nobody", "--schedules", "1", "--calls", "3"), "no call 'nobody' in this schedule; there are c"),
    ],
)
def test_words_that_mean_nothing_are_refused_with_what_to_say(words: tuple[str, ...], says: str) -> None:
    """Exit code 64, one line."""
    ended = simulate(*words)
    assert ended.returncode == 64
    assert says in ended.stderr


def test_a_failure_prints_the_command_that_repeats_it_and_the_shrunk_story_of_its_call() -> None:
    """With a mistake made: exit code 1, one command, the injury that is needed, and what every witness says."""
    words = ["simulate", "--schedules", "1", "--seed", "0", "--calls", "12", "--only", "kill@ingress"]
    with KNOWN["take_over_says_diverted"].made():
        ended = CliRunner().invoke(app, words)
    told = ended.output
    assert ended.exit_code == 1, told
    again = re.search(r"^again: throughline (.*)$", told, re.MULTILINE)
    assert again and again[1].split() == ["simulate", *words[1:5], "--calls", "12", "--only", "kill@ingress"]
    assert "findings after 1 schedule: seeds 0" in told and "no findings" not in told
    shrunk = told.partition("shrunk to ")[2]
    assert re.match(r"\d calls? and 1 injury:", shrunk) and "  kill ingress-" in shrunk
    found = re.search(r"^  three_witnesses: (c\d+): ", shrunk, re.MULTILINE)
    assert found, shrunk
    for heard in ("caller, leg 1", "journal, failover", "taken_over", f"{found[1]}/1/1", " hurt ", " healed "):
        assert heard in shrunk, f"{heard} is no part of {shrunk}"


def test_what_the_simulator_itself_fails_with_names_the_seed() -> None:
    """One of a hundred thousand schedules is to be found again."""
    for jobs in (1, 2):
        with pytest.raises(ValueError, match="no such fault") as failed:
            list(campaign([77], Wanted(only=("thunder",)), jobs))
        assert "in the schedule of seed 77" in failed.value.__notes__


def test_every_fault_is_listed_with_what_it_does() -> None:
    """By family, as --only takes them."""
    listed = simulate("--faults")
    assert listed.returncode == 0
    assert "kafka\n" in listed.stdout and "kafka_gone" in listed.stdout
    lines = listed.stdout.splitlines()
    assert (
        len(
            {
                line.index(line.split()[1], line.index(line.split()[0]) + len(line.split()[0]))
                for line in lines
                if line[0] == " "
            }
        )
        == 1
    )
    assert [line.split()[0] for line in lines if line.endswith(" *") and "kill" in line] == [
        "kill_all",
        "evaluator_killed",
        "evaluators_gone",
    ]


def test_a_family_with_an_aim_is_those_of_its_kinds_that_can_hit() -> None:
    """And none but those: a replica that joins is never the ledger."""
    hit = [kind.name for kind in kinds_named(("process@ledger",))]
    assert "kill" in hit and "joins" not in hit
    assert all(
        each.targets[0].startswith("ledger")
        for seed in range(20)
        for each in draw(seed, 1, ("process@ledger",)).injuries
    )


def result(seed: int, *findings: Finding) -> Result:
    return Result(seed, "abc", findings, 110, 109, 100, ("kill", "far"), ("kill",), 0.5)


def test_results_are_kept_as_they_are_and_never_added_to_anothers(tmp_path: Path) -> None:
    """Also where the last line was cut short by a kill; another version's or other schedules' are refused."""
    path = tmp_path / "kept.jsonl"
    kept = Kept(path, Wanted(), "abc")
    written = [result(1), result(2, Finding("at_rest", "", "no"))]
    for each in written:
        kept.add(each)
    with path.open("a") as file:
        file.write('{"seed": 3, "dig')
    again = Kept(path, Wanted(), "abc")
    assert list(again.results()) == written
    again.add(result(3))
    assert [each.seed for each in again.results()] == [1, 2, 3]
    with pytest.raises(
        OtherRun, match="commit abc with --calls 100, not of commit abc with --calls 7 --only kill; give another"
    ):
        Kept(path, Wanted(7, ("kill",)), "abc")
    with pytest.raises(OtherRun, match="give another file"):
        Kept(path, Wanted(), "abd")
    with path.open("a") as file:
        file.write("nothing\n")
    with pytest.raises(OtherRun, match=r"kept.jsonl:5 is no result; remove that line"):
        list(Kept(path, Wanted(), "abc").results())


def test_a_line_of_the_paper_says_what_was_run_and_what_it_bounds(tmp_path: Path) -> None:
    """Below those that are there; a run with findings bounds nothing."""
    paper = tmp_path / "told"
    paper.write_text(f"| old |\n{record.END}\nrest\n")
    tally = Tally()
    tally.add(result(1))
    record.append(tally, range(1, 2), Wanted(), paper)
    before, _, after = paper.read_text().partition(record.END)
    assert before.startswith("| old |\n| 20") and "| 1 to 1 | 110 | 109 | 2 |" in before
    assert f"| nothing | {upper_bound(0, 109):.1e} |" in before
    assert after == "\nrest\n"
    record.append(tally, range(1, 2), Wanted(), paper)
    assert paper.read_text().count("1 to 1") == 1, "the same run is told once"
    tally.add(result(9, Finding("at_rest", "", "no")))
    assert record.row(tally, range(1, 10), Wanted()).endswith("| 1: seeds 9 |  |")
