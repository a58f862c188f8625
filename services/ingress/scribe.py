"""Writes the facts of one call and leg: numbered without a gap, by this process, each with the frozen envelope (J1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from services.domain.calls.exchange import Remember
from services.domain.events import Conductor, Fact, FactKind
from services.domain.offer import Offer
from services.wire import facts

_ENDS: Final = frozenset(
    {FactKind.ANSWERED, FactKind.DIVERTED, FactKind.ABANDONED, FactKind.CALLBACK_DUE, FactKind.ENDED}
)
OPENS_OR_SETTLES: Final = _ENDS | {FactKind.OFFERED, FactKind.CALLER_LOST}
"""Facts of which a failover replica keeps a copy while Kafka does not have them (J4)."""


def nothing_is_owed_after(fact: Fact) -> bool:
    """Whether a conductor's debt ends with it: a person has the call, or it stands on the callback list. A parked call
    does so too, and its caller is on the line: what owes another fact ends nothing (L1)."""
    return fact.kind in _ENDS and (fact.settled or fact.due_in_ms == 0)


class Scribe:
    """One leg's. `writer` is unique among all that ever wrote a fact."""

    def __init__(
        self, offer: Offer, writer: str, conductor: Conductor, caller_hash: str, wall_ms: Callable[[], int]
    ) -> None:
        self._offer = offer
        self._writer = writer
        self._conductor = conductor
        self._caller_hash = caller_hash
        self._wall_ms = wall_ms
        self._seq = 0

    def write(self, effect: Remember) -> bytes:
        """The next fact, as it goes to the journal."""
        offer = self._offer
        fact = Fact(
            offer.call_id,
            offer.leg,
            self._seq,
            self._writer,
            effect.kind,
            self._wall_ms(),
            effect.reason,
            0,
            effect.due_in_ms,
            effect.settled,
            self._conductor,
            self._caller_hash,
            offer.i3_call_id,
            offer.i3_incident_id,
            offer.test,
            offer if effect.kind is FactKind.OFFERED else None,
            effect.attempt,
            effect.where,
            effect.verdict,
        )
        self._seq += 1
        return facts.encode(fact)
