"""Whom a line is asked to ring back, and when (protocol.md T3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.domain.events import Conductor, Fact, FactKind
from services.domain.holding import Holding, Standing
from services.domain.offer import SOS_URN, Offer
from services.domain.take_overs.debts import Debts
from services.domain.take_overs.facts import attested, callback_due, reconnected, try_begun, try_of, try_over
from services.domain.take_overs.open_call import OpenCall, Stamp
from services.domain.take_overs.ranks import Ranks
from services.domain.take_overs.ring_backs import AFTER_S, IN_HAND_MAX, PAUSES_S, TRY_LASTS_S, RingBack, RingBacks
from services.domain.take_overs.watch import Watch
from services.domain.where import Where

PLACE = Where("P1", "+15085550100")
CALLER = "+15085550101"
INGRESS = Conductor("i:1", "1")


class Story:
    """One replica's list, and one call on it from second 0."""

    def __init__(self, caller: str = CALLER, *, test: bool = False, age_ms: int = 0) -> None:
        self.debts = Debts()
        ranks = Ranks("failover-1")
        self.watch = Watch()
        self.ring_backs = RingBacks(self.debts, ranks, self.watch)
        offer = Offer("call-1", 1, caller, SOS_URN, None)
        self.add(
            Fact("call-1", 1, 0, "i1", FactKind.OFFERED, 0, due_in_ms=500, offer=offer, test=test,
                 conductor=INGRESS)
        )  # fmt: skip
        self.add(Fact("call-1", 1, 1, "i1", FactKind.RINGING, 1, due_in_ms=500, where=Where("P1"), test=test))
        call = self.debts.get("call-1")
        assert call is not None
        self.call: OpenCall = call
        self.add(replace(callback_due(call, 2), age_ms=age_ms))

    def add(self, fact: Fact, now: float = 0.0) -> None:
        self.debts.add(fact, Stamp(0, 0), now)

    def due(self, now: float) -> list[int]:
        return [each.number for each in self.look(now)[0]]

    def look(self, now: float, *, read: bool = True) -> tuple[list[RingBack], list[str]]:
        return self.ring_backs.look(now, read=read)


@pytest.mark.parametrize("number", [0, 4, 7])
def test_a_try_beyond_the_last_is_none(number: int) -> None:
    """A forged one does not use up those that a caller has (T3)."""
    story = Story()
    story.add(try_begun(story.call, number, PLACE, "failover-1", 0))
    assert story.call.tries == {}
    assert story.due(AFTER_S) == [1]


def test_a_line_is_asked_after_three_seconds_and_thrice_at_most() -> None:
    """With growing pauses after each try that came to nothing; then it stays on the list for people (T3)."""
    story = Story()
    now = AFTER_S
    assert story.due(now - 0.1) == []
    for number, pause_s in enumerate((*PAUSES_S, 1_000.0), 1):
        (begun,), _ = story.look(now)
        assert begun == RingBack("call-1", 1, number, CALLER, None, "P1")
        story.add(try_begun(story.call, number, PLACE, "failover-1", 3), now)
        story.add(try_over(story.call, number, PLACE, "busy", 4), now + 10)
        story.ring_backs.over("call-1")
        now += 10 + pause_s
        if number < 3:
            assert story.due(now - 0.1) == []
    assert story.due(now + 10_000) == []


def test_a_try_of_a_replica_that_died_is_followed_by_the_next_after_a_while() -> None:
    """Nobody says how it ended: after a minute and a half it counts as over."""
    story = Story()
    story.add(try_begun(story.call, 1, PLACE, "failover-2", 3), 3.0)
    late = 3.0 + PAUSES_S[0] + TRY_LASTS_S
    assert story.due(late - 0.1) == []
    assert story.due(late) == [2]


@pytest.mark.parametrize(
    "closing",
    [
        Fact("call-1", 2, 0, "i2", FactKind.OFFERED, 9, due_in_ms=500),
        Fact("call-1", 1, 9, "i1", FactKind.ANSWERED, 9, settled=True),
        Fact("call-1", 1, 9, "people", FactKind.CLOSED_BY_HUMAN, 9, settled=True),
    ],
)
def test_a_higher_leg_an_attestation_or_a_closure_withdraws_it(closing: Fact) -> None:
    """Whoever has the caller, or closed the entry: the line's telephone stops ringing (T3)."""
    story = Story()
    assert story.due(AFTER_S) == [1]
    assert story.look(AFTER_S)[1] == []
    story.add(closing, 4.0)
    assert story.look(4.1) == ([], ["call-1"])
    story.ring_backs.over("call-1")
    assert story.look(100.0) == ([], [])


@pytest.mark.parametrize("caller", ["", "anonymous", "+19115550101"])
def test_who_cannot_be_rung_back_is_left_to_people(caller: str) -> None:
    """No number, or that of a phone without service: on the list, and no line is asked."""
    assert Story(caller).due(60.0) == []


