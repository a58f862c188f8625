"""The ledger's tables. All of them follow from the journal alone and can be made again from it.

There is no table of callbacks: the list is those rows of `calls` whose outcome is `callback_open`, one entry a caller.
It cannot disagree with the books, and no second writer can make it.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, LargeBinary, MetaData, Table, Text, false

METADATA = MetaData()

positions = Table(
    "positions",
    METADATA,
    Column("topic", Text, primary_key=True),
    Column("partition", BigInteger, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False),
    comment="Up to where each partition is projected; moved by compare-and-set with the rows that follow from it.",
)

facts = Table(
    "facts",
    METADATA,
    Column("call_id", Text, primary_key=True),
    Column("leg", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("writer", Text, primary_key=True),
    Column("kind", Text, nullable=False, comment="`unknown` where a newer version wrote it; its bytes are in `raw`."),
    Column("at_ms", BigInteger, nullable=False, comment="The writer's wall clock, milliseconds since 1970."),
    Column("age_ms", BigInteger, nullable=False, comment="How long it waited for Kafka."),
    Column("reason", Text, nullable=False),
    Column("attempt", Text, nullable=False),
    Column("psap_id", Text, nullable=False),
    Column("line", Text, nullable=False),
    Column("partition", BigInteger, nullable=False),
    Column("log_offset", BigInteger, nullable=False),
    Column("log_ms", BigInteger, nullable=False, comment="The broker's clock."),
    Column("raw", LargeBinary, nullable=False),
)

calls = Table(
    "calls",
    METADATA,
    Column("call_id", Text, primary_key=True),
    Column("leg", BigInteger, nullable=False, comment="The highest leg."),
    Column("outcome", Text, nullable=False),
    Column("test", Boolean, nullable=False),
    Column("caller_hash", Text, nullable=False),
    Column("number", Text, nullable=False),
    Column("first_at_ms", BigInteger, nullable=False),
    Column("offered_at_ms", BigInteger),
    Column("rang_at_ms", BigInteger),
    Column("connected_at_ms", BigInteger),
    Column("psap_id", Text, nullable=False, comment="Whose people answered."),
    Column("line", Text, nullable=False, comment="The administrative line that answered; empty for a PSAP's own."),
    Column("opened_at_ms", BigInteger, comment="When a callback became due, whether it is still open or not."),
    Column("opened_why", Text, nullable=False),
    Column("closed_at_ms", BigInteger),
    Column("closed_why", Text, nullable=False),
    Column("due_at_ms", BigInteger, comment="In progress: until when another fact is owed."),
    Column("lost", Boolean, nullable=False, comment="The caller's stream broke and no higher leg came."),
    Column("connected_twice", Boolean, nullable=False),
    Column("not_durable", Boolean, nullable=False),
    Column("urgent", Boolean, nullable=False, server_default=false(), comment="Its conductor is gone: ring back now."),
    Column("leg_at_ms", BigInteger, comment="The earliest fact of the highest leg."),
    Index("calls_by_caller", "caller_hash", "connected_at_ms"),
    Index("calls_by_outcome", "outcome", "due_at_ms"),
)

set_aside = Table(
    "set_aside",
    METADATA,
    Column("topic", Text, primary_key=True),
    Column("partition", BigInteger, primary_key=True, autoincrement=False),
    Column("log_offset", BigInteger, primary_key=True, autoincrement=False),
    Column("log_ms", BigInteger, nullable=False),
    Column("key", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    comment="Records that are no facts, kept as they came.",
)
