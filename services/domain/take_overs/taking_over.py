"""Which debts this replica takes up now: the plan of a take-over (protocol.md T1 to T5).

It decides from the debts, the watch, the log's time and the ranks; it connects nobody, and whoever carries it out asks
first who has the call. Everything is looked at anew each time: a debt whose conductor is heard again, or that is
settled or carried on by a higher leg, is due no more, and nothing has to be taken back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.domain.events import Conductor
from services.domain.take_overs.debts import Debts
from services.domain.take_overs.log_time import LogTime
from services.domain.take_overs.open_call import OpenCall
from services.domain.take_overs.ranks import Ranks
from services.domain.take_overs.watch import GONE, Life, Watch

RANK_S: Final = 1.0
"""Rank k acts k times this after rank 0 (T4)."""
SUSPECT_SHARE: Final = 5
"""More than one debt in so many, due by silence at once, and we suspect ourselves (T5)."""
SUSPECT_MIN: Final = 10
SUSPECT_FOR_S: Final = 10.0
SUSPECT_RATE: Final = 20.0
"""Take-overs a second, of silent conductors, while we do."""
ASKED_FOR_S: Final = 5.0
"""An unanswered question counts for so long."""
ASK_EVERY_S: Final = 1.0


class Cause(StrEnum):
    """Why a debt is due."""

    BROKEN = "stream_broken"
    REPLACED = "restarted"
    SILENT = "silent"
    LATE = "late"


BY_SILENCE: Final = frozenset({Cause.SILENT, Cause.LATE})
_OF_LIFE: Final = {Life.BROKEN: Cause.BROKEN, Life.REPLACED: Cause.REPLACED, Life.SILENT: Cause.SILENT}


@dataclass(frozen=True, slots=True)
class Due:
    """A debt of which this replica's turn has come."""

    call_id: str
    leg: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class Look:
    """What there is to do now: take these up; ask these conductors first whether they live."""

    begin: tuple[Due, ...]
    ask: tuple[Conductor, ...]