def test_a_test_call_and_an_old_entry_ring_nobody() -> None:
    """No person is asked for a machine's sake; and back-filled facts trigger nothing by themselves (J5)."""
    assert Story(test=True).due(60.0) == []
    assert Story(age_ms=60_000).due(60.0) == []


def test_nobody_is_rung_back_before_the_journal_is_read_to_its_end() -> None:
    """Further on it may say that the entry was closed; an entry can wait for that, a telephone cannot unring (T3)."""
    story = Story()
    assert story.look(60.0, read=False) == ([], [])
    assert story.due(60.0) == [1]


@pytest.mark.parametrize("by", ["words", "ticks"])
def test_nobody_is_rung_back_while_their_conductor_is_heard(by: str) -> None:
    """We were wrong, and it goes on with its call; when it dies the entry is still there (T1, T3)."""
    story = Story()
    for second in range(1, 10):
        if by == "words":
            story.watch.heard(INGRESS.address, INGRESS.incarnation, second)
        else:
            story.watch.ticked(INGRESS, 0, second)
    assert story.due(9.5) == []
    assert story.due(12.0) == [1]


def test_a_conductor_that_is_heard_again_has_the_try_withdrawn() -> None:
    """The line's telephone stops ringing (T3)."""
    story = Story()
    assert story.due(AFTER_S) == [1]
    story.watch.heard(INGRESS.address, INGRESS.incarnation, 4.0)
    assert story.look(4.1) == ([], ["call-1"])


def test_a_conductor_that_says_something_after_the_entry_puts_the_ringing_off() -> None:
    """It lived when it said so, whatever its stream does (T3); what was back-filled says nothing of now (J5)."""
    story = Story()
    old = Fact("call-1", 1, 2, "i1", FactKind.RINGING, 9, due_in_ms=500, conductor=INGRESS, age_ms=5_000)
    story.add(old, 2.0)
    assert story.due(AFTER_S + 1.0) == [1]
    story = Story()
    story.add(replace(old, age_ms=0), 2.0)
    assert story.due(2.0 + AFTER_S - 0.1) == []
    assert story.due(2.0 + AFTER_S) == [1]


def test_a_call_that_its_own_conductor_ended_after_all_is_peoples() -> None:
    """The caller hung up, or was lost, on the line of one that lived: an entry like any other (P7)."""
    story = Story()
    story.add(Fact("call-1", 1, 2, "i1", FactKind.ABANDONED, 9, conductor=INGRESS), 1.0)
    assert story.due(60.0) == []


def test_so_many_at_once_and_no_more() -> None:
    """A storm of entries leaves the lines to callers who are on the line."""
    story = Story()
    for n in range(50):
        at = Fact(f"c{n}", 1, 0, "i1", FactKind.OFFERED, 0, offer=Offer(f"c{n}", 1, CALLER, SOS_URN, None))
        story.add(at)
        call = story.debts.get(f"c{n}")
        assert call is not None
        story.add(callback_due(call, 1))
    begun, _ = story.look(AFTER_S)
    assert len(begun) == IN_HAND_MAX
    assert story.look(AFTER_S + 1) == ([], [])


def test_a_try_is_known_by_its_number_and_only_where_it_is_failovers() -> None:
    """Identity follows from call, leg and try: said twice it is one (J1)."""
    story = Story()
    assert try_of(try_begun(story.call, 2, PLACE, "a", 1)) == (2, False)
    assert try_of(try_over(story.call, 2, PLACE, "b", 2)) == (2, True)
    assert try_begun(story.call, 2, PLACE, "a", 1).identity == try_begun(story.call, 2, PLACE, "b", 9).identity
    assert try_of(Fact("call-1", 1, 14, "people", FactKind.CALLBACK_ATTEMPTED, 1)) is None
    assert reconnected(story.call, 2, PLACE, 3).settled


def test_a_line_that_attests_a_try_of_ours_has_rung_the_caller_back() -> None:
    """The replica that asked it died before it could say so (T3, T4)."""
    story = Story()
    told = attested(story.call, Holding(Standing.CONNECTED, "call-1/1/1002", PLACE), 5)
    assert told.identity == reconnected(story.call, 2, PLACE, 9).identity
    assert attested(story.call, Holding(Standing.CONNECTED, "call-1/1/2", PLACE), 5).kind is FactKind.DIVERTED


def test_what_a_line_attests_is_told_of_the_attempt_that_was_dialled() -> None:
    """A newer leg has come meanwhile; the line was dialled for an older one, and talks under that name (T3)."""
    story = Story()
    dialled = reconnected(story.call, 2, PLACE, 3)
    story.add(Fact("call-1", 5, 0, "i2", FactKind.OFFERED, 9, due_in_ms=500))
    assert story.call.leg == 5
    told = attested(story.call, Holding(Standing.CONNECTED, "call-1/1/1002", PLACE), 5)
    assert (told.attempt, told.leg) == ("call-1/1/1002", 1)
    assert told.identity == dialled.identity
