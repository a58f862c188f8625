"""What runs came to: one JSON line a round in build/chaos/runs.jsonl, appended as soon as the round is judged.

So an interrupted run loses the rounds that it had not judged, and nothing else, and many short runs add up to a long
one (paper.py). A line names all that a reader needs to repeat it: seed, commit, command.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from loadtest.measured_code import commit
from services.host.settings import ROOT

RUNS: Final = ROOT / "build" / "chaos" / "runs.jsonl"


@dataclass(frozen=True, slots=True)
class Setting:
    """What holds for all rounds of a run."""

    run: str
    """When it began, in UTC, and its process: names the run."""
    command: str
    seed: int
    minutes: float
    rate: int
    commit: str
    cores: int
    memory_gb: int

    @classmethod
    def here(cls, command: str, seed: int, minutes: float, rate: int) -> Setting:
        """On this machine, now, at this commit."""
        memory_gb = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
        began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        run = f"{began}-{os.getpid()}"
        return cls(run, command, seed, minutes, rate, commit(), os.cpu_count() or 1, memory_gb)


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """One judged round. Call ids where something is wrong. Delays are milliseconds to the next ringing, or to the
    caller's leaving; None where neither came."""

    number: int
    kind: str
    strikes: list[str]
    skipped: list[str]
    """What could not be done here, and why."""
    kills: Mapping[str, int]
    """By service; `broker` too."""
    calls: int
    accepted: int
    connected: int
    never_accepted: int
    lost: list[str]
    twice: list[str]
    unheard: list[str]
    """Told apart from `twice`, and no finding: see checker.py."""
    woken: list[str]
    patient: int
    """Accepted calls whose callers would stay on the line through three rings (patience.py)."""
    in_vain: list[str]
    """Of these, who reached nobody."""
    for_nothing: list[str]
    """Of `in_vain`, whose PSAP and whose way to it nobody hurt: a finding."""
    disagreements: list[str]
    ledger: list[str]
    """Where the ledger's tables do not say what the journal does (tables.py)."""
    tabled: int
    """How many calls its tables had."""
    listed: int
    """How many of these were on its callback list when the round was judged."""
    durability: Mapping[str, int]
    """How the first legs were accepted: calls by word."""
    hands: list[Mapping[str, Any]]
    """Of each strike: its `kind`, the `service` that it hurt, and the `calls` that stood with the victim (hands.py)."""
    hit_ms: list[int | None]
    """Of calls in a victim's hands, since the strike, those apart that were connected without ringing again."""
    rang: int
    """How many of `hit_ms` rang; the others had left before, or (None) neither came."""
    went_on: int
    """In a victim's hands, and connected without ringing again."""
    meanwhile_ms: list[int | None]
    """Of those who called while something was wrong, since their offer."""
    copies: int
    backfilled_s: float | None = None
    """From Kafka's return until nobody had anything to fill in."""
    troubles: list[str] = field(default_factory=list)
    """Processes that ended by themselves, and what else should not be."""
    load: float = 0.0

    @property
    def sound(self) -> bool:
        return not self.findings()

    def others(self) -> tuple[list[str], ...]:
        """Findings that are neither lost calls nor such as were connected twice."""
        return self.woken, self.for_nothing, self.disagreements, self.ledger, self.troubles

    def findings(self) -> list[str]:
        """What should not be, in a line each."""
        return [
            *(f"{call_id}: lost" for call_id in self.lost),
            *(f"{call_id}: connected twice" for call_id in self.twice),
            *(f"{call_id}: connected by a process that woke" for call_id in self.woken),
            *(f"{call_id}: waited, and reached nobody" for call_id in self.for_nothing),
            *self.disagreements,
            *(f"the ledger's tables: {words}" for words in self.ledger),
            *self.troubles,
        ]


@dataclass(slots=True)
class Totals:
    """What was judged so far."""

    rounds: int = 0
    calls: int = 0
    accepted: int = 0
    lost: int = 0
    twice: int = 0
    troubles: int = 0

    def add(self, told: RoundRecord) -> None:
        self.rounds += 1
        self.calls += told.calls
        self.accepted += told.accepted
        self.lost += len(told.lost)
        self.twice += len(told.twice)
        self.troubles += sum(map(len, told.others()))

    @property
    def sound(self) -> bool:
        return not (self.lost or self.twice or self.troubles)

    def __str__(self) -> str:
        return (
            f"{self.calls} calls judged, {self.accepted} accepted, {self.lost} lost, {self.twice} twice, "
            f"{self.troubles} other findings"
        )


def append(setting: Setting, told: RoundRecord, path: Path = RUNS) -> None:
    """Adds one round."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({**asdict(setting), **asdict(told)}, separators=(",", ":"))
    with path.open("a") as file:
        file.write(line + "\n")


def read(path: Path = RUNS) -> Iterator[Mapping[str, Any]]:
    """Every round of every run. A last line that was cut short is left out."""
    if path.exists():
        yield from (json.loads(line) for line in path.read_text().split("\n")[:-1])
