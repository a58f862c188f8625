"""What a seed draws: the same calls and injuries whatever else can go wrong, and what hurts most often enough."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulator.injuries import KINDS, Kind
from simulator.injuries.kind import nothing
from simulator.schedule import calls_of, draw

SEEDS = range(1, 201)


def test_another_kind_of_injury_takes_the_place_of_a_few_and_changes_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So a named seed stays what it is when kinds are added: calls, and injuries but for those that the new one is."""
    before = [draw(seed) for seed in SEEDS]
    another = Kind("another", "something new", lambda by: (("ledger-1",), 1.0, by.random()), nothing, nothing)
    monkeypatch.setitem(KINDS, another.name, another)
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
    monkeypatch.setitem(KINDS, heavy.name, heavy)
    drawn = [each.kind for seed in SEEDS for each in draw(seed).injuries]
    assert 0.4 < drawn.count(heavy.name) / len(drawn) < 0.55


def test_the_calls_of_a_seed_are_those_of_its_schedule() -> None:
    """Told apart from what is hurt, as a named seed tells them."""
    schedule = draw(7, 30, ("policy_repeats",))
    assert calls_of(7, 30, schedule.injuries) == schedule.calls
    assert calls_of(7, 30, ()) == draw(7, 30, ("kill",)).calls != schedule.calls
