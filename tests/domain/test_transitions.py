"""The table of a call says all that happens and nothing else, and its picture says what the table says."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from typing import Any, Final, get_args

import pytest

from services.domain.calls.diagram import BEGIN, END, mermaid
from services.domain.calls.exchange import (
    Admitted,
    AttemptFailed,
    CallerConfirmed,
    CallerHungUp,
    Doubted,
    HigherLeg,
    Input,
    NoRoom,
    PersonAnswered,
    PersonConnected,
    Rang,
    Resume,
    Resumed,
    Routed,
    Screened,
    StreamBroke,
    TimePassed,
)
from services.domain.calls.transitions import FINAL, TABLE, State
from services.domain.events import Failure
from services.domain.holding import Holding, Standing
from services.domain.where import Where
from tests.domain.playing import DESTINATIONS, P1, P2, VERDICTS, Shell

PAPER: Final = Path(__file__).parents[2] / "docs" / "follow-a-call.md"
WALKS: Final = 5_000
STEPS_MAX: Final = 40
LIKELY: Final[dict[Any, float]] = {
    Resumed: 1,
    Admitted: 2,
    NoRoom: 1,
    Screened: 1,
    Routed: 2,
    Rang: 3,
    PersonAnswered: 2,
    CallerConfirmed: 3,
    PersonConnected: 1,
    Doubted: 1,
    AttemptFailed: 3,
    TimePassed: 3,
    None: 0.4,
}
"""How likely each input is in a walk; None: the caller goes."""
ROWS: Final = {(state, happened) for state, row in TABLE.items() for happened in row}
EDGES: Final = {(state, happened, onward) for state, happened in ROWS for onward in TABLE[state][happened]}


def any_input(shell: Shell, source: random.Random) -> Input:
    """What might come next; mostly for an attempt that is under way, and seldom the end of the call."""
    attempt = source.choice([*shell.open * 4, *shell.rungs, "c1/1/99"])
    kind = source.choices(list(LIKELY), list(LIKELY.values()))[0]
    if kind is Admitted or kind is NoRoom:
        return kind()
    if kind is Resumed:
        return Resumed(source.choice((shell.asked_after, shell.asked_after, "c1/1/99")), source.choice(HOLDINGS))
    if kind is Screened:
        return Screened(source.choice(VERDICTS), "policy")
    if kind is Routed:
        return Routed(source.choice(DESTINATIONS), "town")
    if kind is Rang or kind is PersonConnected:
        return kind(attempt, shell.where(attempt))
    if kind is PersonAnswered or kind is CallerConfirmed or kind is Doubted:
        return kind(attempt)
    if kind is AttemptFailed:
        return AttemptFailed(attempt, source.choice(list(Failure)), source.choice(REASONS), broke=source.random() < 0.3)
    if kind is TimePassed:
        shell.now = max(shell.now, shell.call.deadline() or shell.now)
        return TimePassed()
    return source.choice((CallerHungUp(), HigherLeg(), *(StreamBroke("reset"),) * 3))


def resuming(_: int) -> Shell:
    """An earlier leg had confirmed an attempt."""
    return Shell(resume=Resume("c1/1/1", Where("P1")))


def seen_connected(_: int) -> Shell:
    """And this ingress saw it connected."""
    return Shell(resume=Resume("c1/1/1", Where("P1"), seen=True))


def queued(_: int) -> Shell:
    """No place yet."""
    return Shell(admitted=False)


def rung_unanswered(walk: int) -> Shell:
    """Some places ring already."""
    shell = Shell()
    shell.ring_unanswered(walk % 4)
    return shell


def at_a_line(_: int) -> Shell:
    """Overflowed: a line rings, and its time is nearly over."""
    shell = Shell(admitted=False)
    shell.hear(NoRoom())
    shell.routed(P1)
    shell.rang()
    return shell


def beside_a_line(_: int) -> Shell:
    """Overflowed, and a place is free while the line rings on."""
    shell = at_a_line(0)
    shell.time_passes()
    shell.hear(Admitted())
    return shell


def connecting_at_a_line(_: int) -> Shell:
    """Overflowed, and the caller has confirmed the line's answer when a place is free."""
    shell = at_a_line(0)
    shell.time_passes()
    shell.picked_up()
    shell.confirmed()
    shell.now += 2.2
    shell.hear(Admitted())
    return shell


def connecting_beside_a_psap(_: int) -> Shell:
    """The caller has confirmed the answer of a line, and the alternate rings."""
    shell = Shell()
    shell.ring_unanswered(2)
    shell.routed(P2)
    shell.rang()
    shell.picked_up("c1/1/2")
    shell.confirmed("c1/1/2")
    return shell


def proposed_at_a_line(_: int) -> Shell:
    """Overflowed; the line's answer is proposed when a place is free, and its time is nearly over."""
    shell = at_a_line(0)
    shell.time_passes()
    shell.picked_up()
    shell.now += 1.2
    shell.hear(Admitted())
    return shell


def lost_on_the_way(walk: int) -> Shell:
    """What the caller had confirmed is lost; other places ring, or a question is open, or neither."""
    which = (connecting_at_a_line, connecting_beside_a_psap, rung_unanswered)[walk % 3]
    shell = which(1)
    if which is rung_unanswered:
        shell.picked_up("c1/1/1")
        shell.confirmed("c1/1/1")
    shell.failed(Failure.UNREACHABLE, shell.proposal)
    return shell


