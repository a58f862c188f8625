"""A gateway's pure view of its PSAPs and of the attempts that ring them (protocol.md R1-R5, P4, P5).

The shell tells it what conductors and PSAPs say, with `now`; it answers with effects, to be carried out in order. Four
things never happen, whoever misbehaves: an attempt is never connected twice, never connected without its conductor's
word, never after it was released, and never after a newer leg was told that it is not connected. A PSAP that lies or
floods loses its stream, and nobody else notices.

`deadline` says when `pass_time` is wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.domain.deadlines import Deadlines
from services.domain.deliveries import Became, Outcome
from services.domain.events import Failure
from services.domain.gateways.attachments import Offence, Row, is_attempt, is_attempt_of
from services.domain.gateways.inquiries import Inquiries
from services.domain.gateways.patching import Again, Connect, Effect, Offer, Unlink
from services.domain.gateways.psaps import Psaps
from services.domain.gateways.rings import ACKNOWLEDGE_S, CONFIRM_S, TAKE_UP_S, Due, Ring, Rings, Stage
from services.domain.gateways.timekeeper import Timekeeper
from services.domain.holding import Standing

ACCUSE_AFTER_S: Final = 0.200
"""A conductor that gives up on a PSAP as unreachable is believed once our own clock shows this much silence."""


class Switchboard:
    """See the module. Links and questions are numbered by the shell, each its own number, never used again."""

    def __init__(self) -> None:
        self._dues: Deadlines[Due] = Deadlines()
        self._rings = Rings()
        self._psaps = Psaps(self._rings, self._dues)
        self._inquiries = Inquiries(self._psaps, self._rings, self._dues)
        self._timekeeper = Timekeeper(self._psaps, self._rings, self._inquiries, self._dues)

    @property
    def in_hand(self) -> int:
        """Attempts that are not over."""
        return len(self._rings)

    @property
    def attached(self) -> int:
        return self._psaps.attached

    def rows(self, now: float) -> list[Row]:
        """Every PSAP that has ever attached here."""
        return [psap.row(self._rings.count_at(psap), now) for psap in self._psaps]

    def take_changed(self) -> bool:
        """Whether a row changed, since it was last asked, in a way that routers should hear of at once."""
        changed, self._psaps.changed = self._psaps.changed, False
        return changed

    def open(self, now: float) -> None:
        """From now on PSAPs can attach here."""
        self._inquiries.open_since = now

    # The conductor's side.

    def offer(self, attempt: str, call_id: str, psap_id: str, now: float) -> list[Effect]:
        """Offers an attempt to a PSAP, or says at once why not (R4).

        One that is in hand here is taken over as it stands: its older stream is the shell's to end (R5).
        """
        psap = self._psaps.get(psap_id)
        if (one := self._rings.get(attempt)) is not None:
            assert one.psap is psap, f"{attempt} is in hand at another PSAP"
            one.doubted = False  # the newer stream has not heard of it
            self._psaps.overhear(one.psap, now)
            return [Again(attempt, outcome) for outcome in one.so_far]
        if psap is not None and attempt in psap.held and attempt not in self._rings.resumed:
            return [Again(attempt, Outcome.CONNECTED)]
        if attempt in self._rings.resumed or attempt in self._rings.connected_once:
            why = "a_newer_leg_has_come" if attempt in self._rings.resumed else "its_conversation_is_over"
            return [Became(attempt, Outcome.FAILED, Failure.SUPERSEDED, why)]
        if psap is None or psap.link is None:
            reason = psap.gone_reason if psap is not None else "never_attached"
            return [Became(attempt, Outcome.FAILED, Failure.NOT_ATTACHED, reason)]
        if why := psap.why_unreachable(now):
            return [Became(attempt, Outcome.FAILED, Failure.UNREACHABLE, why)]
        if psap.probe_at is not None:
            self._psaps.suspect(psap, now)  # this offer is the probe: the next waits its turn
        self._rings.begin(attempt, call_id, psap, now)
        psap.allowance.earn()
        self._dues.set(now + TAKE_UP_S, Due.TAKE_UP, attempt)
        return [Offer(psap.link, attempt)]

    def connect(self, attempt: str, now: float) -> list[Effect]:
        """The caller's side has confirmed. Without an answer that still stands it is refused (P4)."""
        one = self._rings.get(attempt)
        if one is None or one.stage is Stage.CONNECTING:
            return []
        if one.stage is not Stage.ANSWERED:
            self._rings.fail(one, Failure.EXPIRED, "connect_without_an_answer")
        elif now >= one.since + CONFIRM_S:
            self._rings.fail(one, Failure.EXPIRED, "not_confirmed_in_time")
        else:
            assert one.psap.link is not None, "a PSAP that detaches takes what is not confirmed with it"
            one.enter(Stage.CONNECTING, now)
            self._dues.set(now + ACKNOWLEDGE_S, Due.ACKNOWLEDGE, attempt)
            self._rings.effects.append(Connect(one.psap.link, attempt))
        return self._flush(now)

    def release(self, attempt: str, reason: str, now: float) -> list[Effect]:
        """The conductor wants it no more, or has waited for it long enough."""
        one = self._rings.get(attempt)
        if one is None:
            return []
        gives_up = reason == Failure.UNREACHABLE
        if one.stage is Stage.OFFERED and gives_up and now - one.since >= ACCUSE_AFTER_S:
            self._psaps.suspect(one.psap, now)
        return self._released(one, reason, now, unwanted=not gives_up)

    def abandon(self, attempt: str, now: float) -> list[Effect]:
        """The conductor's stream broke, which gives up what rings and nobody who has picked up.

        An answer has its second (P4), in which it goes on by a newer stream, or through another gateway (R5). What is
        confirmed comes to its end: the two may be connected already, and who goes on asks what became of it (P5, T3).
        """
        one = self._rings.get(attempt)
        if one is None or one.stage in (Stage.ANSWERED, Stage.CONNECTING):
            return []
        return self._released(one, "stream_broken", now, unwanted=False)

    # Who asks about a call.

    def who_has(self, question: int, call_id: str, psap_ids: Sequence[str], now: float) -> list[Effect]:
        """Changes nothing; ends in `Attested` (T3)."""
        self._inquiries.who_has(question, call_id, psap_ids, now)
        return self._flush(now)

    def resume(
        self, question: int, call_id: str, attempt: str, psap_id: str, now: float, *, unwanted: bool = False
    ) -> list[Effect]:
        """Ends in `Attested`: connected, or none once nobody can connect that attempt any more (P5). One that is
        `unwanted` is let go of though it is connected."""
        self._inquiries.resume(question, call_id, attempt, psap_id, now, unwanted=unwanted)
        return self._flush(now)

    # The PSAP's side.

    def attach(
        self,
        link: int,
        psap_id: str,
        ringing: Sequence[str],
        held: Sequence[str],
        now: float,
        *,
        beats_while_ringing: bool = False,
    ) -> list[Effect]:
        """A stream with a good hello (R2). An older one of the PSAP ends; what it rang goes on if `ringing` says so.
        What has no attempt's name is not heard: it would be attested, and become a fact (T3)."""
        ringing, held = [list(filter(is_attempt, each)) for each in (ringing, held)]
        for attempt in (*ringing, *held):
            one = self._rings.get(attempt)
            if one is not None and one.psap.psap_id != psap_id:
                return [Unlink(link, Offence.ANOTHERS_ID, f"hello names {attempt}, which rings at another PSAP")]
        psap = self._psaps.attach(link, psap_id, ringing, held, beats_while_ringing, now)
        self._psaps.go_on(psap, link, ringing, held, now)
        return self._flush(now)

    def detach(self, link: int, reason: str, now: float) -> list[Effect]:
        """A PSAP's stream is over. Nothing happens when it was ended from here already."""
        self._psaps.detach(link, reason, now)
        return self._flush(now)

    def accuse(self, link: int, offence: Offence, reason: str, now: float) -> list[Effect]:
        """What the shell has seen of a PSAP is reason to end its stream."""
        if self._psaps.on(link) is not None:
            self._psaps.cut(link, offence, reason, now)
        return self._flush(now)

    def beat(self, link: int, now: float) -> list[Effect]:
        """A heartbeat."""
        self._psaps.hear(link, now)
        return self._flush(now)

    def rings(self, link: int, attempt: str, now: float) -> list[Effect]:
        """It has begun to ring there."""
        one = self._spoken_of(link, attempt, now)
        if one is not None and one.stage is Stage.OFFERED:
            self._taken_up(one, now)
        return self._flush(now)

    def answers(self, link: int, attempt: str, now: float) -> list[Effect]:
        """A person has answered: a proposal (P4). One that comes too late is released."""
        one = self._spoken_of(link, attempt, now)
        if one is None:
            self._release_late(link, attempt)
            return self._flush(now)
        if one.stage is Stage.OFFERED:
            self._taken_up(one, now)
        if one.stage is Stage.RINGING:
            one.enter(Stage.ANSWERED, now)
            self._dues.set(now + CONFIRM_S, Due.CONFIRM, attempt)
            self._rings.became(one, Outcome.ANSWERED)
        return self._flush(now)

    def connects(self, link: int, attempt: str, now: float) -> list[Effect]:
        """It acknowledges that the two are connected."""
        one = self._spoken_of(link, attempt, now)
        if one is None:
            self._release_late(link, attempt)
        elif one.stage is not Stage.CONNECTING:
            self._psaps.cut(link, Offence.OUT_OF_TURN, f"says connected of {attempt}, unasked", now)
        else:
            self._rings.connected(one)
        return self._flush(now)

    def rejects(self, link: int, attempt: str, failure: Failure, reason: str, now: float) -> list[Effect]:
        """It does not take the attempt, or gives it back; also one that its hello named as connected, which another
        gateway has had released since. Whatever it says, it is there."""
        one = self._spoken_of(link, attempt, now)
        if one is not None:
            self._psaps.trust(one.psap)
            self._rings.forget(one)
            self._rings.became(one, Outcome.FAILED, failure, reason)
        elif (psap := self._psaps.on(link)) is not None and attempt in psap.held:
            psap.held.discard(attempt)
            psap.over.add(attempt)
        return self._flush(now)

    def have(self, link: int, call_id: str, attempt: str, now: float) -> list[Effect]:
        """The call is connected there, under that attempt: whatever else of it rings through here is superseded (R3).

        Of the very attempt that was offered it is news from before: it was connected through another gateway (R5). As
        what a hello names it is the PSAP's word of then, and the PSAP's to speak of.
        """
        psap = self._psaps.hear(link, now)
        if psap is not None:
            psap.claimed.discard(attempt)  # its hello was older, and said that it rings
            if attempt in self._rings.unwanted:
                self._rings.let_go(psap, attempt)
            elif is_attempt_of(attempt, call_id) and self._rings.get(attempt) is None:
                psap.told_of(attempt)
        for one in [each for each in self._rings.of(call_id) if each.psap is psap]:
            self._psaps.trust(one.psap)
            if self._rings.get(one.name) is not one:
                continue  # it went with the stream, just now
            if one.name != attempt:
                self._rings.forget(one)
                self._rings.became(one, Outcome.FAILED, Failure.SUPERSEDED, attempt)
            elif one.stage in (Stage.OFFERED, Stage.CONNECTING):
                self._rings.connected(one)
            else:
                self._psaps.cut(link, Offence.OUT_OF_TURN, f"says that it has {attempt}, which rings there", now)
        return self._flush(now)

    def has(self, link: int, call_id: str, attempt: str, standing: Standing, now: float) -> list[Effect]:
        """It answers whether it has a call (T3): of one that it was asked, and of no other."""
        psap = self._psaps.hear(link, now)
        if psap is None:
            return self._flush(now)
        question, one = psap.answered(call_id), self._rings.get(attempt)
        if question is None or (attempt and not is_attempt_of(attempt, call_id)):
            self._psaps.cut(link, Offence.OUT_OF_TURN, f"says has of {attempt or call_id}, which it was not asked", now)
        elif one is not None and one.psap is not psap:
            self._psaps.cut(link, Offence.ANOTHERS_ID, f"speaks of {attempt}, which rings at another PSAP", now)
        else:
            self._inquiries.hears(psap, question, attempt, standing, now)
        return self._flush(now)

    def ended(self, link: int, attempt: str, now: float) -> list[Effect]:
        """A conversation is over."""
        psap = self._psaps.hear(link, now)
        if psap is not None and attempt in psap.held:
            psap.held.discard(attempt)
            psap.spoken.add(attempt)
            psap.over.add(attempt)
            self._rings.connected_once.add(attempt)
        elif (one := self._rings.get(attempt)) is not None and psap is not None:
            if one.psap is not psap:
                self._psaps.cut(link, Offence.ANOTHERS_ID, f"speaks of {attempt}, which rings at another PSAP", now)
            else:
                self._rings.give_back(one, "psap_ended")
                self._rings.became(one, Outcome.FAILED, Failure.REFUSED, "psap_ended")
        return self._flush(now)

    def says_state(self, link: int, state: str, now: float) -> list[Effect]:
        """How it is, in its own words; published, never a gate."""
        psap = self._psaps.hear(link, now)
        if psap is not None and psap.state != state:
            psap.state = state
            self._psaps.changed = True
        return self._flush(now)

    # Time.

    def deadline(self) -> float | None:
        """When `pass_time` is wanted; None for never."""
        return self._timekeeper.deadline()

    def pass_time(self, now: float) -> list[Effect]:
        """Does what is due."""
        self._timekeeper.pass_time(now)
        return self._flush(now)

    # Small words.

    def _spoken_of(self, link: int, attempt: str, now: float) -> Ring | None:
        """The attempt that a PSAP speaks of; None when it is over, or when the PSAP had no business to speak of it."""
        psap = self._psaps.hear(link, now)
        if psap is None:
            return None
        one = self._rings.get(attempt)
        if one is not None and one.psap is psap:
            return one
        if one is not None:
            self._psaps.cut(link, Offence.ANOTHERS_ID, f"speaks of {attempt}, which rings at another PSAP", now)
        elif attempt in psap.over:
            self._psaps.trust(psap)  # too late for that call, but it does take up offers: slow is not gone
        elif attempt not in psap.held and attempt not in psap.claimed:
            self._psaps.cut(link, Offence.OUT_OF_TURN, f"speaks of {attempt}, which was not offered to it", now)
        return None

    def _release_late(self, link: int, attempt: str) -> None:
        """A PSAP speaks of an attempt that is over as if it were not, unless it is one that is connected there."""
        psap = self._psaps.on(link)
        if psap is not None and attempt in psap.over and attempt not in psap.held:
            self._rings.release(psap, link, attempt, "too_late")

    def _released(self, one: Ring, reason: str, now: float, *, unwanted: bool) -> list[Effect]:
        self._rings.give_back(one, reason, unwanted=unwanted)
        self._rings.became(one, Outcome.RELEASED, None, reason)
        return self._flush(now)

    def _taken_up(self, one: Ring, now: float) -> None:
        self._psaps.trust(one.psap)
        one.enter(Stage.RINGING, now)
        self._psaps.overhear(one.psap, now)
        self._rings.became(one, Outcome.RINGING)

    def _flush(self, now: float) -> list[Effect]:
        while self._psaps.lost or self._rings.ended:
            lost, self._psaps.lost = self._psaps.lost, []
            ended, self._rings.ended = self._rings.ended, []
            self._inquiries.lost(lost)
            self._inquiries.over(ended, now)
        effects, self._rings.effects = self._rings.effects, []
        return effects
