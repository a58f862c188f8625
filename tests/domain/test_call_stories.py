"""The main stories of a call, told step by step: what goes wrong for a caller, and what is done about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from services.domain.calls.budgets import HOLD_S, Budgets
from services.domain.calls.call import Call
from services.domain.calls.exchange import (
    Admitted,
    CallerHungUp,
    Connect,
    Effect,
    Enter,
    FindRoute,
    HigherLeg,
    LetGo,
    Rang,
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
    Screened,
    StreamBroke,
    TimePassed,
)
from services.domain.calls.ladder import Destination, DialLines, RingPsap
from services.domain.calls.transitions import State
from services.domain.events import FactKind, Failure
from services.domain.holding import NONE
from services.domain.policy import Divert, Pass
from services.domain.where import Where
from tests.domain.playing import GONE, P1, P2, Shell, exhaust

LAST: Final = DialLines("region", "ladder_exhausted", last=True)


def offered_to(destination: Destination | None = P1) -> Shell:
    """A call that is screened and routed."""
    shell = Shell()
    shell.screened()
    shell.routed(destination)
    return shell


def ringing_at(destination: Destination | None = P1) -> Shell:
    shell = offered_to(destination)
    shell.rang()
    return shell


def waiting() -> Shell:
    shell = Shell()
    exhaust(shell, Failure.FULL)
    return shell


def proposed() -> Shell:
    shell = ringing_at()
    shell.picked_up()
    return shell


def connecting() -> Shell:
    shell = proposed()
    shell.confirmed()
    return shell


def routing() -> Shell:
    shell = Shell()
    shell.screened()
    return shell


ON_THE_LINE: Final[dict[State, Callable[[], Shell]]] = {
    State.QUEUED: lambda: Shell(admitted=False),
    State.SCREENING: Shell,
    State.ROUTING: routing,
    State.ATTEMPTING: offered_to,
    State.RINGING: ringing_at,
    State.PROPOSED: proposed,
    State.CONNECTING: connecting,
    State.WAITING: waiting,
}
"""A call in each state in which the caller is there."""


def test_on_a_calm_day_a_call_is_answered_by_its_psap() -> None:
    """Offered, screened, routed, rung, answered, confirmed, connected: each word once, in that order (P1, P4)."""
    shell = connecting()
    shell.connected()
    first, at_p1 = "c1/1/1", Where("P1")
    assert shell.said == [SayRinging(first, at_p1), SayConnecting(first), SayConnected(first, at_p1)]
    assert shell.kinds == [
        FactKind.OFFERED,
        FactKind.SCREENED,
        FactKind.ROUTED,
        FactKind.ATTEMPTING,
        FactKind.RINGING,
        FactKind.ANSWERED,
    ]
    assert shell.facts[-1] == Remember(FactKind.ANSWERED, settled=True, attempt=first, where=at_p1)


def test_the_debt_is_written_down_before_anything_is_asked() -> None:
    """The first fact's append overlaps with screening (architecture.md)."""
    call = Call("c1", 1, Budgets())
    offered, enter = call.begin(0.0)
    assert isinstance(offered, Remember)
    assert (offered.kind, enter) == (FactKind.OFFERED, Enter())
    assert call.on(Admitted(), 0.0)[-1] == Screen()


def test_a_call_that_nobody_screened_goes_on() -> None:
    """No verdict within the budget is no verdict against the call (architecture.md, promise 2)."""
    shell = Shell()
    assert FindRoute(()) in shell.hear(Screened(None, "unscreened_unavailable"))


def test_an_unreachable_psap_is_reached_by_its_own_lines_first() -> None:
    """It still has people: its administrative lines come before another PSAP, and that is a diversion."""
    shell = offered_to(GONE)
    assert shell.places == [("lines", "P1")]
    assert shell.said == [SayDiverting("unreachable")]
    shell.rang()
    shell.picked_up()
    shell.confirmed()
    shell.connected()
    assert shell.kinds[-1] is FactKind.DIVERTED


