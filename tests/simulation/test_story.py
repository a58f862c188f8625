"""The story of a call is told by time, with what was hurt meanwhile."""

from __future__ import annotations

import re

import pytest

from simulator.run import Observed, run
from simulator.schedule import draw
from simulator.story import tell

LINE = re.compile(r"^ *-?\d+\.\d{3} s  (\S.*?)  +(\S.*)$")


@pytest.fixture(scope="module")
def seen() -> Observed:
    """Ten calls while processes are killed."""
    return run(draw(7, 10, ("kill",)))


def test_each_witness_has_its_lines_in_the_order_of_time(seen: Observed) -> None:
    """Caller, far end and journal are heard, each event once, aligned."""
    call_id = next(entry["call_id"] for entry in seen.callers if entry["event"] == "connected")
    lines = tell(seen, call_id)
    at_s = [float(line.split(" s  ")[0]) for line in lines]
    assert at_s == sorted(at_s)
    assert all(LINE.match(line) for line in lines)
    whole = "\n".join(lines)
    for heard in ("offered", "accepted durability=durable", "journal, ingress-", "connected attempt=", "ringing"):
        assert heard in whole
    assert sum("caller, leg" in line for line in lines) == sum(e.get("call_id") == call_id for e in seen.callers)


def test_what_was_hurt_while_the_call_lasted_is_told_and_nothing_else(seen: Observed) -> None:
    """An injury that was long over, or struck afterwards, is no part of it."""
    strikes = list(seen.schedule.injuries)
    for call_id in {entry["call_id"] for entry in seen.callers}:
        lines = tell(seen, call_id)
        hurt = [line for line in lines if "  hurt " in line]
        told = [float(line.split(" s  ")[0]) for line in lines if " hurt " not in line and " healed " not in line]
        expected = [
            each for each in strikes if each.at_s <= max(told) and each.at_s + each.lasts_s >= min(told) - 5.0
        ]  # fmt: skip
        assert len(hurt) == len(expected)


def test_a_call_that_nobody_knows_has_no_story(seen: Observed) -> None:
    """What was hurt meanwhile is not told for a mistyped name."""
    assert tell(seen, "c999") == []
