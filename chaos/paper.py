"""Adds up the rounds of all runs, and writes them into docs/reliability.md, section "Real processes".

Only what stands between the two marks is written; what a person wrote around it stays.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from chaos.felt import Delay
from chaos.hands import BROKER
from chaos.schedule import BESIDE_KINDS, Kind
from loadtest.bounds import upper_bound
from loadtest.measured_code import is_committed
from services.host.settings import ROOT

PAPER: Final = ROOT / "docs" / "reliability.md"
BEGIN: Final = "<!-- real processes: begin -->\n"
END: Final = "<!-- real processes: end -->\n"
SLEEPERS: Final = frozenset((Kind.PAUSE, service) for service in ("ingress", "psap_gateway", "failover"))
"""Whoever may connect a caller, or bring the word to do it, stands still."""
LEDGER: Final = "ledger"
LASTS: Final = re.compile(r" for (\d+) s")
COLUMNS: Final = (
    *("what was done", "rounds", "accepted", "connected", "lost", "twice", "other findings"),
    *("patient", "reached nobody"),
    *("in its hands", "went on", "rang again", "median, ms", "p99, ms", "worst, ms"),
    *("called meanwhile", "median, ms", "p99, ms", "worst, ms"),
)
"""Of the table of kinds."""
OTHERS: Final = ("woken", "for_nothing", "disagreements", "ledger", "troubles")
"""Findings that are neither lost calls nor such as were connected twice."""
Row = Mapping[str, Any]
"""One of an older commit may lack what is looked at since."""


def section(rows: Sequence[Row]) -> str:
    """All of it, from the rounds of all runs."""
    return "".join(["\n", *_totals(rows), "\n", *_kills(rows), "\n", *_kinds(rows), "\n", *_runs(rows), "\n"])


def of_one_version(rows: Sequence[Row], commit: str = "") -> list[Row]:
    """The rounds that add up: those of this commit, or of the one that was run last. What was run with changed files is
    nobody's commit, and is never added."""
    known = [row for row in rows if is_committed(row["commit"])]
    wanted = commit or max(known, key=lambda row: row["run"], default={"commit": ""})["commit"]
    return [row for row in known if row["commit"] == wanted]


def rewritten(paper: str, rows: Sequence[Row]) -> str:
    """The paper with the section as these rounds have it. Raises ValueError where it has no marks."""
    before, begin, rest = paper.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"expected the lines {BEGIN.strip()} and {END.strip()}")
    return "".join([before, BEGIN, section(rows), END, after])


def _totals(rows: Sequence[Row]) -> Iterator[str]:
    accepted, connected = _sum(rows, "accepted"), _sum(rows, "connected")
    slept = sum(len(each["calls"]) for each in _hands(rows) if (each["kind"], each["service"]) in SLEEPERS)
    yield "| what must not be | seen | among | at most, with 95 % |\n|---|---|---|---|\n"
    yield _zero("an accepted call is lost", _found(rows, "lost"), accepted, "accepted calls")
    patient = _sum(rows, "patient")
    yield _zero("a patient caller waits and reaches nobody", _found(rows, "in_vain"), patient, "of them, accepted")
    yield _zero("the same, and no PSAP or network accounts for it", _found(rows, "for_nothing"), patient, "of them")
    yield _zero("a call is connected twice", _found(rows, "twice"), connected, "connected calls")
    yield _zero("a call-taker finds nobody on the line", _found(rows, "unheard"), connected, "connected calls")
    yield _zero("the witnesses disagree about a call", _found(rows, "disagreements"), accepted, "accepted calls")
    yield _zero(
        "the ledger's tables differ from the journal", _found(rows, "ledger"), _sum(rows, "tabled"), "calls in them"
    )
    yield _zero("a paused process wakes and connects", _found(rows, "woken"), slept, "calls in its hands")


def _zero(what: str, seen: int, tries: int, of: str) -> str:
    return f"| {what} | {seen} | {tries:,} {of} | {_share(seen, tries)} |\n"


def _share(seen: int, tries: int) -> str:
    return f"{upper_bound(min(seen, tries), tries):.2g}" if tries else "nothing is known"


