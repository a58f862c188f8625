"""Every family of known mistakes, read once: each registers its own."""

from __future__ import annotations

from tests.simulation.bugs import answers, lasting, policies, reaching, reading, takeovers
from tests.simulation.bugs.mistake import KNOWN

FAMILIES = (answers, lasting, reaching, reading, takeovers, policies)
__all__ = ["FAMILIES", "KNOWN"]
