"""The gateway's switchboard, driven by everything at once: honest and lying PSAPs, good and hasty conductors, time."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.domain.deliveries import FINAL, Became, Outcome
from services.domain.events import Failure
from services.domain.gateways.attachments import DOUBTED_AFTER_S, MESSAGES_BURST_MAX, SILENT_AFTER_S, Offence
from services.domain.gateways.inquiries import RESUME_S
from services.domain.gateways.patching import (
    Again,
    Ask,
    Attested,
    Cancel,
    Connect,
    Doubted,
    Effect,
    Offer,
    Release,
    TakeUp,
    Unlink,
)
from services.domain.gateways.rings import ACKNOWLEDGE_S, CONFIRM_S, TAKE_UP_S
from services.domain.gateways.switchboard import Switchboard
from services.domain.gateways.timekeeper import READ_FIRST_S
from services.domain.holding import Standing

PSAPS = ("P1", "P2", "P3")
OLD = "P3"
"""It has not promised to beat while something rings there."""
PAUSES = st.sampled_from((0.0, 0.001, 0.01, 0.1, 0.31, 0.5, 0.79, 1.1, 2.6))


def became(effects: list[Effect]) -> list[tuple[Outcome, Failure | None]]:
    return [(each.outcome, each.failure) for each in effects if isinstance(each, Became)]


class SwitchboardUnderStress(RuleBasedStateMachine):
    """Whatever is said in whatever order, the promises of the module hold."""

    def __init__(self) -> None:
        super().__init__()
        self.board = Switchboard()
        self.board.open(0.0)
        self.now = 0.0
        self.numbers = 0
        self.linked: dict[int, str] = {}  # link -> PSAP, while the switchboard has not ended it
        self.psap_of: dict[str, str] = {}
        self.steps: dict[str, list[Outcome]] = {}
        self.answered_at: dict[str, float] = {}
        self.connect_sent: Counter[str] = Counter()
        self.connect_said: set[tuple[int, str]] = set()
        self.connected: set[str] = set()
        self.released: set[str] = set()
        self.said_have = ""
        self.claimed: set[str] = set()  # what some hello, or a `have`, said is connected there
        self.questions: dict[int, tuple[str, str]] = {}  # open ones: the call, and the attempt where it is to resume
        self.asked: dict[int, list[str]] = {}  # link -> calls that its PSAP was asked about, oldest first
        self.nobody_has: set[str] = set()
        self.unwanted: set[str] = set()
        self.spoke_at: dict[str, float] = {}
        self.doubted: set[str] = set()  # attempts whose newest conductor was told

    def took(self, effects: list[Effect], blamed: int | None = None) -> None:
        """Looks at what the switchboard wants; `blamed` is the only link that may be cut off for an offence."""
        for effect in effects:
            match effect:
                case Offer(link, attempt):
                    assert self.linked[link] == self.psap_of[attempt], "an offer goes to its own PSAP"
                case Connect(link, attempt):
                    assert (link, attempt) not in self.connect_said, "connect is said once on a stream"
                    assert attempt not in self.released, "connect after release"
                    assert attempt not in self.nobody_has, "connect after a newer leg was told that nobody has it"
                    if not self.connect_sent[attempt]:
                        assert self.now < self.answered_at[attempt] + CONFIRM_S, "connect after the confirm timer"
                    assert self.linked[link] == self.psap_of[attempt]
                    self.connect_sent[attempt] += 1
                    self.connect_said.add((link, attempt))
                case Cancel(link, attempt, _):
                    assert link in self.linked, "nothing is said on a stream that is gone"
                    self.released.add(attempt)
                case Release(link, attempt, _):
                    assert link in self.linked, "nothing is said on a stream that is gone"
                    self.released.add(attempt)
                case TakeUp(link, _):
                    assert link in self.linked, "nothing is said on a stream that is gone"
                case Ask(link, call_id):
                    assert link in self.linked, "nothing is said on a stream that is gone"
                    self.asked.setdefault(link, []).append(call_id)
                case Again(attempt, outcome):
                    assert outcome in self.steps[attempt]
                case Doubted(attempt):
                    psap_id = self.psap_of[attempt]
                    assert self.steps[attempt][-1] in (Outcome.RINGING, Outcome.ANSWERED), "only what waits is doubted"
                    assert not self.connect_sent[attempt] and attempt not in self.doubted, "told once, if at all"
                    assert psap_id != OLD, "who promises nothing breaks no promise"
                    assert self.now >= self.spoke_at[psap_id] + DOUBTED_AFTER_S, "doubted, and has just spoken"
                    self.doubted.add(attempt)
                case Attested(question, holding):
                    call_id, resumes = self.questions.pop(question)
                    if resumes and holding.standing is Standing.NONE:
                        assert resumes not in self.in_hand(), "it is released before anybody hears that it is not here"
                        self.nobody_has.add(resumes)
                    assert not resumes or holding.standing not in (Standing.RINGING, Standing.ANSWERED)
                case Unlink(link, offence, _):
                    if offence is not Offence.REPLACED:
                        assert link == blamed, "a liar harms nobody but itself"
                    self.linked.pop(link, None)
                case Became(attempt, outcome, failure, _):
                    steps = self.steps[attempt]
                    assert not steps or steps[-1] not in FINAL, "nothing comes after the end"
                    assert outcome not in steps, "no step twice: never two connected for one attempt"
                    assert (failure is not None) == (outcome is Outcome.FAILED)
                    if outcome is Outcome.ANSWERED:
                        assert steps == [Outcome.RINGING]
                        self.answered_at[attempt] = self.now
                    if outcome is Outcome.CONNECTED:
                        before = not steps and self.said_have == attempt  # through another gateway, by the PSAP's word
                        assert before or self.connect_sent[attempt], "never connected without its conductor's word"
                        assert attempt not in self.connected, "never twice"
                        assert attempt not in self.nobody_has, "never after a newer leg was told that nobody has it"
                        assert attempt not in self.unwanted, "never where nobody wants it any more"
                        self.connected.add(attempt)
                    steps.append(outcome)

    def some_attempt(self, data: st.DataObject) -> str:
        """Most often one in hand, sometimes one that is over."""
        return data.draw(st.sampled_from((self.in_hand()[-4:] * 4 + list(self.steps)[-3:]) or ["call-0/1/0"]))

    def link_of(self, attempt: str) -> int | None:
        """The stream of the PSAP that an attempt was offered to."""
        return next((link for link, at in self.linked.items() if at == self.psap_of.get(attempt)), None)

    def spoken(self, link: int | None) -> None:
        """A word is about to come over this link."""
        if link in self.linked:
            self.spoke_at[self.linked[link]] = self.now

    def some_link(self, data: st.DataObject) -> int:
        """Most often one that stands; whatever is done with it is a word of its PSAP."""
        return data.draw(st.sampled_from([*self.linked, self.numbers + 1000]))

    # Conductors.

    @initialize()
    def all_attach(self) -> None:
        for psap_id in PSAPS:
            self.attach(psap_id, [], [])

    @rule(psap_id=st.sampled_from(PSAPS), call=st.integers(1, 3), words=st.integers(0, 4), there=st.integers(0, 5))
    def offers(self, psap_id: str, call: int, words: int, there: int) -> None:
        """An attempt, most often at a PSAP that is attached and says the next few words in turn."""
        if there and psap_id not in self.linked.values():
            self.attach(psap_id, [], [])
        self.numbers += 1
        attempt = f"call-{call}/1/{self.numbers}"
        self.psap_of[attempt] = psap_id
        self.steps[attempt] = []
        self.took(self.board.offer(attempt, f"call-{call}", psap_id, self.now))
        for _ in range(words):
            self.speak_in_turn(attempt)

    @rule(data=st.data(), words=st.integers(0, 4))
    def offers_again(self, data: st.DataObject, words: int) -> None:
        """The same attempt by a newer stream: in hand it is taken over as it stands, else it may ring anew (R5)."""
        attempt = self.some_attempt(data)
        if attempt not in self.psap_of:
            return
        in_hand = attempt in self.in_hand()
        self.doubted.discard(attempt)
        effects = self.board.offer(attempt, attempt.split("/")[0], self.psap_of[attempt], self.now)
        if effects == [Again(attempt, Outcome.CONNECTED)]:
            assert attempt in self.connected | self.claimed
            return
        if in_hand and effects and isinstance(effects[0], Again):
            assert effects == [Again(attempt, outcome) for outcome in self.steps[attempt]]
        if not in_hand:
            self.steps[attempt] = []
            self.connect_sent[attempt] = 0
            self.connect_said -= {each for each in self.connect_said if each[1] == attempt}
            self.released.discard(attempt)
        self.took(effects)
        assert attempt not in self.connected or attempt not in self.in_hand(), "what was connected never rings again"
        for _ in range(words):
            self.speak_in_turn(attempt)

    @rule(data=st.data())
    def conductor_connects(self, data: st.DataObject) -> None:
        self.took(self.board.connect(self.some_attempt(data), self.now))

    @rule(data=st.data(), reason=st.sampled_from(("caller_hung_up", "unreachable")))
    def conductor_releases(self, data: st.DataObject, reason: str) -> None:
        attempt = self.some_attempt(data)
        self.took(self.board.release(attempt, reason, self.now))
        assert attempt not in self.in_hand()

    @rule(data=st.data())
    def conductor_is_gone(self, data: st.DataObject) -> None:
        attempt = self.some_attempt(data)
        answered = Outcome.ANSWERED in self.steps.get(attempt, ())
        self.took(self.board.abandon(attempt, self.now))
        assert answered or attempt not in self.in_hand()

    # Who asks.

    @rule(call=st.integers(1, 3), psap_ids=st.lists(st.sampled_from((*PSAPS, "P9")), max_size=4))
    def who_has(self, call: int, psap_ids: list[str]) -> None:
        self.numbers += 1
        self.questions[self.numbers] = (f"call-{call}", "")
        self.took(self.board.who_has(self.numbers, f"call-{call}", psap_ids, self.now))

    @rule(data=st.data(), elsewhere=st.integers(0, 5), connecting=st.booleans(), unwanted=st.booleans())
    def resumes(self, data: st.DataObject, elsewhere: int, connecting: bool, unwanted: bool) -> None:
        """A newer leg names an attempt, or nobody wants it any more; most often it is known where that rang, and often
        it is one being connected."""
        attempt = self.some_attempt(data)
        if connecting:
            attempt = next((each for each in self.in_hand() if self.connect_sent[each]), attempt)
        psap_id = self.psap_of.get(attempt, "P1") if elsewhere else "P3"
        self.numbers += 1
        self.questions[self.numbers] = (attempt.split("/")[0], attempt)
        call_id = attempt.split("/")[0]
        effects = self.board.resume(self.numbers, call_id, attempt, psap_id, self.now, unwanted=unwanted)
        self.took(effects)
        if unwanted:
            self.unwanted.add(attempt)
            assert attempt not in self.in_hand(), "nobody waits for what nobody wants"

    @rule(data=st.data(), standing=st.sampled_from(Standing), lie=st.integers(0, 9))
    def answers_who_asked(self, data: st.DataObject, standing: Standing, lie: int) -> None:
        """Most often of the call that it was asked about, oldest first; who answers what nobody asked is cut off."""
        link = self.some_link(data)
        asked = self.asked.get(link, [])
        attempt = self.some_attempt(data)
        call_id = asked[0] if asked and lie else attempt.split("/")[0]
        if lie > 1:
            attempt = next((name for name in self.steps if name.startswith(f"{call_id}/")), f"{call_id}/1/9")
        unasked = call_id not in asked or not attempt.startswith(f"{call_id}/")
        if call_id in asked:
            asked.remove(call_id)
        self.spoken(link)
        self.took(self.board.has(link, call_id, attempt, standing, self.now), blamed=link)
        assert not unasked or link not in self.linked

    # PSAPs.

    def attach(self, psap_id: str, ringing: list[str], held: list[str], blamed: bool = False) -> int:
        self.numbers += 1
        link = self.numbers
        self.linked[link] = psap_id
        self.spoken(link)
        beats = psap_id != OLD
        effects = self.board.attach(link, psap_id, ringing, held, self.now, beats_while_ringing=beats)
        self.took(effects, blamed=link if blamed else None)
        return link

    @rule(psap_id=st.sampled_from(PSAPS), data=st.data())
    def attaches(self, psap_id: str, data: st.DataObject) -> None:
        own = [name for name, at in self.psap_of.items() if at == psap_id][-4:]
        named = data.draw(st.lists(st.sampled_from(own), max_size=3)) if own else []
        self.claimed |= set(named[2:])
        self.attach(psap_id, named[:2], named[2:])

    @rule(liar=st.sampled_from(PSAPS), data=st.data())
    def attaches_with_a_lie(self, liar: str, data: st.DataObject) -> None:
        attempt = self.some_attempt(data)
        if attempt in self.in_hand() and self.psap_of[attempt] != liar:
            assert self.attach(liar, [attempt], [], blamed=True) not in self.linked

    @rule(data=st.data())
    def breaks(self, data: st.DataObject) -> None:
        link = self.some_link(data)
        hit = [name for name in self.in_hand() if self.link_of(name) == link]
        self.linked.pop(link, None)
        self.took(self.board.detach(link, "stream_lost", self.now))
        for name in hit:
            confirmed = self.connect_sent[name] and self.steps[name][-1] is Outcome.ANSWERED
            assert confirmed or self.steps[name][-1] is Outcome.FAILED, "what rang there is given back at once"

    @rule(data=st.data(), word=st.sampled_from(("rings", "answers", "connects", "ended")))
    def says_anything(self, data: st.DataObject, word: str) -> None:
        attempt, link = self.some_attempt(data), self.some_link(data)
        lies = attempt in self.in_hand() and link in self.linked and self.link_of(attempt) != link
        self.spoken(link)
        self.took(getattr(self.board, word)(link, attempt, self.now), blamed=link)
        assert not lies or link not in self.linked, "who speaks of another's ring is cut off"

    @rule(data=st.data())
    def speaks_in_turn(self, data: st.DataObject) -> None:
        self.speak_in_turn(self.some_attempt(data))

    def speak_in_turn(self, attempt: str) -> None:
        """What an honest PSAP or conductor says next of an attempt; nobody is cut off for it."""
        link = self.link_of(attempt)
        if link is None or attempt not in self.in_hand():
            return
        steps = self.steps[attempt]
        if not self.connect_sent[attempt] and steps and steps[-1] is Outcome.ANSWERED:
            self.took(self.board.connect(attempt, self.now))
            return
        self.spoken(link)
        if not steps:
            self.took(self.board.rings(link, attempt, self.now))
        elif steps[-1] is Outcome.RINGING:
            self.took(self.board.answers(link, attempt, self.now))
        else:
            self.took(self.board.connects(link, attempt, self.now))

    @rule(data=st.data(), failure=st.sampled_from((Failure.FULL, Failure.REFUSED)))
    def rejects(self, data: st.DataObject, failure: Failure) -> None:
        link = self.some_link(data)
        self.spoken(link)
        self.took(self.board.rejects(link, self.some_attempt(data), failure, "", self.now), blamed=link)

    @rule(data=st.data(), call=st.integers(1, 3))
    def have(self, data: st.DataObject, call: int) -> None:
        link, attempt = self.some_link(data), self.some_attempt(data)
        self.said_have = attempt
        self.claimed.add(attempt)
        self.spoken(link)
        self.took(self.board.have(link, f"call-{call}", attempt, self.now), blamed=link)
        self.said_have = ""

    @rule(data=st.data())
    def beats(self, data: st.DataObject) -> None:
        link = self.some_link(data)
        self.spoken(link)
        self.took(self.board.beat(link, self.now), blamed=link)

    # Time.

    @rule(pause_s=PAUSES)
    def time_passes(self, pause_s: float) -> None:
        """Punctually: each deadline at its instant."""
        until = self.now + pause_s
        while (due := self.board.deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self.took(self.board.pass_time(self.now))
        self.now = until

    @rule(pause_s=st.sampled_from((0.2, 1.5, 5.0)))
    def the_process_is_held_up(self, pause_s: float) -> None:
        """Late: what has waited is read before anybody is accused (L2)."""
        self.now += pause_s
        self.took(self.board.pass_time(self.now))

    # What always holds.

    def in_hand(self) -> list[str]:
        return [name for name, steps in self.steps.items() if not steps or steps[-1] not in FINAL]

    @invariant()
    def what_is_in_hand_is_what_has_not_ended(self) -> None:
        assert self.board.in_hand == len(self.in_hand())

    @invariant()
    def links_are_those_that_were_not_ended(self) -> None:
        assert self.board.attached == len(self.linked)
        assert len(set(self.linked.values())) == len(self.linked), "one stream a PSAP"

    @invariant()
    def rows_say_who_is_attached(self) -> None:
        rows = {row.psap_id: row for row in self.board.rows(self.now)}
        for psap_id in PSAPS:
            if psap_id not in self.linked.values():
                assert psap_id not in rows or not rows[psap_id].attached
        assert sum(row.ringing for row in rows.values()) == self.board.in_hand

    @invariant()
    def whatever_is_in_hand_comes_to_an_end_by_itself_or_rings(self) -> None:
        for attempt in self.in_hand():
            if Outcome.RINGING not in self.steps[attempt] or self.steps[attempt][-1] is Outcome.ANSWERED:
                due = self.board.deadline()
                assert due is not None
                assert due <= self.now + max(TAKE_UP_S, CONFIRM_S, ACKNOWLEDGE_S)

    @invariant()
    def whoever_waits_at_a_silent_psap_is_told_in_time(self) -> None:
        for attempt in self.in_hand():
            psap_id, steps = self.psap_of[attempt], self.steps[attempt]
            if steps and psap_id != OLD and not self.connect_sent[attempt] and attempt not in self.doubted:
                due = self.board.deadline()
                assert due is not None
                assert due <= max(self.now, self.spoke_at[psap_id] + DOUBTED_AFTER_S) + READ_FIRST_S

    @invariant()
    def every_question_is_answered_in_time(self) -> None:
        if self.questions:
            due = self.board.deadline()
            assert due is not None
            assert due <= self.now + max(RESUME_S, READ_FIRST_S)


SwitchboardUnderStress.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestSwitchboardUnderStress = SwitchboardUnderStress.TestCase


def attached(psap_id: str = "P1", *, beats: bool = False) -> Switchboard:
    board = Switchboard()
    board.attach(1, psap_id, [], [], 0.0, beats_while_ringing=beats)
    return board


def test_a_process_that_was_held_up_accuses_nobody_before_it_has_read() -> None:
    """L2: after a stop of 5 s every PSAP looks silent; their heartbeats wait in the socket and are read first."""
    board = attached()
    board.offer("c/1/1", "c", "P1", 0.0)
    board.rings(1, "c/1/1", 0.1)
    assert board.pass_time(5.0) == []
    assert board.deadline() == 5.0 + READ_FIRST_S
    board.beat(1, 5.05)
    assert board.pass_time(5.0 + READ_FIRST_S) == []
    assert board.rows(5.2)[0].attached


def test_a_process_that_was_held_up_finds_true_silence_a_little_later() -> None:
    """L2 is a delay of 100 ms, not a pardon."""
    board = attached()
    assert board.pass_time(5.0) == []
    board.pass_time(5.0 + READ_FIRST_S)
    assert not board.rows(5.2)[0].attached


def test_silence_is_measured_from_the_last_word_of_any_kind() -> None:
    """2.5 s after the newest word, to the instant (R2)."""
    board = attached()
    board.offer("c/1/1", "c", "P1", 0.9)
    board.rings(1, "c/1/1", 1.0)
    assert board.pass_time(SILENT_AFTER_S) == []
    board.pass_time(1.0 + SILENT_AFTER_S - 0.001)
    assert board.rows(3.4)[0].attached
    assert became(board.pass_time(1.0 + SILENT_AFTER_S)) == [(Outcome.FAILED, Failure.UNREACHABLE)]
    assert not board.rows(3.5)[0].attached


def test_an_allowance_is_a_burst_and_then_a_rate() -> None:
    """400 at once, then 200 a second; the 401st in one instant is a flood."""
    board = attached()
    for _ in range(int(MESSAGES_BURST_MAX)):
        assert board.beat(1, 0.0) == []
    assert board.beat(1, 0.006) == []  # one was earned meanwhile
    (cut,) = board.beat(1, 0.006)
    assert isinstance(cut, Unlink)
    assert cut.offence is Offence.FLOOD


def test_a_connected_call_is_not_released_by_a_repeated_answer() -> None:
    """A PSAP that repeats itself must not lose a caller (R5)."""
    board = attached()
    board.offer("c/1/1", "c", "P1", 0.0)
    board.answers(1, "c/1/1", 0.1)
    board.connect("c/1/1", 0.2)
    board.connects(1, "c/1/1", 0.3)
    assert board.answers(1, "c/1/1", 0.4) == []
    assert board.connects(1, "c/1/1", 0.5) == []


def test_a_connect_at_the_very_second_is_too_late() -> None:
    """The timer is the authority even where it has not rung yet (P4)."""
    board = attached()
    board.offer("c/1/1", "c", "P1", 0.0)
    board.answers(1, "c/1/1", 0.1)
    effects = board.connect("c/1/1", 0.1 + CONFIRM_S)
    assert became(effects) == [(Outcome.FAILED, Failure.EXPIRED)]
    assert [type(each) for each in effects] == [Release, Became]


def test_a_connect_said_twice_is_done_once() -> None:
    """The second changes nothing: one call, one answer."""
    board = attached()
    board.offer("c/1/1", "c", "P1", 0.0)
    board.answers(1, "c/1/1", 0.1)
    assert board.connect("c/1/1", 0.2) == [Connect(1, "c/1/1")]
    assert board.connect("c/1/1", 0.3) == []
    assert became(board.connects(1, "c/1/1", 0.4)) == [(Outcome.CONNECTED, None)]


def test_a_deadline_that_means_nothing_any_more_wakes_nobody() -> None:
    """A call that was taken up leaves no timer behind but its PSAP's silence."""
    board = attached()
    board.offer("c/1/1", "c", "P1", 0.0)
    assert board.deadline() == TAKE_UP_S
    board.rings(1, "c/1/1", 0.001)
    assert board.deadline() == SILENT_AFTER_S


