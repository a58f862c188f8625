"""What a count of zero, or of a few, among so many tries is worth: the exact upper bound of the share, at 95 %.

Clopper and Pearson (1934), one-sided: the largest share under which so few would still be seen once in twenty times.
For zero of n it is 1 - 0.05^(1/n), about 3/n.
"""

from __future__ import annotations

import math
from typing import Final

SURE: Final = 0.95
_HALVINGS: Final = 60


def upper_bound(seen: int, tries: int) -> float:
    """The bound of the share; 1 where nothing was tried."""
    assert 0 <= seen <= tries, f"expected 0 <= seen <= tries; got {seen} of {tries}"
    if seen == tries:
        return 1.0
    if not seen:
        return float(1 - (1 - SURE) ** (1 / tries))
    low, high = seen / tries, 1.0
    for _ in range(_HALVINGS):
        share = (low + high) / 2
        if _at_most(seen, tries, share) > 1 - SURE:
            low = share
        else:
            high = share
    return high


def _at_most(seen: int, tries: int, share: float) -> float:
    """The probability of so few or fewer among so many tries."""
    return sum(
        math.exp(
            math.lgamma(tries + 1)
            - math.lgamma(count + 1)
            - math.lgamma(tries - count + 1)
            + count * math.log(share)
            + (tries - count) * math.log1p(-share)
        )
        for count in range(seen + 1)
    )