BEGINNINGS: Final = (
    rung_unanswered,
    rung_unanswered,
    rung_unanswered,
    queued,
    resuming,
    seen_connected,
    at_a_line,
    beside_a_line,
    connecting_at_a_line,
    connecting_beside_a_psap,
    proposed_at_a_line,
    lost_on_the_way,
)
REASONS: Final = ("", "", "", "c1/0/1", "c1/1/1", "c2/0/1", "odd/0")
"""What is said of a failure; the fourth is an attempt of an earlier leg."""
HOLDINGS: Final = tuple(Holding(standing, "c1/1/1", Where("P1")) for standing in Standing)


@cache
def walked() -> tuple[set[tuple[State, type[Input], State]], set[tuple[State, type[Input]]]]:
    """The steps that many random calls took, from state to state; and the rows by which anything was done at all."""
    source = random.Random(19)
    steps: set[tuple[State, type[Input], State]] = set()
    rows: set[tuple[State, type[Input]]] = set()
    for walk in range(WALKS):
        shell = BEGINNINGS[walk % len(BEGINNINGS)](walk)
        for _ in range(STEPS_MAX):
            if shell.call.over:
                break
            shell.now += source.choice((0.0, 0.0, 0.0, 1.2))
            before, happened = shell.state, any_input(shell, source)
            if shell.hear(happened):
                rows.add((before, type(happened)))
            if shell.state is not before:
                steps.add((before, type(happened), shell.state))
    return steps, rows


def test_the_table_has_every_step_that_is_taken_and_no_other() -> None:
    """A step that the table forbids fails at once; one that never happens would be a lie in the picture."""
    steps, _ = walked()
    assert steps == EDGES


def test_every_row_of_the_table_means_something() -> None:
    """An input with a row does something there, if only now and then; one without a row never does."""
    _, rows = walked()
    assert rows == ROWS


def test_every_state_and_every_input_stands_in_the_table() -> None:
    """Nothing is left out by mistake."""
    assert set(TABLE) == set(State)
    assert {happened for _, happened in ROWS} == set(get_args(Input))


def test_only_other_states_stand_in_a_row() -> None:
    """Staying is always allowed, and not written down."""
    assert not [edge for edge in EDGES if edge[0] is edge[2]]


@pytest.mark.parametrize("state", State)
def test_a_state_is_final_when_nothing_leads_on_from_it(state: State) -> None:
    """Four ends and no dead end: from every other state something does."""
    onward = {edge[2] for edge in EDGES if edge[0] is state}
    assert (state in FINAL) is (not onward)
    assert (state in FINAL) is (not TABLE[state])


@pytest.mark.parametrize("state", [state for state in State if state not in FINAL and state is not State.HELD])
def test_while_the_caller_is_on_the_line_a_hang_up_and_a_broken_stream_are_heard(state: State) -> None:
    """They are not the same (P6, P7)."""
    assert TABLE[state][CallerHungUp] == {State.ABANDONED}
    assert TABLE[state][StreamBroke] == {State.HELD}


def test_only_a_confirmed_answer_leads_to_a_connection() -> None:
    """An answer is a proposal (P4), in the table as in the rule; an earlier leg may have had one confirmed (P5)."""
    assert {edge for edge in EDGES if edge[2] is State.CONNECTED} == {
        (State.CONNECTING, PersonConnected, State.CONNECTED),
        (State.HELD, PersonConnected, State.CONNECTED),
        (State.HELD, Resumed, State.CONNECTED),
        (State.RESUMING, Resumed, State.CONNECTED),
        (State.RESUMING, TimePassed, State.CONNECTED),
        (State.ATTEMPTING, AttemptFailed, State.CONNECTED),
        (State.RINGING, AttemptFailed, State.CONNECTED),
    }
    assert [edge for edge in EDGES if edge[2] is State.CONNECTING] == [
        (State.PROPOSED, CallerConfirmed, State.CONNECTING)
    ]


def test_the_picture_in_the_papers_is_drawn_from_the_table() -> None:
    """Drawn anew when the table changes: `python -m services.domain.calls.diagram`."""
    text = PAPER.read_text()
    drawn = text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip()
    assert drawn == f"```mermaid\n{mermaid()}\n```", (
        "put the output of `python -m services.domain.calls.diagram` in its place"
    )


def test_the_picture_has_an_arrow_for_every_step_of_the_table() -> None:
    """What all states on the line share is drawn once, from their frame; final states end it."""
    arrows = [line.strip() for line in mermaid().splitlines() if " --> " in line]
    assert len(set(arrows)) == len(arrows)
    drawn = {tuple(arrow.partition(":")[0].split(" --> ")) for arrow in arrows}
    on_the_line = {state for state in State if CallerHungUp in TABLE[state]}
    shared = {State.HELD, State.ABANDONED, State.SUPERSEDED}
    steps = {("on_the_line" if a in on_the_line and b in shared else str(a), str(b)) for a, _, b in EDGES}
    ends = {(str(state), "[*]") for state in FINAL}
    assert drawn == steps | ends | {("[*]", "on_the_line"), ("[*]", "queued"), ("[*]", "resuming")}
