"""The sweep: looks who is owed a callback and who no more, and tells the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from services.domain.events import Fact
from services.journal import Topic
from services.journal.journal import Journal
from services.ledger.callbacks import callback_due, reconnected
from services.ledger.metrics import LedgerMetrics
from services.ledger.settings import LedgerSettings
from services.ledger.store import Store
from services.wire import facts

TOLD_AGAIN_S: Final = 30.0
"""After this long a fact that was told and not read back is told again."""
SWEPT_MAX: Final = 500
"""Facts of each kind in one sweep; the rest wait for the next."""


class Sweep:
    """Remembers what it told, so that it does not tell it again before it could be read back."""

    def __init__(
        self,
        settings: LedgerSettings,
        journal: Journal,
        metrics: LedgerMetrics,
        logger: structlog.stdlib.BoundLogger,
    ) -> None:
        self._lost_grace_ms = round(settings.lost_grace_s * 1000)
        self._silent_grace_ms = round(settings.silent_grace_s * 1000)
        self._journal = journal
        self._metrics = metrics
        self._logger = logger
        self._told_at: dict[tuple[str, int, int, str], float] = {}

    def look(self, store: Store, now_ms: int) -> list[Fact]:
        """What the journal should be told, by the books as they are; blocks, and raises StoreTrouble."""
        overdue = store.overdue(now_ms, self._lost_grace_ms, self._silent_grace_ms, limit=SWEPT_MAX)
        reconnections = store.reconnections(limit=SWEPT_MAX)
        return [*map(callback_due, overdue), *map(reconnected, reconnections)]

    def tell(self, found: Sequence[Fact]) -> None:
        """Appends those that are not on their way already; the tables follow when the ledger reads them back."""
        now = asyncio.get_running_loop().time()
        self._told_at = {told: at for told, at in self._told_at.items() if now - at < TOLD_AGAIN_S}
        for fact in found:
            if fact.identity in self._told_at:
                continue
            self._told_at[fact.identity] = now
            self._metrics.told[fact.kind].inc()
            self._logger.warning(f"callback.{fact.kind}", call_id=fact.call_id, why=fact.reason)
            self._journal.append_soon(Topic.CALLS, fact.call_id, facts.encode(fact))
