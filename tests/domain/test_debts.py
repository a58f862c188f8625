"""The debts, the log's time, the ranks, and the copies kept: small folds that every order of events leaves the same."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.domain.events import Conductor, Fact, FactKind
from services.domain.take_overs.debts import WINDOW_MS, Debts
from services.domain.take_overs.kept import Copy, KeptCopies
from services.domain.take_overs.log_time import LogTime
from services.domain.take_overs.open_call import BACKFILL_REST_S, OpenCall, Stamp
from services.domain.take_overs.ranks import Ranks
from services.domain.where import Where

ONE, TWO = Conductor("ingress:1", "0001"), Conductor("ingress:2", "0001")


def fact(kind: FactKind = FactKind.RINGING, *, leg: int = 1, seq: int = 0, at_ms: int = 0, **more: Any) -> Fact:
    return Fact("call-1", leg, seq, "i1", kind, at_ms, **{"conductor": ONE, "due_in_ms": 5_000, **more})


KINDS = st.sampled_from([kind for kind in FactKind if kind is not FactKind.OFFERED])
FACTS = st.builds(
    lambda kind, leg, seq, due, settled, conductor, psap, age, attempt: (
        fact(
            kind,
            leg=leg,
            seq=seq,
            at_ms=100 * seq + 7 * leg,
            due_in_ms=due,
            settled=settled,
            conductor=conductor,
            where=Where(psap),
            age_ms=age,
            attempt=attempt,
        ),
        Stamp(1, 1_000_000 + 100 * seq + age),
    ),
    KINDS,
    st.integers(1, 3),
    st.integers(0, 20),
    st.sampled_from([0, 5_000]),
    st.sampled_from([False] * 9 + [True]),
    st.sampled_from([ONE, TWO, None]),
    st.sampled_from(["P1", "P2"]),
    st.sampled_from([0, 700]),
    st.sampled_from(["", "call-1/1/1001"]),
)


def state_of(debts: Debts) -> object:
    call = debts.get("call-1")
    settled = [debts.is_settled("call-1", leg) for leg in range(1, 5)]
    if call is None:
        return settled
    names = ("leg", "owes", "due_in_ms", "since_ms", "listed", "lost", "tried", "first_tried", "test")
    return [len(debts), settled, frozenset(call.conductors), *(getattr(call, name) for name in names)]


@given(st.lists(FACTS, min_size=1, max_size=12, unique_by=lambda each: each[0].identity), st.randoms())
def test_every_order_of_facts_and_copies_gives_the_same_debt(
    facts: list[tuple[Fact, Stamp]], chance: random.Random
) -> None:
    """The debts are a fold of a set (J2): order, repeats and legs that come late change nothing."""
    debts, other = Debts(), Debts()
    for each, stamp in facts:
        debts.add(each, stamp, 0.0)
    mixed = facts + chance.choices(facts, k=3)
    chance.shuffle(mixed)
    for each, stamp in mixed:
        other.add(each, stamp, 0.0)
    assert state_of(debts) == state_of(other)


def test_a_settled_call_is_forgotten_and_an_old_copy_does_not_open_it_again() -> None:
    """Bounded memory: what is settled leaves one name behind."""
    debts = Debts(settled_max=1)
    debts.add(fact(), Stamp(0, 10), 0.0)
    assert len(debts) == 1
    debts.add(fact(FactKind.ANSWERED, seq=1, settled=True), Stamp(0, 20), 0.0)
    debts.add(fact(), Stamp(0, 30), 0.0)
    assert (len(debts), debts.get("call-1")) == (0, None)


def test_what_was_settled_before_the_window_is_forgotten_and_stays_settled() -> None:
    """Memory that does not grow with the hours: no fact of that time, back-filled with its age, opens a call (T2)."""
    debts = Debts()
    debts.add(fact(), Stamp(0, 10), 0.0)
    debts.add(fact(FactKind.ANSWERED, seq=1, settled=True), Stamp(0, 20), 1.0)
    debts.forget_before({0: 20 + WINDOW_MS}, 1.0 + WINDOW_MS / 1000)
    assert debts.is_settled("call-1", 1)
    debts.forget_before({0: 21 + WINDOW_MS}, 1.001 + WINDOW_MS / 1000)
    assert not debts.is_settled("call-1", 1)
    now_ms = 21 + WINDOW_MS
    debts.add(fact(age_ms=now_ms - 10), Stamp(0, now_ms), 0.0)
    assert debts.get("call-1") is None


def test_a_broker_whose_clock_is_ahead_for_a_moment_has_no_settled_call_opened_again() -> None:
    """T2, T3: a copy of an old fact that comes once the clock is right would have a served caller rung back."""
    for partition in (0, None):
        debts, hour_ms = Debts(), 3_600_000
        debts.add(fact(), Stamp(0, 10), 0.0)
        debts.add(fact(FactKind.ANSWERED, seq=1, settled=True), Stamp(partition, 1_010), 1.0)
        debts.forget_before({0: hour_ms, 1: hour_ms}, 2.0)
        debts.forget_before({0: 3_000, 1: 3_000}, 3.0)
        debts.add(fact(), Stamp(0, 4_000), 4.0)
        assert debts.is_settled("call-1", 1)
        assert (len(debts), debts.get("call-1")) == (0, None)


@given(st.permutations(["rings", "reconnected", "rings again"]))
def test_a_later_leg_of_a_caller_who_was_reached_by_another_call_is_a_debt(order: list[str]) -> None:
    """What the ledger infers closes no leg that was offered after it, on whatever way it comes (J2)."""
    said = {
        "rings": fact(),
        "reconnected": fact(FactKind.RECONNECTED, seq=1, settled=True, conductor=None, due_in_ms=0),
        "rings again": fact(leg=2),
    }
    debts = Debts()
    for each in order:
        debts.add(said[each], Stamp(0, 10), 0.0)
    call = debts.get("call-1")
    assert isinstance(call, OpenCall)
    assert (len(debts), call.leg, call.owes) == (1, 2, True)
    assert [debts.is_settled("call-1", leg) for leg in (1, 2)] == [True, False]
    debts.add(fact(FactKind.ANSWERED, leg=2, seq=1, settled=True), Stamp(0, 20), 0.0)
    assert (len(debts), debts.get("call-1"), debts.is_settled("call-1", 3)) == (0, None, True)


@given(st.permutations(["one rings", "two rings", "two ends"]))
def test_of_two_who_took_one_leg_each_owes_for_itself(order: list[str]) -> None:
    """P8: what one puts onto the list is the end of its own part; the other may have the caller, and die."""
    said = {
        "one rings": fact(at_ms=10, due_in_ms=7_000),
        "two rings": fact(seq=1, at_ms=20, conductor=TWO),
        "two ends": fact(FactKind.CALLBACK_DUE, seq=2, at_ms=30, conductor=TWO, due_in_ms=0),
    }
    debts = Debts()
    for each in order:
        debts.add(said[each], Stamp(0, 10), 0.0)
    call = debts.get("call-1")
    assert isinstance(call, OpenCall)
    assert (call.owes, call.listed, call.conductors) == (True, False, (ONE,))
    assert dict(debts.owing()) == {ONE: {"call-1"}}
    debts.add(fact(FactKind.ABANDONED, seq=3, at_ms=40, due_in_ms=0), Stamp(0, 20), 0.0)
    assert (call.owes, call.listed, call.due_in_ms, len(debts)) == (False, True, 0, 0)


def test_who_takes_over_a_leg_of_two_puts_the_whole_of_it_onto_the_list() -> None:
    """T3: nobody is left who would owe anything."""
    debts = Debts()
    debts.add(fact(), Stamp(0, 10), 0.0)
    debts.add(fact(FactKind.CALLBACK_DUE, seq=1, conductor=TWO, due_in_ms=0), Stamp(0, 10), 0.0)
    assert len(debts) == 1
    debts.add(fact(FactKind.CALLBACK_DUE, seq=2, conductor=None, due_in_ms=0), Stamp(0, 20), 0.0)
    assert (len(debts), dict(debts.owing())) == (0, {})


def test_a_leg_that_was_closed_by_another_call_stays_closed_whatever_a_brokers_clock_makes_forgotten() -> None:
    """T2, J2: a copy of an old fact opens the leg no more than that of a call which is settled."""
    debts, hour_ms = Debts(), 3_600_000
    debts.add(fact(FactKind.CALLBACK_DUE, urgent=True, reason="conductor_lost", due_in_ms=0), Stamp(0, 10), 0.0)
    assert len(debts.urgent()) == 1
    debts.add(fact(FactKind.RECONNECTED, seq=1, settled=True, due_in_ms=0), Stamp(0, 1_010), 1.0)
    assert (debts.urgent(), debts.get("call-1")) == ([], None)
    debts.forget_before({0: hour_ms}, 2.0)
    debts.forget_before({0: 3_000}, 3.0)
    debts.add(fact(seq=2), Stamp(0, 4_000), 4.0)
    assert (len(debts), debts.get("call-1")) == (0, None)
    debts.add(fact(leg=2), Stamp(0, 5_000), 5.0)
    assert len(debts) == 1


def test_a_fact_of_an_unknown_kind_still_settles() -> None:
    """The envelope is believed whatever a newer version says in it (J1)."""
    debts = Debts()
    debts.add(fact(), Stamp(0, 10), 0.0)
    debts.add(fact(FactKind.UNKNOWN, seq=9, settled=True), Stamp(0, 20), 0.0)
    assert len(debts) == 0


def test_no_more_than_the_limit_is_held_and_what_is_old_is_the_ledgers() -> None:
    """Limits on everything: the oldest is dropped and counted; so is what said nothing for fifteen minutes (J7)."""
    debts = Debts(calls_max=2)
    for n in range(3):
        debts.add(Fact(f"c{n}", 1, 0, "i1", FactKind.RINGING, n, due_in_ms=5_000, conductor=ONE), Stamp(0, n), 0.0)
    assert (len(debts), debts.dropped) == (2, 1)
    debts.forget_before({0: WINDOW_MS + 2}, 0.0)
    assert [debts.get(f"c{n}") is None for n in range(3)] == [True, True, False]


def test_what_is_older_than_the_window_opens_no_call_and_is_forgotten_wherever_it_stands() -> None:
    """An old fact that comes late, back-filled or copied, is the ledger's: nobody is rung back for it (J7)."""
    debts = Debts()

    def take(call_id: str, log_ms: int, age_ms: int = 0) -> None:
        said = Fact(call_id, 1, 0, "i1", FactKind.RINGING, 0, due_in_ms=5_000, conductor=ONE, age_ms=age_ms)
        debts.add(said, Stamp(0, log_ms), 0.0)

    take("new", WINDOW_MS + 10_000)
    take("hours-old", WINDOW_MS + 10_000, age_ms=WINDOW_MS + 1)
    assert debts.get("hours-old") is None
    take("older", WINDOW_MS + 10_000, age_ms=WINDOW_MS - 1_000)
    debts.forget_before({0: 2 * WINDOW_MS + 10_000}, 0.0)
    assert debts.get("new") is not None
    assert debts.get("older") is None, "though a younger one stands before it"


