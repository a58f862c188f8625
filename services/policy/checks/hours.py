"""Rules that share out the week: which hours a set of them leaves out, and which it covers twice.

A set are rules that say the same but for hour and weekday, and have the same kind of verdict. Whoever writes "at night"
and "by day" as two rules means all hours, each once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.policy.bundle import Rule
from services.policy.language import plain, printing
from services.policy.language.tree import Junction, Node, Word, attributes_of

_TIME: Final = frozenset({"hour", "weekday"})
SETS_MAX: Final = 50
RULES_MAX: Final = 24
"""Of one set; a larger one is looked at no further."""
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
Hour = tuple[int, int]
"""A weekday from 1, and an hour of it."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A set of rules, by id, and what is odd about its hours."""

    rules: tuple[Rule, ...]
    left_out: tuple[Hour, ...]
    twice: tuple[Hour, ...]


def shared(rules: Sequence[tuple[Rule, Node]]) -> list[Shared]:
    """Every set of two rules or more that leaves hours out or covers some twice."""
    sets: dict[tuple[str, str], list[tuple[Rule, Node]]] = {}
    for rule, tree in rules:
        split = _split(tree)
        if split is not None:
            when, others = split
            sets.setdefault((type(rule.verdict).__name__, others), []).append((rule, when))
    found = []
    for members in list(sets.values())[:SETS_MAX]:
        if not 2 <= len(members) <= RULES_MAX:
            continue
        times: dict[Hour, int] = {(day, hour): 0 for day in range(1, 8) for hour in range(24)}
        for _, when in members:
            for day, hour in times:
                times[day, hour] += _holds(when, day, hour)
        left_out = tuple(each for each, count in times.items() if count == 0)
        twice = tuple(each for each, count in times.items() if count > 1)
        if left_out or twice:
            found.append(Shared(tuple(rule for rule, _ in members), left_out, twice))
    return found


def _split(tree: Node) -> tuple[Node, str] | None:
    """The part about time and the text of the rest; None where there is no such part, or it is not apart."""
    parts = tree.parts if isinstance(tree, Junction) and tree.word is Word.AND else (tree,)
    of_time = tuple(part for part in parts if attributes_of(part) and attributes_of(part) <= _TIME)
    others = [part for part in parts if part not in of_time]
    if not of_time or any(attributes_of(part) & {"hour", "weekday", "minute"} for part in others):
        return None
    when = of_time[0] if len(of_time) == 1 else Junction(Word.AND, of_time, tree.at)
    return when, " && ".join(sorted(map(printing.text, others)))


def _holds(when: Node, weekday: int, hour: int) -> bool:
    try:
        return plain.holds(when, {"weekday": weekday, "hour": hour}, {})
    except (ArithmeticError, TypeError):
        return False


def told(hours: Sequence[Hour]) -> str:
    """For people: `every day 6:00-7:00, Sat 12:00-14:00`; no more than a few."""
    by_day: dict[int, list[int]] = {}
    for day, hour in hours:
        by_day.setdefault(day, []).append(hour)
    spans: dict[str, list[int]] = {}
    for day, each in sorted(by_day.items()):
        spans.setdefault(", ".join(_runs(sorted(each))), []).append(day)
    words = [
        f"{'every day' if len(days) == len(_DAYS) else '/'.join(_DAYS[day - 1] for day in days)} {span}"
        for span, days in spans.items()
    ]
    return "; ".join(words[:4]) + ("; ..." if len(words) > 4 else "")


def _runs(hours: list[int]) -> list[str]:
    runs: list[list[int]] = []
    for hour in hours:
        if runs and runs[-1][1] == hour:
            runs[-1][1] = hour + 1
        else:
            runs.append([hour, hour + 1])
    return [f"{first}:00-{last}:00" for first, last in runs]
