"""The ledger's store: all or nothing, each fact once, and only one ledger to a database."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.domain.events import Fact, FactKind
from services.domain.fold import Outcome, fold
from services.domain.offer import SOS_URN, Offer
from services.journal import Record, Topic
from services.ledger.projection import read
from services.ledger.sql import SqlStore
from services.ledger.store import AnotherLedger, StoreTrouble
from services.wire import facts

Kinds = FactKind


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlStore]:
    """An open store on an empty database."""
    store = SqlStore("sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path / 'ledger.db'}")
    store.open()
    yield store
    store.close()


def fact(call_id: str, kind: FactKind, seq: int = 0, at_ms: int = 0, **more: Any) -> Fact:
    fields = {"leg": 1, "writer": "w", "caller_hash": f"hash of {call_id[0]}", **more}
    return Fact(call_id=call_id, kind=kind, seq=seq, at_ms=at_ms, **fields)


def offered(call_id: str, at_ms: int = 0, caller: str = "+16175550123", **more: Any) -> Fact:
    return fact(call_id, Kinds.OFFERED, 0, at_ms, offer=Offer(call_id, 1, caller, SOS_URN, None), **more)


class Partition:
    """Numbers records as a partition of `calls` does."""

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.next_offset = 0

    def records(self, *values: Fact | bytes) -> list[Record]:
        records = []
        for value in values:
            raw = value if isinstance(value, bytes) else facts.encode(value)
            records.append(Record(Topic.CALLS, self.number, self.next_offset, "key", raw, 1_000))
            self.next_offset += 1
        return records


def test_a_batch_moves_position_and_books_together(store: SqlStore) -> None:
    """One transaction: what is counted is what the position says was read."""
    partition = Partition(3)
    projected = store.project(read(partition.records(offered("a1"), fact("a1", Kinds.ANSWERED, 1, 50))), {})
    assert (projected.facts, projected.duplicates) == (2, 0)
    assert projected.moved == Counter({(Outcome.ANSWERED, False): 1})
    assert store.positions() == {3: 2}
    assert store.sums() == Counter({(Outcome.ANSWERED, False): 1})


@pytest.mark.parametrize("expected", [{0: 1}, {0: 3}, {}])
def test_a_position_that_another_ledger_moved_stops_the_batch_and_changes_nothing(
    store: SqlStore, expected: dict[int, int]
) -> None:
    """Compare and set: no row changed means roll back, whole."""
    zero, one = Partition(0), Partition(1)
    store.project(read(zero.records(offered("a1"), offered("b1"))), {})
    batch = read([*one.records(offered("c1")), *zero.records(fact("a1", Kinds.ABANDONED, 1), b"\xff")])
    with pytest.raises(AnotherLedger, match="partition 0"):
        store.project(batch, expected)
    assert store.positions() == {0: 2}
    assert store.sums() == Counter({(Outcome.IN_PROGRESS, False): 2})
    assert store.project(batch, {0: 2}).set_aside == 1
    assert store.sums() == Counter({(Outcome.IN_PROGRESS, False): 2, (Outcome.CALLBACK_OPEN, False): 1})


def test_a_second_copy_of_a_fact_is_dropped(store: SqlStore) -> None:
    """By its identity, in the same batch or a later one, after a restart as well (J1)."""
    partition = Partition()
    first = offered("a1")
    assert store.project(read(partition.records(first, first)), {}).duplicates == 1
    assert store.project(read(partition.records(first, fact("a1", Kinds.RINGING, 1))), {0: 2}).duplicates == 1
    store._known.clear()  # as a new process begins
    projected = store.project(read(partition.records(first, fact("a1", Kinds.ABANDONED, 2))), {0: 4})
    assert (projected.facts, projected.duplicates) == (1, 1)
    assert projected.moved == Counter({(Outcome.IN_PROGRESS, False): -1, (Outcome.CALLBACK_OPEN, False): 1})


def test_what_is_no_fact_is_set_aside_with_its_bytes(tmp_path: Path) -> None:
    """Poison stops nothing, and is kept as it came; a newer version's kind is no poison (J1)."""
    store = SqlStore(f"sqlite:///{tmp_path / 'ledger.db'}")
    store.open()
    newer = facts.encode(fact("a1", Kinds.UNKNOWN, 7, settled=True)) + b"\xc2\x3e\x03new"
    projected = store.project(read(Partition().records(b"\xff\x00\xff", offered("a1"), newer)), {})
    store.close()
    assert (projected.facts, projected.unknown_kinds, projected.set_aside) == (2, 1, 1)
    with sqlite3.connect(tmp_path / "ledger.db") as database:
        assert database.execute("select raw, log_offset from set_aside").fetchall() == [(b"\xff\x00\xff", 0)]
        assert database.execute("select raw from facts where kind = 'unknown'").fetchall() == [(newer,)]
    database.close()


def test_a_journal_that_begins_anew_is_read_from_its_beginning(store: SqlStore) -> None:
    """Offsets run backwards when Kafka was made again under the same ledger; nothing breaks for that."""
    store.project(read(Partition().records(b"\xff", offered("a1"))), {})
    assert store.project(read(Partition().records(b"\xfe", offered("a1"), offered("a2"))), {0: 2}).facts == 1
    assert store.positions() == {0: 3}


