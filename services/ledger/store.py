"""The store port: the ledger's tables as calls that block. The service runs them in a thread.

`project` is the heart: one transaction moves the positions by compare-and-set and writes what follows from the records.
Either all of it happened or nothing, and a second ledger on the same database finds a position that is not the one it
knew, and stops.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from services.domain.fold import Outcome
from services.ledger.callbacks import ListedCall, Overdue, Reconnection
from services.ledger.projection import Batch


class StoreTrouble(Exception):
    """The database did not do it; the message says what and why. It can be tried again."""


class AnotherLedger(Exception):
    """A position is not where this ledger left it: somebody else projects into this database."""


@dataclass(slots=True)
class Projected:
    """What one transaction changed."""

    facts: int = 0
    duplicates: int = 0
    unknown_kinds: int = 0
    set_aside: int = 0
    moved: Counter[tuple[Outcome, bool]] = field(default_factory=Counter)
    """(outcome, test) -> how many calls more or fewer."""
    opened: list[tuple[str, str]] = field(default_factory=list)
    """(call_id, why) of real calls that came onto the list."""
    connected_twice: list[str] = field(default_factory=list)
    """Calls of which this became known."""


class Store(Protocol):
    """One database. Calls come one after the other, from any thread; each raises StoreTrouble."""

    def open(self) -> None:
        """Makes the tables where they are missing. Can be called again."""

    def positions(self) -> dict[int, int]:
        """The next offset of each partition of `calls` that was ever projected."""

    def project(self, batch: Batch, expected: Mapping[int, int]) -> Projected:
        """Writes the batch if every partition's position is as expected; raises AnotherLedger, with nothing changed."""

    def sums(self) -> Counter[tuple[Outcome, bool]]:
        """(outcome, test) -> calls."""

    def overdue(self, now_ms: int, lost_grace_ms: int, silent_grace_ms: int, limit: int) -> list[Overdue]:
        """Calls in progress past their due time and grace, the oldest first."""

    def reconnections(self, limit: int) -> list[Reconnection]:
        """Open calls whose caller was connected by a later call, and has offered no leg of this one since (J2)."""

    def callbacks(self, *, closed: bool = False) -> Sequence[ListedCall]:
        """The real calls that are owed a callback; with `closed` also those that were."""

    def close(self) -> None:
        """Lets go of the database."""