def test_a_psap_that_no_gateway_holds_is_reached_by_its_own_lines() -> None:
    """Two gateways are tried, each in milliseconds, then the lines (R4)."""
    shell = offered_to()
    shell.failed(Failure.NOT_ATTACHED)
    shell.failed(Failure.NOT_ATTACHED)
    assert list(shell.rungs.values()) == [
        RingPsap("P1", "gw-a", "town"),
        RingPsap("P1", "gw-b", "town"),
        DialLines("P1", "not_attached"),
    ]


def test_a_gateway_that_says_nothing_costs_its_budget_and_no_more() -> None:
    """No ringing within 300 ms: that attempt is released and the next gateway tried."""
    shell = offered_to()
    began = shell.now
    assert Release("c1/1/1", "unreachable") in shell.time_passes()
    assert shell.now == began + 0.3
    assert shell.rungs[shell.newest] == RingPsap("P1", "gw-b", "town")


def test_a_full_psap_is_stood_in_for_by_its_alternate() -> None:
    """Its people are there and busy: the alternate comes first, its lines after that."""
    shell = offered_to()
    assert FindRoute(("P1",)) in shell.failed(Failure.FULL)
    shell.routed(P2)
    shell.failed(Failure.REFUSED)
    shell.failed(Failure.FULL)
    shell.failed(Failure.FULL)
    assert shell.places == [("psap", "P1"), ("psap", "P2"), ("lines", "P1"), ("lines", "P2"), ("lines", "region")]


def test_where_nobody_answers_the_lines_ring_too_and_the_first_ring_is_kept() -> None:
    """Make before break (R6): whoever answers first has the call."""
    shell = ringing_at()
    shell.until_ringing_elsewhere()
    assert shell.places == [("psap", "P1"), ("lines", "P1")]
    shell.rang()
    assert shell.ringing == ["c1/1/1", "c1/1/2"]
    shell.picked_up("c1/1/1")
    shell.confirmed("c1/1/1")
    assert Release("c1/1/2", "answered_elsewhere") in shell.connected("c1/1/1")


def test_a_doubted_psap_rings_on_and_its_own_lines_ring_beside_it() -> None:
    """R2, R6: make before break, as at a ring time-out, but for why: it cannot be heard, by whichever gateway."""
    shell = Shell()
    shell.screened()
    shell.routed(P1)
    shell.rang()
    effects = shell.doubts()
    assert Ring("c1/1/2", DialLines("P1", Failure.UNREACHABLE)) in effects
    assert not [each for each in effects if isinstance(each, Release)]
    assert ("psap_doubted", "c1/1/1") in [(fact.reason, fact.attempt) for fact in shell.facts]
    shell.rang()
    assert shell.ringing == ["c1/1/1", "c1/1/2"]
    shell.picked_up("c1/1/1")
    shell.confirmed("c1/1/1")
    shell.connected("c1/1/1")
    assert shell.said[-1] == SayConnected("c1/1/1", Where("P1"))
    assert shell.ends == {"c1/1/1": "connected", "c1/1/2": "released"}


def test_a_doubt_is_heard_once_and_only_of_what_rings() -> None:
    """R2: said again, or of an attempt that does not ring yet, it begins nothing."""
    shell = Shell()
    shell.screened()
    shell.routed(P1)
    assert shell.doubts() == []
    shell.rang()
    assert shell.doubts() != []
    assert shell.doubts("c1/1/1") == []


def test_a_doubted_answer_has_its_own_time() -> None:
    """P4: who has picked up is waited for as long as an answer is; the ladder stands still meanwhile."""
    shell = Shell()
    shell.screened()
    shell.routed(P1)
    shell.rang()
    shell.picked_up()
    assert shell.doubts() == []
    shell.confirmed()
    assert shell.doubts() == []


