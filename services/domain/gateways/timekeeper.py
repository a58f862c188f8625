"""What is due at a gateway, and whether it still means anything.

A process that was held up itself is a bad judge of others' silence: when it comes late to a deadline that would find
somebody wanting, it first lets what has waited be read (protocol.md L2).
"""

from __future__ import annotations

from typing import Final

from services.domain.deadlines import Deadlines
from services.domain.events import Failure
from services.domain.gateways.inquiries import Inquiries
from services.domain.gateways.patching import Cancel
from services.domain.gateways.psaps import Psaps
from services.domain.gateways.rings import ACCUSES, LIMIT_S, Due, Ring, Rings, Stage

LATE_S: Final = 0.050
READ_FIRST_S: Final = 0.100


class Timekeeper:
    """Keeps the deadlines that the others set."""

    def __init__(self, psaps: Psaps, rings: Rings, inquiries: Inquiries, dues: Deadlines[Due]) -> None:
        self._psaps = psaps
        self._rings = rings
        self._inquiries = inquiries
        self._dues = dues

    def deadline(self) -> float | None:
        """The next that means something; None for none."""
        return self._dues.next(self._means_something)

    def pass_time(self, now: float) -> None:
        """Does what is due."""
        while (taken := self._dues.take(now)) is not None:
            due, kind, name, excused = taken
            if not self._means_something(due, kind, name):
                continue
            if kind in ACCUSES and not excused and now - due > LATE_S:
                self._dues.set(now + READ_FIRST_S, kind, name, excused=True)
                continue
            match kind:
                case Due.DOUBT:
                    self._psaps.judge_doubt(name, now)
                case Due.SILENCE:
                    self._psaps.judge_silence(name, now)
                case Due.PROBE:
                    self._psaps.changed = True
                case Due.UNCLAIMED:
                    self._cancel_unclaimed(int(name))
                case Due.QUESTION:
                    self._inquiries.give_up(int(name))
                case _:
                    self._judge(self._rings.get(name), now)

    def _means_something(self, due: float, kind: Due, name: str) -> bool:
        """Whether an attempt still stands where its deadline was set, and has stood there long enough by `due`."""
        one = self._rings.get(name)
        match kind:
            case Due.DOUBT | Due.SILENCE | Due.PROBE:
                return True
            case Due.QUESTION:
                return int(name) in self._inquiries
            case Due.UNCLAIMED:
                psap = self._psaps.on(int(name))
                return psap is not None and bool(psap.claimed)
            case Due.RETURN:
                return one is not None and one.stage is Stage.CONNECTING and one.psap.link is None
        stage, limit_s = LIMIT_S[kind]
        return one is not None and one.stage is stage and one.since + limit_s <= due

    def _judge(self, one: Ring | None, now: float) -> None:
        """An attempt has stood long enough where it stands."""
        assert one is not None, "a deadline of an attempt means something while it is in hand"
        match one.stage:
            case Stage.OFFERED:
                self._psaps.suspect(one.psap, now)
                self._rings.fail(one, Failure.UNREACHABLE, "no_word_on_an_offer")
            case Stage.ANSWERED:
                self._rings.fail(one, Failure.EXPIRED, "not_confirmed_in_time")
            case Stage.CONNECTING if one.psap.link is None:
                self._rings.fail(one, Failure.UNREACHABLE, one.psap.gone_reason)
            case Stage.CONNECTING:
                self._psaps.suspect(one.psap, now)
                self._rings.fail(one, Failure.UNREACHABLE, "no_acknowledgement")

    def _cancel_unclaimed(self, link: int) -> None:
        """No conductor has taken up what a PSAP brought with its hello: it rings no more (R5)."""
        psap = self._psaps.on(link)
        assert psap is not None, "it means something while the stream stands"
        for attempt in sorted(psap.claimed):
            self._rings.effects.append(Cancel(link, attempt, "no_conductor_took_it_up"))
            psap.over.add(attempt)
        psap.claimed.clear()
