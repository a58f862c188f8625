"""Who is owed a callback, who no more, and the facts that say so. Pure.

The facts' identity and instant follow from the calls alone: a ledger that died between saying and reading back says the
same fact again, and two ledgers that race say the same one. Readers drop the copy (protocol.md J1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from services.domain.events import Fact, FactKind
from services.domain.offer import can_be_rung_back

WRITER: Final = "ledger"
_SEQ: Final = {FactKind.CALLBACK_DUE: 0, FactKind.RECONNECTED: 1}
"""Each at most once a call and leg."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """A call in progress that owed a fact at `due_at_ms`, and the grace that it was given on top."""

    call_id: str
    leg: int
    caller_hash: str
    test: bool
    lost: bool
    due_at_ms: int
    grace_ms: int


@dataclass(frozen=True, slots=True)
class Reconnection:
    """An open call whose caller was connected by a later call, since its leg was offered."""

    call_id: str
    leg: int
    caller_hash: str
    by_call_id: str
    connected_at_ms: int


@dataclass(frozen=True, slots=True)
class ListedCall:
    """A call that is or was on the list."""

    call_id: str
    caller_hash: str
    number: str
    opened_at_ms: int
    why: str
    closed_at_ms: int | None = None
    closed_why: str = ""
    urgent: bool = False
    """Its conductor died with the caller on the line (T3)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One caller on the list, with the calls that are owed; oldest first."""

    calls: tuple[ListedCall, ...]

    @property
    def number(self) -> str:
        """The number to ring: of the newest call that gave one."""
        return next((call.number for call in reversed(self.calls) if call.number), "")

    @property
    def can_be_rung_back(self) -> bool:
        """False for no number, and for those of phones without service: kept, since a person may still find a way."""
        return can_be_rung_back(self.number)

    @property
    def opened_at_ms(self) -> int:
        return self.calls[0].opened_at_ms

    @property
    def urgent(self) -> bool:
        """Whether somebody on it was cut off by a death of ours, and is owed a callback still."""
        return any(call.urgent and call.closed_at_ms is None for call in self.calls)

    @property
    def open(self) -> bool:
        return any(call.closed_at_ms is None for call in self.calls)


def callback_due(call: Overdue) -> Fact:
    """Onto the list: nobody has said what became of this call."""
    reason = "stream_lost_unattended" if call.lost else "conductor_silent"
    at_ms = call.due_at_ms + call.grace_ms
    seq = _SEQ[FactKind.CALLBACK_DUE]
    return Fact(
        call.call_id,
        call.leg,
        seq,
        WRITER,
        FactKind.CALLBACK_DUE,
        at_ms,
        reason,
        caller_hash=call.caller_hash,
        test=call.test,
    )


def reconnected(call: Reconnection) -> Fact:
    """Off the list: the caller reached somebody by a later call. Without an attempt, it closes no higher leg (J2)."""
    return Fact(
        call.call_id,
        call.leg,
        _SEQ[FactKind.RECONNECTED],
        WRITER,
        FactKind.RECONNECTED,
        call.connected_at_ms,
        f"by {call.by_call_id}",
        settled=True,
        caller_hash=call.caller_hash,
    )


def entries(calls: Iterable[ListedCall]) -> list[Entry]:
    """One open entry a caller, and one for each caller's closed calls; urgent ones first, then oldest first.

    A call without a caller has an entry of its own.
    """
    groups: dict[tuple[str, bool], list[ListedCall]] = {}
    for call in sorted(calls, key=lambda call: (call.opened_at_ms, call.call_id)):
        caller = f"caller {call.caller_hash}" if call.caller_hash else f"call {call.call_id}"
        groups.setdefault((caller, call.closed_at_ms is None), []).append(call)
    return sorted((Entry(tuple(group)) for group in groups.values()), key=lambda entry: not entry.urgent)
