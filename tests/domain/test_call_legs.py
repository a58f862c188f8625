"""What one leg leaves to the next, and what a lost gateway or a full house does to a call (P5, P7, R5, L1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from services.domain.calls.budgets import HOLD_S
from services.domain.calls.exchange import (
    Admitted,
    AttemptFailed,
    CallerHungUp,
    Connect,
    Enter,
    FindRoute,
    HigherLeg,
    LetGo,
    NoRoom,
    Release,
    Remember,
    Resume,
    Ring,
    SayConnected,
    SayConnecting,
    SayDiverting,
    SayRinging,
    SayWaiting,
    Screen,
    StreamBroke,
)
from services.domain.calls.ladder import Destination, DialLines, RingPsap
from services.domain.calls.transitions import State
from services.domain.events import FactKind, Failure
from services.domain.holding import NONE, UNKNOWN, Holding, Standing
from services.domain.hunting.lines import keep_free
from services.domain.where import Where
from tests.domain.playing import P1, P2, Shell, exhaust, parked

FIRST: Final = "c1/1/1"
AT_P1: Final = Where("P1")
AT_P2: Final = Where("P2")
AT_A_LINE: Final = Where("P1", "+15085550100")


def ringing() -> Shell:
    """Rings at P1, through gw-a; its other gateway is gw-b."""
    shell = Shell()
    shell.screened()
    shell.routed(P1)
    shell.rang()
    return shell


def proposed() -> Shell:
    shell = ringing()
    shell.picked_up()
    return shell


def connecting() -> Shell:
    shell = proposed()
    shell.confirmed()
    return shell


# P5: a leg that names a confirmed attempt.


def test_nothing_rings_before_it_is_known_whether_the_caller_is_connected() -> None:
    """The first question of such a leg is about the attempt that an earlier one confirmed (P5)."""
    shell = Shell(resume=Resume(FIRST, AT_P1))
    assert shell.state is State.RESUMING
    assert shell.kinds == [FactKind.OFFERED]
    assert not shell.queued and not shell.rungs


@pytest.mark.parametrize(("where", "kind"), [(AT_P1, FactKind.ANSWERED), (AT_A_LINE, FactKind.DIVERTED)])
def test_a_caller_who_is_connected_is_told_so_without_another_ring(where: Where, kind: FactKind) -> None:
    """The same attempt is settled once more, which the books count as one connection (P5, J2)."""
    shell = Shell(resume=Resume(FIRST, where))
    effects = shell.resumed(Holding(Standing.CONNECTED, FIRST, where))
    assert effects == [
        Remember(kind, "resumed", settled=True, attempt=FIRST, where=where),
        SayConnected(FIRST, where),
    ]
    assert shell.state is State.CONNECTED


def test_a_caller_who_is_not_connected_is_carried_as_any_other() -> None:
    """Not here, by the mouths of those who rang: the attempt is released, and the call takes its turn (P5)."""
    shell = Shell(resume=Resume(FIRST, AT_P1))
    assert shell.resumed(NONE)[-1] == Enter()
    shell.hear(Admitted())
    shell.screened()
    shell.routed(P1)
    assert not rung(shell).maybe_connected
    assert shell.facts[-1].reason == "town"


@pytest.mark.parametrize("told", [True, False])
def test_where_nobody_can_say_the_call_rings_and_whoever_answers_is_told(told: bool) -> None:
    """Unknown, or no word in time: it goes on, flagged, in the offer and in the journal (P5)."""
    shell = Shell(resume=Resume(FIRST, None))
    if told:
        shell.resumed(UNKNOWN)
    else:
        shell.time_passes()
    shell.hear(Admitted())
    shell.screened()
    shell.routed(P1)
    assert rung(shell).maybe_connected
    assert shell.facts[-1].reason == "maybe_connected"
    assert shell.resumed(Holding(Standing.CONNECTED, FIRST, AT_P1)) == [], "too late: it is asked no more"


@pytest.mark.parametrize("holding", [UNKNOWN, Holding(Standing.RINGING, "c1/0/9", AT_P2), None])
@pytest.mark.parametrize("held", [False, True])
def test_what_was_seen_connected_is_believed_where_nobody_says_no(holding: Holding | None, held: bool) -> None:
    """The ingress connected it itself a moment ago: nobody is rung, whether the caller is there or not (P5, P7)."""
    shell = Shell(resume=Resume("c1/0/3", AT_A_LINE, seen=True))
    assert shell.call.seen_connected == Resume("c1/0/3", AT_A_LINE, seen=True)
    if held and holding is not None:
        shell.hear(StreamBroke("reset"))
    effects = shell.time_passes() if holding is None else shell.resumed(holding)
    assert effects == [
        Remember(FactKind.DIVERTED, "seen_connected", settled=True, attempt="c1/0/3", where=AT_A_LINE),
        SayConnected("c1/0/3", AT_A_LINE),
    ]
    assert not shell.rungs


def test_a_talk_that_is_over_is_not_believed_again() -> None:
    """Those who had the caller say that they have not: the call takes its turn, as any other (P5)."""
    shell = Shell(resume=Resume("c1/0/3", AT_P1, seen=True))
    assert shell.resumed(NONE)[-1] == Enter()
    assert shell.call.seen_connected is None


@pytest.mark.parametrize("attempt", ["c1/0/3", "c1/1/9", "c2/0/3", "higher_leg", "c1/x/1", ""])
def test_a_psap_that_has_the_call_already_is_believed(attempt: str) -> None:
    """Nobody could say whether the caller is connected; the PSAP does, when it is offered the call (R3, P5)."""
    shell = Shell(resume=Resume("c1/0/3", AT_P1))
    shell.resumed(UNKNOWN)
    shell.hear(Admitted())
    shell.screened()
    shell.routed(P1)
    effects = shell.hear(AttemptFailed(FIRST, Failure.SUPERSEDED, attempt))
    if attempt == "c1/0/3":
        assert effects[-1] == SayConnected("c1/0/3", AT_P1)
        assert shell.facts[-1].settled
    else:
        assert not shell.call.over, "only an attempt of an earlier leg of this call can have been confirmed"


def test_a_line_that_has_the_call_already_is_believed() -> None:
    """As a PSAP is: the caller hears of the line that they had confirmed, though it did not ring anew (R3, P5)."""
    shell = Shell(resume=Resume("c1/0/3", AT_A_LINE))
    shell.resumed(UNKNOWN)
    shell.hear(Admitted())
    shell.screened()
    shell.routed(Destination("P1", (), False, "unreachable"))
    effects = shell.hear(AttemptFailed(FIRST, Failure.SUPERSEDED, "c1/0/3"))
    assert effects[-1] == SayConnected("c1/0/3", AT_A_LINE)
    assert (shell.facts[-1].kind, shell.facts[-1].where) == (FactKind.DIVERTED, AT_A_LINE)


def test_a_caller_who_is_connected_is_known_to_be_so_though_the_stream_broke_meanwhile() -> None:
    """The question outlives the caller's stream: nobody rings back a caller who talks to somebody (P5, P7)."""
    shell = Shell(resume=Resume(FIRST, AT_P1))
    shell.hear(StreamBroke("reset"))
    effects = shell.resumed(Holding(Standing.CONNECTED, FIRST, AT_P1))
    assert effects[0] == Remember(FactKind.ANSWERED, "resumed", settled=True, attempt=FIRST, where=AT_P1)
    assert shell.state is State.CONNECTED


