"""Who waited and reached nobody: told from those who hung up before anybody could have answered."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.checker import reached
from chaos.felt import Window, read_calls
from chaos.patience import AFTERWARDS_MS, RINGS, OutOfReach, Waited, who_waited
from loadtest.humans import Humans

HUMANS = Humans(7, speed=5.0)
RING_S = 3.0
NAMES = [f"round1-{number:04d}" for number in range(400)]
PATIENT = [name for name in NAMES if HUMANS.patience(name) >= RINGS * RING_S]
HASTY = [name for name in NAMES if HUMANS.patience(name) < RINGS * RING_S]
ONE = PATIENT[0]


def diary(call_id: str, end: str = "hung_up", *, accepted: bool = True, ingress: str = "one") -> list[dict[str, Any]]:
    """A caller's lines: offered at 1,000 ms, and their end at 15,000."""
    said = {"call_id": call_id, "leg": 1, "town": "Here"}
    lines = [{**said, "event": "offered", "at_ms": 1_000, "ingress": ingress}]
    lines += [{**said, "event": "accepted", "at_ms": 1_010, "durability": "durable"}] if accepted else []
    lines += [{**said, "event": end, "at_ms": 15_000, "attempt": f"{call_id}/1/1", "psap_id": "P"}] if end else []
    return lines


def judged(callers: list[dict[str, Any]], *hurt: OutOfReach, far_end: list[dict[str, Any]] | None = None) -> Waited:
    return who_waited(read_calls(callers), reached(callers, far_end or []), HUMANS, RING_S, {"Here": "P"}, hurt)


def test_a_caller_who_waited_and_one_who_was_hasty_look_alike_and_are_told_apart() -> None:
    """By the patience that each drew; most have enough."""
    assert len(PATIENT) > len(NAMES) / 2 and len(HASTY) > len(NAMES) / 20
    everybody = [line for name in NAMES for line in diary(name)]
    found = judged(everybody)
    assert found == Waited(len(PATIENT), tuple(PATIENT), tuple(PATIENT))


@pytest.mark.parametrize("end", ["hung_up", "gave_up", ""])
def test_however_they_left_they_had_reached_nobody(end: str) -> None:
    """Hung up, had no leg left, or are there still."""
    assert judged(diary(ONE, end)) == Waited(1, (ONE,), (ONE,))


def test_who_talked_to_somebody_did_not_wait_in_vain() -> None:
    """Connected, rung back, or gone in the instant of being connected."""
    assert judged(diary(ONE, "connected")) == Waited(1, (), ())
    far: dict[str, Any] = {"call_id": ONE, "attempt": f"{ONE}/1/1", "psap_id": "P", "line": ""}
    assert judged(diary(ONE), far_end=[{**far, "event": "rung_back", "at_ms": 20_000}]) == Waited(1, (), ())
    confirmed = {"call_id": ONE, "leg": 1, "event": "confirmed", "at_ms": 14_900, "attempt": f"{ONE}/1/1"}
    crossed = [*diary(ONE)[:2], confirmed, diary(ONE)[2]]
    assert judged(crossed, far_end=[{**far, "event": "connected", "at_ms": 14_990}]) == Waited(1, (), ())
    assert judged(crossed, far_end=[{**far, "event": "connected", "at_ms": 2_000}]).in_vain == (ONE,), "told nobody"


def test_who_was_never_accepted_is_not_among_them() -> None:
    """They have a column of their own."""
    assert judged(diary(ONE, accepted=False)) == Waited(0, (), ())


@pytest.mark.parametrize(
    ("hurt", "for_nothing"),
    [
        (OutOfReach(Window(2_000, 9_000), frozenset({"P"})), False),
        (OutOfReach(Window(2_000, 9_000), frozenset({"Q"})), True),
        (OutOfReach(Window(15_001, 20_000), frozenset({"P"})), True),
        (OutOfReach(Window(0, 1_000 - AFTERWARDS_MS), frozenset({"P"})), False),
        (OutOfReach(Window(0, 999 - AFTERWARDS_MS), frozenset({"P"})), True),
        (OutOfReach(Window(2_000, 9_000), ingress="one"), False),
        (OutOfReach(Window(2_000, 9_000), ingress="two"), True),
        (OutOfReach(Window(2_000), frozenset({"P"})), False),
    ],
)
def test_a_psap_or_a_network_that_was_hurt_meanwhile_accounts_for_it(hurt: OutOfReach, for_nothing: bool) -> None:
    """It is told all the same, and is no finding."""
    assert judged(diary(ONE), hurt) == Waited(1, (ONE,), (ONE,) if for_nothing else ())
