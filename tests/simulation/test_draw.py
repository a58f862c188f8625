"""What a seed draws: the same calls and injuries whatever else can go wrong, and what hurts most often enough."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulator import schedule
from simulator.injuries import KINDS, Injury, Kind
from simulator.injuries.kind import nothing
from simulator.schedule import DEATHS, LONG_S, calls_of, draw

SEEDS = range(1, 201)


def test_another_kind_of_injury_takes_the_place_of_a_few_and_changes_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So a named seed stays what it is when kinds are added: calls, and injuries but for those that the new one is."""
    before = [draw(seed) for seed in SEEDS]
    another = Kind("another", "something new", lambda by: (("ledger-1",), 1.0, by.random()), nothing, nothing)
    monkeypatch.setattr(schedule, "KINDS", {**KINDS, another.name: another})
    after = [draw(seed) for seed in SEEDS]
    assert [each.calls for each in after] == [each.calls for each in before]
    for old, new in zip(before, after, strict=True):
        assert {each for each in new.injuries if each.kind != another.name} <= set(old.injuries)
    same = sum(old.injuries == new.injuries for old, new in zip(before, after, strict=True))
    assert len(SEEDS) * 0.85 < same < len(SEEDS)


def test_a_heavier_kind_is_drawn_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are shares of the draws: one that weighs as much as all the others is every second injury."""
    others = sum(kind.weight for kind in KINDS.values() if not kind.company)
    heavy = replace(KINDS["kill"], name="heavy", weight=others)
    monkeypatch.setattr(schedule, "KINDS", {**KINDS, heavy.name: heavy})
    drawn = [each.kind for seed in SEEDS for each in draw(seed).injuries]
    assert 0.4 < drawn.count(heavy.name) / len(drawn) < 0.55


def test_the_calls_of_a_seed_are_those_of_its_schedule() -> None:
    """Told apart from what is hurt, as a named seed tells them."""
    drawn = draw(7, 30, ("policy_repeats",))
    assert calls_of(7, 30, drawn.injuries) == drawn.calls
    assert calls_of(7, 30, ()) == draw(7, 30, ("kill",)).calls != drawn.calls


def during(injury: Injury, at_s: float) -> bool:
    return injury.at_s <= at_s <= injury.at_s + injury.lasts_s


def test_an_ingress_dies_often_and_not_only_when_all_else_is_well() -> None:
    """J4 and J5 are about the facts that a dead ingress said while Kafka was away, P8 and T3 about callers whom nobody
    takes; stories in steps, which kill more of them, are not counted."""
    dies = without_kafka = both = 0
    for seed in range(1, 1_001):
        injuries = draw(seed).injuries
        deaths = [each for each in injuries if each.kind in DEATHS and each.targets[0].startswith("ingress")]
        gone = [each for each in injuries if each.kind == "kafka_gone"]
        dies += bool(deaths)
        without_kafka += any(during(each, death.at_s) for each in gone for death in deaths)
        both += any(one.targets != other.targets and during(one, other.at_s) for one in deaths for other in deaths)
    assert dies >= 150
    assert without_kafka >= 40
    assert both >= 15


def test_what_is_named_is_drawn_alone() -> None:
    """An ingress that is to be killed gets no company of kinds that nobody named."""
    assert {each.kind for seed in SEEDS for each in draw(seed, 1, ("kill@ingress",)).injuries} == {"kill"}


def test_some_outages_last_longer_than_any_budget() -> None:
    """In few schedules, since they cost more: Kafka gone for up to a minute, a process paused for up to half of one."""
    longest_s = {
        kind: [each.lasts_s for seed in range(1, 1_001) for each in draw(seed).injuries if each.kind == kind]
        for kind in LONG_S
    }
    assert max(longest_s["kafka_gone"]) > 45.0 and max(longest_s["pause"]) > 25.0
    assert 20 <= sum(lasts_s > LONG_S[kind][0] for kind, each in longest_s.items() for lasts_s in each) <= 60