@pytest.mark.parametrize("holding", [NONE, UNKNOWN, None])
def test_a_caller_whose_stream_broke_and_whom_nobody_has_is_rung_back(holding: Holding | None) -> None:
    """Not connected, unknown, or no word at all: the hold ends as any other, and at its own time (P5, P7)."""
    shell = Shell(resume=Resume(FIRST, AT_P1))
    shell.hear(StreamBroke("reset"))
    if holding is not None:
        assert shell.resumed(holding) == []
        assert shell.resumed(Holding(Standing.CONNECTED, FIRST, AT_P1)) == [], "it was answered before"
    assert not shell.queued and shell.state is State.HELD
    assert shell.call.deadline() == shell.now + HOLD_S
    shell.time_passes()
    assert shell.kinds == [FactKind.OFFERED, FactKind.CALLER_LOST, FactKind.CALLBACK_DUE]


def rung(shell: Shell) -> Ring:
    """The newest attempt, as it was offered."""
    return shell.offers[-1]


# P7: the next leg, here or elsewhere.


def next_leg(older: Shell) -> Shell:
    """Leg n+1 at the same process."""
    effects = older.hear(HigherLeg())
    assert not [effect for effect in effects if isinstance(effect, Release)], "what rings goes on ringing"
    assert older.facts[-1] == Remember(FactKind.ENDED, "higher_leg")
    return Shell(older=older)