def test_a_doubt_beside_an_answer_is_remembered_until_that_is_withdrawn() -> None:
    """R2, R6: the alternate is doubted while a line's answer is proposed; when that comes to nothing the ladder goes on
    from the doubt, and does not wait for the alternate's ring time."""
    shell = Shell()
    shell.ring_unanswered(2)
    shell.routed(P2)
    shell.rang()
    shell.picked_up("c1/1/2")
    told = shell.doubts("c1/1/3")
    assert [type(each) for each in told] == [Remember]
    assert Ring("c1/1/4", DialLines("P2", Failure.UNREACHABLE)) in shell.failed(Failure.REFUSED, "c1/1/2")


def test_a_doubt_in_the_hold_is_the_next_legs_first_step() -> None:
    """R2, P7: nothing new is begun while the caller is gone; the next leg takes the rung that the doubt leads to."""
    shell = Shell()
    shell.screened()
    shell.routed(P1)
    shell.rang()
    shell.hear(StreamBroke("reset"))
    assert [type(each) for each in shell.doubts()] == [Remember]
    shell.hear(HigherLeg())
    heir = Shell(older=shell)
    assert heir.ringing == ["c1/1/1"]
    assert heir.rungs["c1/2/1"] == DialLines("P1", Failure.UNREACHABLE)


def test_a_third_ring_releases_the_oldest_when_it_rings_and_not_before() -> None:
    """At most two rings a call (R6); an offer that never rings takes nothing away."""
    shell = ringing_at()
    shell.until_ringing_elsewhere()
    shell.rang()
    shell.until_ringing_elsewhere()
    shell.routed(P2)
    assert shell.ringing == ["c1/1/1", "c1/1/2"]
    assert Release("c1/1/1", "third_ring") in shell.rang()
    assert shell.ringing == ["c1/1/2", "c1/1/3"]


def test_the_last_rung_gives_up_nothing_that_rings() -> None:
    """The region's desk rings beside what rings already (R6)."""
    shell = ringing_at()
    shell.until_ringing_elsewhere()
    shell.rang()
    shell.until_ringing_elsewhere()
    shell.routed(None)
    assert shell.rungs[shell.newest] == LAST
    shell.rang()
    assert len(shell.ringing) == 3


def test_after_the_last_rung_a_new_ring_leaves_two_again() -> None:
    """The exception is the last rung's alone (R6)."""
    shell = Shell()
    shell.ring_unanswered(2)
    shell.routed(None)
    shell.rang()
    shell.until_ringing_elsewhere()
    shell.routed(P2)
    assert len(shell.ringing) == 3
    shell.rang()
    assert [shell.rungs[name] for name in shell.ringing] == [LAST, RingPsap("P2", "gw-a", "alternate")]


def test_a_third_ring_does_not_release_the_place_that_has_answered() -> None:
    """Who has answered rings no more, and is not counted (R6)."""
    shell = Shell()
    shell.ring_unanswered(2)
    shell.routed(P2)
    shell.picked_up("c1/1/1")
    shell.rang("c1/1/3")
    effects = shell.confirmed("c1/1/1")
    assert Connect("c1/1/1") in effects
    assert not [effect for effect in effects if isinstance(effect, Release)]


def test_a_ring_that_ends_in_a_later_round_has_its_turn_in_that_round() -> None:
    """Its failure is told of the round in which it was begun, and that is over."""
    shell = ringing_at(GONE)
    shell.until_ringing_elsewhere()
    shell.routed(None)
    shell.failed(Failure.FULL)
    shell.until_ringing_elsewhere()
    shell.failed(Failure.NO_ANSWER, "c1/1/1")
    shell.routed(GONE)
    assert shell.places == [("lines", "P1"), ("lines", "region"), ("lines", "P1")]


def test_a_pause_is_not_drawn_out_by_what_fails_in_it() -> None:
    """The caller is told to wait when the last ring is gone, and the next round comes when it would have come."""
    shell = ringing_at(None)
    shell.time_passes()
    resumes_at = shell.call.deadline()
    shell.now += 1.0
    assert SayWaiting("every_rung_failed") in shell.failed(Failure.NO_ANSWER)
    assert shell.call.deadline() == resumes_at


