"""Who has a call, as one gateway can say, and what it lets go of for a newer leg (protocol.md P5, R5, T3)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.domain.deliveries import Became, Outcome
from services.domain.events import Failure
from services.domain.gateways.attachments import UNANSWERED_MAX, Conversations, Offence
from services.domain.gateways.inquiries import PSAPS_MAX, QUESTIONS_MAX, RESUME_S, WHO_HAS_S
from services.domain.gateways.patching import (
    Again,
    Ask,
    Attested,
    Cancel,
    Connect,
    Effect,
    Offer,
    Release,
    TakeUp,
    Unlink,
)
from services.domain.gateways.rings import CONFIRM_S, RETURN_S, TAKE_UP_S, UNCLAIMED_S
from services.domain.gateways.switchboard import Switchboard
from services.domain.holding import NONE, UNKNOWN, WITHOUT_A_STREAM_S, Holding, Standing, furthest
from services.domain.where import Where

X = "c/1/1"
P1 = Where("P1")


def attached(ringing: tuple[str, ...] = (), held: tuple[str, ...] = ()) -> Switchboard:
    board = Switchboard()
    board.open(0.0)
    board.attach(1, "P1", ringing, held, 0.0)
    return board


def ringing() -> Switchboard:
    """X rings at P1 since 0.1 s."""
    board = attached()
    board.offer(X, "c", "P1", 0.0)
    board.rings(1, X, 0.1)
    return board


def connecting() -> Switchboard:
    """P1 was told at 0.3 s to connect X."""
    board = ringing()
    board.answers(1, X, 0.2)
    board.connect(X, 0.3)
    return board


def connected() -> Switchboard:
    board = connecting()
    board.connects(1, X, 0.35)
    return board


def said(effects: list[Effect]) -> list[Holding]:
    return [each.holding for each in effects if isinstance(each, Attested)]


def failed(effects: list[Effect]) -> list[tuple[str, Failure | None, str]]:
    return [(each.attempt, each.failure, each.reason) for each in effects if isinstance(each, Became)]


# Who has it (T3).


def test_what_a_gateway_knows_itself_it_says_at_once() -> None:
    """T3: held is connected, and a ring in hand has come as far as it has come."""
    assert said(connected().who_has(1, "c", ["P1"], 0.4)) == [Holding(Standing.CONNECTED, X, P1)]
    board = ringing()
    assert said(board.who_has(1, "c", ["P1"], 0.15)) == [Holding(Standing.RINGING, X, P1)]
    board.answers(1, X, 0.2)
    assert said(board.who_has(2, "c", ["P1"], 0.25)) == [Holding(Standing.ANSWERED, X, P1)]


def test_a_conversation_that_is_over_was_a_connection() -> None:
    """T3: the person has spoken with the caller, so no callback is owed; a new leg, though, finds nobody there (P5)."""
    board = connected()
    board.ended(1, X, 0.4)
    assert said(board.who_has(1, "c", ["P1"], 0.5)) == [Holding(Standing.CONNECTED, X, P1)]
    assert board.resume(2, "c", X, "P1", 0.5) == [Ask(1, "c")]


def test_what_it_does_not_know_it_asks_the_psap() -> None:
    """T3: over the stream that the PSAP opened; its word is the answer."""
    board = attached()
    assert board.who_has(1, "c", ["P1"], 1.0) == [Ask(1, "c")]
    assert said(board.has(1, "c", X, Standing.CONNECTED, 1.05)) == [Holding(Standing.CONNECTED, X, P1)]
    assert board.who_has(2, "c", ["P1"], 1.1) == [Ask(1, "c")]
    assert said(board.has(1, "c", "", Standing.NONE, 1.15)) == [NONE]


@pytest.mark.parametrize("resumes", [False, True])
def test_a_talk_that_the_psap_attests_is_had_by_the_stream_that_was_asked(resumes: bool) -> None:
    """R5, P5, T3: the gateway that waits for the word of that connection cannot have it released any more."""
    board = attached()
    if resumes:
        board.resume(1, "c", X, "P1", 0.0)
    else:
        board.who_has(1, "c", ["P1"], 0.0)
    effects = board.has(1, "c", X, Standing.CONNECTED, 0.1)
    assert [each for each in effects if isinstance(each, TakeUp)] == [TakeUp(1, X)]
    assert said(effects) == [Holding(Standing.CONNECTED, X, P1)]


def test_a_ring_that_the_psap_attests_to_a_take_over_stays_where_it_is() -> None:
    """T3: the question changes nothing of what only rings."""
    board = attached()
    board.who_has(1, "c", ["P1"], 0.0)
    assert board.has(1, "c", X, Standing.RINGING, 0.1) == [Attested(1, Holding(Standing.RINGING, X, P1))]


def test_a_psap_that_does_not_answer_in_200_ms_leaves_it_unknown() -> None:
    """T3: "not" comes from its own mouth; its late word is no offence."""
    board = attached()
    board.who_has(1, "c", ["P1"], 1.0)
    assert board.deadline() == 1.0 + WHO_HAS_S
    assert said(board.pass_time(1.0 + WHO_HAS_S)) == [UNKNOWN]
    assert board.has(1, "c", "", Standing.NONE, 1.3) == []
    assert board.attached == 1


@pytest.mark.parametrize(("without_s", "holding"), [(WITHOUT_A_STREAM_S - 0.01, UNKNOWN), (WITHOUT_A_STREAM_S, NONE)])
def test_three_seconds_without_a_stream_are_needed_to_say_none(without_s: float, holding: Holding) -> None:
    """T3: counted from the loss, or from when this gateway opened where the PSAP never came."""
    board = attached()
    board.detach(1, "stream_lost", 10.0)
    assert said(board.who_has(1, "c", ["P1"], 10.0 + without_s)) == [holding]
    assert said(attached().who_has(1, "c", ["P2"], without_s)) == [holding]


def test_a_gateway_that_never_opened_says_nothing_of_anybody() -> None:
    """T3: it cannot know who would have come."""
    assert said(Switchboard().who_has(1, "c", ["P1"], 100.0)) == [UNKNOWN]


def test_a_psap_without_a_stream_here_may_talk_through_another_gateway() -> None:
    """T3: so the answers of all gateways count together, and whoever has it is believed."""
    here, there = Switchboard(), attached(held=(X,))
    here.open(0.0)
    there.who_has(1, "c", ["P1"], 9.0)
    (none,), (held,) = said(here.who_has(1, "c", ["P1"], 9.0)), said(there.has(1, "c", X, Standing.CONNECTED, 9.1))
    assert none == NONE
    assert furthest([none, held]) == Holding(Standing.CONNECTED, X, P1)
    assert furthest([none, UNKNOWN]) == UNKNOWN  # the other gateway could not be asked


def test_a_psap_that_is_silent_or_suspect_is_not_asked() -> None:
    """T3: what it cannot be trusted to answer stays unknown, and costs nobody 200 ms."""
    silent = attached()
    silent.pass_time(2.5)
    assert said(silent.who_has(1, "c", ["P1"], 2.6)) == [UNKNOWN]
    suspect = attached()
    suspect.offer("d/1/1", "d", "P1", 0.0)
    suspect.pass_time(0.3)
    assert said(suspect.who_has(1, "c", ["P1"], 0.4)) == [UNKNOWN]


def test_a_call_that_is_being_connected_is_waited_for() -> None:
    """T3: in that moment neither yes nor no would be true."""
    board = connecting()
    assert board.who_has(1, "c", ["P1"], 0.31) == []
    assert said(board.connects(1, X, 0.35)) == [Holding(Standing.CONNECTED, X, P1)]


def test_where_no_psap_is_named_those_with_something_of_the_call_speak() -> None:
    """T3: and with nothing at all, nothing is known."""
    board = connected()
    board.attach(2, "P2", [], [], 0.4)
    assert said(board.who_has(1, "c", [], 0.5)) == [Holding(Standing.CONNECTED, X, P1)]
    assert said(board.who_has(2, "d", [], 0.5)) == [UNKNOWN]


def test_what_is_known_here_is_said_though_another_psap_is_named() -> None:
    """T3: the log may end before the ring that was connected; where another rings, that hides nothing."""
    board = connected()
    board.attach(2, "P2", [], [], 0.4)
    assert board.who_has(1, "c", ["P2"], 0.5) == [Ask(2, "c")]
    assert said(board.has(2, "c", "", Standing.NONE, 0.51)) == [Holding(Standing.CONNECTED, X, P1)]
    assert board.who_has(2, "c", ["P2"], 0.6) == [Ask(2, "c")]
    assert said(board.pass_time(0.6 + WHO_HAS_S)) == [Holding(Standing.CONNECTED, X, P1)]
    board = ringing()
    assert said(board.who_has(1, "c", ["P2"], 9.0)) == [Holding(Standing.RINGING, X, P1)]  # P2 has no stream at all


def test_as_many_psaps_as_are_named_leave_room_for_those_that_are_known() -> None:
    """T3: the bound on names is no reason to keep what is known here to oneself."""
    board = connected()
    assert said(board.who_has(1, "c", [f"P{n}" for n in range(100, 100 + PSAPS_MAX)], 0.5)) == [
        Holding(Standing.CONNECTED, X, P1)
    ]


def test_two_psaps_are_asked_at_once_and_the_furthest_is_told_when_both_have_spoken() -> None:
    """T3: one that says no does not hide one that says yes."""
    board = attached()
    board.attach(2, "P2", [], [], 0.0)
    assert board.who_has(1, "c", ["P1", "P2", "P1"], 1.0) == [Ask(1, "c"), Ask(2, "c")]
    assert board.has(1, "c", "", Standing.NONE, 1.01) == []
    assert said(board.has(2, "c", X, Standing.RINGING, 1.02)) == [Holding(Standing.RINGING, X, Where("P2"))]


def test_each_answer_belongs_to_the_oldest_question() -> None:
    """T3: two who ask of one call each hear a word that was said after they asked."""
    board = attached()
    board.who_has(1, "c", ["P1"], 1.0)
    board.who_has(2, "c", ["P1"], 1.01)
    (first,) = board.has(1, "c", "", Standing.NONE, 1.02)
    (second,) = board.has(1, "c", X, Standing.RINGING, 1.03)
    assert (first, second) == (Attested(1, NONE), Attested(2, Holding(Standing.RINGING, X, P1)))


def test_a_stream_that_is_lost_leaves_its_questions_unknown_at_once() -> None:
    """T3: nobody waits for a word that cannot come."""
    board = attached()
    board.who_has(1, "c", ["P1"], 1.0)
    assert said(board.detach(1, "stream_lost", 1.01)) == [UNKNOWN]
    board.attach(2, "P1", [], [], 1.02)
    board.who_has(2, "c", ["P1"], 1.03)
    assert said(board.attach(3, "P1", [], [], 1.04)) == [UNKNOWN]


@pytest.mark.parametrize(
    ("call_id", "attempt"), [("d", "d/1/1"), ("c", "d/1/1"), ("d", "")], ids=["another", "mixed", "unasked"]
)
def test_who_answers_for_a_call_that_it_was_not_asked_is_cut_off(call_id: str, attempt: str) -> None:
    """T3: and the question that it was asked stays unknown."""
    board = attached()
    board.who_has(1, "c", ["P1"], 1.0)
    effects = board.has(1, call_id, attempt, Standing.CONNECTED, 1.01)
    assert [each.offence for each in effects if isinstance(each, Unlink)] == [Offence.OUT_OF_TURN]
    assert said(effects) == [UNKNOWN]


def test_who_claims_an_attempt_that_rings_elsewhere_is_cut_off() -> None:
    """T3: and the PSAP where it rings is unharmed."""
    board = ringing()
    board.attach(2, "P2", [], [], 0.1)
    board.who_has(1, "c", ["P2"], 0.2)
    effects = board.has(2, "c", X, Standing.CONNECTED, 0.21)
    assert [(each.link, each.offence) for each in effects if isinstance(each, Unlink)] == [(2, Offence.ANOTHERS_ID)]
    assert board.in_hand == 1


def test_a_psap_that_never_answers_is_asked_so_often_and_no_more() -> None:
    """T3: an older one does not know the word; what it leaves open is bounded, and its stream stands."""
    board = attached()
    for number in range(UNANSWERED_MAX + 3):
        at = 1.0 + number * 0.3
        board.beat(1, at)
        asked = board.who_has(number, f"c{number}", ["P1"], at)
        assert bool(said(asked)) == (number >= UNANSWERED_MAX)
        board.pass_time(at + WHO_HAS_S)
    assert board.attached == 1


def test_questions_in_hand_are_bounded() -> None:
    """T3: a storm is answered "unknown" at once."""
    board = attached()
    for psap in range(2, 8):
        board.attach(psap, f"P{psap}", [], [], 0.0)
    for number in range(QUESTIONS_MAX):
        board.who_has(number, f"c{number}", [f"P{number % 7 + 1}"], 1.0)
    assert said(board.who_has(QUESTIONS_MAX, "d", ["P1"], 1.0)) == [UNKNOWN]


# A newer leg asks (P5).


def test_what_is_connected_stays_connected_for_a_newer_leg() -> None:
    """P5: nothing is released, and the caller is told at once."""
    assert connected().resume(1, "c", X, "P1", 0.4) == [Attested(1, Holding(Standing.CONNECTED, X, P1))]


def test_what_rings_is_released_before_a_newer_leg_hears_that_it_is_not_connected() -> None:
    """P5: the older conductor hears superseded, and its late connect connects nobody."""
    board = ringing()
    effects = board.resume(1, "c", X, "P1", 0.2)
    assert effects == [
        Cancel(1, X, "a_newer_leg_has_come"),
        Became(X, Outcome.FAILED, Failure.SUPERSEDED, "a_newer_leg_has_come"),
        Attested(1, NONE),
    ]
    assert board.connect(X, 0.21) == []


def test_what_was_answered_is_released_too() -> None:
    """P5: an answer is a proposal, and its conductor's time is over."""
    board = ringing()
    board.answers(1, X, 0.15)
    effects = board.resume(1, "c", X, "P1", 0.2)
    assert [type(each) for each in effects] == [Release, Became, Attested]
    assert board.connect(X, 0.21) == []


