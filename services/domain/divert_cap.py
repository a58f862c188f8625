"""The last-line breaker: how many diverts of a firewall an ingress follows (architecture.md, Bounds).

A firewall that is wrong is worse than one that is gone: it diverts every call, promptly and politely, away from the
call-takers. So each ingress counts the verdicts that it is given, and past a share of diverts it follows none until
the share is small again. It needs nothing from the firewall for that, and nothing from anybody else. Pure.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cap:
    """More than `share` of the last `calls` screened calls, and at least `diverts_min` of them; see the settings."""

    share: float = 0.20
    calls: int = 50
    diverts_min: int = 10
    window_s: float = 300.0
    """A verdict older than this says nothing of the firewall of now."""
    hold_s: float = 60.0
    """Once past the cap, no divert is followed for at least this long."""


class DivertCap:
    """One ingress's count. `heard` takes each verdict; `ignores` says whether diverts are followed now."""

    def __init__(self, cap: Cap) -> None:
        self._cap = cap
        self._verdicts: OrderedDict[str, tuple[float, bool]] = OrderedDict()  # by call: when, and whether it diverts
        self.diverts = 0
        """Of the calls that count."""
        self._until: float | None = None

    @property
    def ignores(self) -> bool:
        """Whether the last verdict was past the cap, or in the time that follows."""
        return self._until is not None

    @property
    def calls(self) -> int:
        """The calls that count."""
        return len(self._verdicts)

    def heard(self, call_id: str, diverts: bool, now: float) -> None:
        """A verdict on a call; a second one on the same call takes the place of the first (L3)."""
        self._drop(call_id)
        self._verdicts[call_id] = (now, diverts)
        self.diverts += diverts
        while len(self._verdicts) > self._cap.calls or self._oldest_at() < now - self._cap.window_s:
            self._drop(next(iter(self._verdicts)))
        past = self.diverts >= self._cap.diverts_min and self.diverts > self._cap.share * self.calls
        if past and self._until is None:
            self._until = now + self._cap.hold_s
        elif not past and self._until is not None and now >= self._until:
            self._until = None

    def _oldest_at(self) -> float:
        return next(iter(self._verdicts.values()))[0]

    def _drop(self, call_id: str) -> None:
        known = self._verdicts.pop(call_id, None)
        if known is not None:
            self.diverts -= known[1]
