"""How long a call's machine waits for each thing. Seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HOLD_S: Final = 2.0
"""How long rings are held after the caller's stream broke, so that leg n+1 finds them (P7)."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """Seconds. Human times (`ring_s`) may be scaled in a demonstration; the others are the protocol's own."""

    question_s: float = 0.5
    """The shell keeps the firewall's and the router's budgets and always answers; this is for a mistake of its own."""
    wait_s: float = 2.0
    """For a place among the calls that are set up (L1)."""
    reach_s: float = 0.300
    line_reach_s: float = 3.0
    """Failover walks an owner's lines one by one, each within its own bound."""
    ring_s: float = 15.0
    confirm_s: float = 1.5
    """The gateway's own second is the authority (P4); this is for a gateway that is gone."""
    connect_s: float = 2.5
    """Longer than a gateway or a hunt waits for the acknowledgement: theirs is the authority here too."""
    pause_s: float = 2.0