def test_a_connection_under_way_is_waited_for_250_ms() -> None:
    """P5: its outcome is the answer; without one in time nobody can say."""
    assert connecting().resume(1, "c", X, "P1", 0.31) == []
    board = connecting()
    board.resume(1, "c", X, "P1", 0.31)
    assert said(board.connects(1, X, 0.4)) == [Holding(Standing.CONNECTED, X, P1)]
    board = connecting()
    board.resume(1, "c", X, "P1", 0.31)
    assert said(board.pass_time(0.31 + RESUME_S)) == [UNKNOWN]


def test_a_connection_that_fails_under_way_is_asked_of_the_psap() -> None:
    """P5: only its own word is enough to say that nobody has it."""
    board = connecting()
    board.resume(1, "c", X, "P1", 0.31)
    effects = board.rejects(1, X, Failure.EXPIRED, "", 0.35)
    assert [type(each) for each in effects] == [Became, Ask]
    assert said(board.has(1, "c", "", Standing.NONE, 0.36)) == [NONE]


def test_what_rings_there_through_another_gateway_is_taken_up_and_released() -> None:
    """P5: "not connected" is said when the PSAP has said so after it was told to let go."""
    board = attached()
    assert board.resume(1, "c", X, "P1", 1.0) == [Ask(1, "c")]
    effects = board.has(1, "c", X, Standing.ANSWERED, 1.01)
    assert effects == [TakeUp(1, X), Cancel(1, X, "a_newer_leg_has_come"), Ask(1, "c")]
    assert board.rings(1, X, 1.02) == []  # the PSAP's words that cross are no offence
    board.answers(1, X, 1.02)
    assert said(board.has(1, "c", "", Standing.NONE, 1.03)) == [NONE]


