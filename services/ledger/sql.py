"""The store on SQL, through SQLAlchemy Core: SQLite by default, PostgreSQL by its URL.

Nothing here is peculiar to one database; `engine.py` is. The stories of recent calls are kept in memory, so that a
call's facts are read back only when it was forgotten meanwhile; a transaction that fails forgets all of them.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, insert, inspect, select
from sqlalchemy import text as sql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.schema import CreateColumn

from services.domain.events import Fact, FactKind
from services.domain.fold import CallStory, Outcome, merge, story
from services.journal import Topic
from services.ledger import statements
from services.ledger.callbacks import ListedCall, Overdue, Reconnection
from services.ledger.engine import connect
from services.ledger.projection import Batch, call_row, fact_row, set_aside_row
from services.ledger.store import AnotherLedger, Projected, StoreTrouble
from services.ledger.tables import METADATA, calls, set_aside
from services.wire.facts import decode

STORIES_KEPT_MAX: Final = 3_000
"""Some 9 MB: the calls of minutes. Of one that is heard of again later, the facts are read back from the tables."""
_IDS_PER_QUERY_MAX: Final = 500


@dataclass(slots=True)
class _Known:
    """A call as the tables have it."""

    story: CallStory | None = None
    identities: set[tuple[int, int, str]] = field(default_factory=set)

    def add(self, fact: Fact) -> bool:
        """False if the fact was there already."""
        identity = (fact.leg, fact.seq, fact.writer)
        if identity in self.identities:
            return False
        self.identities.add(identity)
        told = story(fact)
        self.story = told if self.story is None else merge(self.story, told)
        return True


class SqlStore:
    """See `Store`. `read_only` is for looking at the list beside a running ledger."""

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self._url = make_url(url)
        self._engine = connect(self._url, read_only=read_only)
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def open(self) -> None:
        with self._transaction("make the tables") as connection:
            METADATA.create_all(connection)
            _add_columns(connection)

    def forget(self) -> None:
        """Empties the tables. A ledger that runs meanwhile finds its position gone, and stops."""
        with self._transaction("empty the tables") as connection:
            for table in reversed(METADATA.sorted_tables):
                connection.execute(table.delete())
        self._known.clear()

    def close(self) -> None:
        self._engine.dispose()

    def positions(self) -> dict[int, int]:
        with self._transaction("read the positions") as connection:
            return _positions(connection)

    def project(self, batch: Batch, expected: Mapping[int, int]) -> Projected:
        projected = Projected(set_aside=len(batch.set_aside))
        try:
            with self._transaction("project a batch") as connection:
                _move(connection, expected, batch.next_offsets)
                self._write_facts(connection, batch, projected)
                _write_set_aside(connection, batch)
        except BaseException:
            self._known.clear()
            raise
        while len(self._known) > STORIES_KEPT_MAX:
            self._known.popitem(last=False)
        return projected

    def sums(self) -> Counter[tuple[Outcome, bool]]:
        with self._transaction("add up the calls") as connection:
            return Counter(
                {(Outcome(outcome), bool(test)): count for outcome, test, count in connection.execute(statements.SUMS)}
            )

    def overdue(self, now_ms: int, lost_grace_ms: int, silent_grace_ms: int, limit: int) -> list[Overdue]:
        bounds = {"lost_by_ms": now_ms - lost_grace_ms, "silent_by_ms": now_ms - silent_grace_ms, "rows_max": limit}
        with self._transaction("look for overdue calls") as connection:
            return [
                Overdue(*row, grace_ms=lost_grace_ms if row.lost else silent_grace_ms)
                for row in connection.execute(statements.OVERDUE, bounds)
            ]

    def reconnections(self, limit: int) -> list[Reconnection]:
        first: dict[str, Reconnection] = {}
        with self._transaction("look for callers who reached somebody") as connection:
            for row in connection.execute(statements.RECONNECTIONS, {"rows_max": limit}):
                first.setdefault(row[0], Reconnection(*row))
        return list(first.values())

    def callbacks(self, *, closed: bool = False) -> Sequence[ListedCall]:
        c = calls.c
        outcomes = [Outcome.CALLBACK_OPEN, *([Outcome.CALLBACK_CLOSED] if closed else [])]
        query = (
            select(
                c.call_id, c.caller_hash, c.number, c.opened_at_ms, c.opened_why, c.closed_at_ms, c.closed_why, c.urgent
            )
            .where(c.outcome.in_([outcome.value for outcome in outcomes]), ~c.test)
            .order_by(c.opened_at_ms, c.call_id)
        )
        with self._transaction("read the callback list") as connection:
            return [ListedCall(*row) for row in connection.execute(query)]

    def _write_facts(self, connection: Connection, batch: Batch, projected: Projected) -> None:
        touched = list(dict.fromkeys(fact.call_id for _, fact in batch.facts))  # each run writes alike
        self._recall(connection, [call_id for call_id in touched if call_id not in self._known])
        before = {call_id: self._known[call_id].story for call_id in touched}
        rows: list[dict[str, Any]] = []
        for record, fact in batch.facts:
            if self._known[fact.call_id].add(fact):
                rows.append(fact_row(record, fact))
                projected.unknown_kinds += fact.kind is FactKind.UNKNOWN
            else:
                projected.duplicates += 1
        projected.facts = len(rows)
        if rows:
            connection.execute(statements.ADD_FACTS, rows)
        self._write_calls(connection, before, projected)

    def _write_calls(
        self, connection: Connection, before: Mapping[str, CallStory | None], projected: Projected
    ) -> None:
        added, changed = [], []
        for call_id, old in before.items():
            self._known.move_to_end(call_id)
            new = self._known[call_id].story
            assert new is not None, "a call that was touched has a fact"
            if new == old:
                continue
            _note_changes(old, new, projected)
            if old is None:
                added.append({"call_id": call_id, **call_row(new)})
            else:
                changed.append(
                    {"of_call": call_id, **{statements.NEW + name: value for name, value in call_row(new).items()}}
                )
        if added:
            connection.execute(statements.ADD_CALLS, added)
        if changed:
            connection.execute(statements.CHANGE_CALLS, changed)

    def _recall(self, connection: Connection, call_ids: Sequence[str]) -> None:
        """Reads back what the tables have of these calls."""
        for call_id in call_ids:
            self._known[call_id] = _Known()
        for start in range(0, len(call_ids), _IDS_PER_QUERY_MAX):
            some = call_ids[start : start + _IDS_PER_QUERY_MAX]
            for (raw,) in connection.execute(statements.FACTS_OF, {"call_ids": some}):
                fact = decode(raw)
                self._known[fact.call_id].add(fact)

    @contextmanager
    def _transaction(self, purpose: str) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, OverflowError) as error:
            why = str(getattr(error, "orig", None) or error).splitlines()[0]
            shown = self._url.render_as_string(hide_password=True)
            raise StoreTrouble(f"could not {purpose} in {shown}: {why}") from error


def _add_columns(connection: Connection) -> None:
    """Columns that a newer version added: tables of an older one get them, with their defaults."""
    for table in METADATA.sorted_tables:
        there = {column["name"] for column in inspect(connection).get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                added = CreateColumn(column).compile(connection)
                connection.execute(sql(f"ALTER TABLE {table.name} ADD COLUMN {added}"))


def _move(connection: Connection, expected: Mapping[int, int], next_offsets: Mapping[int, int]) -> None:
    """Compare and set: a row that did not change means that another ledger was here."""
    topic = Topic.CALLS.value
    for number in sorted(next_offsets.keys() - expected.keys()):
        row = {"topic": topic, "partition": number, "next_offset": next_offsets[number]}
        try:
            connection.execute(statements.FIRST_POSITION, row)
        except IntegrityError:
            raise AnotherLedger(f"partition {number}: expected no position yet, found one") from None
    known = [number for number in next_offsets if number in expected]
    # Together where the driver can count the rows of all of them.
    together = connection.dialect.supports_sane_multi_rowcount
    for some in [known] if together and known else [[number] for number in known]:
        rows = [
            {"of_topic": topic, "of_partition": each, "expected": expected[each], "moved_to": next_offsets[each]}
            for each in some
        ]
        if connection.execute(statements.MOVE_POSITION, rows).rowcount != len(rows):
            found = _positions(connection)
            here = next((each for each in some if found.get(each) != next_offsets[each]), some[0])
            raise AnotherLedger(f"partition {here}: expected position {expected[here]}, found {found.get(here)}")


def _positions(connection: Connection) -> dict[int, int]:
    return {row.partition: row.next_offset for row in connection.execute(statements.POSITIONS)}


def _note_changes(old: CallStory | None, new: CallStory, projected: Projected) -> None:
    if old is not None:
        projected.moved[old.outcome, old.test] -= 1
    projected.moved[new.outcome, new.test] += 1
    was_open = old is not None and old.outcome is Outcome.CALLBACK_OPEN
    if new.outcome is Outcome.CALLBACK_OPEN and not was_open and not new.test:
        assert new.opening is not None, "an open call has its opening"
        projected.opened.append((new.call_id, new.opening.reason))
    if new.connected_twice and not (old is not None and old.connected_twice):
        projected.connected_twice.append(new.call_id)


def _write_set_aside(connection: Connection, batch: Batch) -> None:
    """Puts the records in, over those of the same place in a journal that has begun anew since."""
    for record, why in batch.set_aside:
        row = set_aside_row(record, why)
        here = [set_aside.c[name] == row[name] for name in ("topic", "partition", "log_offset")]
        connection.execute(set_aside.delete().where(*here))
        connection.execute(insert(set_aside).values(row))
