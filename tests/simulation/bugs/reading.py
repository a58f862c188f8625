"""Mistakes over what is read: how facts become a story, and rows of the ledger (J1, J2, J3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam, select

from services.domain import books
from services.domain.events import EVERY_LEG, Fact
from services.domain.fold import CallStory, Outcome
from services.ingress.service import Ingress
from services.ledger import sql, statements
from services.ledger.projection import Batch
from services.ledger.service import Ledger
from services.ledger.tables import calls
from tests.simulation.bugs.mistake import mistake


@mistake(sql, "merge", only=("kill@ingress", "kafka_absent@ingress"))
def ledger_folds_by_offset(real: Any, one: CallStory, other: CallStory) -> CallStory:
    """The ledger believes the record that comes last in the journal (J2): what a dead process left in its spool comes
    behind what its heir said, and a caller who was answered is on the list, or one on the list is not."""
    told = real(one, other)
    return replace(told, connects=other.connects, opening=other.opening or told.opening)


@mistake(books, "merge", only=("kill@ingress",))
def a_lower_leg_counts_as_well(real: Any, one: CallStory, other: CallStory) -> CallStory:
    """The first connection that the fold sees hides that of another attempt (J2): the books cannot see that a caller
    was connected twice, and say of a second connection that it is none."""
    told = real(one, other)
    return replace(told, connects=one.connects if one.leg >= other.leg else other.connects)


@mistake(sql._Known, "add", only=("kill@ingress",))
def drops_copies_by_attempt(real: Any, known: Any, fact: Any) -> bool:
    """A second fact of the same attempt is taken for a copy of the first, whatever it says (J1): the ringing is kept,
    and the answer is not; people ring back whoever talks to a call-taker."""
    if fact.attempt and fact.attempt in {identity[2] for identity in known.identities}:
        return False
    told = real(known, fact)
    if fact.attempt:
        known.identities.add((0, 0, fact.attempt))
    return bool(told)


@mistake(Ledger, "_write", only=("database_fails", "kill@ledger"))
async def offsets_are_committed_before_the_rows(real: Any, ledger: Ledger, batch: Batch, *, again: bool) -> None:
    """The ledger moves its position in one transaction and writes the rows in the next (J7): where it dies or the
    database fails between the two, facts are in no book, and a caller who waits for a callback is on no list."""
    if again:
        return await real(ledger, batch, again=True)
    await ledger._in_store(lambda store: store.project(Batch((), (), batch.next_offsets), ledger._next_offsets))
    rows = replace(batch, next_offsets={})
    projected = await ledger._in_store(lambda store: store.project(rows, ledger._next_offsets))
    return ledger._note(batch, projected)


@mistake(Ingress, "_caller_hash", only=("kill@ingress",), calls=100)
def a_callback_is_closed_by_another_caller(real: Any, ingress: Ingress, caller: str) -> str:
    """Callers are told apart by a hash of two characters, to keep the tables small (J2): somebody else's call takes a
    caller off the list, and nobody rings back who was lost."""
    return str(real(ingress, caller))[:2]


@mistake(Fact, "closes_through", only=("kill_all@ingress",))
def what_is_inferred_closes_every_leg(real: Any) -> property:
    """A reconnection that the ledger infers closes the call and not the leg that it names (J2, record 0036): failover
    takes nothing over of whoever calls again and is lost again."""
    return property(lambda fact: EVERY_LEG if fact.inferred else real.fget(fact))


@mistake(statements, "RECONNECTIONS", only=("kill@ingress", "kill_all@ingress", "policy_repeats"), calls=100)
def a_connection_of_before_closes_the_entry(real: Any) -> Any:
    """Whoever has reached somebody by another call is taken off the list, whenever that was (J2): a caller who was
    served an hour ago, calls again and is lost is rung back by nobody."""
    owed, other = calls.alias(), calls.alias()
    return (
        select(owed.c.call_id, owed.c.leg, owed.c.caller_hash, other.c.call_id, other.c.connected_at_ms)
        .join(other, (other.c.caller_hash == owed.c.caller_hash) & (other.c.call_id != owed.c.call_id))
        .where(owed.c.outcome == Outcome.CALLBACK_OPEN.value, ~owed.c.test, ~other.c.test)
        .where(owed.c.caller_hash != "", other.c.connected_at_ms.is_not(None))
        .limit(bindparam("rows_max"))
    )