def test_what_the_older_gateway_connects_in_that_moment_stays_connected() -> None:
    """P5, R5: its `Connect` was on its way when the PSAP said that it rings; no cancel ends a talk."""
    board = attached()
    board.resume(1, "c", X, "P1", 1.0)
    board.has(1, "c", X, Standing.ANSWERED, 1.01)
    board.have(1, "c", X, 1.02)
    effects = board.has(1, "c", X, Standing.CONNECTED, 1.03)
    assert effects == [TakeUp(1, X), Attested(1, Holding(Standing.CONNECTED, X, P1))]


def test_what_was_offered_here_and_not_heard_of_is_asked_of_the_psap() -> None:
    """P5, R5: its caller has confirmed, so another gateway had it before, and it may be connected there."""
    for standing, attempt, holding in (
        (Standing.NONE, "", NONE),
        (Standing.CONNECTED, X, Holding(Standing.CONNECTED, X, P1)),
    ):
        board = attached()
        board.offer(X, "c", "P1", 0.0)
        effects = board.resume(1, "c", X, "P1", 0.01)
        assert [type(each) for each in effects] == [Cancel, Became, Ask]
        assert board.have(1, "c", X, 0.02) == []
        assert said(board.has(1, "c", attempt, standing, 0.03)) == [holding]


