"""What becomes of a record on its way, told to whoever counts (a service's metrics)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from services.journal import Topic


class Happening(StrEnum):
    """What became of a record, for metrics and logs."""

    ACKED = "acked"  # within the budget
    ACKED_LATE = "acked_late"  # after the budget: it left the queue without being appended again
    OVER_BUDGET = "over_budget"  # unknown for now: it went to the queue as well
    UNAVAILABLE = "unavailable"  # surely not written, or the log gave up: it went to the queue
    HELD_BACK = "held_back"  # another record of its key waits in the queue: it went there too, each in its order
    BYPASSED = "bypassed"  # the breaker of its leader is open: it went straight to the queue
    BREAKER_OPENED = "breaker_opened"  # so many records in a row were over budget at one leader; this was the last
    BREAKER_CLOSED = "breaker_closed"  # a record was acknowledged by that leader within the budget
    SPOOLED = "spooled"  # a queued record is on this process's own disk
    NOT_SPOOLED = "not_spooled"  # the spool had no room or its disk no life: the record waits in memory alone
    KEPT = "kept"  # a failover replica has a copy of it on its disk
    NOT_KEPT = "not_kept"  # no failover replica took a copy in time
    RECOVERED = "recovered"  # a former process left it in the spool; it is in the queue now
    TORN = "torn"  # the end of a file of the spool, cut off: written when the former process was killed
    UNREADABLE = "unreadable"  # a damaged part of the spool, kept aside as a file
    BACKFILLED = "backfilled"
    REPLACED = "replaced"  # a newer record of its key took its place in the queue (compacted topics only)
    LEFT = "left"  # the journal closed: this record stays in the spool for the next process
    OVERFLOWED = "overflowed"  # the queue was full, or the journal closed: this record is lost
    REJECTED = "rejected"  # the log will never take it: this record is lost


@dataclass(frozen=True, slots=True)
class JournalEvent:
    """`waited_s`: since the append began. `queued`: the records in the queue now."""

    happening: Happening
    topic: Topic
    waited_s: float
    queued: int
