"""What the benchmark says of rounds whose figures are known."""

from __future__ import annotations

from typing import Any

import pytest

from bench import report


def measured(side: str, number: int, load: str, *, calls_per_second: float, p50: float, p99: float) -> dict[str, Any]:
    delays = {"p50": p50, "p99": p99}
    return {
        "side": side,
        "round": number,
        "load": load,
        "calls": 99,
        "failed": 0,
        "not_first_attempt": 0,
        "calls_per_second": calls_per_second,
        "ringing_ms": delays,
        "connected_ms": delays,
        "generator_lag_ms": {"p50": 0.5, "p99": 1.0},
        "cpu_ms_per_call": {"services": 5.0},
        "others_cores": 0.0,
        "records_per_call": {"calls": 6.0},
    }


@pytest.fixture
def rounds() -> list[dict[str, Any]]:
    """Two rounds; the second met a machine half as fast. Given out of order, as alternation does."""
    return [
        measured("throughline", 1, "100/s", calls_per_second=100, p50=6, p99=36),
        measured("floor", 1, "100/s", calls_per_second=100, p50=4, p99=20),
        measured("floor", 0, "100/s", calls_per_second=100, p50=2, p99=10),
        measured("throughline", 0, "100/s", calls_per_second=100, p50=3, p99=18),
        measured("floor", 0, "saturation", calls_per_second=400, p50=50, p99=90),
        measured("throughline", 0, "saturation", calls_per_second=200, p50=90, p99=150),
        measured("throughline", 1, "saturation", calls_per_second=100, p50=90, p99=150),
        measured("floor", 1, "saturation", calls_per_second=200, p50=50, p99=90),
    ]


def test_ratios_pair_each_round_with_its_own_floor(rounds: list[dict[str, Any]]) -> None:
    """Throughput at saturation, p50 and p99 to connected at 100 calls a second."""
    found = report.ratios(rounds)
    assert {name: spread.median for name, spread in found.items()} == {"throughput": 0.5, "p50": 1.5, "p99": 1.8}


def test_throughput_must_be_high_and_delays_must_be_low(rounds: list[dict[str, Any]]) -> None:
    """The bounds of the requirement, each on its own side."""
    assert report.met(report.ratios(rounds)) == {"throughput": False, "p50": True, "p99": True}
    assert [report.wanted(name) for name in report.REQUIRED] == ["at least 0.6", "at most 1.6", "at most 2.0"]


def test_the_table_shows_both_sides_with_their_spread(rounds: list[dict[str, Any]]) -> None:
    """Median and, in brackets, the lowest and highest round."""
    row = next(line for line in report.table(rounds, ["100/s"]).splitlines() if line.startswith("connected p50"))
    assert row.split() == [
        "connected",
        "p50",
        "ms",
        "3.00",
        "(2.00-4.00)",
        "4.50",
        "(3.00-6.00)",
        "1.50",
        "(1.50-1.50)",
    ]


def test_a_side_that_was_not_run_leaves_a_gap(rounds: list[dict[str, Any]]) -> None:
    """`--only floor` has no ratios and no records of the other side."""
    alone = [each for each in rounds if each["side"] == "floor"]
    assert "1.50" not in report.table(alone, ["100/s"])
    assert report.records(alone).count("\n") == 0


def test_calls_that_failed_are_said_in_the_line_of_their_measurement(rounds: list[dict[str, Any]]) -> None:
    """A fast round that lost calls must not look like a fast round."""
    assert "[3 FAILED]" in report.line({**rounds[0], "failed": 3, "last_failure": "UNAVAILABLE"})
    assert "FAILED" not in report.line(rounds[0])


def test_a_load_that_is_more_than_a_side_can_carry_is_said(rounds: list[dict[str, Any]]) -> None:
    """Delays then grow for as long as the load lasts, and mean nothing else; at saturation that is meant."""
    slow = {"p50": 900.0, "p99": 1900.0}
    assert "[overloaded]" in report.line({**rounds[0], "connected_ms": slow})
    assert "overloaded" not in report.line({**rounds[0], "connected_ms": slow, "load": "saturation"})


def test_a_noisy_neighbour_is_said(rounds: list[dict[str, Any]]) -> None:
    """Processor time of processes that are none of the benchmark's."""
    assert "others used 0.8 cores" in report.line({**rounds[0], "others_cores": 0.8})