def test_a_talk_that_ends_before_it_is_taken_up_is_no_offence() -> None:
    """R5: the PSAP had it when it was asked, and rejects what it has no longer."""
    board = attached()
    board.who_has(1, "c", ["P1"], 0.0)
    board.has(1, "c", X, Standing.CONNECTED, 0.1)
    assert board.ended(1, X, 0.11) == []
    assert board.rejects(1, X, Failure.EXPIRED, "not with us", 0.12) == []
    assert board.attached == 1


def test_a_psap_that_does_not_let_go_leaves_it_unknown() -> None:
    """P5: and the caller is rung with a warning."""
    board = attached()
    board.resume(1, "c", X, "P1", 1.0)
    board.has(1, "c", X, Standing.RINGING, 1.01)
    assert said(board.has(1, "c", X, Standing.RINGING, 1.02)) == [UNKNOWN]


def test_another_attempt_of_the_call_may_be_the_connected_one() -> None:
    """P5: the answer names it."""
    board = attached()
    board.resume(1, "c", X, "P1", 1.0)
    assert said(board.has(1, "c", "c/1/2", Standing.CONNECTED, 1.01)) == [Holding(Standing.CONNECTED, "c/1/2", P1)]


def test_a_released_attempt_is_never_rung_here_again() -> None:
    """P5: a conductor that wakes and offers it where it never rang is told that a newer leg has come."""
    board = attached()
    board.resume(1, "c", X, "P1", 1.0)
    board.has(1, "c", "", Standing.NONE, 1.01)
    assert failed(board.offer(X, "c", "P1", 2.0)) == [(X, Failure.SUPERSEDED, "a_newer_leg_has_come")]
    assert board.connect(X, 2.1) == []
    assert board.offer("c/2/1", "c", "P1", 2.2) == [Offer(1, "c/2/1")]