def test_the_next_leg_goes_on_with_what_rings_and_says_so_at_once() -> None:
    """The caller hears the same ring again, and no PSAP is offered the call anew (P7)."""
    older = ringing()
    older.hear(StreamBroke("reset"))
    shell = next_leg(older)
    assert shell.said == [SayRinging(FIRST, AT_P1)]
    assert shell.state is State.RINGING
    assert not shell.offers and not shell.queued
    shell.picked_up(FIRST)
    shell.confirmed(FIRST)
    shell.connected(FIRST)
    assert shell.kinds[-1] is FactKind.ANSWERED


@pytest.mark.parametrize(
    ("name", "ours"), [(FIRST, True), ("c1/1/2", False), ("c1/1/0", False), ("c1/2/1", False), ("c1/1/x", False)]
)
def test_what_the_caller_heard_of_from_another_conductor_of_the_leg_is_none_of_this_one(name: str, ours: bool) -> None:
    """What the caller confirmed at the other of two that took a leg is not known here, and is asked after (P7, P8):
    though an attempt of that name rings here too, or rang, nobody was told of an answer to it."""
    shell = ringing()
    assert not shell.call.has_proposed(name)
    shell.picked_up(FIRST)
    assert shell.call.has_proposed(name) is ours
    shell.hear(StreamBroke("reset"))
    assert next_leg(shell).call.has_proposed(name) is ours, "and the next leg knows it, who goes on with what rings"


def test_an_adopted_ring_has_its_time_and_then_the_ladder_goes_on() -> None:
    """Its ladder is taken over too: the next rung is the one after (P7, R6)."""
    older = ringing()
    older.hear(StreamBroke("reset"))
    shell = next_leg(older)
    shell.until_ringing_elsewhere()
    assert shell.rungs[shell.newest] == DialLines("P1", "no_answer")
    assert shell.newest == "c1/2/1"


def test_an_answer_is_proposed_again_to_the_next_leg() -> None:
    """The person who has answered is not lost with the caller's stream (P4, P7)."""
    shell = next_leg(proposed())
    assert shell.said == [SayConnecting(FIRST)]
    assert Connect(FIRST) in shell.confirmed(FIRST)


def test_an_answer_that_came_in_the_hold_is_proposed_to_the_next_leg() -> None:
    """Nobody is connected in the hold (P3), but the answer is still good for the leg that comes in time."""
    older = ringing()
    older.hear(StreamBroke("reset"))
    older.picked_up()
    shell = next_leg(older)
    assert shell.said == [SayConnecting(FIRST)]


def test_a_ring_that_begins_in_the_hold_is_told_to_the_journal_and_to_the_next_leg() -> None:
    """It rings, though the caller cannot hear so: the journal says where, and leg n+1 gives it its ring time (P7)."""
    older = Shell()
    older.screened()
    older.routed(Destination("P1", (), False, "unreachable"))
    older.hear(StreamBroke("reset"))
    (told,) = older.rang()
    assert isinstance(told, Remember)
    assert told == Remember(FactKind.RINGING, due_in_ms=told.due_in_ms, attempt=FIRST, where=AT_A_LINE)
    assert older.call.deadline() == older.now + HOLD_S, "the hold is no longer for that"
    shell = next_leg(older)
    assert shell.said == [SayRinging(FIRST, AT_A_LINE)]
    began = shell.now
    shell.until_ringing_elsewhere()
    assert shell.now == began + shell.budgets.ring_s


