"""What came of a bad policy that was pushed: by its gates, and forced past them; judged from accounts. Pure.

The gates must stop it without a live call being touched. Forced, it may divert a few callers for a few seconds, each of
whom must reach a person; then everything passes, and it is taken back by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from loadtest.call_seen import CallSeen, Went

DIVERTED_MAX: Final = 20
PASSES_WITHIN_S: Final = 10.0
"""Within so many calls, or so many seconds, everything passes again."""
PASSED_MIN: Final = 5
"""Fewer calls since would say nothing of it."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command of an operator: its words, its exit code, and the last line that it said."""

    words: str
    code: int
    said: str


@dataclass(slots=True)
class PushSeen:
    """What the operators did and were told. Wall milliseconds; None: it has not happened."""

    replay: Command | None = None
    unforced: Command | None = None
    """`promote`, signed by two, of what has not run through its canary."""
    forced: Command | None = None
    live_ms: int | None = None
    reverted_ms: int | None = None
    why: str = ""
    """Why it was taken back, in the history's words."""
    serves: str = ""
    """What the firewall served at the end."""
    others: list[Command] = field(default_factory=list)
    """What leads there, and must go well: to sign, to hand in, to order."""

    def hear(self, changes: Iterable[tuple[int, str]], serves: str) -> None:
        """The firewall's history, the oldest first: when, and why; and what it serves now."""
        self.serves = serves
        for at_ms, why in changes:
            if why.startswith("forced promote"):
                self.live_ms = at_ms
            elif why.startswith("tripped") and self.live_ms is not None and self.reverted_ms is None:
                self.reverted_ms, self.why = at_ms, why

    @property
    def commands(self) -> list[Command]:
        """All that were given, by their order as far as it matters."""
        told = (self.replay, *self.others, self.unforced, self.forced)
        return [each for each in told if each is not None]


@dataclass(frozen=True, slots=True)
class PushTold:
    """What it came to. Counts are of calls."""

    seen: PushSeen
    touched: int
    """Diverted by a policy before anybody forced it."""
    diverted: int
    answered: int
    """Of the diverted, those whom a person answered."""
    hung_up: int
    """Of the diverted, those who left by themselves, and are on the callback list."""
    for_s: float | None
    """From when it was live until the last divert; None where nobody was diverted."""
    calls_since: int
    """Offered since it was taken back."""
    diverted_since: int
    """Of those since, diverted all the same."""

    @property
    def stopped(self) -> bool:
        """Whether the gates did what they are there for."""
        replay, unforced = self.seen.replay, self.seen.unforced
        refused = replay is not None and unforced is not None and replay.code == 1 and unforced.code == 1
        return refused and self.touched == 0

    @property
    def contained(self) -> bool:
        """Whether it hurt few callers for a short time, reached people with each of them, and went by itself."""
        forced = self.seen.forced
        few = 0 < self.diverted <= DIVERTED_MAX and self.for_s is not None and self.for_s <= PASSES_WITHIN_S
        cared_for = self.answered > 0 and self.answered + self.hung_up == self.diverted
        gone = self.seen.reverted_ms is not None and self.diverted_since == 0 and self.calls_since >= PASSED_MIN
        return forced is not None and forced.code == 0 and few and cared_for and gone

    @property
    def held(self) -> bool:
        """Both, and no other command failed."""
        return self.stopped and self.contained and all(each.code == 0 for each in self.seen.others)


def judge(seen: PushSeen, calls: Mapping[str, CallSeen], journal: Iterable[Mapping[str, Any]]) -> PushTold:
    """From what callers and the journal tell."""
    when: dict[str, int] = {}
    for entry in journal:
        if entry["event"] == "fact" and entry["kind"] == "diverting" and entry["reason"] == "policy":
            when[entry["call_id"]] = min(entry["at_ms"], when.get(entry["call_id"], entry["at_ms"]))
    live_ms = seen.live_ms
    before = [call_id for call_id, at_ms in when.items() if live_ms is None or at_ms < live_ms]
    diverted = {call_id: at_ms for call_id, at_ms in when.items() if call_id not in before}
    told = [calls[call_id] for call_id in diverted if call_id in calls]
    since = [call for call in calls.values() if seen.reverted_ms is not None and call.offered_ms > seen.reverted_ms]
    return PushTold(
        seen,
        len(before),
        len(diverted),
        sum(call.connected_ms is not None for call in told),
        sum(call.went is Went.LEFT for call in told),
        (max(diverted.values()) - live_ms) / 1000 if diverted and live_ms is not None else None,
        len(since),
        sum(call.call_id in diverted for call in since),
    )
