"""The rules of this firewall, as data, and the pure decision over them.

A small rulebook for now: how often one caller calls, and who the caller is. The firewall of policies written by others
takes this class's place behind `judge`. Windows count distinct call_ids, so that a call screened twice counts once, and
everything remembered is bounded: past a bound the oldest is forgotten, which can only make a verdict milder.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from services.domain.offer import Offer
from services.domain.policy import Divert, Flag, Pass, Verdict

CALLS_REMEMBERED_MAX: Final = 50_000
CALLERS_REMEMBERED_MAX: Final = 50_000
CALLS_OF_ONE_COUNTED_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Rule:
    """True for a call that is at least the `calls_min`-th of its caller within `within_s` seconds.

    With `callers` it is true for those numbers only. The action is a flag with `score`, or a divert to `desk`.
    """

    name: str
    calls_min: int
    within_s: float
    callers: frozenset[str] | None = None
    score: int = 0
    desk: str = ""

    def verdict(self, calls: int) -> Verdict:
        reason = f"{calls}_calls_in_{self.within_s:g}_s"
        return Divert(self.desk, self.name, reason) if self.desk else Flag(self.score, self.name, reason)


class Rulebook:
    """Rules in their order: the first that is true speaks; none true is a pass."""

    def __init__(self, name: str, rules: Sequence[Rule]) -> None:
        self.name = name
        self._rules = tuple(rules)
        self._window_s = max((rule.within_s for rule in rules), default=0.0)
        self._verdicts: OrderedDict[str, Verdict] = OrderedDict()
        self._calls: OrderedDict[bytes, deque[float]] = OrderedDict()

    def judge(self, offer: Offer, now: float) -> Verdict:
        """The verdict on a call; the same again for the same call_id, whatever leg it is."""
        known = self._verdicts.get(offer.call_id)
        if known is not None:
            return known
        verdict = self._decide(offer, now)
        if offer.call_id:
            self._verdicts[offer.call_id] = verdict
            if len(self._verdicts) > CALLS_REMEMBERED_MAX:
                self._verdicts.popitem(last=False)
        return verdict

    def _decide(self, offer: Offer, now: float) -> Verdict:
        if not offer.caller:
            return Pass()  # callers without a number are many, not one
        calls = self._count(offer.caller, now)
        for rule in self._rules:
            if rule.callers is not None and offer.caller not in rule.callers:
                continue
            within = sum(1 for at in calls if now - at < rule.within_s)
            if within >= rule.calls_min:
                return rule.verdict(within)
        return Pass()

    def _count(self, caller: str, now: float) -> deque[float]:
        """The instants of this caller's calls within the widest window, this one included."""
        key = blake2b(caller.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        calls = self._calls.get(key)
        if calls is None:
            calls = self._calls[key] = deque(maxlen=CALLS_OF_ONE_COUNTED_MAX)
            if len(self._calls) > CALLERS_REMEMBERED_MAX:
                self._calls.popitem(last=False)
        else:
            self._calls.move_to_end(key)
        while calls and now - calls[0] >= self._window_s:
            calls.popleft()
        calls.append(now)
        return calls