def test_nothing_is_known_of_an_attempt_that_names_no_place() -> None:
    """P5: no PSAP, nobody to ask."""
    assert said(attached().resume(1, "c", X, "", 9.0)) == [UNKNOWN]


# What a hello named (R5): the PSAP's word of then.


@pytest.mark.parametrize("resumes", [False, True])
def test_what_a_hello_named_as_connected_is_asked_of_the_psap(resumes: bool) -> None:
    """P5, T3: another gateway may have had it released since; the PSAP's present word counts."""
    for standing, attempt, holding in (
        (Standing.NONE, "", NONE),
        (Standing.CONNECTED, X, Holding(Standing.CONNECTED, X, P1)),
    ):
        board = attached(held=(X,))
        effects = board.resume(1, "c", X, "P1", 1.0) if resumes else board.who_has(1, "c", ["P1"], 1.0)
        assert effects == [Ask(1, "c")]
        assert said(board.has(1, "c", attempt, standing, 1.01)) == [holding]


@pytest.mark.parametrize("then", ["time", "detached", "gone before"])
def test_where_the_psap_cannot_say_its_hello_stands(then: str) -> None:
    """P5: a second person is not rung for who had one by the PSAP's own word."""
    board = attached(held=(X,))
    if then == "gone before":
        board.detach(1, "stream_lost", 0.9)
        found = said(board.resume(1, "c", X, "P1", 5.0))
    else:
        board.resume(1, "c", X, "P1", 1.0)
        found = said(board.pass_time(1.0 + RESUME_S) if then == "time" else board.detach(1, "stream_lost", 1.1))
    assert found == [Holding(Standing.CONNECTED, X, P1)]


def test_what_a_hello_named_and_the_psap_gives_back_was_no_conversation() -> None:
    """R5: a gateway that had it released is not the one that is asked; nobody is attested a talk that was not."""
    board = attached(held=(X,))
    assert board.rejects(1, X, Failure.EXPIRED, "released", 0.5) == []
    board.detach(1, "stream_lost", 1.0)
    assert said(board.who_has(1, "c", ["P1"], 1.0 + WITHOUT_A_STREAM_S)) == [NONE]


# Nobody is to sit with nobody (P5).

LET_GO: list[Effect] = [TakeUp(1, X), Release(1, X, "unwanted"), Ask(1, "c")]


def unwanted(board: Switchboard, number: int = 1, at: float = 0.5) -> list[Effect]:
    return board.resume(number, "c", X, "P1", at, unwanted=True)


@pytest.mark.parametrize("stands", [attached, connected, lambda: attached(held=(X,)), lambda: attached(ringing=(X,))])
def test_an_unwanted_talk_is_released_before_the_psap_is_asked(stands: Callable[[], Switchboard]) -> None:
    """P5: a PSAP that is slow to say whether it has the caller is not slower to be told."""
    board = stands()
    assert unwanted(board) == LET_GO
    assert said(board.has(1, "c", "", Standing.NONE, 0.6)) == [NONE]
    assert said(board.who_has(2, "c", ["P1"], 0.7)) == []
    assert said(board.has(1, "c", "", Standing.NONE, 0.8)) == [NONE]


@pytest.mark.parametrize("stands", [ringing, connecting])
def test_an_unwanted_ring_is_over_for_its_conductor_too(stands: Callable[[], Switchboard]) -> None:
    """P5: and whatever the PSAP says of it later is too late."""
    board = stands()
    assert unwanted(board) == [Became(X, Outcome.FAILED, Failure.SUPERSEDED, "unwanted"), *LET_GO]
    assert board.rejects(1, X, Failure.EXPIRED, "not with us", 0.6) == []
    assert board.in_hand == 0 and board.attached == 1


