"""Which administrative line is dialled next, and through which trunk: in order, and finite (protocol.md R7).

What went wrong says what to change. A full or broken trunk: the same line through another trunk. A line that refuses:
the next line. No word at all may be either's fault: both are changed. Nothing is ruled out, only put behind, and each
line is tried at most once through each trunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.domain.breaker import Breaker
from services.domain.events import Failure

TRUNK_DOUBTED_S: Final = 2.0
RESERVE_FOR: Final = frozenset({Failure.UNREACHABLE, Failure.NOT_ATTACHED, "ladder_exhausted"})
"""Reasons why nobody but these lines can answer."""


class Trouble(StrEnum):
    """How a dial came to nothing."""

    FULL = "full"
    REFUSED = "refused"
    SILENT = "no_ringing_in_time"
    BROKEN = "trunk_broken"


@dataclass(frozen=True, slots=True)
class Choice:
    """Dial this line through this trunk (an address)."""

    line: str
    channels: int
    trunk: str


@dataclass(frozen=True, slots=True)
class Owned:
    """A line of some owner, and how many calls it takes at once."""

    number: str
    channels: int


def keep_free(channels: int, reason: str) -> int:
    """How many channels of a line a call with this reason must leave free.

    Half are kept for PSAPs that cannot be reached in any other way (R7): a call whose PSAP is merely full, or that a
    policy diverts, is refused as full where it would take one of those.
    """
    return 0 if reason in RESERVE_FOR else channels // 2


class Trunks:
    """Every trunk in the order of preference; one that just failed comes last for a while, apart from a probe."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._breakers = {address: Breaker(1, TRUNK_DOUBTED_S) for address in addresses}

    def __len__(self) -> int:
        return len(self._breakers)

    def doubted(self, now: float) -> dict[str, bool]:
        """Whether each is in doubt, in their order. Asking lets one call in two seconds through to one that is."""
        return {address: not breaker.allows(now) for address, breaker in self._breakers.items()}

    def well(self, address: str) -> None:
        """It said something: it works, whatever it said."""
        self._breakers[address].succeeded()

    def unwell(self, address: str, now: float) -> None:
        """It broke, or said nothing in time."""
        self._breakers[address].failed(now)


class DialPlan:
    """One call's way through an owner's lines. `next` is the choice now; `came_to_nothing` moves on."""

    def __init__(self, lines: Sequence[Owned], trunks: dict[str, bool]) -> None:
        """`trunks`: each address, and whether it is in doubt from the start."""
        self._lines = tuple(lines)
        self._trunks = tuple(trunks)
        self._line_doubts = [0] * len(self._lines)
        self._trunk_doubts = [int(doubted) for doubted in trunks.values()]
        self._untried = {(line, trunk) for line in range(len(self._lines)) for trunk in range(len(self._trunks))}
        self._now: tuple[int, int] | None = None
        self._troubles: set[Trouble] = set()

    def next(self) -> Choice | None:
        """The least doubtful that is untried, the earlier line first, then the earlier trunk; None: all are tried."""
        if not self._untried:
            return None
        self._now = min(
            self._untried, key=lambda pair: (self._line_doubts[pair[0]] + self._trunk_doubts[pair[1]], pair)
        )
        self._untried.discard(self._now)
        line = self._lines[self._now[0]]
        return Choice(line.number, line.channels, self._trunks[self._now[1]])

    def came_to_nothing(self, trouble: Trouble) -> None:
        """The newest choice failed in this way."""
        assert self._now is not None, "nothing was chosen yet"
        line, trunk = self._now
        self._troubles.add(trouble)
        self._line_doubts[line] += trouble in (Trouble.REFUSED, Trouble.SILENT)
        self._trunk_doubts[trunk] += trouble in (Trouble.FULL, Trouble.BROKEN, Trouble.SILENT)

    def failure(self) -> Failure:
        """What it all comes to, once nothing is left: full if all were full, refused if every trunk said no."""
        if self._troubles == {Trouble.FULL}:
            return Failure.FULL
        if self._troubles and self._troubles <= {Trouble.FULL, Trouble.REFUSED}:
            return Failure.REFUSED
        return Failure.UNREACHABLE
