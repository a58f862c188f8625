"""The journal's own clock: what is late is late by the log's time, never by a reader's (protocol.md T2).

A reader may be behind, paused, or new; two readers must still agree on what is late. So time is the broker's stamp of
the newest record of a partition, and ticks (T1) move it on where nobody calls. Where ticks stood still for more than a
second the log itself was away: what was owed meanwhile may wait in somebody's spool, and comes first.

Each partition has a clock of its own, that of the broker which leads it. One that was set wrong says nothing of the
others, and nothing of its own partition once it was set right or another broker leads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

TICK_GAP_MS: Final = 1_000
"""Ticks come each 500 ms; longer than this without one is a gap."""
TRUSTED_AFTER_MS: Final = 2_000
"""So long after a gap nothing is called late."""


class LogTime:
    """The newest stamp and the ticks of each partition, in milliseconds of the log. Records of one partition come in
    order; those of several need not."""

    def __init__(self) -> None:
        self._newest: dict[int, int] = {}
        self._ticked: dict[int, int] = {}
        self._trusted_from: dict[int, int] = {}

    def saw(self, partition: int, log_ms: int) -> None:
        """A record of any kind. One that is older than the last by more than a gap: the clock was set back."""
        newest = self._newest.get(partition, log_ms)
        if log_ms < newest - TICK_GAP_MS:
            self._ticked[partition] = newest = log_ms
            self._trusted_from[partition] = log_ms + TRUSTED_AFTER_MS
        self._newest[partition] = max(log_ms, newest)

    def ticked(self, partition: int, log_ms: int) -> None:
        """A tick, whoever wrote it. The first one of a partition ends a gap too: nothing is known of before."""
        self.saw(partition, log_ms)
        before = self._ticked.get(partition)
        if before is None or log_ms - before > TICK_GAP_MS:
            self._trusted_from[partition] = log_ms + TRUSTED_AFTER_MS
        self._ticked[partition] = max(log_ms, before or log_ms)

    def newest(self) -> Mapping[int, int]:
        """By partition, its time now."""
        return self._newest

    def is_late(self, partition: int | None, since_ms: int, due_in_ms: int) -> bool:
        """Whether a fact that was owed within `due_in_ms` of `since_ms` (the log's time, less the age of what owed it)
        should have come. A copy that is on no partition yet is late when it is late by every one."""
        if partition is None:
            return bool(self._newest) and all(self.is_late(each, since_ms, due_in_ms) for each in self._newest)
        newest = self._newest.get(partition)
        if newest is None or newest <= since_ms + due_in_ms:
            return False
        ticked = self._ticked.get(partition)
        if ticked is None or newest - ticked > TICK_GAP_MS:
            return False  # in a gap now
        return newest >= self._trusted_from[partition]