def test_a_psap_that_rings_too_late_is_slow_and_not_gone() -> None:
    """Its late word ends the suspicion, though not for that call; in an overload nobody is shut out for being slow."""
    board = attached()
    board.offer("c/1/1", "c", "P1", 0.0)
    assert became(board.pass_time(TAKE_UP_S)) == [(Outcome.FAILED, Failure.UNREACHABLE)]
    assert not board.rows(0.31)[0].attached
    assert board.rings(1, "c/1/1", 0.35) == []
    assert board.rows(0.36)[0].attached
    assert [type(each) for each in board.offer("d/1/1", "d", "P1", 0.4)] == [Offer]


def ringing_at_one_that_beats(*attempts: str) -> Switchboard:
    board = attached(beats=True)
    for attempt in attempts:
        board.offer(attempt, attempt.partition("/")[0], "P1", 0.0)
        board.rings(1, attempt, 0.0)
    return board


def test_a_psap_that_falls_silent_while_it_rings_is_doubted_once_and_nothing_else_comes_of_it() -> None:
    """R2: 0.8 s after its last word everybody whose call rings there is told; the calls ring on, and it is attached."""
    board = ringing_at_one_that_beats("c/1/1", "d/1/1")
    board.beat(1, 0.05)
    assert board.deadline() == DOUBTED_AFTER_S
    assert board.pass_time(DOUBTED_AFTER_S) == []
    assert board.deadline() == 0.05 + DOUBTED_AFTER_S
    assert board.pass_time(0.05 + DOUBTED_AFTER_S) == [Doubted("c/1/1"), Doubted("d/1/1")]
    assert board.rows(1.1)[0].attached
    board.beat(1, 1.2)
    assert board.pass_time(1.2 + DOUBTED_AFTER_S) == [], "told once"
    assert became(board.answers(1, "c/1/1", 2.1)) == [(Outcome.ANSWERED, None)]