def test_a_broker_whose_clock_is_wrong_makes_no_debt_old_but_those_of_its_own_partitions() -> None:
    """T2: an hour ahead for a moment, it would else hide every other partition's debts for an hour."""
    debts, time = Debts(), LogTime()
    hour_ms = 3_600_000

    def take(call_id: str, partition: int, log_ms: int) -> None:
        time.saw(partition, log_ms)
        said = Fact(call_id, 1, 0, "i1", FactKind.RINGING, 0, due_in_ms=5_000, conductor=ONE)
        debts.add(said, Stamp(partition, log_ms), 0.0)
        debts.forget_before(time.newest(), 0.0)

    take("before", 0, hour_ms)
    take("ahead", 1, 2 * hour_ms)
    take("beside", 0, hour_ms + 1_000)
    take("set right", 1, hour_ms + 2_000)
    assert [debts.get(each) is not None for each in ("before", "ahead", "beside", "set right")] == [True] * 4
    take("a quarter later", 1, hour_ms + WINDOW_MS + 2_001)
    assert debts.get("set right") is None


@given(st.lists(st.tuples(st.sampled_from([None, 0, 1]), st.integers(0, 3 * WINDOW_MS)), max_size=12))
def test_what_is_forgotten_is_what_is_older_than_the_window_by_its_own_partition(
    stamps: list[tuple[int | None, int]],
) -> None:
    """T2: neither more nor less; a copy, which is on no partition, by the slowest of them."""
    debts, newest = Debts(), {0: 2 * WINDOW_MS, 1: 3 * WINDOW_MS}
    for n, (partition, log_ms) in enumerate(stamps):
        said = Fact(f"c{n}", 1, 0, "i1", FactKind.RINGING, n, due_in_ms=5_000, conductor=ONE)
        debts.add(said, Stamp(partition, log_ms), 0.0)
        debts._newest_ms.clear()  # every one of them is opened
    debts.forget_before(newest, 0.0)
    for n, (partition, log_ms) in enumerate(stamps):
        own_ms = min(newest.values()) if partition is None else newest[partition]
        assert (debts.get(f"c{n}") is None) == (log_ms < own_ms - WINDOW_MS)


