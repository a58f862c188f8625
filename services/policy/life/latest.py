"""The latest orders that were followed: what tells a new order from one that was followed before. Pure.

Orders are followed in the order in which they were made, by operators' clocks, each once. Clocks count milliseconds,
and two orders can be made in one: by one person's tool, or by two people on two machines. They are followed as they
come, so of the latest millisecond it is known which they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.policy.files.canonical import Order, identity

LATEST_MAX: Final = 16
"""Orders of one millisecond; any more have to be made anew, as those that come too late."""


@dataclass(frozen=True, slots=True)
class Latest:
    """Of the millisecond of the latest order."""

    made_ms: int = 0
    identities: tuple[str, ...] = ()
    """Of the orders made then, as they were followed. None: one was, and it is not known which, so each may be it."""

    def bars(self, order: Order) -> bool:
        """Whether it is an earlier one, or was followed already."""
        if order.made_ms != self.made_ms:
            return order.made_ms < self.made_ms
        return not self.identities or identity(order) in self.identities or len(self.identities) >= LATEST_MAX

    def last(self, order: Order) -> bool:
        """Whether none was followed since this one was."""
        return order.made_ms == self.made_ms and (not self.identities or self.identities[-1] == identity(order))

    def after(self, order: Order) -> Latest:
        """Once this one is followed as well."""
        same = self.identities if order.made_ms == self.made_ms else ()
        return Latest(order.made_ms, (*same, identity(order)))

    def knows(self, other: Latest) -> bool:
        """Whether the others' orders are followed here, or earlier ones; who does not say which, means these."""
        if other.made_ms != self.made_ms:
            return other.made_ms < self.made_ms
        return not self.identities or set(other.identities) <= set(self.identities)

    def joined(self, other: Latest) -> Latest:
        """Once the others' orders are followed as well, of which some are unknown here."""
        if other.made_ms != self.made_ms:
            return other
        added = (each for each in other.identities if each not in self.identities)
        return Latest(self.made_ms, (*self.identities, *added)[:LATEST_MAX])


NONE_YET: Final = Latest()