@pytest.mark.parametrize("in_the_hold", [False, True])
def test_an_answer_without_a_ring_is_never_written_down_as_a_ring(in_the_hold: bool) -> None:
    """Where it rings nobody has said: what the journal says of it is that it is tried, at these lines or others."""
    shell = Shell()
    shell.screened()
    shell.routed(Destination("P1", (), False, "unreachable"))
    if in_the_hold:
        shell.hear(StreamBroke("reset"))
    shell.now += 1.9
    told = [effect for effect in shell.picked_up() if isinstance(effect, Remember)]
    told += [effect for effect in shell.confirmed() if isinstance(effect, Remember)]
    assert {(fact.kind, fact.attempt, fact.where) for fact in told} == {(FactKind.ATTEMPTING, FIRST, AT_P1)}


@pytest.mark.parametrize("before", [False, True])
def test_a_second_answer_is_released_in_the_hold_too(before: bool) -> None:
    """Whether the first came before the stream broke or after: the next leg hears of that one alone (P4, P7)."""
    older = ringing()
    older.until_ringing_elsewhere()
    older.rang()
    if before:
        older.picked_up(FIRST)
    older.hear(StreamBroke("reset"))
    older.picked_up(FIRST)
    assert Release("c1/1/2", "answered_elsewhere") in older.picked_up("c1/1/2")
    assert next_leg(older).said == [SayConnecting(FIRST)]


@pytest.mark.parametrize("confirmed", [False, True])
def test_an_answer_that_is_taken_back_in_the_hold_is_not_proposed_to_the_next_leg(confirmed: bool) -> None:
    """Its person is gone: the next leg goes on with what rings still, and hears of no other (P4, P7)."""
    older = ringing()
    older.until_ringing_elsewhere()
    older.rang()
    older.picked_up(FIRST)
    if confirmed:
        older.confirmed(FIRST)
    older.hear(StreamBroke("reset"))
    older.failed(Failure.UNREACHABLE, FIRST)
    shell = next_leg(older)
    assert shell.said == [SayRinging("c1/1/2", AT_A_LINE)]
    if confirmed:
        assert shell.asked_after == FIRST
        shell.resumed(NONE)
    shell.picked_up("c1/1/2")
    assert shell.said[-1] == SayConnecting("c1/1/2")


def test_a_connection_under_way_goes_on_in_the_next_leg() -> None:
    """The caller confirmed it: the connection is said to whoever holds the stream now, without another word (P5)."""
    shell = next_leg(connecting())
    assert shell.state is State.CONNECTING
    assert shell.said == []
    shell.connected(FIRST)
    assert shell.said == [SayConnected(FIRST, AT_P1)]
    assert shell.kinds == [FactKind.OFFERED, FactKind.ANSWERED]


def test_rings_can_be_handed_on_from_leg_to_leg() -> None:
    """A caller in a bad radio cell re-offers again and again; the PSAP's phone rings on through all of it (P7)."""
    shell = ringing()
    for leg in range(2, 6):
        shell = next_leg(shell)
        assert shell.call.leg == leg
        assert shell.open == [FIRST]
    shell.hear(CallerHungUp())
    assert shell.ends == {FIRST: "released"}


def test_superseded_in_the_hold_means_that_the_next_leg_rings_there() -> None:
    """Nothing is released and no callback is owed: leg n+1 is at another ingress (P7, R3)."""
    shell = ringing()
    shell.hear(StreamBroke("reset"))
    effects = shell.failed(Failure.SUPERSEDED)
    assert not [effect for effect in effects if isinstance(effect, Release)]
    assert effects[-1] == Remember(FactKind.ENDED, "higher_leg")
    assert shell.state is State.SUPERSEDED