def test_the_next_round_does_not_ring_where_the_call_rings_still() -> None:
    """A second offer of a ringing call would only be a duplicate there (R3)."""
    shell = ringing_at()
    shell.until_ringing_elsewhere()
    for _ in range(3):
        shell.failed(Failure.FULL)
        if shell.asked_at is not None:
            shell.routed(None)
    assert shell.ringing == ["c1/1/1"]
    shell.until_ringing_elsewhere()
    shell.routed(P1)
    assert shell.places[-1] == ("lines", "P1")
    assert SayWaiting("every_rung_failed") not in shell.said


def test_an_answer_that_the_caller_does_not_confirm_is_released() -> None:
    """The call goes on up the ladder, and a confirmation that comes too late connects nobody (P4)."""
    shell = proposed()
    assert Release("c1/1/1", "expired") in shell.time_passes()
    assert shell.places[-1] == ("lines", "P1")
    assert shell.confirmed("c1/1/1") == []
    shell.rang()
    shell.picked_up()
    assert shell.confirmed("c1/1/1") == []
    assert shell.state is State.PROPOSED
    assert shell.confirmed() == [Connect("c1/1/2")]


def test_a_psap_that_goes_between_confirm_and_connect_is_rung_through_the_other_gateway() -> None:
    """Nobody has the caller, it is told (P5); then the caller hears of a new proposal and confirms that one (P4)."""
    shell = connecting()
    shell.failed(Failure.UNREACHABLE)
    assert (shell.state, shell.asked_after) == (State.RESUMING, "c1/1/1")
    shell.resumed(NONE)
    assert shell.state is State.ATTEMPTING
    assert shell.rungs[shell.newest] == RingPsap("P1", "gw-b", "town")
    shell.rang()
    shell.picked_up()
    assert shell.said[-1] == SayConnecting("c1/1/2")
    assert shell.confirmed() == [Connect("c1/1/2")]


def test_a_connect_without_an_answer_is_given_up() -> None:
    """A gateway that is gone cannot acknowledge; it is released and asked after before another is made (P5)."""
    shell = connecting()
    effects = [*shell.time_passes(), *shell.resumed(NONE)]
    order = [type(effect) for effect in effects if not isinstance(effect, Remember)]
    assert order == [Release, Resume, Ring]


def test_a_second_answer_is_released_and_a_repeated_one_is_not() -> None:
    """One call, one answer (promise 4); the same word twice means the same."""
    shell = ringing_at()
    shell.until_ringing_elsewhere()
    shell.rang()
    shell.picked_up("c1/1/2")
    assert shell.picked_up("c1/1/2") == []
    assert shell.picked_up("c1/1/1") == [Release("c1/1/1", "answered_elsewhere")]
    assert shell.confirmed("c1/1/2") == [Connect("c1/1/2")]
    assert shell.picked_up("c1/1/2") == []
    shell.connected("c1/1/2")
    assert shell.kinds[-1] is FactKind.DIVERTED


def test_a_withdrawn_answer_leaves_the_rung_under_way_its_time() -> None:
    """The lines that are being dialled are not skipped because the first ring's answer came to nothing."""
    shell = ringing_at()
    shell.until_ringing_elsewhere()
    shell.picked_up("c1/1/1")
    shell.failed(Failure.EXPIRED, "c1/1/1")
    assert shell.open == ["c1/1/2"]
    assert shell.state is State.ATTEMPTING
    shell.rang()
    assert shell.ringing == ["c1/1/2"]


