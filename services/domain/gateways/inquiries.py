"""Questions about calls, put to a gateway when a conductor is gone or a caller has come back (protocol.md P5, T3).

A gateway first looks at what it knows itself; for the rest it asks the PSAP, over the stream that the PSAP opened, and
waits a moment. What a hello named as connected is the PSAP's word of then: another gateway may have let go of it since,
so the PSAP is asked, and its hello stands where it cannot answer. "It is not there" comes from the PSAP's own mouth, or
after 3 s without a stream *here*: the PSAP may talk through another gateway, so who asks must ask all of them, and one
that cannot be asked leaves it unknown.

`Resume` also ends the attempt that it names, unless it is connected: whoever asks has a newer leg, and may ring only
once nobody can connect the older one. So the attempt is remembered from the question on, and never rung here again.
One that is unwanted is let go of though it is connected: before the PSAP is asked, and when a word of it comes later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from services.domain.deadlines import Deadlines
from services.domain.deliveries import Outcome
from services.domain.events import Failure
from services.domain.gateways.attachments import Attachment
from services.domain.gateways.patching import Ask, Attested, Cancel, TakeUp
from services.domain.gateways.psaps import Psaps
from services.domain.gateways.rings import UNWANTED, Due, Ring, Rings, Stage
from services.domain.holding import NONE, UNKNOWN, WITHOUT_A_STREAM_S, Holding, Standing, furthest
from services.domain.where import Where

WHO_HAS_S: Final = 0.200
"""How long a PSAP has for its answer."""
RESUME_S: Final = 0.250
"""The same where an attempt may have to be released first, or is being connected; who asks waits 300 ms (P5)."""
QUESTIONS_MAX: Final = 1024
PSAPS_MAX: Final = 32

_STANDING: Final = {
    Stage.OFFERED: Standing.RINGING,
    Stage.RINGING: Standing.RINGING,
    Stage.ANSWERED: Standing.ANSWERED,
}


class Question:
    """One in hand. `resumes` names the attempt that a newer leg asks to have back; empty for WhoHas."""

    __slots__ = ("call_id", "cancelled", "due", "ended_here", "heard", "number", "resumes", "unwanted", "waits_for")

    def __init__(self, number: int, call_id: str, resumes: str, due: float, *, unwanted: bool = False) -> None:
        self.number = number
        self.call_id = call_id
        self.resumes = resumes
        self.unwanted = unwanted
        """What it names is to be let go of, connected or not."""
        self.due = due
        self.ended_here = False
        """The attempt rang through this gateway, and was released before anything else: nobody can connect it."""
        self.cancelled = False
        """The PSAP was told to cancel the attempt, and is asked once more."""
        self.waits_for: dict[str, int | None] = {}
        """PSAPs that could not be spoken for at once: the stream on which each was asked, None while it connects."""
        self.heard: list[Holding] = []


class Inquiries:
    """All questions in hand."""

    def __init__(self, psaps: Psaps, rings: Rings, dues: Deadlines[Due]) -> None:
        self.open_since: float | None = None
        """Since when PSAPs could attach here."""
        self._psaps = psaps
        self._rings = rings
        self._dues = dues
        self._open: dict[int, Question] = {}

    def __contains__(self, number: int) -> bool:
        return number in self._open

    def who_has(self, number: int, call_id: str, psap_ids: Sequence[str], now: float) -> None:
        """How far a call has come at these PSAPs, and at those that have, or had, something of it here.

        Who asks knows of the PSAPs that had a fact by then; the one that has the caller may not be among them.
        """
        rings = {ring.psap.psap_id for ring in self._rings.of(call_id)}
        known = [
            psap.psap_id
            for psap in self._psaps
            if psap.held.of(call_id) or psap.spoken.of(call_id) or psap.psap_id in rings
        ]
        self._put(Question(number, call_id, "", now + WHO_HAS_S), list(dict.fromkeys([*known, *psap_ids])), now)

    def resume(
        self, number: int, call_id: str, attempt: str, psap_id: str, now: float, *, unwanted: bool = False
    ) -> None:
        """A newer leg has come, whose caller had confirmed this attempt at that PSAP; or nobody wants it any more."""
        self._rings.resumed.add(attempt)
        question = Question(number, call_id, attempt, now + RESUME_S, unwanted=unwanted)
        one = self._rings.get(attempt)
        if one is not None:
            psap_id = one.psap.psap_id
            if unwanted:
                self._rings.forget(one)
                self._rings.became(one, Outcome.FAILED, Failure.SUPERSEDED, UNWANTED)
            elif one.stage is not Stage.CONNECTING:
                question.ended_here = one.stage is not Stage.OFFERED  # else it may be connected there already (R5)
                self._rings.fail(one, Failure.SUPERSEDED, "a_newer_leg_has_come")
        if unwanted:
            self._rings.unwanted.add(attempt)
        self._put(question, [psap_id] if psap_id else [], now)

    def hears(self, psap: Attachment, number: int, attempt: str, standing: Standing, now: float) -> None:
        """A PSAP's own word on a call."""
        question = self._open.get(number)
        if question is None or question.waits_for.get(psap.psap_id) is None:
            return  # too late
        if standing is Standing.CONNECTED and attempt in self._rings.unwanted:
            self._rings.let_go(psap, attempt)
            standing = Standing.UNKNOWN
        rings = standing in (Standing.RINGING, Standing.ANSWERED)
        if standing is Standing.NONE:
            self._settle(question, psap.psap_id, NONE)
        elif standing is Standing.UNKNOWN or not attempt:
            self._settle(question, psap.psap_id, UNKNOWN)
        elif question.unwanted:
            self._settle(question, psap.psap_id, UNKNOWN if attempt == question.resumes else NONE)
        elif not question.resumes or not rings:
            if standing is Standing.CONNECTED:
                self._take_up(psap, attempt)
            self._settle(question, psap.psap_id, Holding(standing, attempt, Where(psap.psap_id)))
        elif attempt != question.resumes:
            self._settle(question, psap.psap_id, NONE)  # one ring a call (R3): so that attempt is not there
        elif question.cancelled:
            self._settle(question, psap.psap_id, UNKNOWN)  # it did not let go
        else:
            self._let_go(question, psap)

    def lost(self, psaps: Iterable[Attachment]) -> None:
        """Their streams are gone: what they were asked stays unknown."""
        for psap in psaps:
            for question in list(self._open.values()):
                if question.waits_for.get(psap.psap_id) is not None:
                    self._settle(question, psap.psap_id, self._unsaid(question, psap.psap_id))

    def over(self, rings: Iterable[Ring], now: float) -> None:
        """These attempts have come to their end: who waited for that is answered, or the PSAP is asked."""
        if not self._open:
            return
        for ring in rings:
            for question in list(self._open.values()):
                psap_id = ring.psap.psap_id
                if question.call_id == ring.call_id and question.waits_for.get(psap_id, 0) is None:
                    self._look(question, psap_id, now)

    def give_up(self, number: int) -> None:
        """Its time is over: who has not answered leaves it unknown."""
        question = self._open.get(number)
        if question is not None:
            for psap_id in list(question.waits_for):
                self._settle(question, psap_id, self._unsaid(question, psap_id))

    def _put(self, question: Question, psap_ids: Sequence[str], now: float) -> None:
        assert question.number not in self._open, f"question {question.number} is in hand"
        room = PSAPS_MAX if len(self._open) < QUESTIONS_MAX else 0
        if not psap_ids or len(psap_ids) > room:
            question.heard.append(UNKNOWN)  # of those for whom there is no room, and of nobody
            psap_ids = psap_ids[:room]
        self._open[question.number] = question
        question.waits_for = dict.fromkeys(psap_ids)
        for psap_id in psap_ids:
            self._look(question, psap_id, now)
        if not psap_ids:
            self._answer_if_done(question)
        elif question.number in self._open:
            self._dues.set(question.due, Due.QUESTION, str(question.number))

    def _look(self, question: Question, psap_id: str, now: float) -> None:
        """Settles what is known here of a call at one PSAP, or asks the PSAP, or waits for a connection's outcome."""
        psap = self._psaps.get(psap_id)
        if question.unwanted:
            self._look_after_unwanted(question, psap_id, psap)
            return
        if psap is None:
            self._settle(question, psap_id, self._absent(self.open_since, now))
            return
        rings = [ring for ring in self._rings.of(question.call_id) if ring.psap is psap]
        held = psap.held.of(question.call_id)
        attested = held if held in self._rings.connected_once else ""
        if not (attested or question.resumes):
            attested = psap.spoken.of(question.call_id)
        if attested:
            self._settle(question, psap_id, Holding(Standing.CONNECTED, attested, Where(psap_id)))
        elif any(ring.stage is Stage.CONNECTING for ring in rings):
            question.waits_for[psap_id] = None
        elif question.ended_here:
            self._settle(question, psap_id, NONE)
        elif rings and not question.resumes:
            known = [Holding(_STANDING[ring.stage], ring.name, Where(psap_id)) for ring in rings]
            self._settle(question, psap_id, furthest(known))
        elif psap.link is None and not held:
            self._settle(question, psap_id, self._absent(psap.gone_at, now))
        elif psap.link is None or psap.silent or psap.probe_at is not None:
            self._settle(question, psap_id, self._unsaid(question, psap_id))
        else:
            self._ask(question, psap, psap.link)

    def _look_after_unwanted(self, question: Question, psap_id: str, psap: Attachment | None) -> None:
        """That nobody talks there is said by the PSAP alone, after it was told."""
        if psap is not None:
            self._rings.let_go(psap, question.resumes)
        if psap is None or psap.link is None:
            self._settle(question, psap_id, UNKNOWN)
        else:
            self._ask(question, psap, psap.link)

    def _unsaid(self, question: Question, psap_id: str) -> Holding:
        """What is to be said of a PSAP that does not say it itself: what its hello named is with it."""
        psap = self._psaps.get(psap_id)
        held = psap.held.of(question.call_id) if psap is not None else ""
        return Holding(Standing.CONNECTED, held, Where(psap_id)) if held else UNKNOWN

    def _absent(self, since: float | None, now: float) -> Holding:
        """What is to be said of a PSAP without a stream since then."""
        return NONE if since is not None and now - since >= WITHOUT_A_STREAM_S else UNKNOWN

    def _ask(self, question: Question, psap: Attachment, link: int) -> None:
        if psap.ask(question.call_id, question.number):
            question.waits_for[psap.psap_id] = link
            self._rings.effects.append(Ask(link, question.call_id))
        else:
            self._settle(question, psap.psap_id, self._unsaid(question, psap.psap_id))

    def _take_up(self, psap: Attachment, attempt: str) -> None:
        """The caller is told, or the books are, that the two talk: this stream has the talk from now on. Another
        gateway may wait for the word of it yet, and have it released when that does not come in time (R5)."""
        assert psap.link is not None, "it has just spoken"
        psap.over.add(attempt)  # where the talk ends just now, it rejects that
        psap.released.discard(attempt)
        self._rings.effects.append(TakeUp(psap.link, attempt))

    def _let_go(self, question: Question, psap: Attachment) -> None:
        """The attempt rings there through another gateway, or through none: takes it up here, to cancel it. Where it
        was connected meanwhile it stays so."""
        assert psap.link is not None, "it has just spoken"
        question.cancelled = True
        self._rings.effects.append(TakeUp(psap.link, question.resumes))
        self._rings.effects.append(Cancel(psap.link, question.resumes, "a_newer_leg_has_come"))
        psap.claimed.discard(question.resumes)
        psap.over.add(question.resumes)
        self._ask(question, psap, psap.link)

    def _settle(self, question: Question, psap_id: str, holding: Holding) -> None:
        del question.waits_for[psap_id]
        question.heard.append(holding)
        self._answer_if_done(question)

    def _answer_if_done(self, question: Question) -> None:
        if not question.waits_for and self._open.pop(question.number, None) is not None:
            self._rings.effects.append(Attested(question.number, furthest(question.heard)))