def test_a_copy_that_lands_is_forgotten_by_its_partition_from_then_on() -> None:
    """J4, T2: it changes from the slowest clock's to its own."""
    debts = Debts()
    debts.add(fact(), Stamp(None, 0), 0.0)
    debts.add(fact(), Stamp(1, 0), 0.0)
    debts.forget_before({0: 0, 1: WINDOW_MS + 1}, 0.0)
    assert debts.get("call-1") is None


def test_a_parked_call_still_owes_and_one_whose_caller_was_let_go_does_not() -> None:
    """An entry on the list is no last word where another fact is owed: the caller is on the line (L1)."""
    parked, over = Debts(), Debts()
    parked.add(fact(FactKind.CALLBACK_DUE, reason="overflow", due_in_ms=240_000), Stamp(0, 10), 0.0)
    assert len(parked) == 1
    for debts in (parked, over):
        debts.add(fact(FactKind.CALLBACK_DUE, seq=1, at_ms=1, reason="stream_lost", due_in_ms=0), Stamp(0, 10), 0.0)
        assert len(debts) == 0


def test_a_back_filled_call_is_left_alone_for_two_seconds() -> None:
    """Old facts trigger nothing by themselves: the rest of them follow first (J5)."""
    debts = Debts()
    debts.add(fact(age_ms=60_000), Stamp(0, 70_000), now=5.0)
    call = debts.get("call-1")
    assert isinstance(call, OpenCall)
    assert (call.since_ms, call.judged_from) == (10_000, 5.0 + BACKFILL_REST_S)


