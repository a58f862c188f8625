"""When a round is judged: the ledger is waited for as the witnesses are, as long, and looked at again in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from chaos.bursts import Burst
from chaos.record import Setting, read
from chaos.run import LOOKS_EVERY_S, SETTLES_WITHIN_S, Played, Run
from chaos.schedule import Kind, Round, Strike
from chaos.stage import Stage
from chaos.strikes import Striker
from chaos.tables import Compared
from chaos.witnesses import Accounts, Entry
from simulator.virtual_loop import run_virtual

BEHIND = Compared(1, 0, ("round1-0001: the journal has it answered, the ledger's tables nowhere",))
WELL = Compared(1, 0, ())
ROUND = Round(1, Kind.KILL, 0.0, 10.0, (Strike(Kind.KILL, 2.0, 0.0, "ledger-1"),))
WHERE: Mapping[str, Any] = {"attempt": "round1-0001/1/1", "psap_id": "P", "line": ""}


def entries(*events: str, **more: Any) -> list[Entry]:
    return [{"event": event, "call_id": "round1-0001", "leg": 1, "at_ms": at_ms, "after_ms": at_ms, **more}
            for at_ms, event in enumerate(events)]  # fmt: skip


CALLERS = entries(
    "offered", "accepted", "ringing", "confirmed", "connected", ingress="one", durability="durable", **WHERE
)
FAR_END = entries("offered", "ringing", "answered", "connected", **WHERE)
JOURNAL: list[Entry] = [
    *({"event": "fact", "call_id": "round1-0001", "leg": 1, "seq": seq, "writer": "w", "kind": kind, "at_ms": seq,
       "reason": "", **WHERE} for seq, kind in enumerate(("offered", "ringing", "answered"))),
    {"event": "outcome", "call_id": "round1-0001", "outcome": "answered"},
]  # fmt: skip


class Told:
    """Accounts of one call that is well, and a ledger that says these things, one a look; the last for ever."""

    def __init__(self, tables: Sequence[Compared], sums: Sequence[str] = ()) -> None:
        self.journal = SimpleNamespace(unreadable=lambda burst: 0, copies=lambda burst: 0)
        self.looks = 0
        self._tables = list(tables)
        self._sums = list(sums)

    def of(self, burst: str, callers: Path) -> tuple[list[Entry], list[Entry], list[Entry]]:
        return CALLERS, FAR_END, JOURNAL

    async def tables(self, burst: str) -> Compared:
        self.looks += 1
        return self._tables.pop(0) if len(self._tables) > 1 else self._tables[0]

    async def sums(self) -> list[str]:
        return list(self._sums)


def settled(tmp_path: Path, told: Told) -> tuple[float, list[Mapping[str, Any]], bool]:
    """How long one round and the end of its run took to be judged, what is on record, and whether all was sound."""

    async def all_of_it() -> tuple[float, bool]:
        kafka_up = asyncio.Event()
        kafka_up.set()
        stage = SimpleNamespace(region=SimpleNamespace(psap_of_town={}))
        striker = SimpleNamespace(stood=[], killed={}, kafka_up=kafka_up)
        setting = Setting("now", "throughline chaos run", 1, 1.0, 1, "abc", 2, 24)
        accounts = cast(Accounts, told)
        run = Run(
            setting, cast(Stage, stage), cast(Striker, striker), accounts, lambda _: None, tmp_path / "runs.jsonl"
        )

        async def finished(within_s: float) -> None:
            """The last caller is done already."""

        burst = SimpleNamespace(run="round1", diary=tmp_path, seed=1001, finished=finished)
        began = asyncio.get_running_loop().time()
        await run._settle(ROUND, cast(Burst, burst), Played(kills={"ledger": 1}))
        await run._judge_again()
        return asyncio.get_running_loop().time() - began, run.totals.sound

    took_s, sound = run_virtual(all_of_it())
    return took_s, list(read(tmp_path / "runs.jsonl")), sound


def test_a_ledger_that_agrees_is_looked_at_once_and_again_in_the_end(tmp_path: Path) -> None:
    """Nobody waits for nothing."""
    told = Told([WELL])
    took_s, [row], sound = settled(tmp_path, told)
    assert sound and (row["ledger"], row["tabled"], told.looks) == ([], 1, 2)
    assert took_s < LOOKS_EVERY_S


def test_a_ledger_that_is_behind_is_waited_for(tmp_path: Path) -> None:
    """It was killed, and reads what it missed."""
    took_s, [row], sound = settled(tmp_path, Told([BEHIND] * 5 + [WELL]))
    assert sound and row["ledger"] == []
    assert 4 * LOOKS_EVERY_S < took_s < 6 * LOOKS_EVERY_S


def test_a_ledger_that_never_catches_up_is_a_finding(tmp_path: Path) -> None:
    """Told once, though it is looked at again."""
    took_s, [row], sound = settled(tmp_path, Told([BEHIND]))
    assert not sound and row["ledger"] == list(BEHIND.differences)
    assert took_s < 2 * SETTLES_WITHIN_S + 4 * LOOKS_EVERY_S


def test_a_ledger_that_differs_in_the_end_alone_is_a_finding_of_the_end(tmp_path: Path) -> None:
    """A row that went after its round was judged, and sums that hold more than all calls."""
    (tmp_path / "row").mkdir()
    _, [first, late], sound = settled(tmp_path / "row", Told([WELL, BEHIND]))
    assert not sound and (first["ledger"], late["ledger"], late["calls"]) == ([], list(BEHIND.differences), 0)
    (tmp_path / "sums").mkdir()
    _, [first, late], sound = settled(tmp_path / "sums", Told([WELL], ["one too many"]))
    assert not sound and (first["ledger"], late["ledger"]) == ([], ["one too many"])