def test_a_ring_whose_time_ran_out_during_another_answer_has_had_its_turn() -> None:
    """It rang for its whole time: when that answer comes to nothing the ladder goes on, not back."""
    shell = Shell()
    shell.ring_unanswered(1)
    shell.rang()
    deadline = shell.call.deadline()
    assert deadline is not None
    shell.now = deadline - 1.0
    shell.picked_up("c1/1/1")
    assert shell.time_passes() == []
    assert shell.now == deadline
    shell.failed(Failure.NO_ANSWER, "c1/1/2")
    assert FindRoute(("P1",)) in shell.failed(Failure.EXPIRED, "c1/1/1")


def test_lines_that_are_walked_are_told_one_by_one_and_a_repeated_word_is_not() -> None:
    """Failover dials an owner's lines in order; each line that rings is a fact, once."""
    shell = offered_to(GONE)
    first, second = Where("P1", "+15085550101"), Where("P1", "+15085550102")
    for where in (first, first, second):
        shell.hear(Rang("c1/1/1", where))
    assert shell.said[1:] == [SayRinging("c1/1/1", first), SayRinging("c1/1/1", second)]


@pytest.mark.parametrize("state", ON_THE_LINE)
def test_a_hang_up_ends_the_call_wherever_it_stands(state: State) -> None:
    """Abandoned is an open entry on the callback list (P7); what rings is released."""
    shell = ON_THE_LINE[state]()
    assert shell.state is state
    under_way = shell.open
    effects = shell.hear(CallerHungUp())
    ends: list[Effect] = [Release(name, "caller_hung_up") for name in under_way]
    if state is State.CONNECTING:
        ends.append(LetGo("c1/1/1", Where("P1")))
    assert effects == [*ends, Remember(FactKind.ABANDONED, "caller_hung_up")]
    assert shell.state is State.ABANDONED
    assert shell.call.over


@pytest.mark.parametrize("state", ON_THE_LINE)
def test_a_broken_stream_holds_the_rings_two_seconds_and_then_owes_a_callback(state: State) -> None:
    """A broken stream is never a hang-up: leg n+1 may come and find the rings (P6, P7)."""
    shell = ON_THE_LINE[state]()
    under_way = shell.open
    effects = shell.hear(StreamBroke("reset"))
    assert effects == [Remember(FactKind.CALLER_LOST, "reset", due_in_ms=3_000)]
    assert (shell.state, shell.open) == (State.HELD, under_way)
    shell.now += HOLD_S - 0.001
    assert shell.hear(TimePassed()) == []
    shell.now += 0.001
    effects = shell.hear(TimePassed())
    releases = [Release(name, "caller_lost") for name in under_way]
    assert effects == [*releases, Remember(FactKind.CALLBACK_DUE, "stream_lost")]
    assert shell.state is State.LOST


def test_nobody_is_connected_to_a_caller_whose_stream_broke() -> None:
    """Only the holder of the stream may connect (P3): an answer in the hold is not taken up."""
    shell = ringing_at()
    shell.hear(StreamBroke("reset"))
    assert [type(effect) for effect in shell.picked_up()] == [Remember]
    shell.time_passes()
    assert shell.kinds[-1] is FactKind.CALLBACK_DUE
    shell = connecting()
    shell.hear(StreamBroke("reset"))
    shell.connected()
    assert shell.kinds[-1] is FactKind.ANSWERED, "the caller had confirmed, and who answered has the call"


def test_an_attempt_that_ends_in_the_hold_is_remembered_and_starts_nothing() -> None:
    """A ring given up by its PSAP, or taken over by a higher leg, is not released again (R3, P7)."""
    shell = ringing_at()
    shell.hear(StreamBroke("reset"))
    (failed,) = shell.failed(Failure.NO_ANSWER)
    assert isinstance(failed, Remember)
    assert failed.kind is FactKind.DELIVERY_FAILED
    assert shell.time_passes() == [Remember(FactKind.CALLBACK_DUE, "stream_lost")]


