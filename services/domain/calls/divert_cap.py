"""The last-line breaker: how many diverts of a firewall an ingress follows (architecture.md, Bounds).

A firewall that is wrong is worse than one that is gone: it diverts every call, promptly and politely, away from the
call-takers. So each ingress counts the verdicts that it is given, and past a share of diverts it follows none until
the share is small again. It needs nothing from the firewall for that, and nothing from anybody else. Pure.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cap:
    """More than `share` of the last `calls` screened calls, and at least `diverts_min` of them; or of their callers,
    and at least `callers_min`: a flood that passes must not hide that everybody else is diverted. See the settings."""

    share: float = 0.20
    calls: int = 50
    diverts_min: int = 10
    callers_min: int = 10
    window_s: float = 300.0
    """A verdict older than this says nothing of the firewall of now: one nuisance caller has many in a night."""
    callers_window_s: float = 3600.0
    """Of its callers it does: at night no ingress has ten calls in five minutes, and ten different people are many."""
    hold_s: float = 60.0
    """Once past the cap, no divert is followed for at least this long."""


class DivertCap:
    """One ingress's count. `heard` takes each verdict; `ignores` says whether diverts are followed now."""

    def __init__(self, cap: Cap) -> None:
        self._cap = cap
        self._newest = _Verdicts(cap.calls, cap.window_s)
        self._hour = _Verdicts(cap.calls, cap.callers_window_s)
        self._until: float | None = None

    @property
    def ignores(self) -> bool:
        """Whether the last verdict was past the cap, or in the time that follows."""
        return self._until is not None

    @property
    def calls(self) -> int:
        """The calls that count."""
        return len(self._newest)

    @property
    def diverts(self) -> int:
        """Those of them that the firewall diverts."""
        return self._newest.diverts

    @property
    def diverted_callers(self) -> int:
        """The callers of those diverts, and of the hour's."""
        return len(self._hour.diverted_callers)

    def heard(self, call_id: str, diverts: bool, now: float, caller: str = "") -> None:
        """A verdict on a call; a second one on the same call takes the place of the first (L3). Where nobody says whose
        call it is, it is its own caller's."""
        for verdicts in (self._newest, self._hour):
            verdicts.add(call_id, diverts, now, caller or call_id)
        cap = self._cap
        past = (self.diverts >= cap.diverts_min and self.diverts > cap.share * self.calls) or (
            self.diverted_callers >= cap.callers_min and self.diverted_callers > cap.share * len(self._hour.callers)
        )
        if past and self._until is None:
            self._until = now + self._cap.hold_s
        elif not past and self._until is not None and now >= self._until:
            self._until = None


class _Verdicts:
    """The newest of them, so many and so old at most."""

    def __init__(self, calls_max: int, window_s: float) -> None:
        self._calls_max = calls_max
        self._window_s = window_s
        self._by_call: OrderedDict[str, tuple[float, bool, str]] = OrderedDict()
        """When, whether it diverts, and whose it is."""
        self.diverts = 0
        self.callers: Counter[str] = Counter()
        self.diverted_callers: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._by_call)

    def add(self, call_id: str, diverts: bool, now: float, caller: str) -> None:
        self._drop(call_id)
        self._by_call[call_id] = (now, diverts, caller)
        self.diverts += diverts
        self.callers[caller] += 1
        if diverts:
            self.diverted_callers[caller] += 1
        while len(self._by_call) > self._calls_max or self._oldest_at() < now - self._window_s:
            self._drop(next(iter(self._by_call)))

    def _oldest_at(self) -> float:
        return next(iter(self._by_call.values()))[0]

    def _drop(self, call_id: str) -> None:
        known = self._by_call.pop(call_id, None)
        if known is None:
            return
        _, diverts, caller = known
        self.diverts -= diverts
        for callers in (self.callers, self.diverted_callers) if diverts else (self.callers,):
            callers[caller] -= 1
            if not callers[caller]:
                del callers[caller]