def test_a_second_ring_is_held_though_the_first_is_superseded() -> None:
    """The other place is released when the hold ends, and still no callback is owed (P7)."""
    shell = ringing()
    shell.until_ringing_elsewhere()
    shell.rang()
    shell.hear(StreamBroke("reset"))
    shell.failed(Failure.SUPERSEDED, FIRST)
    assert shell.state is State.HELD
    shell.now += HOLD_S
    assert shell.time_passes()[0] == Release("c1/1/2", "higher_leg")
    assert FactKind.CALLBACK_DUE not in shell.kinds


# P5: nobody is left to sit with nobody.


def lost_in_connecting() -> Shell:
    """Confirmed; its gateway broke, and by the other one no word came in time: it is asked who has the caller."""
    shell = connecting()
    lose_gateway(shell)
    assert Release(FIRST, "unreachable") in shell.time_passes()
    assert shell.state is State.RESUMING
    return shell


def still_asked_after() -> Shell:
    return Shell(resume=Resume(FIRST, AT_P1))


def asked_in_vain() -> Shell:
    """Nobody could say who has the caller: the next rung is rung."""
    shell = lost_in_connecting()
    shell.resumed(UNKNOWN)
    assert shell.state is State.ATTEMPTING
    return shell


def asked_in_vain_in_an_older_leg() -> Shell:
    shell = asked_in_vain()
    shell.rang()
    return next_leg(shell)


@pytest.mark.parametrize(
    "stands", [connecting, lost_in_connecting, still_asked_after, asked_in_vain, asked_in_vain_in_an_older_leg]
)
def test_who_may_have_a_caller_who_hangs_up_is_let_go_of(stands: Callable[[], Shell]) -> None:
    """The caller confirmed them and hears nobody: whatever was asked last, they are told (P5)."""
    effects = stands().hear(CallerHungUp())
    assert [effect for effect in effects if isinstance(effect, LetGo)] == [LetGo(FIRST, AT_P1)]


def test_who_has_not_got_the_caller_is_not_told_to_let_go() -> None:
    """By the word of all who could: it is released (P5)."""
    shell = lost_in_connecting()
    shell.resumed(NONE)
    assert not [effect for effect in shell.hear(CallerHungUp()) if isinstance(effect, LetGo)]


def test_who_may_have_a_caller_who_is_told_of_another_is_let_go_of() -> None:
    """Once the other one has the caller, and not before (P5)."""
    shell = asked_in_vain()
    shell.rang()
    shell.picked_up()
    shell.confirmed()
    effects = shell.connected()
    assert [type(each) for each in effects[:3]] == [LetGo, Remember, SayConnected]
    assert effects[0] == LetGo(FIRST, AT_P1)


def test_who_has_the_caller_after_all_is_not_let_go_of() -> None:
    """Asked after, and found (P5)."""
    effects = lost_in_connecting().resumed(Holding(Standing.CONNECTED, FIRST, AT_P1))
    assert effects[-1] == SayConnected(FIRST, AT_P1)
    assert not [effect for effect in effects if isinstance(effect, LetGo)]


def test_a_hold_that_ends_lets_go_of_nobody_who_may_talk() -> None:
    """The caller may have come back elsewhere, and be with them (P5, P7)."""
    shell = asked_in_vain()
    shell.hear(StreamBroke("reset"))
    shell.now += HOLD_S
    assert not [effect for effect in shell.time_passes() if isinstance(effect, LetGo)]


# R5: a gateway is lost while its PSAP rings.


def lose_gateway(shell: Shell, name: str = FIRST) -> list[object]:
    """The stream breaks, and nobody has said why."""
    return list(shell.hear(AttemptFailed(name, Failure.UNREACHABLE, "stream_unavailable", broke=True)))