def test_odd_numbers_and_texts_are_taken(store: SqlStore) -> None:
    """A hostile fact is a row like any other."""
    odd = fact(
        "a1", Kinds.RINGING, 2**32 - 1, 2**63 - 1, leg=2**32 - 1, due_in_ms=2**63 - 1, reason="a\0b", writer="\0"
    )
    assert store.project(read(Partition().records(odd)), {}).facts == 1


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.builds(
            fact,
            st.sampled_from(["a1", "a2", "b1"]),
            st.sampled_from(FactKind),
            st.integers(0, 3),
            st.integers(0, 9),
            leg=st.integers(1, 2),
            test=st.booleans(),
            attempt=st.sampled_from(["", "a1/1/1001"]),
        ),
        min_size=1,
        max_size=15,
        unique_by=lambda each: each.identity,
    ),
    st.randoms(use_true_random=False),
)
def test_the_sums_and_the_list_are_those_of_the_fold(each: list[Fact], source: random.Random) -> None:
    """However the facts are cut into batches, in whatever order and how often they come, and whatever was forgotten in
    between (J2)."""
    store = SqlStore("sqlite://")
    store.open()
    partition, kept = Partition(), Counter[tuple[Outcome, bool]]()
    queue = each + source.choices(each, k=3)
    source.shuffle(queue)
    expected: dict[int, int] = {}
    while queue:
        size = source.randint(1, len(queue))
        kept.update(store.project(read(partition.records(*queue[:size])), expected).moved)
        queue, expected = queue[size:], {0: partition.next_offset}
        if source.random() < 0.5:
            store._known.clear()
    stories = [fold(f for f in each if f.call_id == call_id) for call_id in {f.call_id for f in each}]
    want = Counter((story.outcome, story.test) for story in stories)
    assert store.sums() == want
    assert Counter({key: count for key, count in kept.items() if count}) == want
    for closed, outcomes in (
        (False, {Outcome.CALLBACK_OPEN}),
        (True, {Outcome.CALLBACK_OPEN, Outcome.CALLBACK_CLOSED}),
    ):
        listed = {story.call_id for story in stories if story.outcome in outcomes and not story.test}
        assert {call.call_id for call in store.callbacks(closed=closed)} == listed
    store.close()


def test_the_list_has_the_real_calls_that_are_open_and_closed_ones_on_request(store: SqlStore) -> None:
    """Tests never; the number is that of the offer."""
    partition = Partition()
    store.project(
        read(
            partition.records(
                offered("a1", 10),
                fact("a1", Kinds.ABANDONED, 1, 20, reason="caller_hung_up"),
                offered("b1", 11, caller=""),
                fact("b1", Kinds.CALLBACK_DUE, 1, 30),
                fact("b1", Kinds.CLOSED_BY_HUMAN, 2, 40, reason="reached at home"),
                offered("t1", 12, test=True),
                fact("t1", Kinds.CALLBACK_DUE, 1, 21, test=True),
                offered("c1", 13),
            )
        ),
        {},
    )
    [call] = store.callbacks()
    assert (call.call_id, call.number, call.opened_at_ms, call.why) == ("a1", "+16175550123", 20, "caller_hung_up")
    assert [(call.call_id, call.closed_at_ms, call.closed_why) for call in store.callbacks(closed=True)] == [
        ("a1", None, ""),
        ("b1", 40, "closed_by_human: reached at home"),
    ]


def test_overdue_calls_are_found_by_their_own_grace(store: SqlStore) -> None:
    """A lost caller soon, a silent conductor late, a call that owes nothing never."""
    store.project(
        read(
            Partition().records(
                fact("lost", Kinds.CALLER_LOST, at_ms=1_000, due_in_ms=2_000),
                fact("silent", Kinds.RINGING, at_ms=1_000, due_in_ms=2_000),
                fact("calm", Kinds.RINGING, at_ms=1_000),
                fact("taken_up", Kinds.CALLER_LOST, at_ms=1_000, due_in_ms=2_000),
                fact("taken_up", Kinds.OFFERED, at_ms=1_500, leg=2),
                fact("done", Kinds.ANSWERED, at_ms=1_000, due_in_ms=2_000),
            )
        ),
        {},
    )

    def found(now_ms: int) -> list[str]:
        return [each.call_id for each in store.overdue(now_ms, lost_grace_ms=500, silent_grace_ms=9_000, limit=10)]

    assert (found(3_499), found(3_500), found(11_999)) == ([], ["lost"], ["lost"])
    assert sorted(found(12_000)) == ["lost", "silent"]


