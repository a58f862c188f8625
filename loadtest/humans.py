"""How long people take: callers wait, call-takers pick up, both talk.

Each person's delays follow from the seed and the person's own name alone, so that a run can be repeated though machines
are never equally fast. `speed` divides human times and nothing else: 10 makes a minute's talk last six seconds.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delay:
    """A log-normal delay: half are below `median_s`; `sigma` is the spread of its logarithm."""

    median_s: float
    sigma: float

    def draw(self, by: random.Random) -> float:
        return self.median_s * math.exp(self.sigma * by.gauss(0.0, 1.0))


PICK_UP = Delay(5.0, 0.5)
"""A free call-taker: about 98 % within the 15 s of NENA-STA-020's 90 %."""
LINE_PICK_UP = Delay(7.0, 0.35)
"""Somebody at an administrative line, which is nobody's first duty."""
CALLER_PICK_UP = Delay(6.0, 0.4)
"""A caller whose telephone rings because the backbone lost the call."""
BUSY_SHARE = 0.10
AWAY_SHARE = 0.10
"""Callers who are rung back and talk to somebody already, and who do not pick up."""
TALK = Delay(75.0, 0.6)
PATIENCE = Delay(60.0, 0.5)
"""A caller who hears it ring hangs up after this."""
HASTY_SHARE = 0.08
HASTY_PATIENCE = Delay(5.0, 0.5)
"""Pocket dials and second thoughts: some hang up before anybody could have answered."""
BEFORE_REDIAL = Delay(8.0, 0.5)
REDIALS_SHARE = 0.85
"""Callers who try again after a failed try (domain.md)."""
TRIES_MAX = 4


@dataclass(frozen=True, slots=True)
class Humans:
    """Everybody's delays in one run, in seconds as they are to pass."""

    seed: int
    speed: float = 1.0

    def waits(self, delay: Delay, *who: object) -> float:
        """How long this person takes over this; the same each time it is asked."""
        return delay.draw(self._fate(delay, *who)) / self.speed

    def patience(self, *who: object) -> float:
        """How long this caller stays on the line unanswered."""
        hasty = self._fate("hasty", *who).random() < HASTY_SHARE
        return self.waits(HASTY_PATIENCE if hasty else PATIENCE, *who)

    def passes(self, seconds: float) -> float:
        """So long do people let a telephone ring, as it is to pass."""
        return seconds / self.speed

    def rung_back(self, *who: object) -> str:
        """What becomes of ringing this caller back: "reached", "busy" or "no_answer"."""
        drawn = self._fate("rung_back", *who).random()
        return "busy" if drawn < BUSY_SHARE else "no_answer" if drawn < BUSY_SHARE + AWAY_SHARE else "reached"

    def redials(self, *who: object) -> bool:
        return self._fate("redials", *who).random() < REDIALS_SHARE

    def _fate(self, *who: object) -> random.Random:
        return random.Random(repr((self.seed, *who)))