def test_no_fact_is_never_late() -> None:
    """An age below nothing, or a next fact owed in years, is cut: within the window the call is due (T2)."""
    debts = Debts()
    debts.add(fact(age_ms=-(2**62), due_in_ms=2**62), Stamp(0, 10_000), 0.0)
    call = debts.get("call-1")
    assert isinstance(call, OpenCall)
    assert (call.since_ms, call.due_in_ms) == (10_000, WINDOW_MS)
    debts.forget_before({0: 2 * WINDOW_MS + 20_000}, 0.0)
    assert debts.get("call-1") is None


def test_a_call_is_late_by_the_logs_time_and_never_within_two_seconds_of_a_gap() -> None:
    """T2: the newest stamp of its partition decides; a gap in the ticks means that facts may wait elsewhere."""
    time = LogTime()
    for ms in range(0, 7_001, 500):
        time.ticked(0, 100_000 + ms)
    assert time.is_late(0, 101_000, 5_000)
    assert not time.is_late(0, 102_000, 5_000), "due at the very stamp"
    time.saw(0, 120_000)
    assert not time.is_late(0, 101_000, 5_000), "a gap that no tick has ended yet"
    time.ticked(0, 120_100)
    time.ticked(0, 120_600)
    assert not time.is_late(0, 101_000, 5_000)
    for ms in range(121_100, 122_200, 500):
        time.ticked(0, ms)
    assert time.is_late(0, 101_000, 5_000)
    assert not time.is_late(1, 0, 0), "a partition of which nothing was read"
    assert not LogTime().is_late(None, 0, 0)


