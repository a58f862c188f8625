"""What the readers print: the table of the books, and a call's story."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from services.domain.books import Columns, Finding
from services.domain.events import Fact
from services.domain.fold import Outcome, fold
from services.readers.balance import Balance
from services.readers.wording import clock, duration, plain, told

_OUTCOMES = {
    Outcome.ANSWERED: "answered by a PSAP",
    Outcome.DIVERTED: "answered at a line",
    Outcome.CALLBACK_OPEN: "callback open",
    Outcome.CALLBACK_CLOSED: "callback closed",
    Outcome.IN_PROGRESS: "in progress",
}


def balance_page(result: Balance) -> RenderableType:
    """The books as a table, and under it what is wrong with them."""
    parts: list[RenderableType] = [_sums(result)]
    if result.windows:
        parts.append(_windows(result))
    parts += [Text(remark) for remark in _remarks(result)]
    parts.append(_verdict(result))
    return Group(*parts)


def story_page(facts: Sequence[Fact], show_numbers: bool) -> RenderableType:
    """One call, fact by fact, and what they come to."""
    table = Table("time", "after", "leg", "fact", "writer", box=None, pad_edge=False, header_style="bold")
    first_ms = facts[0].at_ms
    for fact in facts:
        table.add_row(
            clock(fact.at_ms),
            Text(duration(fact.at_ms - first_ms), justify="right"),
            str(fact.leg),
            Text(told(fact, show_numbers)),
            Text(plain(fact.writer)),
        )
    story = fold(facts)
    ending = Text.assemble(
        f"call {plain(story.call_id)}{' (test)' if story.test else ''}: ", (_OUTCOMES[story.outcome], "bold")
    )
    if story.connected_twice:
        ending.append(", connected twice", "bold red")
    return Group(table, ending)


def _sums(result: Balance) -> Table:
    table = Table("", "calls", "tests", box=None, pad_edge=False, header_style="bold")
    table.columns[1].justify = table.columns[2].justify = "right"

    def row(name: str, of: Callable[[Columns], object], style: str = "") -> None:
        table.add_row(name, str(of(result.books.real)), str(of(result.books.tests)), style=style)

    row("offered", lambda columns: columns.offered, "bold")
    for outcome, name in _OUTCOMES.items():
        row(f"  {name}", lambda columns, outcome=outcome: columns.outcomes[outcome])  # type: ignore[misc]
    row("at risk when accepted", lambda columns: columns.at_risk)
    row("not durable when accepted", lambda columns: columns.not_durable)
    row("connected twice", lambda columns: columns.connected_twice.count)
    row("never offered", lambda columns: columns.never_offered.count)
    for name, delays in (("ringing", lambda c: c.reached), ("an answer", lambda c: c.answered)):
        row(f"to {name}: median", lambda c, delays=delays: duration(delays(c).median))  # type: ignore[misc]
        row(f"to {name}: 90 %", lambda c, delays=delays: duration(delays(c).at(0.9)))  # type: ignore[misc]
        row(f"to {name}: worst", lambda c, delays=delays: duration(delays(c).worst))  # type: ignore[misc]
    return table


def _windows(result: Balance) -> Table:
    """One row a window, real calls and tests together; delays are those of whichever are more."""
    names = ("offered", "PSAP", "line", "open", "closed", "going on", "ringing", "worst", "answer", "worst")
    table = Table("from", *names, box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for from_ms, each in result.windows.items():
        both = (each.real, each.tests)
        main = max(both, key=lambda columns: columns.calls)
        table.add_row(
            clock(from_ms)[:-4],
            str(sum(columns.offered for columns in both)),
            *(str(sum(columns.outcomes[outcome] for columns in both)) for outcome in _OUTCOMES),
            duration(main.reached.median),
            duration(main.reached.worst),
            duration(main.answered.median),
            duration(main.answered.worst),
        )
    return table


def _remarks(result: Balance) -> list[str]:
    remarks = []
    if result.overdue.count:
        remarks.append(f"overdue: {_named(result.overdue)} in progress owed a fact before now; is a conductor gone?")
    if result.begun_before:
        remarks.append(f"{result.begun_before} calls began before what was read; they are in no sum")
    if result.unreadable:
        remarks.append(f"{result.unreadable} of {result.records} records are no facts")
    for columns in (result.books.real, result.books.tests):
        if columns.leg_conflicts.count:
            remarks.append(f"two processes took one leg: {_named(columns.leg_conflicts)}")
        if columns.connected_twice.count:
            remarks.append(f"connected twice: {_named(columns.connected_twice)}")
        if columns.never_offered.count:
            remarks.append(f"ended and never offered: {_named(columns.never_offered)}")
    return remarks


def _verdict(result: Balance) -> Text:
    if result.books.sound:
        return Text("the books balance", "bold green")
    return Text("THE BOOKS DO NOT BALANCE" if _unbalanced(result) else "A CALL WAS CONNECTED TWICE", "bold red")


def _unbalanced(result: Balance) -> bool:
    return not (result.books.real.balanced and result.books.tests.balanced)


def _named(finding: Finding) -> str:
    names = ", ".join(plain(call_id) for call_id in finding.call_ids)
    return f"{finding.count} ({names}{', ...' if finding.count > len(finding.call_ids) else ''})"
