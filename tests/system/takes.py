"""Bounds of seconds on a machine that others use too: a take that breaks one is taken again, and three in a row fail.

Anything else that is wrong (a call lost, somebody connected twice, a process dead) fails at once: only OverBound is
forgiven. A measured run (`make failures`) forgives nothing, so that each figure in the paper is its first.
"""

from __future__ import annotations

import os
from typing import Final

import pytest

LASTS: Final = float(os.environ.get("FAULTS_LAST", "1"))
"""Times as long as usual that each fault lasts: for figures of more calls, as `make failures` wants them."""
TAKES: Final = 3 if LASTS <= 1 else 1


class OverBound(AssertionError):
    """Something took longer than it may."""


taken_again: Final = pytest.mark.flaky(reruns=TAKES - 1, only_rerun=[OverBound])
"""Marks a test whose bounds are asserted with `within`."""


def within(took: float, most: float, what: str) -> None:
    """Took at most so long, in whatever unit `what` says."""
    if not took <= most:
        raise OverBound(f"{what}: {took:g}, and {most:g} at most")