def test_a_clock_that_was_set_back_is_believed_after_two_seconds_as_after_a_gap() -> None:
    """T2: a broker's clock that was an hour ahead, and the leader after it, both tell the time again."""
    time, hour_ms = LogTime(), 3_600_000
    for ms in range(0, 4_001, 500):
        time.ticked(0, hour_ms + ms)
    time.ticked(0, 500)
    assert time.newest() == {0: 500}
    assert not time.is_late(0, 0, 0), "what comes first after it may be old"
    for ms in range(1_000, 3_001, 500):
        time.ticked(0, ms)
    assert time.is_late(0, 0, 2_000)
    assert not time.is_late(0, 1_000, 2_000)


@given(st.sets(st.sampled_from(["a", "b", "c", "d"]), min_size=1), st.text(min_size=1, max_size=8))
def test_the_living_replicas_share_out_the_ranks(living: set[str], call_id: str) -> None:
    """Each computes its own rank, and together they are 0 to n-1; the keeper is first (T4)."""
    ranks = {name: Ranks(name) for name in living}
    for each in ranks.values():
        for name in living:
            each.ticked(1.0, name)
    assert sorted(each.of(call_id, keeper=False) for each in ranks.values()) == list(range(len(living)))
    assert all(each.of(call_id, keeper=True) == 0 for each in ranks.values())


def test_a_replica_without_ticks_is_gone_unless_nobody_ticks() -> None:
    """With the log away nobody is thought gone because of it (T4)."""
    ranks = Ranks("a")
    ranks.ticked(1.0, "b")
    assert ranks.living() == ["a", "b"]
    ranks.ticked(5.0, "a")
    assert ranks.living() == ["a"]


def test_a_copy_is_dropped_when_its_fact_is_seen_or_its_call_is_settled() -> None:
    """And what a dead conductor leaves is handed over once, in its order (J4)."""
    kept: KeptCopies[str] = KeptCopies()
    for seq in (2, 0, 1):
        kept.put(Copy(fact(seq=seq), b"", ONE, 0, f"ticket-{seq}"))
    assert kept.keeps("call-1")
    assert kept.seen(fact(seq=1)) == ["ticket-1"]
    assert [copy.handle for copy in kept.to_hand_over(ONE)] == ["ticket-0", "ticket-2"]
    assert list(kept.to_hand_over(ONE)) == []
    assert sorted(kept.seen(fact(FactKind.ANSWERED, seq=7, settled=True))) == ["ticket-0", "ticket-2"]
    assert (len(kept), kept.keeps("call-1"), kept.conductors()) == (0, False, [])


def test_a_copy_of_a_later_leg_is_kept_when_another_call_closes_an_earlier_one() -> None:
    """What the ledger infers says nothing of the leg after it, whose conductor may be dead (J2, J4)."""
    kept: KeptCopies[str] = KeptCopies()
    for leg in (1, 2):
        kept.put(Copy(fact(leg=leg), b"", ONE, 0, f"ticket-{leg}"))
    assert kept.seen(fact(FactKind.RECONNECTED, seq=1, settled=True)) == ["ticket-1"]
    assert kept.keeps("call-1")


def test_a_fact_that_was_seen_on_the_log_is_remembered_for_a_while() -> None:
    """So that a copy of it that comes later is not kept (J4); within a bound."""
    kept: KeptCopies[str] = KeptCopies(seen_max=2)
    for seq in range(3):
        kept.seen(fact(seq=seq))
    assert [kept.was_seen(fact(seq=seq)) for seq in range(4)] == [False, True, True, False]
