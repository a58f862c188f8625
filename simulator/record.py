"""What simulations have shown: kept in a file so that a long run can be gone on with, and told in docs/reliability.md.

A line of the file is one schedule's result; the first line says what all of them have in common, and a file that says
something else is refused: results of two versions of the code do not add up.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from loadtest.bounds import upper_bound
from loadtest.measured_code import commit
from simulator.campaign import Result, Tally, Wanted
from simulator.checkers import Finding

ROOT: Final = Path(__file__).resolve().parents[1]
PAPER: Final = ROOT / "docs" / "reliability.md"
END: Final = "<!-- simulations: end -->"
"""Each long run adds its line before it."""


class OtherRun(Exception):
    """The file holds results of something else."""


def machine() -> str:
    """Its size, and what it runs."""
    bytes_ = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{os.cpu_count()} cores, {bytes_ / 2**30:.0f} GiB, Python {platform.python_version()}"


class Kept:
    """The results in one file. Raises OtherRun where they are another version's, or of other schedules."""

    def __init__(self, path: Path, wanted: Wanted, code: str = "") -> None:
        self._path = path
        head = {"commit": code or commit(), "calls": wanted.calls, "only": list(wanted.only)}
        if not path.exists() or not path.stat().st_size:
            if path.parent.parent.exists():
                path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(head) + "\n", encoding="utf-8")
        with path.open(encoding="utf-8") as file:
            try:
                found = json.loads(file.readline())
            except ValueError:
                raise OtherRun(f"{path} is no file of throughline simulate; give another") from None
        if found != head:
            raise OtherRun(
                f"{path} holds results of {_told(found)}, not of {_told(head)}; give another file, or remove it"
            )
        whole = path.read_bytes()
        os.truncate(path, whole.rfind(b"\n") + 1)  # a line that was cut short is written anew

    def add(self, result: Result) -> None:
        """One line more."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(_to_json(result), separators=(",", ":")) + "\n")

    def results(self) -> Iterator[Result]:
        """Those that are there."""
        for number, line in enumerate(self._path.read_text(encoding="utf-8").splitlines()[1:], start=2):
            try:
                yield _from_json(json.loads(line))
            except (ValueError, TypeError, KeyError):
                raise OtherRun(
                    f"{self._path}:{number} is no result; remove that line, and its schedule is run again"
                ) from None


def _told(head: Any) -> str:
    """What all results of a file have in common, in words."""
    try:
        only = "".join(f" --only {name}" for name in head["only"])
        return f"commit {head['commit']} with --calls {head['calls']}{only}"
    except (TypeError, KeyError):
        return "something else"


def _to_json(result: Result) -> dict[str, Any]:
    return {
        "seed": result.seed,
        "digest": result.digest,
        "findings": [[each.checker, each.call_id, each.words] for each in result.findings],
        "calls": result.calls,
        "accepted": result.accepted,
        "connected": result.connected,
        "injuries": list(result.injuries),
        "heard_of": list(result.heard_of),
        "cpu_s": round(result.cpu_s, 3),
    }


def _from_json(read: dict[str, Any]) -> Result:
    findings = tuple(Finding(*each) for each in read["findings"])
    kinds = {name: tuple(read[name]) for name in ("injuries", "heard_of")}
    return Result(**{**read, **kinds, "findings": findings})


def row(tally: Tally, seeds: range, wanted: Wanted) -> str:
    """One run, as a line of the paper's table."""
    day = datetime.now(UTC).date().isoformat()
    only = f", only {' '.join(wanted.only)}" if wanted.only else ""
    found = f"{len(tally.found)}: seeds {', '.join(map(str, tally.found[:8]))}" if tally.found else "nothing"
    bound = "" if tally.found else f"{upper_bound(0, tally.accepted):.1e}"
    return (
        f"| {day} | {commit()} | {seeds[0]} to {seeds[-1]}{only} | {tally.calls:,} | {tally.accepted:,} | "
        f"{sum(tally.injuries.values()):,} | {machine()} | {found} | {bound} |"
    )


def append(tally: Tally, seeds: range, wanted: Wanted, paper: Path = PAPER) -> None:
    """Adds the line of a run to the paper, below those that are there; a run that is there already is not added."""
    before, mark, after = paper.read_text(encoding="utf-8").partition(END)
    assert mark, f"expected {END} in {paper}"
    line = row(tally, seeds, wanted)
    kept = [each for each in before.splitlines(keepends=True) if not _same_run(each, line)]
    paper.write_text(f"{''.join(kept)}{line}\n{mark}{after}", encoding="utf-8")


def _same_run(one: str, other: str) -> bool:
    """The same seeds of the same commit: told once, however often the command is given."""
    return one.startswith("|") and one.split("|")[2:4] == other.split("|")[2:4]