def _kills(rows: Sequence[Row]) -> Iterator[str]:
    """A zero stands among the calls that the victim had in its hands, and no others: they are what a kill puts at
    risk."""
    yield "| killed with `kill -9` | times | calls in its hands | lost | twice | lost at most, with 95 % |\n"
    yield "|---|---|---|---|---|---|\n"
    for service in sorted({service for row in rows for service in row["kills"]} - {BROKER}):
        yield _killed(service, service, rows, {Kind.KILL})
    for kind in sorted({row["kind"] for row in rows if row["kills"].get(BROKER)}):
        yield _killed(BROKER, f"{BROKER}, by {kind}", [row for row in rows if row["kind"] == kind], {kind})


def _killed(service: str, what: str, rows: Sequence[Row], kinds: Collection[str]) -> str:
    times = sum(row["kills"].get(service, 0) for row in rows)
    at_risk, found = 0, {"lost": 0, "twice": 0}
    for row in rows:
        there = {
            call_id
            for each in row["hands"]
            if each["service"] == service and each["kind"] in kinds
            for call_id in each["calls"]
        }
        at_risk += len(there) if row["calls"] else 0  # what was found late has a line of its own, and is no other call
        for key in found:
            found[key] += len(there.intersection(row[key]))
    counts = f"{at_risk:,} | {found['lost']} | {found['twice']} | {_share(found['lost'], at_risk)}"
    none = f"none{_compared(rows) if service == LEDGER else ''} | - | - | -"
    return f"| {what} | {times:,} | {counts if at_risk else none} |\n"


def _compared(rows: Iterable[Row]) -> str:
    """What is looked at of a ledger, which stands on no call's way: its tables, after the rounds that killed it."""
    there = [row for row in rows if row["kills"].get(LEDGER)]
    of_list = f"{_sum(there, 'listed'):,} on its list"
    return f"; of {_sum(there, 'tabled'):,} in its tables, {of_list}, {_found(there, 'ledger')} differ"


def _hands(rows: Iterable[Row]) -> Iterator[Mapping[str, Any]]:
    """Of each strike, once."""
    for row in rows:
        if row["calls"]:
            yield from row["hands"]


def _kinds(rows: Sequence[Row]) -> Iterator[str]:
    yield f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"
    by_what: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_what[_what(row)].append(row)
    for what, there in sorted(by_what.items()):
        others = sum(len(row.get(key, ())) for row in there for key in OTHERS)
        hit = [ms for row in there for ms in row["hit_ms"]]
        meanwhile = [ms for row in there for ms in row["meanwhile_ms"]]
        went_on = _sum(there, "went_on")
        answered = f"{_sum(there, 'accepted'):,} | {_sum(there, 'connected'):,}"
        counts = f"{_played(there)} | {answered} | {_found(there, 'lost')} | {_found(there, 'twice')}"
        felt = f"{len(hit) + went_on:,} | {went_on:,} | {_sum(there, 'rang'):,} | {_delays(hit)}"
        waits = f"{_sum(there, 'patient'):,} | {_found(there, 'in_vain')}"
        yield f"| {what} | {counts} | {others} | {waits} | {felt} | {len(meanwhile):,} | {_delays(meanwhile)} |\n"
    back = [row["backfilled_s"] for row in rows if row["backfilled_s"] is not None]
    if back:
        yield (
            f"\nKafka came back {len(back)} times; the slowest back-fill took {max(back):.1f} s from its return until "
            f"nobody had anything to fill in. {_sum(rows, 'copies'):,} records said again what another had said (an "
            "append of which nobody knew): readers drop them.\n"
        )


def _delays(delays_ms: Sequence[int | None]) -> str:
    """Middle, 99th of a hundred, worst; who neither rang nor left waited for ever."""
    if not delays_ms:
        return "- | - | -"
    felt = Delay.of(math.inf if ms is None else ms for ms in delays_ms)
    return " | ".join(
        f"{ms:.0f}" if ms < math.inf else "for ever" for ms in (felt.median_ms, felt.p99_ms, felt.worst_ms)
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
    return sum(row.get(key, 0) for row in rows)


def _found(rows: Iterable[Row], key: str) -> int:
    """How many calls; one found twice in a round counts once."""
    return sum(len(Counter(row.get(key, ()))) for row in rows)


def write(rows: Sequence[Row], paper: Path = PAPER) -> None:
    """Writes the section into the paper."""
    paper.write_text(rewritten(paper.read_text("utf-8"), rows), "utf-8")
