"""The way of a call for which this process has no time (protocol.md L1).

It was not screened and no router is asked for it: its home PSAP, by this process's own atlas, has administrative
lines, and they are dialled at once. Never those that are kept for PSAPs which cannot be reached (R7): its own can be,
by a call that is set up. Where they bring nothing the call is parked, until there is a place and the ladder begins.
"""

from __future__ import annotations

from typing import Final

from services.domain.calls.ladder import REGION_DESK, AskRoute, Destination, DialLines, Park, Rung
from services.domain.events import Failure

OVERFLOW: Final = "overflow"


class Overflow:
    """Stands in for a call's `Ladder`; the same words, three steps."""

    def __init__(self) -> None:
        self._home: str | None = None
        self._dialled = False

    def climb(self) -> AskRoute | DialLines | Park:
        """The next step; see `Ladder.climb`."""
        if self._home is None:
            return AskRoute((), own_atlas=True)
        return Park() if self._dialled else DialLines(self._home, OVERFLOW)

    def found(self, destination: Destination | None) -> None:
        """Whose call it is; without any PSAP it is the region's."""
        self._home = REGION_DESK if destination is None else destination.psap_id

    def failed(self, rung: Rung, failure: Failure) -> None:
        """The lines have had their turn."""
        self._dialled = True