def test_a_doubt_does_not_put_off_the_silence_that_ends_a_ring() -> None:
    """R2: at 2.5 s the attempts fail as they always did."""
    board = ringing_at_one_that_beats("c/1/1")
    assert board.pass_time(DOUBTED_AFTER_S) == [Doubted("c/1/1")]
    assert became(board.pass_time(SILENT_AFTER_S)) == [(Outcome.FAILED, Failure.UNREACHABLE)]


def test_a_call_that_begins_to_ring_after_a_doubt_has_a_doubt_of_its_own() -> None:
    """R2: a ring begins with a word, and from that word its own 0.8 s run."""
    board = ringing_at_one_that_beats("c/1/1")
    board.pass_time(DOUBTED_AFTER_S)
    board.offer("d/1/1", "d", "P1", 1.0)
    board.rings(1, "d/1/1", 1.1)
    assert board.pass_time(1.1 + DOUBTED_AFTER_S - 0.001) == []
    assert board.pass_time(1.1 + DOUBTED_AFTER_S) == [Doubted("d/1/1")]


def test_a_psap_that_promised_no_quick_heartbeat_is_never_doubted() -> None:
    """R2: one of an older kind that beats each second is judged by seconds, as ever."""
    board = attached()
    board.offer("c/1/1", "c", "P1", 0.0)
    board.rings(1, "c/1/1", 0.0)
    assert board.pass_time(SILENT_AFTER_S - 0.001) == []
    assert became(board.pass_time(SILENT_AFTER_S)) == [(Outcome.FAILED, Failure.UNREACHABLE)]


