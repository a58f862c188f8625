"""The story of one call: what its caller, the far end and the journal say, and what was hurt meanwhile, line by line.

    seconds  who                what

Seconds are the schedule's. A fact stands where it landed on the log, by the broker's clock, which no injury moves; its
writer's own instant is told where it is another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.domain.events import Fact
from services.wire import facts
from simulator.run import Observed, seconds_of

BEFORE_S: Final = 5.0
"""What was hurt so long before the call began is told too."""
OTHERWISE_S: Final = 0.1
"""From here on a fact's own instant and its landing are two."""
_UNTOLD: Final = frozenset({"witness", "event", "at_ms", "call_id", "after_ms", "lag_ms", "town", "line", "psap_id"})


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened. Within one instant, they are told in the order of their causes."""

    at_s: float
    rank: int
    who: str
    what: str


_HURT, _CALLER, _FAR_END, _JOURNAL = range(4)


def tell(seen: Observed, call_id: str) -> list[str]:
    """Aligned, by time; nothing where nobody knows of the call."""
    lines = [*_of_caller(seen, call_id), *_of_far_end(seen, call_id), *_of_journal(seen, call_id)]
    if not lines:
        return []
    began_s, ended_s = min(line.at_s for line in lines), max(line.at_s for line in lines)
    lines += _of_injuries(seen, began_s - BEFORE_S, ended_s)
    lines.sort(key=lambda line: (line.at_s, line.rank))
    wide = max(len(line.who) for line in lines)
    return [f"{line.at_s:9.3f} s  {line.who:<{wide}}  {line.what}" for line in lines]


def _of_caller(seen: Observed, call_id: str) -> Iterator[Line]:
    for entry in seen.callers:
        if entry.get("call_id") == call_id:
            what = f"{entry['event']}{_more(entry)}"
            yield Line(seconds_of(seen, entry["at_ms"]), _CALLER, f"caller, leg {entry['leg']}", what)


def _of_far_end(seen: Observed, call_id: str) -> Iterator[Line]:
    for entry in seen.far_end:
        if entry.get("call_id") == call_id:
            at_s = seconds_of(seen, entry["at_ms"])
            yield Line(at_s, _FAR_END, _place(entry), f"{entry['event']}{_more(entry)}")


def _of_journal(seen: Observed, call_id: str) -> Iterator[Line]:
    known: set[tuple[str, int, int, str]] = set()
    for record in seen.records:
        fact = facts.fact_in(record.value) if record.key == call_id else None
        if fact is None:
            continue
        again = " (again)" if fact.identity in known else ""
        known.add(fact.identity)
        at_s = seconds_of(seen, record.log_ms)
        yield Line(at_s, _JOURNAL, f"journal, {fact.writer.partition('/')[0]}", _said(seen, fact, at_s) + again)


def _said(seen: Observed, fact: Fact, landed_s: float) -> str:
    where = fact.where
    parts = (
        f"{fact.kind} {fact.leg}.{fact.seq}",
        fact.reason,
        fact.attempt,
        "" if where is None else f"at {where.psap_id}" + (f" line {where.line}" if where.line else ""),
    )
    own_s = seconds_of(seen, fact.at_ms)
    otherwise = f"[{own_s:.3f} s by its writer]" if abs(own_s - landed_s) >= OTHERWISE_S else ""
    return " ".join(part for part in (*parts, otherwise) if part)


def _of_injuries(seen: Observed, from_s: float, to_s: float) -> Iterator[Line]:
    for injury in seen.schedule.injuries:
        heals_s = injury.at_s + injury.lasts_s
        if injury.at_s > to_s or heals_s < from_s:
            continue
        yield Line(injury.at_s, _HURT, "hurt", injury.what)
        yield Line(heals_s, _HURT, "healed", injury.whom)


def _place(entry: Mapping[str, Any]) -> str:
    line = entry.get("line", "")
    return f"line {line}" if line else entry.get("psap_id", "")


def _more(entry: Mapping[str, Any]) -> str:
    """What else an entry says, in the order in which it was written down."""
    place = _place(entry) if entry["witness"] == "caller" else ""
    told = [f" at {place}"] if place else []
    return "".join([*told, *(f" {key}={value}" for key, value in entry.items() if key not in _UNTOLD | {"leg"})])
