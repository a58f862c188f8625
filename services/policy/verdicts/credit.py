"""How much a bundle may divert on trust: as much as it was seen to let ordinary callers pass. Pure.

Callers who repeat count against no share of calls (`breakers.py`), and while only such callers call, a bundle that
diverts everybody looks like one that diverts a flood. What tells the two apart is an ordinary call that it lets pass.
Before the first of these a bundle diverts five calls in all, however long it stays; then, between one such call and the
next, fifty more for each that there was, and never more than five hundred.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

UNPROVEN_CALLS: Final = 5
"""So many calls may a bundle divert that has let no ordinary call pass."""
CALLS_EACH: Final = 50
"""So many more for each ordinary call that it let pass: a flood may be ten times all other calls, and more."""
CALLS_MAX: Final = 500
"""So many at most until the next one passes: a nuisance caller has a whole night to himself."""
BUNDLES_MAX: Final = 100
"""Past it the one not heard of for longest has to prove itself again."""


class Credit:
    """That of each bundle, by its digest."""

    def __init__(self) -> None:
        self._bundles: OrderedDict[str, _Account] = OrderedDict()

    def passes(self, bundle: str) -> None:
        """A call of a caller who does not repeat, for which the bundle would divert nothing."""
        account = self._account(bundle)
        account.passed += 1
        account.diverted = 0

    def diverts(self, bundle: str) -> None:
        """A call that it diverted, whoever called."""
        self._account(bundle).diverted += 1

    def is_spent(self, bundle: str) -> bool:
        """Whether it may divert nothing until an ordinary call has passed."""
        account = self._account(bundle)
        return account.diverted >= min(CALLS_MAX, UNPROVEN_CALLS + CALLS_EACH * account.passed)

    def _account(self, bundle: str) -> _Account:
        account = self._bundles.get(bundle)
        if account is None:
            account = self._bundles[bundle] = _Account()
        self._bundles.move_to_end(bundle)
        if len(self._bundles) > BUNDLES_MAX:
            self._bundles.popitem(last=False)
        return account


class _Account:
    __slots__ = ("diverted", "passed")

    def __init__(self) -> None:
        self.passed = 0
        self.diverted = 0
        """Since the last that passed."""