def test_that_nobody_sits_there_is_said_by_the_psap_alone() -> None:
    """P5: a gateway without its stream, or whose PSAP does not answer or has not let go, cannot say."""
    board = attached()
    unwanted(board)
    assert said(board.pass_time(0.5 + RESUME_S)) == [UNKNOWN]
    unwanted(board, 2, 1.0)
    assert said(board.has(1, "c", X, Standing.CONNECTED, 1.1)) == []  # of the first question
    assert said(board.has(1, "c", X, Standing.CONNECTED, 1.2)) == [UNKNOWN]
    board.detach(1, "stream_lost", 2.0)
    assert said(unwanted(board, 3, 2.0 + WITHOUT_A_STREAM_S)) == [UNKNOWN]


def test_an_unwanted_talk_is_let_go_of_whenever_the_psap_comes_to_speak_of_it() -> None:
    """P5, R5: in a later hello, in a `have`, in its answer to somebody else; once on each stream."""
    board = Switchboard()
    unwanted(board)
    let_go = [TakeUp(1, X), Release(1, X, "unwanted")]
    assert board.attach(1, "P1", (), (X,), 1.0) == let_go
    assert board.have(1, "c", X, 1.1) == []
    let_go = [TakeUp(2, X), Release(2, X, "unwanted")]
    assert board.attach(2, "P1", (), (), 2.0)[1:] == []
    assert board.have(2, "c", X, 2.1) == let_go
    board.attach(3, "P1", (), (), 3.0)
    board.who_has(2, "c", ["P1"], 3.1)
    effects = board.has(3, "c", X, Standing.CONNECTED, 3.2)
    assert effects[:2] == [TakeUp(3, X), Release(3, X, "unwanted")]
    assert said(effects) == [UNKNOWN]


# The same attempt again (R5).


def test_an_attempt_that_the_psap_has_already_connected_is_told_so() -> None:
    """R5: `have` with the very attempt that is offered means that it was connected through another gateway."""
    board = attached()
    board.offer(X, "c", "P1", 0.0)
    effects = board.have(1, "c", X, 0.01)
    assert effects == [Became(X, Outcome.CONNECTED)]
    assert said(board.who_has(1, "c", ["P1"], 0.1)) == [Holding(Standing.CONNECTED, X, P1)]


@pytest.mark.parametrize(
    ("end", "word"),
    [
        (lambda board: board.abandon(X, 0.01), Cancel),
        (lambda board: board.release(X, Failure.UNREACHABLE, 0.25), Cancel),
        (lambda board: board.pass_time(TAKE_UP_S), Cancel),
        (lambda board: board.release(X, "caller_hung_up", 0.01), Release),
    ],
    ids=["its conductor is gone", "its conductor waits no longer", "it waits no longer itself", "the caller is gone"],
)
def test_what_may_be_connected_there_is_let_go_of_by_who_does_not_want_it_alone(
    end: Callable[[Switchboard], list[Effect]], word: type[Effect]
) -> None:
    """R5: it was offered through another gateway before, and no word of it has come; a cancel ends no talk."""
    board = attached()
    board.offer(X, "c", "P1", 0.0)
    assert [type(each) for each in end(board) if isinstance(each, (Cancel, Release))] == [word]
    assert board.have(1, "c", X, 0.4) == []
    assert board.attached == 1


GONE_ON_WITH: tuple[tuple[str, Callable[[Switchboard], list[Effect]]], ...] = (
    ("its talk is over", lambda board: board.ended(1, X, 1.0)),
    ("it gives the talk back", lambda board: board.rejects(1, X, Failure.EXPIRED, "released", 1.0)),
    ("it says connected again", lambda board: board.connects(1, X, 1.0)),
)


@pytest.mark.parametrize("then", [then for _, then in GONE_ON_WITH], ids=[name for name, _ in GONE_ON_WITH])
@pytest.mark.parametrize("offered", [X, "c/2/1"], ids=["the same attempt", "a newer one"])
def test_a_talk_that_was_heard_of_by_have_alone_is_the_psaps_to_speak_of(
    offered: str, then: Callable[[Switchboard], list[Effect]]
) -> None:
    """R2, R5: it was connected through another gateway, and what the PSAP says of it later is no offence."""
    board = attached()
    board.offer(offered, "c", "P1", 0.0)
    board.abandon(offered, 0.01)
    board.have(1, "c", X, 0.4)
    assert then(board) == []
    assert board.attached == 1


def test_a_talk_that_was_heard_of_by_have_alone_is_the_psaps_word_of_then() -> None:
    """P5, T3: the PSAP is asked whether it is so still; where it cannot say, its word stands, and its end is a talk."""
    board = attached()
    board.offer("c/2/1", "c", "P1", 0.0)
    board.have(1, "c", X, 0.1)
    assert board.who_has(1, "c", [], 0.2) == [Ask(1, "c")]
    assert said(board.pass_time(0.2 + WHO_HAS_S)) == [Holding(Standing.CONNECTED, X, P1)]
    board.ended(1, X, 0.5)
    assert said(board.who_has(2, "c", [], 0.6)) == [Holding(Standing.CONNECTED, X, P1)]


