"""The statements of the ledger's store, each built once: to build one anew costs more than SQLite takes to obey it."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import bindparam, func, insert, select, update

from services.domain.fold import Outcome
from services.journal import Topic
from services.ledger.tables import calls, facts, positions

NEW: Final = "new_"
"""Before the names of bound values, which must not be those of columns."""

POSITIONS: Final = select(positions.c.partition, positions.c.next_offset).where(positions.c.topic == Topic.CALLS.value)
FIRST_POSITION: Final = insert(positions)
MOVE_POSITION: Final = (
    update(positions)
    .where(
        positions.c.topic == bindparam("of_topic"),
        positions.c.partition == bindparam("of_partition"),
        positions.c.next_offset == bindparam("expected"),
    )
    .values(next_offset=bindparam("moved_to"))
)
ADD_FACTS: Final = insert(facts)
FACTS_OF: Final = select(facts.c.raw).where(facts.c.call_id.in_(bindparam("call_ids", expanding=True)))
ADD_CALLS: Final = insert(calls)
_CALL_VALUES: Final[dict[Any, Any]] = {
    column: bindparam(NEW + column.name) for column in calls.c if column is not calls.c.call_id
}
CHANGE_CALLS: Final = update(calls).where(calls.c.call_id == bindparam("of_call")).values(_CALL_VALUES)
SUMS: Final = select(calls.c.outcome, calls.c.test, func.count()).group_by(calls.c.outcome, calls.c.test)

_lost: Final = calls.c.lost & (calls.c.due_at_ms <= bindparam("lost_by_ms"))
_silent: Final = ~calls.c.lost & (calls.c.due_at_ms <= bindparam("silent_by_ms"))
OVERDUE: Final = (
    select(calls.c.call_id, calls.c.leg, calls.c.caller_hash, calls.c.test, calls.c.lost, calls.c.due_at_ms)
    .where(calls.c.outcome == Outcome.IN_PROGRESS.value, _lost | _silent)
    .order_by(calls.c.due_at_ms, calls.c.call_id)
    .limit(bindparam("rows_max"))
)

_owed, _later = calls.alias("owed"), calls.alias("later")
RECONNECTIONS: Final = (
    select(_owed.c.call_id, _owed.c.leg, _owed.c.caller_hash, _later.c.call_id, _later.c.connected_at_ms)
    .join(_later, _later.c.caller_hash == _owed.c.caller_hash)
    .where(
        _owed.c.outcome == Outcome.CALLBACK_OPEN.value,
        ~_owed.c.test,
        _owed.c.caller_hash != "",
        _later.c.connected_at_ms.is_not(None),
        _later.c.first_at_ms > _owed.c.first_at_ms,
        # A leg that was offered since is another cry for help. Rows of an older version do not know when it was.
        _later.c.connected_at_ms >= func.coalesce(_owed.c.leg_at_ms, _owed.c.first_at_ms),
        ~_later.c.test,
    )
    .order_by(_later.c.connected_at_ms, _later.c.call_id)
    .limit(bindparam("rows_max"))
)
