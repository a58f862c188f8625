"""Where a person answers: the two kinds of places that a call can be brought to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Where:
    """Somewhere a person answers: a PSAP's call-takers, or one of an owner's administrative lines."""

    psap_id: str
    line: str = ""

    @property
    def is_line(self) -> bool:
        return bool(self.line)