def test_have_that_crossed_a_release_names_no_talk() -> None:
    """R5: the PSAP lets go of it with the release, and says no word of that on the stream that it came by."""
    board = attached()
    board.offer(X, "c", "P1", 0.0)
    assert board.release(X, "caller_hung_up", 0.01)[0] == Release(1, X, "caller_hung_up")
    board.have(1, "c", X, 0.02)
    board.detach(1, "stream_lost", 0.1)
    assert said(board.who_has(1, "c", ["P1"], 0.2)) == [UNKNOWN]
    assert board.connects(1, X, 0.3) == []


@pytest.mark.parametrize("attempt", ["d/1/1", "c/1/x", "c"])
def test_have_of_what_is_none_of_the_calls_attempts_is_not_kept(attempt: str) -> None:
    """T3: it would be attested."""
    board = attached()
    board.have(1, "c", attempt, 0.1)
    assert board.rows(0.1)[0].connected == 0


def test_have_of_an_attempt_that_rings_at_another_psap_is_not_kept() -> None:
    """R2: nobody speaks for another."""
    board = ringing()
    board.attach(2, "P2", (), (), 0.1)
    board.have(2, "c", X, 0.2)
    assert said(board.who_has(1, "c", [], 0.3)) == [Holding(Standing.RINGING, X, P1)]


def test_have_of_an_attempt_that_rings_through_this_stream_is_a_lie() -> None:
    """R5: it is connected by the conductor's word alone."""
    effects = ringing().have(1, "c", X, 0.2)
    assert [each.offence for each in effects if isinstance(each, Unlink)] == [Offence.OUT_OF_TURN]
    assert Outcome.CONNECTED not in [each.outcome for each in effects if isinstance(each, Became)]


def test_a_newer_stream_takes_an_attempt_over_as_it_stands() -> None:
    """R5: it hears what the older one heard, the PSAP hears nothing, and the second of an answer runs on (P4)."""
    board = ringing()
    assert board.offer(X, "c", "P1", 0.15) == [Again(X, Outcome.RINGING)]
    board.answers(1, X, 0.2)
    assert board.offer(X, "c", "P1", 0.9) == [Again(X, Outcome.RINGING), Again(X, Outcome.ANSWERED)]
    assert failed(board.connect(X, 1.2)) == [(X, Failure.EXPIRED, "not_confirmed_in_time")]


def test_a_connect_by_both_streams_is_said_once() -> None:
    """R5: whoever says it first, one Connect goes to the PSAP, and one connection comes of it."""
    board = connecting()
    board.offer(X, "c", "P1", 0.31)
    assert board.connect(X, 0.32) == []
    assert board.connects(1, X, 0.35) == [Became(X, Outcome.CONNECTED)]
    assert board.offer(X, "c", "P1", 0.4) == [Again(X, Outcome.CONNECTED)]


def test_what_was_connected_and_is_over_is_not_rung_under_the_same_name() -> None:
    """R5: one attempt, one connection."""
    board = connected()
    board.ended(1, X, 0.4)
    assert failed(board.offer(X, "c", "P1", 0.5)) == [(X, Failure.SUPERSEDED, "its_conversation_is_over")]


# Streams that come and go (R5).


def test_a_confirmed_connection_comes_to_its_end_though_its_conductor_is_gone() -> None:
    """P5: the person may have the caller; whoever takes the call up is told what became of it."""
    board = connecting()
    assert board.abandon(X, 0.31) == []
    assert board.resume(1, "c", X, "P1", 0.32) == []
    assert said(board.connects(1, X, 0.35)) == [Holding(Standing.CONNECTED, X, P1)]


def test_an_answer_has_its_second_though_its_conductor_is_gone() -> None:
    """P4, R5: whoever takes it up finds it as it stands; a broken stream gives nobody up."""
    board = ringing()
    board.answers(1, X, 0.2)
    assert board.abandon(X, 0.3) == []
    assert board.offer(X, "c", "P1", 0.6) == [Again(X, Outcome.RINGING), Again(X, Outcome.ANSWERED)]
    assert board.connect(X, 0.7) == [Connect(1, X)]


