"""How safe a fact is (protocol.md J4): what a caller's side is told with `Accepted`, and what the books count by."""

from __future__ import annotations

from enum import StrEnum


class Durability(StrEnum):
    """Once its append has returned."""

    DURABLE = "durable"
    AT_RISK = "at_risk"
    NOT_DURABLE = "not_durable"
