"""`make mutants` as it is used: by its words, its exit code and what it prints."""

from __future__ import annotations

import subprocess
import sys

import pytest

FOUND = "take_over_says_diverted"
"""At its first schedule."""
NOT_SOON = "connected_before_acknowledged"
"""Not in its first schedules."""


def mutants(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.simulation.bugs", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_what_is_found_is_told_with_its_schedules_and_counted_at_the_end() -> None:
    """The last line is `found N of N`, the exit code 0."""
    ended = mutants(FOUND)
    assert ended.returncode == 0, ended.stderr
    header, row, last = ended.stdout.splitlines()
    assert header.split()[:2] == ["mistake", "schedules"]
    assert row.split()[:3] == [FOUND, "1", "0"] and "three_witnesses" in row
    assert last == "found 1 of 1"
    assert "1 mistakes in 1 processes" in ended.stderr


def test_the_story_of_a_mistake_says_what_is_wrong_what_it_breaks_and_what_becomes_of_the_call() -> None:
    """In the first schedule that shows it."""
    ended = mutants(FOUND, "--story")
    assert ended.returncode == 0, ended.stderr
    for heard in (
        f"{FOUND}: ",
        "schedule 0, 30 calls:",
        "  kill ingress-",
        "three_witnesses: c",
        "the story of c",
        "taken_over",
    ):
        assert heard in ended.stdout, ended.stdout


def test_the_list_says_what_each_mistake_is_also_to_a_reader_of_one_line() -> None:
    """A reader who has read enough ends it without a word."""
    ended = mutants(FOUND, "--list")
    assert ended.returncode == 0 and f"{FOUND} (takeovers)\n    " in ended.stdout
    command = [sys.executable, "-m", "tests.simulation.bugs", "--list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as unread:
        assert unread.stdout and unread.stderr
        unread.stdout.close()
        assert (unread.stderr.read(), unread.wait(60)) == (b"", 141)


def test_a_mistake_that_is_not_found_is_a_failure() -> None:
    """It is a hole in the simulator: exit code 1."""
    ended = mutants(NOT_SOON, "--within", "1")
    assert ended.returncode == 1
    assert "NOT FOUND" in ended.stdout and ended.stdout.endswith("found 0 of 1\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("thunder",), "no such mistake: thunder; families are answers"),
        (("hold_for_ever",), "no such mistake: hold_for_ever; did you mean holds_for_ever? --list names all"),
        (("--within", "0"), "--within: expected 1 or more, got 0"),
        (("--story",), "--story tells of one mistake"),
    ],
)
def test_words_that_mean_nothing_are_refused_with_what_there_is(words: tuple[str, ...], says: str) -> None:
    """As the reader of options refuses them."""
    ended = mutants(*words)
    assert (ended.returncode, says in ended.stderr) == (2, True)
