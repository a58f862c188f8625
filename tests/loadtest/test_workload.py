"""The storm, placed in the region by a seed."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import Point
from shapely.geometry import shape

from loadtest.humans import PATIENCE, PICK_UP, TALK, Humans
from loadtest.region_tables import POSITIONS_MIN, RegionTables
from loadtest.workload import AREA_CODES, STORM, busiest_psaps, plan, read_trace

REGION = RegionTables()
TRACE = read_trace(STORM)


def test_the_storm_keeps_its_true_seconds() -> None:
    """386 calls in six hours (domain.md), in order."""
    assert len(TRACE) == 386
    assert TRACE[0] == 0.0
    assert sorted(TRACE) == TRACE
    assert 21_000 < TRACE[-1] <= 21_600


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_every_call_is_placed_inside_its_town(seed: int) -> None:
    """A point inside the outline, with a radius as wireless and wireline callers have."""
    outlines = {feature["properties"]["town"]: shape(feature["geometry"]) for feature in REGION.towns}
    for call in plan(TRACE, REGION, seed=seed, run="t", speed=240):
        assert (
            outlines[call.town].covers(Point(call.lon, call.lat))
            or outlines[call.town].distance(Point(call.lon, call.lat)) < 1e-5
        )
        assert call.radius_m == 10.0 or 50.0 <= call.radius_m <= 300.0


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_numbers_are_nobodys_and_callers_distinct(seed: int) -> None:
    """555-01XX alone; never an administrative line's; no number twice while there are others."""
    numbers = [call.caller for call in plan(TRACE, REGION, seed=seed, run="t")]
    assert all(re.fullmatch(r"\+1\d{3}55501\d\d", number) for number in numbers)
    assert len(set(numbers)) == len(numbers)
    assert not set(numbers) & {line.number for line in REGION.lines}
    assert sum(number[2:5] in AREA_CODES for number in numbers) > 300


def test_a_plan_follows_from_its_seed_alone() -> None:
    """The same seed gives the same plan; another gives another."""
    assert plan(TRACE, REGION, seed=1, run="t") == plan(TRACE, REGION, seed=1, run="t")
    assert plan(TRACE, REGION, seed=1, run="t") != plan(TRACE, REGION, seed=2, run="t")


def test_towns_call_by_their_population() -> None:
    """Boston has about a tenth of the people, and of the calls."""
    calls = plan(TRACE * 10, REGION, seed=3, run="t")
    share = sum(call.town == "Boston" for call in calls) / len(calls)
    assert 0.07 < share < 0.12


def test_compression_divides_instants_alone() -> None:
    """240:1 turns six hours into ninety seconds, place and number unchanged."""
    slow, fast = plan(TRACE, REGION, seed=1, run="t"), plan(TRACE, REGION, seed=1, run="t", speed=240)
    assert fast[-1].at_s < 90
    for one, other in zip(slow, fast, strict=True):
        assert other.at_s == pytest.approx(one.at_s / 240, abs=0.001)
        assert (one.caller, one.lat, one.lon) == (other.caller, other.lat, other.lon)


def test_the_busiest_psaps_of_a_window_are_named() -> None:
    """By the calls of the towns that they serve, within the window alone."""
    calls = plan(TRACE, REGION, seed=1, run="t", speed=240)
    tally = Counter(REGION.psap_of_town[call.town] for call in calls if 40 <= call.at_s < 70)
    named = busiest_psaps(calls, REGION, 40, 70, 4)
    assert [tally[psap_id] for psap_id in named] == sorted(tally.values(), reverse=True)[:4]


def test_positions_go_by_population() -> None:
    """Every PSAP has two call-takers at least; the largest city has the most."""
    assert min(REGION.positions.values()) == POSITIONS_MIN
    assert max(REGION.positions, key=REGION.positions.__getitem__) == REGION.psap_of_town["Boston"]


def test_a_trace_that_cannot_be_read_is_refused_by_line(tmp_path: Path) -> None:
    """The message names the line and what was expected."""
    bad = tmp_path / "trace.csv"
    bad.write_text("ts_call\n2016-02-24 18:00:51\nsoon\n")
    with pytest.raises(ValueError, match="line 3: expected a column ts_call"):
        read_trace(bad)
    bad.write_text("ts_call\n")
    with pytest.raises(ValueError, match="at least one call"):
        read_trace(bad)


def test_people_are_as_fast_as_told_and_the_same_each_time() -> None:
    """Speed divides human times and nothing else; a person's delay follows from the seed and the name."""
    slow, fast = Humans(1), Humans(1, speed=10)
    for delay in (PICK_UP, TALK, PATIENCE):
        assert fast.waits(delay, "a") == pytest.approx(slow.waits(delay, "a") / 10)
    assert slow.waits(PICK_UP, "a") != slow.waits(PICK_UP, "b")
    within_15_s = sum(slow.waits(PICK_UP, number) <= 15 for number in range(2000)) / 2000
    assert within_15_s > 0.9
