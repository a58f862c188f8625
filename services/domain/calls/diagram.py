"""The picture of a call, drawn from its table, so that it cannot say anything else than the machine does.

`python -m services.domain.calls.diagram` prints it as a Mermaid state diagram; docs/follow-a-call.md holds a copy, and
a test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from services.domain.calls.exchange import CallerHungUp, Input
from services.domain.calls.transitions import BEGINNINGS, FINAL, TABLE, State

BEGIN: Final = "<!-- drawn by: python -m services.domain.calls.diagram -->"
END: Final = "<!-- end of the drawing -->"
_INNER_CAPITAL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")

Row = Mapping[type[Input], frozenset[State]]


def mermaid(table: Mapping[State, Row] = TABLE) -> str:
    """The table as the text of a Mermaid `stateDiagram-v2`.

    An arrow carries the inputs that may lead along it, in words; what leaves a call where it stands has none. The
    states in which the caller is on the line stand in one frame, and what all of them share is drawn once, from there.
    """
    on_the_line = [state for state, row in table.items() if CallerHungUp in row]
    shared = frozenset.intersection(*(frozenset(_steps(table[state])) for state in on_the_line))
    inside: list[str] = []
    outside: list[str] = list(_arrows("on_the_line", shared))
    for state, row in table.items():
        steps = [step for step in _steps(row) if state not in on_the_line or step not in shared]
        inside += _arrows(state, [step for step in steps if state in on_the_line and step[1] in on_the_line])
        outside += _arrows(state, [step for step in steps if state not in on_the_line or step[1] not in on_the_line])
    return "\n".join(
        (
            "stateDiagram-v2",
            "    [*] --> on_the_line",
            '    state "the caller is on the line" as on_the_line {',
            *(f"        [*] --> {state}" for state in BEGINNINGS),
            *(f"        {arrow}" for arrow in inside),
            "    }",
            *(f"    {arrow}" for arrow in outside),
            *(f"    {state} --> [*]" for state in State if state in FINAL),
        )
    )


def _steps(row: Row) -> Iterator[tuple[type[Input], State]]:
    return ((happened, onward) for happened, states in row.items() for onward in states)


def _arrows(origin: str, steps: Iterable[tuple[type[Input], State]]) -> Iterator[str]:
    """One arrow for each state that the steps lead to, in the order of the states."""
    led = list(steps)
    for onward in State:
        words = sorted(_words(happened) for happened, state in led if state is onward)
        if words:
            yield f"{origin} --> {onward}: {', '.join(words)}"


def _words(happened: type[Input]) -> str:
    return _INNER_CAPITAL.sub(" ", happened.__name__).lower()


if __name__ == "__main__":
    print(f"{BEGIN}\n```mermaid\n{mermaid()}\n```\n{END}")