def test_a_ring_goes_on_through_the_other_gateway_and_the_caller_hears_nothing_of_it() -> None:
    """The same attempt under the same name: the PSAP knows it, and rings on (R5)."""
    shell = ringing()
    said = list(shell.said)
    assert lose_gateway(shell)[-1] == Ring(FIRST, RingPsap("P1", "gw-b", "town"))
    assert shell.open == [FIRST]
    shell.rang(FIRST)
    assert shell.said == said
    shell.picked_up()
    assert Connect(FIRST) in shell.confirmed()
    shell.connected()
    assert shell.kinds[-1] is FactKind.ANSWERED
    assert FactKind.DELIVERY_FAILED not in shell.kinds


def test_a_ring_keeps_its_ring_time_across_gateways() -> None:
    """The caller waits no longer for an answer because a gateway died (R5, R6)."""
    shell = ringing()
    began = shell.now
    shell.now += 10.0
    lose_gateway(shell)
    shell.rang(FIRST)
    shell.until_ringing_elsewhere()
    assert shell.now == began + shell.budgets.ring_s


def test_a_ring_that_the_other_gateway_does_not_find_has_failed() -> None:
    """Within the reach budget, once for each other gateway; then the ladder goes on past both of them (R5)."""
    shell = ringing()
    began = shell.now
    lose_gateway(shell)
    assert Release(FIRST, "unreachable") in shell.time_passes()
    assert shell.now == began + shell.budgets.reach_s
    assert shell.rungs[shell.newest] == DialLines("P1", "unreachable")


def test_a_ring_whose_second_gateway_says_not_attached_has_failed_at_once() -> None:
    """Nobody is left who could know of it (R4, R5)."""
    shell = ringing()
    lose_gateway(shell)
    shell.failed(Failure.NOT_ATTACHED, FIRST)
    assert shell.rungs[shell.newest] == DialLines("P1", "not_attached")


def test_an_attempt_that_never_rang_is_not_offered_again() -> None:
    """The other gateway is simply the next rung (R4)."""
    shell = Shell()
    shell.screened()
    shell.routed(P1)
    lose_gateway(shell)
    assert shell.rungs[shell.newest] == RingPsap("P1", "gw-b", "town")
    assert shell.newest == "c1/1/2"


def test_a_proposal_survives_its_gateway() -> None:
    """Confirmed while the other gateway is asked: connected when the answer is said again there (R5)."""
    shell = proposed()
    lose_gateway(shell)
    assert shell.confirmed() == []
    assert shell.state is State.CONNECTING
    assert Connect(FIRST) in shell.picked_up()
    shell.connected()
    assert shell.kinds[-1] is FactKind.ANSWERED


def test_a_connect_that_was_lost_with_its_gateway_is_said_again() -> None:
    """The answer is said again, so the Connect is; and only once (R5)."""
    shell = connecting()
    lose_gateway(shell)
    assert Connect(FIRST) in shell.picked_up()
    assert shell.picked_up() == []
    shell.connected()
    assert shell.state is State.CONNECTED


def test_a_connection_that_was_lost_with_its_gateway_is_told_by_the_other() -> None:
    """The PSAP has it connected already, under this attempt, and says so (R3, R5)."""
    shell = connecting()
    lose_gateway(shell)
    shell.connected()
    assert shell.said[-1] == SayConnected(FIRST, AT_P1)


@pytest.mark.parametrize(("failure", "flagged"), [(Failure.NOT_ATTACHED, True), (Failure.EXPIRED, False)])
def test_who_is_rung_after_a_lost_connect_is_told_that_the_caller_may_be_connected(
    failure: Failure, flagged: bool
) -> None:
    """Connect was said, and nobody is left who could say whether it came to anything (promise 4, P5)."""
    shell = connecting()
    lose_gateway(shell)
    shell.failed(failure, FIRST)
    if flagged:
        assert shell.state is State.RESUMING
        shell.resumed(UNKNOWN)
    assert rung(shell).maybe_connected is flagged


