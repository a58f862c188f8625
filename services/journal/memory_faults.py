"""What can be wrong with the log for one client of it, and what becomes of an append then. Pure: chance is given."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Fate(StrEnum):
    """What becomes of an append."""

    LANDS = "lands"
    REFUSED = "refused"
    LOST = "lost"
    UNACKED = "unacked"
    TWICE = "twice"


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong at the moment. Shares are of appends, between 0 and 1; together they are at most 1.

    absent: no broker answers: appends end with `Unavailable` at once and followers stand still. What was on its way
    lands, and is acknowledged when one answers again, as a producer's retry is, or never.
    delay_s, delay_max_s: how long an append takes to land, drawn between the two where the second is the larger one.
    Beyond the log's deadline its future ends with `Unknown`, and it lands all the same.
    acked_after_s: from landing to acknowledgement; others have long read the record.
    refuse_share: these end with `Unavailable`, and never land.
    lose_share: these end with `Unknown` at the deadline, and never land.
    unacked_share: these land, and end with `Unknown` at the deadline. All of them: a network that carries one way only.
    twice_share: these land and are acknowledged, and land again within the deadline, perhaps behind newer ones of their
    key: a producer that was replaced while its predecessor's batch was still under way.
    late_s: how long after they landed records come to this client's followers.
    deaf: followers stand still, while appends go on.
    hung: leaders that answer no append of this client: what was appended to them lands when they go on.
    """

    absent: bool = False
    delay_s: float = 0.0
    delay_max_s: float = 0.0
    acked_after_s: float = 0.0
    refuse_share: float = 0.0
    lose_share: float = 0.0
    unacked_share: float = 0.0
    twice_share: float = 0.0
    late_s: float = 0.0
    deaf: bool = False
    hung: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        assert sum(share for share, _ in self._shares) <= 1, f"expected shares of one whole; got {self}"

    @property
    def needs_chance(self) -> bool:
        """Whether anything has to be drawn."""
        return self.delay_max_s > self.delay_s or any(0 < share < 1 for share, _ in self._shares)

    def fate(self, chance: Random | None) -> Fate:
        """What becomes of the next append."""
        if not (self.refuse_share or self.lose_share or self.unacked_share or self.twice_share):
            return Fate.LANDS
        point = chance.random() if chance is not None else 0.0
        for share, fate in self._shares:
            if point < share:
                return fate
            point -= share
        return Fate.LANDS

    def lands_after_s(self, chance: Random | None) -> float:
        """How long the next append takes."""
        if chance is None or self.delay_max_s <= self.delay_s:
            return self.delay_s
        return chance.uniform(self.delay_s, self.delay_max_s)

    @property
    def _shares(self) -> tuple[tuple[float, Fate], ...]:
        return (
            (self.refuse_share, Fate.REFUSED),
            (self.lose_share, Fate.LOST),
            (self.unacked_share, Fate.UNACKED),
            (self.twice_share, Fate.TWICE),
        )


WELL = Faults()