def test_a_psap_that_attaches_anew_promises_anew() -> None:
    """R2, R5: what rings on over the newer stream is judged by what that stream's hello says."""
    board = ringing_at_one_that_beats("c/1/1")
    board.attach(2, "P1", ["c/1/1"], [], 0.5)
    assert board.pass_time(1.4) == [], "late: it reads first (L2)"
    assert board.pass_time(1.4 + READ_FIRST_S) == []
    board.attach(3, "P1", ["c/1/1"], [], 1.5, beats_while_ringing=True)
    assert board.pass_time(1.5 + DOUBTED_AFTER_S) == [Doubted("c/1/1")]


def test_what_is_being_connected_is_not_doubted() -> None:
    """R2: from Connect on the acknowledgement has its own time."""
    board = ringing_at_one_that_beats("c/1/1")
    board.answers(1, "c/1/1", 0.1)
    board.connect("c/1/1", 0.2)
    assert board.pass_time(0.1 + DOUBTED_AFTER_S) == []


def test_a_process_that_was_held_up_doubts_nobody_before_it_has_read() -> None:
    """L2: the heartbeats of the time that it missed wait in the socket; true silence is found 100 ms later."""
    board = ringing_at_one_that_beats("c/1/1", "d/1/1")
    assert board.pass_time(1.5) == []
    board.beat(1, 1.55)
    assert board.pass_time(1.5 + READ_FIRST_S) == []
    assert board.pass_time(1.55 + DOUBTED_AFTER_S) == [Doubted("c/1/1"), Doubted("d/1/1")]


def test_a_newer_stream_of_an_attempt_is_told_of_the_doubt_too() -> None:
    """R5: the older stream may have been gone before it could hear."""
    board = ringing_at_one_that_beats("c/1/1")
    assert board.pass_time(DOUBTED_AFTER_S) == [Doubted("c/1/1")]
    assert board.offer("c/1/1", "c", "P1", 1.0) == [Again("c/1/1", Outcome.RINGING)]
    assert board.pass_time(1.0) == [Doubted("c/1/1")]