def at_a_line() -> Shell:
    """Somebody at a line has answered, and the caller has confirmed it."""
    shell = Shell(admitted=False)
    shell.hear(NoRoom())
    shell.routed(P1)
    shell.rang()
    shell.picked_up()
    shell.confirmed()
    return shell


@pytest.mark.parametrize("lost", [connecting, at_a_line])
def test_nobody_else_is_rung_before_it_is_known_whether_a_lost_connect_came_to_anything(
    lost: Callable[[], Shell],
) -> None:
    """Whoever was to bring the word is lost; all who may know are asked, as for an earlier leg (P5, promise 4)."""
    shell = lost()
    where, rungs = shell.where(FIRST), len(shell.rungs)
    effects = shell.failed(Failure.UNREACHABLE, FIRST)
    assert Resume(FIRST, where) in effects
    assert len(shell.rungs) == rungs and shell.state is State.RESUMING
    shell.resumed(Holding(Standing.CONNECTED, FIRST, where))
    assert shell.said[-1] == SayConnected(FIRST, where)
    assert shell.facts[-1].settled and shell.facts[-1].reason == "resumed"


def test_a_lost_connect_that_came_to_nothing_flags_nobody() -> None:
    """By the mouths of those who rang it is not connected, and is released: the ladder goes on as ever (P5)."""
    shell = connecting()
    shell.failed(Failure.UNREACHABLE, FIRST)
    shell.resumed(NONE)
    assert rung(shell) and not rung(shell).maybe_connected


def test_no_word_of_a_connect_is_a_lost_connect() -> None:
    """A gateway that stands still says nothing of it; no word of those who are asked in time leaves it unknown (P5)."""
    shell = connecting()
    while shell.state is State.CONNECTING:
        shell.time_passes()
    assert shell.state is State.RESUMING
    shell.time_passes()
    assert rung(shell).maybe_connected


def lost_beside_a_ring() -> tuple[Shell, str]:
    """Its first attempt rings on; of its second, which was confirmed and is named here, nobody says what became."""
    shell = Shell()
    shell.ring_unanswered(1)
    if shell.asked_at is not None:
        shell.routed(P2)
    shell.rang()
    second = shell.newest
    shell.picked_up(second)
    shell.confirmed(second)
    shell.failed(Failure.UNREACHABLE, second)
    return shell, second


def test_an_answer_beside_a_lost_connect_waits_for_what_became_of_it() -> None:
    """Who rings on and answers meanwhile is proposed when nobody else has the caller, and released else (P4, P5)."""
    for holding, proposed_next in ((NONE, True), (Holding(Standing.CONNECTED, "c1/1/2", AT_P1), False)):
        shell, _ = lost_beside_a_ring()
        assert (shell.state, [type(effect) for effect in shell.picked_up(FIRST)]) == (State.RESUMING, [Remember])
        shell.resumed(holding)
        assert shell.state is (State.PROPOSED if proposed_next else State.CONNECTED)
        assert shell.ends.get(FIRST) == (None if proposed_next else "released")


def test_the_question_after_a_lost_connect_is_asked_anew_by_the_leg_that_goes_on() -> None:
    """What rings beside goes on in leg n+1, and so does the doubt (P5, P7)."""
    shell, second = lost_beside_a_ring()
    shell.hear(HigherLeg())
    heir = Shell(resume=Resume(second, AT_P2), older=shell)
    assert (heir.state, heir.asked_after) == (State.RESUMING, second)
    heir.resumed(UNKNOWN)
    assert heir.state is State.RINGING


def test_a_psap_that_has_the_lost_attempt_of_this_leg_is_believed() -> None:
    """Nobody could say what became of the connect; the PSAP does, offered the call through another gateway (R3, P5)."""
    shell = connecting()
    shell.failed(Failure.UNREACHABLE, FIRST)
    shell.resumed(UNKNOWN)
    shell.hear(AttemptFailed(shell.newest, Failure.SUPERSEDED, FIRST))
    assert shell.said[-1] == SayConnected(FIRST, AT_P1)
    assert shell.facts[-1].settled