def test_an_answer_that_nobody_takes_up_is_released_at_its_second() -> None:
    """P4: from the answer on, whatever has become of its conductor."""
    board = ringing()
    board.answers(1, X, 0.2)
    board.abandon(X, 0.3)
    assert board.pass_time(0.2 + CONFIRM_S - 0.001) == []
    assert board.pass_time(0.2 + CONFIRM_S) == [
        Release(1, X, "not_confirmed_in_time"),
        Became(X, Outcome.FAILED, Failure.EXPIRED, "not_confirmed_in_time"),
    ]


def test_an_answer_without_a_conductor_goes_on_through_another_gateway() -> None:
    """R5: the PSAP says `superseded` here, and is told nothing more."""
    board = ringing()
    board.answers(1, X, 0.2)
    board.abandon(X, 0.3)
    effects = board.rejects(1, X, Failure.SUPERSEDED, "another gateway has it", 0.31)
    assert effects == [Became(X, Outcome.FAILED, Failure.SUPERSEDED, "another gateway has it")]
    assert board.pass_time(2.0) == []


def test_a_psap_that_loses_its_stream_while_it_connects_may_come_back_and_say() -> None:
    """R5: given up at once, the caller could be connected to a second person."""
    board = connecting()
    assert board.detach(1, "stream_lost", 0.31) == []
    assert board.attach(2, "P1", [], [X], 0.5) == [Became(X, Outcome.CONNECTED)]
    board = connecting()
    board.detach(1, "stream_lost", 0.31)
    assert board.attach(2, "P1", [X], [], 0.5) == [Connect(2, X)]
    assert board.connects(2, X, 0.6) == [Became(X, Outcome.CONNECTED)]


def test_a_psap_that_does_not_come_back_in_a_second_has_failed() -> None:
    """R5: the caller's next place is rung then."""
    board = connecting()
    board.detach(1, "stream_lost", 0.4)
    assert board.deadline() == 0.4 + RETURN_S
    assert failed(board.pass_time(0.4 + RETURN_S)) == [(X, Failure.UNREACHABLE, "stream_lost")]


def test_what_a_hello_names_is_the_psaps_own_to_speak_of() -> None:
    """R5: a gateway that was restarted does not know it, and neither cuts off nor releases what may be taken up."""
    board = attached(ringing=(X,), held=("d/1/1",))
    assert board.rings(1, X, 0.1) == board.answers(1, X, 0.2) == []
    assert board.who_has(1, "d", ["P1"], 0.3) == [Ask(1, "d")]
    assert board.offer(X, "c", "P1", 0.4) == [Offer(1, X)]
    assert [each.outcome for each in board.answers(1, X, 0.5) if isinstance(each, Became)] == [
        Outcome.RINGING,
        Outcome.ANSWERED,
    ]


def test_what_a_hello_names_and_no_conductor_takes_up_is_cancelled_after_two_seconds() -> None:
    """R5: a telephone does not ring for nobody."""
    board = attached(ringing=(X, "d/1/1"))
    board.offer(X, "c", "P1", 1.0)
    board.rings(1, X, 1.1)
    assert board.pass_time(UNCLAIMED_S) == [Cancel(1, "d/1/1", "no_conductor_took_it_up")]
    assert board.in_hand == 1


def test_what_a_late_hello_says_rings_and_the_psap_says_is_connected_is_not_cancelled() -> None:
    """R5: a hello may have waited seconds for a machine that was gone; what is said after it is newer."""
    board = attached(ringing=(X,))
    board.have(1, "c", X, 0.5)
    assert board.pass_time(UNCLAIMED_S) == []


def test_what_was_given_up_meanwhile_is_cancelled_when_the_psap_comes_back() -> None:
    """R5: its conductor has gone on to the next attempt."""
    board = ringing()
    board.detach(1, "stream_lost", 0.2)
    assert board.attach(2, "P1", [X], [], 0.3) == [Cancel(2, X, "over")]


def test_what_a_psap_no_longer_holds_after_it_came_back_is_a_conversation_that_is_over() -> None:
    """T3: it was connected all the same."""
    board = connected()
    board.detach(1, "stream_lost", 1.0)
    board.attach(2, "P1", [], [], 2.0)
    assert said(board.who_has(1, "c", ["P1"], 2.1)) == [Holding(Standing.CONNECTED, X, P1)]
    assert board.rows(2.1)[0].connected == 0


def test_conversations_are_one_a_call_and_bounded() -> None:
    """T3: what a PSAP claims to hold costs a bounded room, and the newest stays."""
    many = Conversations(f"c{n}/1/1" for n in range(5_000))
    assert len(many) == 256
    assert many.of("c4999") == "c4999/1/1"
    many.add("c4999/2/1")
    assert "c4999/1/1" not in many
    many.discard("c4999/1/1")
    assert many.of("c4999") == "c4999/2/1"
