"""One call's hunt through administrative lines: the pure machine of a `Divert` (protocol.md R1, R7, P4).

Lines are dialled one at a time until one rings. A dial that comes to nothing is followed by the next; one that rings is
the conductor's to give up. From an answer on it is as at a gateway: our own second is the authority, and a connect that
comes after it is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.domain.deliveries import Became, Outcome
from services.domain.events import Failure
from services.domain.gateways.rings import ACKNOWLEDGE_S, CONFIRM_S, Stage
from services.domain.hunting.lines import Choice, DialPlan, Trouble, Trunks

RING_WITHIN_S: Final = 1.0
"""A line says `ringing` or `rejected` within this, or the next is dialled."""
GIVE_BACK_AFTER_S: Final = 30.0
"""A line rung for longer is given back when another call waits for it (R6)."""
GIVE_BACK_S: Final = 1.5
"""So long may a trunk take to free the channel."""
LATE_S: Final = 0.050
READ_FIRST_S: Final = 0.100


@dataclass(frozen=True, slots=True)
class Dial:
    """Open a dial by this number of ours."""

    dial: int
    choice: Choice


@dataclass(frozen=True, slots=True)
class ConnectLine:
    dial: int


@dataclass(frozen=True, slots=True)
class HangUp:
    """Release a dial; nothing of it is heard any more."""

    dial: int
    reason: str


Effect = Dial | ConnectLine | HangUp | Became


class Hunt:
    """See the module. Effects come in order; `over` once a final `Became` was among them."""

    def __init__(self, attempt: str, plan: DialPlan, trunks: Trunks, acknowledge_s: float = ACKNOWLEDGE_S) -> None:
        """`acknowledge_s`: how long a trunk may take from connect to the connection."""
        self.over = False
        self.choice: Choice | None = None
        """The line that is being dialled, or rings."""
        self.rings_since: float | None = None
        """Since when a line rings that nobody has answered."""
        self._acknowledge_s = acknowledge_s
        self._waited = False
        self._attempt = attempt
        self._plan = plan
        self._trunks = trunks
        self._dial = 0
        self._stage = Stage.OFFERED
        self._due: float | None = None
        self._excused = False

    def begin(self, now: float) -> list[Effect]:
        """Dials the first line."""
        return self._next(now)

    # What a trunk says of a dial. Words of any but the present dial mean nothing.

    def rings(self, dial: int, now: float) -> list[Effect]:
        if self._means_nothing(dial):
            return []
        self._well()
        if self._stage is not Stage.OFFERED:
            return []
        self._enter(Stage.RINGING, None)
        self.rings_since = now
        return [Became(self._attempt, Outcome.RINGING)]

    def answers(self, dial: int, now: float) -> list[Effect]:
        """A person has answered: a proposal (P4)."""
        if self._means_nothing(dial) or self._stage not in (Stage.OFFERED, Stage.RINGING):
            return []
        effects = self.rings(dial, now)
        self._enter(Stage.ANSWERED, now + CONFIRM_S)
        return [*effects, Became(self._attempt, Outcome.ANSWERED)]

    def connects(self, dial: int, now: float) -> list[Effect]:
        """The trunk acknowledges the connection. One that nobody asked for is hung up."""
        if self._means_nothing(dial):
            return []
        if self._stage is not Stage.CONNECTING:
            return self._fail(Failure.REFUSED, "trunk_connected_unasked", now)
        self.over = True
        self._due = None
        return [Became(self._attempt, Outcome.CONNECTED)]

    def rejects(self, dial: int, failure: Failure, reason: str, now: float) -> list[Effect]:
        """The trunk, or the line, does not take the call or gives it back; its dial is over."""
        if self._means_nothing(dial):
            return []
        self._well()
        if failure in (Failure.SUPERSEDED, Failure.EXPIRED) or self._stage in (Stage.ANSWERED, Stage.CONNECTING):
            return self._end(failure, reason)
        if failure is Failure.NO_ANSWER and self._stage is Stage.RINGING:
            return self._end(failure, reason)
        return self._move_on(Trouble.FULL if failure is Failure.FULL else Trouble.REFUSED, now)

    def waits(self, dial: int, now: float) -> bool:
        """The line is full of rings of ours, and the oldest is being given back (R6): False where this hunt had that
        done for it once, and moves on instead."""
        if self._means_nothing(dial) or self._stage is not Stage.OFFERED or self._waited:
            return False
        self._well()
        self._waited = True
        self._enter(Stage.OFFERED, now + GIVE_BACK_S)
        return True

    def dial_again(self, dial: int, now: float) -> list[Effect]:
        """The ring was given back: the same line again."""
        if self._means_nothing(dial) or self.choice is None:
            return []
        self._dial += 1
        self._enter(Stage.OFFERED, now + RING_WITHIN_S)
        return [Dial(self._dial, self.choice)]

    def breaks(self, dial: int, reason: str, now: float) -> list[Effect]:
        """The dial's stream is over without a last word."""
        if self._means_nothing(dial):
            return []
        self._unwell(now)
        if self._stage in (Stage.ANSWERED, Stage.CONNECTING):
            return self._end(Failure.UNREACHABLE, reason)
        return self._move_on(Trouble.BROKEN, now)

    # What the conductor says.

    def connect(self, now: float) -> list[Effect]:
        """The caller has confirmed. Without an answer that still stands it is refused (P4)."""
        if self.over or self._stage is Stage.CONNECTING:
            return []
        if self._stage is not Stage.ANSWERED:
            return self._fail(Failure.EXPIRED, "connect_without_an_answer", now)
        if self._due is not None and now >= self._due:
            return self._fail(Failure.EXPIRED, "not_confirmed_in_time", now)
        self._enter(Stage.CONNECTING, now + self._acknowledge_s)
        return [ConnectLine(self._dial)]

    def give_back(self, now: float) -> list[Effect]:
        """Its ring is wanted by a call that waits for the line (R6). Nothing happens where it does not ring."""
        if self.over or self._stage is not Stage.RINGING:
            return []
        return self._fail(Failure.NO_ANSWER, "given_back", now)

    def supersede(self, reason: str, now: float) -> list[Effect]:
        """Another leg has the call, or asks for it (P5): the line is let go, and the conductor hears that."""
        if self.over:
            return []
        return self._fail(Failure.SUPERSEDED, reason, now)

    @property
    def stage(self) -> Stage:
        """How far the present dial has come."""
        return self._stage

    def release(self, reason: str, now: float) -> list[Effect]:
        """It is wanted no more, or its stream broke."""
        if self.over:
            return []
        self.over = True
        self._due = None
        return [HangUp(self._dial, reason), Became(self._attempt, Outcome.RELEASED, None, reason)]

    # Time.

    def deadline(self) -> float | None:
        """When `pass_time` is wanted; None for never."""
        return self._due

    def pass_time(self, now: float) -> list[Effect]:
        """Does what is due. One that was held up itself first lets what has waited be read (L2)."""
        if self._due is None or now < self._due:
            return []
        if self._stage is Stage.ANSWERED:
            return self._fail(Failure.EXPIRED, "not_confirmed_in_time", now)
        if now - self._due > LATE_S and not self._excused:
            self._excused = True
            self._due = now + READ_FIRST_S
            return []
        self._unwell(now)
        if self._stage is Stage.CONNECTING:
            return self._fail(Failure.UNREACHABLE, "no_acknowledgement", now)
        return [HangUp(self._dial, Trouble.SILENT), *self._move_on(Trouble.SILENT, now)]

    # Small words.

    def _next(self, now: float) -> list[Effect]:
        choice = self._plan.next()
        if choice is None:
            return self._end(self._plan.failure(), "every_line_failed" if self._dial else "no_line_or_no_trunk")
        self.choice = choice
        self._dial += 1
        self._enter(Stage.OFFERED, now + RING_WITHIN_S)
        return [Dial(self._dial, choice)]

    def _move_on(self, trouble: Trouble, now: float) -> list[Effect]:
        self._plan.came_to_nothing(trouble)
        return self._next(now)

    def _fail(self, failure: Failure, reason: str, now: float) -> list[Effect]:
        """Ends it from here: the trunk is told too."""
        return [HangUp(self._dial, reason), *self._end(failure, reason)]

    def _end(self, failure: Failure, reason: str) -> list[Effect]:
        self.over = True
        self._due = None
        return [Became(self._attempt, Outcome.FAILED, failure, reason)]

    def _enter(self, stage: Stage, due: float | None) -> None:
        self._stage = stage
        self._due = due
        self._excused = False
        self.rings_since = None

    def _means_nothing(self, dial: int) -> bool:
        return self.over or dial != self._dial

    def _well(self) -> None:
        if self.choice is not None:
            self._trunks.well(self.choice.trunk)

    def _unwell(self, now: float) -> None:
        if self.choice is not None:
            self._trunks.unwell(self.choice.trunk, now)