def test_a_line_that_is_lost_with_its_replica_has_failed() -> None:
    """Lines have no second gateway: the ladder goes on (R5 is the PSAPs')."""
    shell = Shell()
    shell.screened()
    shell.routed(Destination("P1", (), False, "unreachable"))
    shell.rang()
    lose_gateway(shell)
    assert shell.ends[FIRST] == "failed"


# L1: no place among the calls that are set up.


def overflowed(in_time: bool = False) -> Shell:
    shell = Shell(admitted=False)
    if in_time:
        shell.hear(NoRoom())
    else:
        shell.time_passes()
    return shell


@pytest.mark.parametrize("no_room", [True, False])
def test_a_call_without_a_place_turns_to_its_home_psaps_lines(no_room: bool) -> None:
    """At once where there is no room to wait, else after two seconds; nobody is asked on the way (L1)."""
    shell = overflowed(no_room)
    assert shell.now == (100.0 if no_room else 102.0)
    assert shell.state is State.ROUTING
    effects = shell.routed(P1)
    assert SayDiverting("overflow") in effects
    assert shell.rungs[shell.newest] == DialLines("P1", "overflow")
    assert FactKind.SCREENED not in shell.kinds


def test_an_overflow_never_takes_the_channels_kept_for_psaps_that_cannot_be_reached() -> None:
    """Half of each line is theirs alone (R7, L1)."""
    assert keep_free(4, "overflow") == 2
    assert keep_free(4, "unreachable") == 0


def test_a_call_that_no_line_takes_is_parked_and_is_on_the_callback_list() -> None:
    """It stays in hand with its stream; a person may ring back before there is a place (L1)."""
    shell = overflowed()
    shell.routed(P1)
    effects = shell.failed(Failure.FULL)
    assert SayWaiting("parked") in effects and effects[-1] == Enter(parked=True)
    assert shell.state is State.QUEUED
    assert parked(shell.facts[-1])


def test_a_parked_call_is_set_up_when_its_turn_comes() -> None:
    """Screened, routed and rung as any other; being connected closes its entry (L1, J2)."""
    shell = overflowed()
    shell.routed(None)
    assert shell.rungs[shell.newest] == DialLines("region", "overflow")
    shell.failed(Failure.FULL)
    shell.now += 100.0
    assert Screen() in shell.hear(Admitted())
    shell.screened()
    shell.routed(P1)
    shell.rang()
    shell.picked_up()
    shell.confirmed()
    shell.connected()
    assert shell.kinds[-1] is FactKind.ANSWERED


def test_a_line_that_rings_unanswered_rings_on_while_the_call_is_set_up() -> None:
    """Make before break (R6): a place is asked for at its ring time-out, and nobody is told to wait."""
    shell = overflowed()
    shell.routed(P1)
    shell.rang()
    effects = shell.time_passes()
    assert effects[-1] == Enter(parked=True)
    assert not [fact for fact in shell.facts if parked(fact)]
    shell.hear(Admitted())
    assert shell.screened()[-1] == FindRoute(())
    shell.routed(P1)
    shell.rang()
    assert shell.ringing == ["c1/1/1", "c1/1/2"]


def test_a_parked_call_writes_a_fact_each_five_minutes() -> None:
    """Readers look fifteen minutes back for what is open (architecture.md, Topics)."""
    shell = overflowed()
    shell.routed(P1)
    shell.failed(Failure.FULL)
    for _ in range(10):
        before, count = shell.now, len(shell.facts)
        shell.time_passes()
        assert shell.now - before < 300.0
        assert len(shell.facts) == count + 1


def test_a_call_whose_every_rung_failed_writes_facts_for_as_long_as_it_waits() -> None:
    """However long: each step is held to five minutes by the shell of these tests."""
    shell = Shell()
    for _ in range(5):
        exhaust(shell, Failure.FULL)
        shell.time_passes()
    assert shell.kinds.count(FactKind.WAITING) == 5
