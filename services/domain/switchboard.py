"""A gateway's pure view of its PSAPs and of the attempts that ring them (protocol.md R1-R4, P4).

The shell tells it what conductors and PSAPs say, with `now`; it answers with effects, to be carried out in order. Three
things never happen, whoever misbehaves: an attempt is never connected twice, never connected without its conductor's
word, and never after it was released. A PSAP that lies or floods loses its stream, and nobody else notices.

`deadline` says when `pass_time` is wanted. A process that was held up itself is a bad judge of others' silence: when it
comes late to a deadline that would accuse a PSAP, it first lets what has waited be read (L2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.domain.attachments import SILENT_AFTER_S, Attachment, Offence, Row
from services.domain.deadlines import Deadlines
from services.domain.deliveries import Became, Outcome
from services.domain.events import Failure
from services.domain.patching import Connect, Effect, Offer, Release, Unlink
from services.domain.rings import ACCUSES, ACKNOWLEDGE_S, CONFIRM_S, LIMIT_S, TAKE_UP_S, Due, Ring, Rings, Stage

ACCUSE_AFTER_S: Final = 0.200
"""A conductor that gives up on a PSAP as unreachable is believed once our own clock shows this much silence."""
LATE_S: Final = 0.050
READ_FIRST_S: Final = 0.100


class Switchboard:
    """See the module. Links are numbered by the shell, each stream its own number, never used again."""

    def __init__(self) -> None:
        self.rows_changed = False
        """A row changed in a way that routers should hear of at once; the shell clears it."""
        self._psaps: dict[str, Attachment] = {}
        self._links: dict[int, Attachment] = {}
        self._rings = Rings()
        self._dues: Deadlines[Due] = Deadlines()

    @property
    def in_hand(self) -> int:
        """Attempts that are not over."""
        return len(self._rings)

    @property
    def attached(self) -> int:
        return len(self._links)

    def rows(self, now: float) -> list[Row]:
        """Every PSAP that has ever attached here."""
        return [psap.row(self._rings.count_at(psap), now) for psap in self._psaps.values()]

    # The conductor's side.

    def offer(self, attempt: str, call_id: str, psap_id: str, now: float) -> list[Effect]:
        """Offers an attempt that is not in hand here to a PSAP, or says at once why not (R4)."""
        assert self._rings.get(attempt) is None, f"{attempt} is in hand"
        psap = self._psaps.get(psap_id)
        if psap is None or psap.link is None:
            reason = psap.gone_reason if psap is not None else "never_attached"
            return [Became(attempt, Outcome.FAILED, Failure.NOT_ATTACHED, reason)]
        if why := psap.why_unreachable(now):
            return [Became(attempt, Outcome.FAILED, Failure.UNREACHABLE, why)]
        if psap.probe_at is not None:
            self._suspect(psap, now)  # this offer is the probe: the next waits its turn
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
            assert one.psap.link is not None, "a PSAP that detaches takes its attempts with it"
            one.enter(Stage.CONNECTING, now)
            self._dues.set(now + ACKNOWLEDGE_S, Due.ACKNOWLEDGE, attempt)
            self._rings.effects.append(Connect(one.psap.link, attempt))
        return self._flush()

    def release(self, attempt: str, reason: str, now: float) -> list[Effect]:
        """The conductor wants it no more, or its stream broke."""
        one = self._rings.get(attempt)
        if one is None:
            return []
        if one.stage is Stage.OFFERED and reason == Failure.UNREACHABLE and now - one.since >= ACCUSE_AFTER_S:
            self._suspect(one.psap, now)
        self._rings.give_back(one, reason)
        self._rings.became(one, Outcome.RELEASED, None, reason)
        return self._flush()

    # The PSAP's side.

    def attach(self, link: int, psap_id: str, ringing: Sequence[str], held: Sequence[str], now: float) -> list[Effect]:
        """A stream with a good hello (R2). An older one of the PSAP ends; what it rang goes on if `ringing` says so."""
        for attempt in (*ringing, *held):
            one = self._rings.get(attempt)
            if one is not None and one.psap.psap_id != psap_id:
                return [Unlink(link, Offence.ANOTHERS_ID, f"hello names {attempt}, which rings at another PSAP")]
        psap = self._psaps.get(psap_id)
        if psap is None:
            psap = self._psaps[psap_id] = Attachment(psap_id)
        older = psap.link
        psap.attach(link, ringing, held, now)
        self._links[link] = psap
        self._watch(psap)
        if older is not None:
            del self._links[older]
            self._rings.effects.append(Unlink(older, Offence.REPLACED, "the same PSAP has attached again"))
            for one in self._rings.at(psap):
                if one.name not in ringing or one.stage not in (Stage.RINGING, Stage.ANSWERED):
                    self._rings.fail(one, Failure.UNREACHABLE, "psap_attached_again")
        self.rows_changed = True
        return self._flush()

    def detach(self, link: int, reason: str, now: float) -> list[Effect]:
        """A PSAP's stream is over. Nothing happens when it was ended from here already."""
        psap = self._links.pop(link, None)
        if psap is None:
            return []
        psap.detach(reason)
        self._rings.fail_all_at(psap, reason)
        self.rows_changed = True
        return self._flush()

    def accuse(self, link: int, offence: Offence, reason: str, now: float) -> list[Effect]:
        """What the shell has seen of a PSAP is reason to end its stream."""
        if link in self._links:
            self._cut(link, offence, reason)
        return self._flush()

    def beat(self, link: int, now: float) -> list[Effect]:
        """A heartbeat."""
        self._hear(link, now)
        return self._flush()

    def rings(self, link: int, attempt: str, now: float) -> list[Effect]:
        """It has begun to ring there."""
        one = self._spoken_of(link, attempt, now)
        if one is not None and one.stage is Stage.OFFERED:
            self._taken_up(one, now)
        return self._flush()

    def answers(self, link: int, attempt: str, now: float) -> list[Effect]:
        """A person has answered: a proposal (P4). One that comes too late is released."""
        one = self._spoken_of(link, attempt, now)
        if one is None:
            self._release_late(link, attempt)
            return self._flush()
        if one.stage is Stage.OFFERED:
            self._taken_up(one, now)
        if one.stage is Stage.RINGING:
            one.enter(Stage.ANSWERED, now)
            self._dues.set(now + CONFIRM_S, Due.CONFIRM, attempt)
            self._rings.became(one, Outcome.ANSWERED)
        return self._flush()

    def connects(self, link: int, attempt: str, now: float) -> list[Effect]:
        """It acknowledges that the two are connected."""
        one = self._spoken_of(link, attempt, now)
        if one is None:
            self._release_late(link, attempt)
        elif one.stage is not Stage.CONNECTING:
            self._cut(link, Offence.OUT_OF_TURN, f"says connected of {attempt}, which nobody asked it to connect")
        else:
            self._rings.forget(one)
            one.psap.held.add(attempt)
            self._rings.became(one, Outcome.CONNECTED)
        return self._flush()

    def rejects(self, link: int, attempt: str, failure: Failure, reason: str, now: float) -> list[Effect]:
        """It does not take the attempt, or gives it back. Whatever it says, it is there."""
        one = self._spoken_of(link, attempt, now)
        if one is not None:
            self._trust(one.psap)
            self._rings.forget(one)
            self._rings.became(one, Outcome.FAILED, failure, reason)
        return self._flush()

    def has(self, link: int, call_id: str, attempt: str, now: float) -> list[Effect]:
        """The call is there already, under that attempt: whatever of it rings through here is superseded (R3)."""
        psap = self._hear(link, now)
        if psap is not None:
            for one in [each for each in self._rings.at(psap) if each.call_id == call_id]:
                self._trust(psap)
                self._rings.forget(one)
                self._rings.became(one, Outcome.FAILED, Failure.SUPERSEDED, attempt)
        return self._flush()

    def ended(self, link: int, attempt: str, now: float) -> list[Effect]:
        """A conversation is over."""
        psap = self._hear(link, now)
        if psap is not None and attempt in psap.held:
            psap.held.discard(attempt)
            psap.over.add(attempt)
        elif (one := self._rings.get(attempt)) is not None and psap is not None:
            if one.psap is not psap:
                self._cut(link, Offence.ANOTHERS_ID, f"speaks of {attempt}, which rings at another PSAP")
            else:
                self._rings.give_back(one, "psap_ended")
                self._rings.became(one, Outcome.FAILED, Failure.REFUSED, "psap_ended")
        return self._flush()

    def says_state(self, link: int, state: str, now: float) -> list[Effect]:
        """How it is, in its own words; published, never a gate."""
        psap = self._hear(link, now)
        if psap is not None and psap.state != state:
            psap.state = state
            self.rows_changed = True
        return self._flush()

    # Time.

    def deadline(self) -> float | None:
        """When `pass_time` is wanted; None for never."""
        return self._dues.next(self._means_something)

    def pass_time(self, now: float) -> list[Effect]:
        """Does what is due."""
        while (taken := self._dues.take(now)) is not None:
            due, kind, name, excused = taken
            if kind in ACCUSES and not excused and now - due > LATE_S:
                self._dues.set(now + READ_FIRST_S, kind, name, excused=True)
            elif kind is Due.SILENCE:
                self._judge_silence(self._psaps[name], now)
            elif kind is Due.PROBE:
                self.rows_changed = True
            elif self._means_something(now, kind, name) and (one := self._rings.get(name)) is not None:
                self._judge_attempt(one, now)
        return self._flush()

    def _means_something(self, due: float, kind: Due, name: str) -> bool:
        """Whether an attempt still stands where its deadline was set, and has stood there long enough by `due`."""
        if kind not in LIMIT_S:
            return True
        stage, limit_s = LIMIT_S[kind]
        one = self._rings.get(name)
        return one is not None and one.stage is stage and one.since + limit_s <= due

    def _judge_attempt(self, one: Ring, now: float) -> None:
        match one.stage:
            case Stage.OFFERED:
                self._suspect(one.psap, now)
                self._rings.fail(one, Failure.UNREACHABLE, "no_word_on_an_offer")
            case Stage.ANSWERED:
                self._rings.fail(one, Failure.EXPIRED, "not_confirmed_in_time")
            case Stage.CONNECTING:
                self._suspect(one.psap, now)
                self._rings.fail(one, Failure.UNREACHABLE, "no_acknowledgement")

    def _watch(self, psap: Attachment) -> None:
        """Sets the next look at its silence, unless one is set."""
        if not psap.watched:
            psap.watched = True
            self._dues.set(psap.heard_at + SILENT_AFTER_S, Due.SILENCE, psap.psap_id)

    def _judge_silence(self, psap: Attachment, now: float) -> None:
        psap.watched = False
        if psap.link is None or psap.silent:
            return
        if psap.heard_at + SILENT_AFTER_S > now:
            self._watch(psap)
            return
        psap.silent = True
        self.rows_changed = True
        self._rings.fail_all_at(psap, "silent")

    # Small words.

    def _hear(self, link: int, now: float) -> Attachment | None:
        """A message has come over this link; None when nothing more is to be made of it."""
        psap = self._links.get(link)
        if psap is None:
            return None  # ended from here; this crossed
        psap.heard_at = now
        if psap.silent:
            psap.silent = False
            self.rows_changed = True
            self._watch(psap)
        if not psap.allowance.take(now):
            self._cut(link, Offence.FLOOD, "more messages than its calls could explain")
            return None
        return psap

    def _spoken_of(self, link: int, attempt: str, now: float) -> Ring | None:
        """The attempt that a PSAP speaks of; None when it is over, or when the PSAP had no business to speak of it."""
        psap = self._hear(link, now)
        if psap is None:
            return None
        one = self._rings.get(attempt)
        if one is not None and one.psap is psap:
            return one
        if one is not None:
            self._cut(link, Offence.ANOTHERS_ID, f"speaks of {attempt}, which rings at another PSAP")
        elif attempt in psap.over:
            self._trust(psap)  # too late for that call, but it does take up offers: slow is not gone
        elif attempt not in psap.held:
            self._cut(link, Offence.OUT_OF_TURN, f"speaks of {attempt}, which was not offered to it")
        return None

    def _release_late(self, link: int, attempt: str) -> None:
        """A PSAP speaks of an attempt that is over as if it were not, unless it is one that is connected there."""
        psap = self._links.get(link)
        if psap is not None and attempt not in psap.held:
            self._rings.effects.append(Release(link, attempt, "too_late"))

    def _taken_up(self, one: Ring, now: float) -> None:
        self._trust(one.psap)
        one.enter(Stage.RINGING, now)
        self._rings.became(one, Outcome.RINGING)

    def _trust(self, psap: Attachment) -> None:
        if psap.probe_at is not None:
            psap.probe_at = None
            self.rows_changed = True

    def _suspect(self, psap: Attachment, now: float) -> None:
        psap.suspect(now)
        assert psap.probe_at is not None
        self._dues.set(psap.probe_at, Due.PROBE, psap.psap_id)
        self.rows_changed = True

    def _cut(self, link: int, offence: Offence, reason: str) -> None:
        psap = self._links.pop(link)
        psap.detach(f"cut_off_{offence}")
        self._rings.effects.append(Unlink(link, offence, reason))
        self._rings.fail_all_at(psap, psap.gone_reason)
        self.rows_changed = True

    def _flush(self) -> list[Effect]:
        effects, self._rings.effects = self._rings.effects, []
        return effects
