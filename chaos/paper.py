"""Adds up the rounds of all runs, and writes them into docs/reliability.md, section "Real processes".

Only what stands between the two marks is written; what a person wrote around it stays.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from chaos.bounds import upper_bound
from chaos.felt import Delay
from chaos.schedule import BESIDE_KINDS, Kind
from services.host.settings import ROOT

PAPER: Final = ROOT / "docs" / "reliability.md"
BEGIN: Final = "<!-- real processes: begin -->\n"
END: Final = "<!-- real processes: end -->\n"
LASTS: Final = re.compile(r" for (\d+) s")
Row = Mapping[str, Any]


def section(rows: Sequence[Row]) -> str:
    """All of it, from the rounds of all runs."""
    return "".join(["\n", *_totals(rows), "\n", *_kills(rows), "\n", *_kinds(rows), "\n", *_runs(rows), "\n"])


def rewritten(paper: str, rows: Sequence[Row]) -> str:
    """The paper with the section as these rounds have it. Raises ValueError where it has no marks."""
    before, begin, rest = paper.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"expected the lines {BEGIN.strip()} and {END.strip()}")
    return "".join([before, BEGIN, section(rows), END, after])


def _totals(rows: Sequence[Row]) -> Iterator[str]:
    accepted, connected = _sum(rows, "accepted"), _sum(rows, "connected")
    pauses = [row for row in rows if row["kind"] == Kind.PAUSE]
    yield "| what must not be | seen | among | at most, with 95 % |\n|---|---|---|---|\n"
    yield _zero("an accepted call is lost", _found(rows, "lost"), accepted, "accepted calls")
    yield _zero("a call is connected twice", _found(rows, "twice"), connected, "connected calls")
    yield _zero("a call-taker finds nobody on the line", _found(rows, "unheard"), connected, "connected calls")
    yield _zero("the witnesses disagree about a call", _found(rows, "disagreements"), accepted, "accepted calls")
    yield _zero(
        "a paused process wakes and connects", _found(rows, "woken"), _sum(pauses, "accepted"), "accepted calls"
    )


def _zero(what: str, seen: int, tries: int, of: str) -> str:
    return f"| {what} | {seen} | {tries:,} {of} | {_share(seen, tries)} |\n"


def _share(seen: int, tries: int) -> str:
    return f"{upper_bound(min(seen, tries), tries):.2g}" if tries else "nothing is known"


def _kills(rows: Sequence[Row]) -> Iterator[str]:
    yield "| killed with `kill -9` | times | calls of those rounds | lost | twice | lost at most, with 95 % |\n"
    yield "|---|---|---|---|---|---|\n"
    services = sorted({service for row in rows for service in row["kills"]})
    for service in services:
        there = [row for row in rows if row["kills"].get(service)]
        times = sum(row["kills"][service] for row in there)
        calls, lost, twice = _sum(there, "accepted"), _found(there, "lost"), _found(there, "twice")
        yield f"| {service} | {times:,} | {calls:,} | {lost} | {twice} | {_share(lost, calls)} |\n"


def _kinds(rows: Sequence[Row]) -> Iterator[str]:
    columns = ["what was done", "rounds", "accepted", "lost", "twice", "other findings", "hit", "rang again"]
    columns += ["median, ms", "p99, ms", "worst, ms"]
    yield f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    by_what: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_what[_what(row)].append(row)
    for what, there in sorted(by_what.items()):
        others = sum(len(row["disagreements"]) + len(row["woken"]) + len(row["troubles"]) for row in there)
        hit = [ms for row in there for ms in row["hit_ms"]]
        felt = Delay.of(hit) if hit else None
        delays = f"{felt.median_ms:.0f} | {felt.p99_ms:.0f} | {felt.worst_ms:.0f}" if felt else "- | - | -"
        counts = f"{_played(there)} | {_sum(there, 'accepted'):,} | {_found(there, 'lost')} | {_found(there, 'twice')}"
        yield f"| {what} | {counts} | {others} | {len(hit):,} | {_sum(there, 'rang'):,} | {delays} |\n"
    back = [row["backfilled_s"] for row in rows if row["backfilled_s"] is not None]
    if back:
        yield (
            f"\nKafka came back {len(back)} times; the slowest back-fill took {max(back):.1f} s from its return until "
            f"nobody had anything to fill in. {_sum(rows, 'copies'):,} records said again what another had said (an "
            "append of which nobody knew): readers drop them.\n"
        )


def _runs(rows: Sequence[Row]) -> Iterator[str]:
    yield "| command | times | commit | rounds | calls a second | machine |\n|---|---|---|---|---|---|\n"
    by_command: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        by_command[row["command"], row["commit"]].append(row)
    for (command, commit), there in sorted(by_command.items()):
        runs = len({row["run"] for row in there})
        rates = ", ".join(sorted({str(row["rate"]) for row in there}))
        machines = ", ".join(sorted({f"{row['cores']} cores, {row['memory_gb']} GB" for row in there}))
        yield f"| `{command}` | {runs} | {commit} | {_played(there)} | {rates} | {machines} |\n"
    days = sorted({row["run"][:10] for row in rows})
    yield f"\nMeasured {days[0]} to {days[-1]}.\n" if days else "\nNothing is measured yet.\n"


def _what(row: Row) -> str:
    """Its kind; with how long it lasted, where that is chosen by a person."""
    lasts = LASTS.search(row["strikes"][0])
    beside = " and a kill beside" if row["kills"] and row["kind"] in BESIDE_KINDS and len(row["strikes"]) > 1 else ""
    chosen = row["kind"] in (Kind.KAFKA_GONE, Kind.PAUSE, Kind.BROKER_PAUSE) and lasts
    return f"{row['kind']}, {lasts[1]} s{beside}" if chosen and lasts else f"{row['kind']}{beside}"


def _played(rows: Iterable[Row]) -> int:
    """How many rounds: what was found late has a line without calls."""
    return sum(bool(row["calls"]) for row in rows)


def _sum(rows: Iterable[Row], key: str) -> int:
    return sum(row[key] for row in rows)


def _found(rows: Iterable[Row], key: str) -> int:
    """How many calls; one found twice in a round counts once."""
    return sum(len(Counter(row[key])) for row in rows)


def write(rows: Sequence[Row], paper: Path = PAPER) -> None:
    """Writes the section into the paper."""
    paper.write_text(rewritten(paper.read_text("utf-8"), rows), "utf-8")