def test_a_later_call_that_reached_somebody_closes_the_earlier_ones(store: SqlStore) -> None:
    """By caller; an earlier call, another caller's or a test closes nothing; an unknown caller has no other call."""
    due = Kinds.CALLBACK_DUE
    store.project(
        read(
            Partition().records(
                *(offered("a1", 10), fact("a1", Kinds.ABANDONED, 1, 20)),
                *(offered("a2", 15), fact("a2", due, 1, 90)),
                *(offered("a3", 16), fact("a3", Kinds.DIVERTED, 1, 60)),
                *(offered("a4", 17), fact("a4", Kinds.ANSWERED, 1, 70)),
                *(offered("a5", 80), fact("a5", due, 1, 95)),
                *(offered("b1", 10), fact("b1", due, 1, 20), offered("b0", 5), fact("b0", Kinds.ANSWERED, 1, 30)),
                *(offered("c1", 10), fact("c1", due, 1, 20)),
                *(offered("c2", 20, test=True), fact("c2", Kinds.ANSWERED, 1, 30, test=True)),
                *(offered("d1", 10, caller_hash=""), fact("d1", due, 1, 20, caller_hash="")),
                *(offered("d2", 20, caller_hash=""), fact("d2", Kinds.ANSWERED, 1, 30, caller_hash="")),
            )
        ),
        {},
    )
    found = store.reconnections(limit=10)
    assert sorted((each.call_id, each.by_call_id, each.connected_at_ms) for each in found) == [
        ("a1", "a3", 60),
        ("a2", "a3", 60),
    ]


def test_a_connection_that_was_there_before_closes_no_leg_that_was_offered_after_it(store: SqlStore) -> None:
    """Whoever calls again after somebody was reached from that number wants somebody: of whatever leg (J2)."""
    partition = Partition()
    records = partition.records(
        *(offered("a1", 10), fact("a1", Kinds.ABANDONED, 1, 20)),
        *(offered("a2", 30), fact("a2", Kinds.ANSWERED, 1, 40)),
        fact("a1", Kinds.RECONNECTED, 0, 40, writer="ledger", settled=True),
        *(offered("a1", 50, leg=2), fact("a1", Kinds.ABANDONED, 1, 60, leg=2)),
    )
    store.project(read(records), {})
    assert [call.call_id for call in store.callbacks()] == ["a1"]
    assert store.reconnections(limit=10) == []
    again = partition.records(offered("a3", 70), fact("a3", Kinds.ANSWERED, 1, 80))
    store.project(read(again), {0: len(records)})
    [found] = store.reconnections(limit=10)
    assert (found.call_id, found.leg, found.by_call_id) == ("a1", 2, "a3")


def test_a_reader_beside_the_ledger_sees_what_is_committed_and_makes_no_database(tmp_path: Path) -> None:
    """`callbacks list` looks, and leaves nothing behind where there is nothing."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    missing = SqlStore(url, read_only=True)
    with pytest.raises(StoreTrouble, match="unable to open database file"):
        missing.callbacks()
    assert not (tmp_path / "ledger.db").exists()
    store = SqlStore(url)
    store.open()
    store.project(read(Partition().records(offered("a1"), fact("a1", Kinds.ABANDONED, 1))), {})
    reader = SqlStore(url, read_only=True)
    assert [call.call_id for call in reader.callbacks()] == ["a1"]
    store.close()
    assert [call.call_id for call in reader.callbacks()] == ["a1"]
    reader.close()


def test_a_url_without_a_driver_says_what_is_missing() -> None:
    """In one line, for whoever set it."""
    with pytest.raises(StoreTrouble, match="no driver"):
        SqlStore("nosuchthing://127.0.0.1/ledger")


def test_a_message_never_shows_the_password() -> None:
    """A URL may hold one."""
    with pytest.raises(StoreTrouble, match="expected a database's URL") as caught:
        SqlStore("sqlite://user:hunter2@host/ledger.db")
    assert "hunter2" not in str(caught.value)


def test_a_database_that_is_not_there_is_trouble_that_can_pass(tmp_path: Path) -> None:
    """The same store opens once the folder is there."""
    store = SqlStore(f"sqlite:///{tmp_path / 'later' / 'ledger.db'}")
    with pytest.raises(StoreTrouble, match=r"could not make the tables in .*ledger.db: unable to open database file"):
        store.open()
    (tmp_path / "later").mkdir()
    store.open()
    assert store.positions() == {}
    store.close()


def test_tables_of_an_older_version_get_the_columns_that_they_lack(tmp_path: Path) -> None:
    """What they hold stays: the journal may not reach back so far any more."""
    path = tmp_path / "ledger.db"
    store = SqlStore(f"sqlite:///{path}")
    store.open()
    store.project(read(Partition().records(offered("a"), fact("a", Kinds.ABANDONED, 1, 5))), {})
    store.close()
    with sqlite3.connect(path) as older:
        older.execute("ALTER TABLE calls DROP COLUMN urgent")
        older.execute("ALTER TABLE calls DROP COLUMN leg_at_ms")
    store = SqlStore(f"sqlite:///{path}")
    store.open()
    assert [(call.call_id, call.urgent) for call in store.callbacks()] == [("a", False)]
    records = [
        Record(Topic.CALLS, 1, 0, "key", facts.encode(each), 1_000) for each in (fact("a2", Kinds.ANSWERED, 1, 9),)
    ]
    store.project(read(records), {0: 2})
    assert [call.call_id for call in store.reconnections(limit=10)] == ["a"], (
        "it does not know when its leg was offered"
    )
    store.close()
