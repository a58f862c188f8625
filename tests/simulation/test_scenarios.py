"""Outages that happened, played again: every promise holds, and without the part that keeps it, it does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli import app
from services.firewall.evaluator import Evaluator
from services.firewall.policies.kept import LastGood
from services.policy.verdicts.breakers import Breakers
from simulator.scenarios.catalogue import SCENARIOS
from simulator.scenarios.playing import play
from simulator.scenarios.promises import PROMISES, broken
from tests.simulation.bugs.mistake import Mistake

BOUNDED = "at most 20 calls or 10 s, over all replicas, until everything passes"


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_promise_of_a_scenario_holds(name: str) -> None:
    """The firewall's promise (architecture.md, 3), for each outage by its name."""
    told = play(SCENARIOS[name])
    assert broken(told) == []
    assert told.throughline.offered >= 60 and told.throughline.lost == 0


def _broken_by(owner: Any, attribute: str, part: Any, name: str) -> list[str]:
    """What does not hold of a scenario where a part of ours is another one."""
    with Mistake("", "", "", owner, attribute, part, (), 0).made():
        return broken(play(SCENARIOS[name]))


@contextmanager
def _no_breakers() -> Iterator[None]:
    """Nothing is heard, so nothing trips; and no bundle has a credit to spend."""
    hears = Mistake("", "", "", Breakers, "_hear", lambda *_: None, (), 0)
    judges = Mistake("", "", "", Breakers, "judge", lambda *_: "", (), 0)
    with hears.made(), judges.made():
        yield


def test_without_breakers_a_bundle_that_diverts_everybody_goes_on() -> None:
    """Massachusetts: no scope ever keeps a divert back, and no bundle is taken back."""
    with _no_breakers():
        found = broken(play(SCENARIOS["massachusetts-2024"]))
    assert BOUNDED in found and "the bundle is quarantined, the last good one serves" in found


def test_without_a_deadline_a_rule_that_burns_goes_on_burning() -> None:
    """Cloudflare, 2019: nobody is blamed, since nobody was awaited no longer; calls wait for the ingress's budget."""
    real = Evaluator.__init__

    def patient(self: Evaluator, *args: Any) -> None:
        real(self, *args)
        self._budget_s = 1_000.0

    found = _broken_by(Evaluator, "__init__", patient, "cloudflare-2019")
    assert "live it is quarantined" in found and "the last good bundle serves on every firewall" in found


def test_without_a_last_good_one_on_disk_an_expired_bundle_is_gone_after_a_restart() -> None:
    """A signature's end is no reason to screen by nothing (the last good one is kept on disk too)."""

    async def nothing(self: LastGood) -> None:
        return None

    assert _broken_by(LastGood, "read", nothing, "expired-signature") == ["after a restart too"]


def test_a_scenario_plays_the_same_each_time() -> None:
    """A figure in a paper is one that anybody gets."""
    first, second = (play(SCENARIOS["firewall-killed"]) for _ in range(2))
    assert (first.filtered, first.throughline, first.notes) == (second.filtered, second.throughline, second.notes)


def _scenario(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["scenario", *words])
    return result.exit_code, result.output


def test_the_command_prints_figures_before_and_after_and_what_holds() -> None:
    """A table for a person; 0 where every promise holds."""
    code, said = _scenario("firewall-killed")
    assert code == 0
    assert "plain filter" in said and "Throughline" in said and "holds   no call is lost" in said


def test_the_command_gives_json_and_1_where_a_promise_does_not_hold() -> None:
    """A program is told which one."""
    with _no_breakers():
        code, said = _scenario("massachusetts-2024", "--json")
    told = json.loads(said)
    assert code == 1 and not told["holds"]
    assert BOUNDED in [each["promise"] for each in told["promises"] if not each["holds"]]
    assert told["figures"]["throughline"]["lost"] == 0


def test_the_command_names_the_scenarios_and_helps_who_mistypes() -> None:
    """Usage: 64, and what to say instead."""
    code, said = _scenario("--list")
    assert code == 0 and [line.split()[0] for line in said.splitlines()] == list(SCENARIOS)
    code, said = _scenario("massachusets")
    assert code == 64 and "did you mean massachusetts-2024" in said


def test_every_scenario_has_promises() -> None:
    """One table, no name forgotten."""
    assert list(PROMISES) == list(SCENARIOS)