class TakeOvers:
    """See the module. `keeps` says whether this replica holds a copy of facts of a call (J4)."""

    def __init__(
        self, debts: Debts, watch: Watch, log_time: LogTime, ranks: Ranks, keeps: Callable[[str], bool]
    ) -> None:
        self.suspects = False
        """Whether this replica doubts its own view (T5)."""
        self.due_now: dict[Cause, int] = dict.fromkeys(Cause, 0)
        """How many debts are due, whoever's turn it is."""
        self._debts = debts
        self._watch = watch
        self._log_time = log_time
        self._ranks = ranks
        self._keeps = keeps
        self._due_since: dict[tuple[str, int], float] = {}
        self._in_hand: set[str] = set()
        self._suspected_at = float("-inf")
        self._unanswered: dict[Conductor, float] = {}
        self._asked: dict[Conductor, float] = {}
        self._allowance = 0.0
        self._looked_at: float | None = None

    def look(self, now: float, *, read: bool, room: int) -> Look:
        """What to do now. `read`: the log has been read to its end; before that only calls whose copies are kept here
        are judged. `room`: how many take-overs may begin."""
        due = self._find_due(now, read=read)
        self._due_since = {key: self._due_since.get(key, now) for key in due}
        self._doubt(due, now)
        begin: list[Due] = []
        ask: list[Conductor] = []
        for (call_id, leg), cause in due.items():
            call = self._debts.get(call_id)
            if call is None or call_id in self._in_hand or now < self._turn(call, now):
                continue
            if len(begin) >= room:
                break
            if cause is not Cause.REPLACED:
                # One stream says little: it is asked in another way before anything is taken from it.
                unasked = [each for each in call.conductors if not self._did_not_answer(each, now)]
                ask += [each for each in unasked if each not in ask and self._may_ask(each, now)]
                if unasked:
                    continue
            if cause in BY_SILENCE:
                if self.suspects and self._allowance < 1:
                    continue
                self._allowance -= self.suspects
            begin.append(Due(call_id, leg, cause))
            self._in_hand.add(call_id)
        self._asked.update((each, now) for each in ask)
        return Look(tuple(begin), tuple(ask))

    def stands(self, due: Due, now: float) -> bool:
        """Whether a take-over that has begun is still wanted: the last look before anything is said."""
        call = self._debts.get(due.call_id)
        return call is not None and call.leg == due.leg and call.owes and self._cause(call, now) is not None

    def over(self, call_id: str) -> None:
        """A take-over has ended, whatever came of it."""
        self._in_hand.discard(call_id)

    def no_answer(self, conductor: Conductor, now: float) -> None:
        """It was asked whether it lives, and said nothing. An answer goes to the watch instead."""
        self._unanswered[conductor] = now

    # What is due.

    def _find_due(self, now: float, *, read: bool) -> dict[tuple[str, int], Cause]:
        """Oldest first."""
        found: list[tuple[int, str, int, Cause]] = []
        for conductor, call_ids in self._debts.owing():
            if conductor is not None and self._watch.life(conductor, None, now) is Life.LIVES:
                continue
            for call_id in call_ids:
                call = self._debts.get(call_id)
                assert call is not None, "a debt is of an open call"
                if now < call.judged_from or not (read or self._keeps(call_id)):
                    continue
                cause = self._cause(call, now)
                if cause is not None:
                    found.append((call.since_ms, call_id, call.leg, cause))
        due = {(call_id, leg): cause for _, call_id, leg, cause in sorted(found)}
        self.due_now = {each: sum(cause is each for cause in due.values()) for each in Cause}
        return due

    def _cause(self, call: OpenCall, now: float) -> Cause | None:
        """Why it is due; None while any conductor of it lives, or may live and is not late."""
        lives = {self._watch.life(each, call.partition, now) for each in call.conductors}
        if Life.LIVES in lives:
            return None
        if lives and Life.UNSURE not in lives:
            # One of two that is only silent may still have the caller: the weaker word counts.
            weakest = Life.SILENT if Life.SILENT in lives else next(iter(sorted(lives & GONE)))
            return _OF_LIFE[weakest]
        return Cause.LATE if self._log_time.is_late(call.partition, call.since_ms, call.due_in_ms) else None

    def _turn(self, call: OpenCall, now: float) -> float:
        """When this replica may act: by rank, from when the debt was due here, or from another's TakenOver that nothing
        has followed."""
        since = self._due_since[call.call_id, call.leg]
        rank = self._ranks.of(call.call_id, keeper=self._keeps(call.call_id))
        if call.taken_over_at is not None:
            since = max(since, call.taken_over_at + RANK_S)
        return since + rank * RANK_S

    # Doubt.

    def _doubt(self, due: dict[tuple[str, int], Cause], now: float) -> None:
        passed_s = 0.0 if self._looked_at is None else now - self._looked_at
        self._looked_at = now
        silent = sum(cause in BY_SILENCE for cause in due.values())
        if silent >= SUSPECT_MIN and silent * SUSPECT_SHARE > len(self._debts):
            self._suspected_at = now
        was = self.suspects
        self.suspects = now - self._suspected_at < SUSPECT_FOR_S
        for told in (self._unanswered, self._asked):
            for conductor in [each for each, at in told.items() if now - at >= ASKED_FOR_S]:
                del told[conductor]
        self._allowance = 1.0 if not was else min(SUSPECT_RATE, self._allowance + passed_s * SUSPECT_RATE)

    def _did_not_answer(self, conductor: Conductor, now: float) -> bool:
        """Lately, and nothing was heard at its address since. Where another incarnation answers, nothing is to be
        asked."""
        if self._watch.life(conductor, None, now) is Life.REPLACED:
            return True
        at = self._unanswered.get(conductor, float("-inf"))
        return now - at < ASKED_FOR_S and at >= (self._watch.heard_at(conductor.address) or at)

    def _may_ask(self, conductor: Conductor, now: float) -> bool:
        return now - self._asked.get(conductor, float("-inf")) >= ASK_EVERY_S
