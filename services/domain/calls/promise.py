"""What a call has promised the journal: until when its next fact comes (protocol.md J1).

A living call is never overdue, and one whose conductor has died is soon. So each fact promises the next one for when
the call next does something, a fact says so where a step lets the call wait for longer than was promised, and however
long a call waits it writes one at least each five minutes, since readers do not look further back for what is open.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from services.domain.calls.exchange import Effect, Remember

SLACK_S: Final = 1.0
"""Added to what the call waits for before its next fact is called overdue."""
FACT_EVERY_S: Final = 240.0
"""A call that waits for nothing sooner writes a fact this often; with the slack that is within five minutes."""


class Promise:
    """One call's. `renew_at` is when a fact is due even if nothing has happened."""

    __slots__ = ("_owed_at", "renew_at")

    def __init__(self) -> None:
        self.renew_at = 0.0
        self._owed_at = 0.0

    def kept(self, effects: list[Effect], next_at: float, still: Remember, now: float) -> list[Effect]:
        """These effects, their facts promising the next one for `next_at`; `still` is added where a fact is needed."""
        if not any(isinstance(effect, Remember) for effect in effects):
            if now < self.renew_at and min(next_at, self.renew_at) + SLACK_S / 2 <= self._owed_at:
                return effects
            effects.insert(0, still)
        self.renew_at = now + FACT_EVERY_S
        due_in_ms = round((min(max(now, next_at), self.renew_at) - now + SLACK_S) * 1000)
        self._owed_at = now + due_in_ms / 1000
        return [replace(each, due_in_ms=due_in_ms) if isinstance(each, Remember) else each for each in effects]
