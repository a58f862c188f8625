"""The breaker of each leader (protocol.md J5): who has been silent so often in a row is not waited for any more.

Pure. A leader's breaker opens with the third append in a row that is over its budget there, and closes with the first
that is acknowledged within it; the back-fill, which goes on apart, is the probe. While nobody is in doubt, nobody's
name need be found out.
"""

from __future__ import annotations

from typing import Final

UNKNOWN_IN_A_ROW: Final = 3


class Leaders:
    """By the names that `Log.leader_of` gives; "" is a leader that is not known, and is never judged."""

    def __init__(self) -> None:
        self._unknown: dict[str, int] = {}

    @property
    def in_doubt(self) -> bool:
        """Whether any leader was over budget lately."""
        return bool(self._unknown)

    @property
    def shunned(self) -> list[str]:
        """Those whose breaker is open."""
        return sorted(leader for leader in self._unknown if self.is_open(leader))

    def is_open(self, leader: str) -> bool:
        """Whether new records for this leader go straight to the queue."""
        return self._unknown.get(leader, 0) >= UNKNOWN_IN_A_ROW

    def over_budget(self, leader: str) -> bool:
        """True where this opens its breaker."""
        if not leader:
            return False
        self._unknown[leader] = self._unknown.get(leader, 0) + 1
        return self._unknown[leader] == UNKNOWN_IN_A_ROW

    def in_time(self, leader: str) -> bool:
        """True where this closes its breaker."""
        return self._unknown.pop(leader, 0) >= UNKNOWN_IN_A_ROW