def test_where_everything_fails_the_caller_waits_two_seconds_and_all_is_tried_again() -> None:
    """While a caller is on the line the ladder never ends in a hang-up, and never spins (R6)."""
    shell = offered_to()
    shell.failed(Failure.FULL)
    shell.routed(P2)
    for _ in range(4):
        shell.failed(Failure.FULL)
    assert shell.rungs[shell.newest] == LAST
    assert (shell.said[-1], shell.kinds[-1]) == (SayWaiting("every_rung_failed"), FactKind.WAITING)
    began = shell.now
    assert shell.time_passes() == [FindRoute(())]
    assert shell.now == began + 2.0
    shell.routed(P1)
    shell.rang()
    shell.picked_up()
    shell.confirmed()
    shell.connected()
    assert shell.kinds[-1] is FactKind.ANSWERED


def test_a_call_without_any_psap_reaches_the_regions_desk() -> None:
    """No route is no reason to hang up."""
    assert offered_to(None).places == [("lines", "region")]


def test_a_policy_diverts_to_its_desk_and_a_desk_that_fails_to_the_usual_ladder() -> None:
    """A policy cannot drop a call (promise 3), not even with a desk that nobody staffs."""
    shell = Shell()
    shell.screened(Divert("poison-desk", "r1", "flood"))
    assert shell.places == [("lines", "poison-desk")]
    assert FindRoute(()) in shell.failed(Failure.REFUSED)
    exhaust(shell, Failure.FULL)
    shell.time_passes()
    shell.routed(P1)
    assert shell.places == [("lines", "poison-desk"), ("lines", "region"), ("psap", "P1")]


def test_a_policy_that_diverts_to_the_regions_desk_does_not_take_it_from_the_rounds_after() -> None:
    """The last rung is there again when all is tried again (R6)."""
    shell = Shell()
    shell.screened(Divert("region", "r1", "flood"))
    exhaust(shell, Failure.FULL)
    assert shell.places == [("lines", "region")]
    shell.time_passes()
    shell.routed(None)
    assert shell.rungs[shell.newest] == LAST


def test_what_comes_of_an_attempt_that_is_over_changes_nothing() -> None:
    """Words cross on the wire; each attempt has had its one end already."""
    shell = offered_to()
    shell.time_passes()
    for late in (shell.rang, shell.picked_up, shell.connected, shell.confirmed):
        assert late("c1/1/1") == []
    assert shell.failed(Failure.FULL, "c1/1/1") == []
    assert shell.open == ["c1/1/2"]


def test_a_fact_promises_the_next_one_for_when_the_call_next_does_something() -> None:
    """A living call is never overdue (J1): the ring that goes on keeps its time when another attempt fails."""
    shell = ringing_at()
    assert shell.facts[-1].due_in_ms == 16_000
    shell.until_ringing_elsewhere()
    assert shell.facts[-1].due_in_ms == 4_000
    shell.rang()
    shell.failed(Failure.NO_ANSWER, "c1/1/1")
    assert (shell.facts[-1].kind, shell.facts[-1].due_in_ms) == (FactKind.DELIVERY_FAILED, 16_000)


def test_an_answer_that_comes_before_any_ringing_is_promised_its_time() -> None:
    """Offered 1.3 s, an answer may take 1.5 s to be confirmed: a fact says so (J1)."""
    shell = offered_to()
    fact = shell.picked_up()[0]
    assert isinstance(fact, Remember)
    assert (fact.kind, fact.attempt, fact.due_in_ms) == (FactKind.ATTEMPTING, "c1/1/1", 2_500)
    shell = ringing_at()
    assert shell.picked_up() == [SayConnecting("c1/1/1")], "ringing has promised more than that already"


def test_a_pause_while_something_rings_is_promised_too() -> None:
    """The caller hears ringing and is not told to wait; the journal is told that the call goes on (J1)."""
    shell = Shell(Budgets(ring_s=15.0, pause_s=2.0))
    shell.screened(Pass())
    shell.routed(None)
    shell.rang()
    (still,) = shell.time_passes()
    assert still == Remember(FactKind.RINGING, "still_ringing", 3_000, attempt="c1/1/1", where=shell.where("c1/1/1"))
