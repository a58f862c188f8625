"""What this replica knows of other processes' debts: every record of `calls`, every copy it keeps, and its own words.

One object that several parts of the replica look at, so that a fact is read once and known to all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.domain.events import Conductor, Fact, Tick
from services.domain.take_overs.debts import Debts
from services.domain.take_overs.kept import Copy, KeptCopies
from services.domain.take_overs.log_time import LogTime
from services.domain.take_overs.open_call import Stamp
from services.domain.take_overs.ranks import Ranks
from services.domain.take_overs.ring_backs import RingBacks
from services.domain.take_overs.taking_over import TakeOvers
from services.domain.take_overs.watch import Watch
from services.journal import Record
from services.journal.spool import Ticket
from services.wire import facts
from services.wire.methods import Unreadable

SERVICE = "failover"
INGRESS = "ingress"


class View:
    """`name`: this replica's own."""

    def __init__(self, name: str) -> None:
        self.debts = Debts()
        self.log_time = LogTime()
        self.watch = Watch()
        self.ranks = Ranks(name)
        self.kept: KeptCopies[Ticket] = KeptCopies()
        self.take_overs = TakeOvers(self.debts, self.watch, self.log_time, self.ranks, self.kept.keeps)
        self.ring_backs = RingBacks(self.debts, self.ranks, self.watch)
        self._read_at: dict[int, float] = {}
        """By partition, when its newest record came."""

    def read(self, record: Record, now: float) -> Sequence[Ticket]:
        """Takes a record of the journal; returns what need not be kept any more."""
        try:
            said = facts.read(record.value)
        except Unreadable:
            return ()  # the ledger sets it aside, and says so
        self._read_at[record.partition] = now
        if isinstance(said, Tick):
            self.log_time.ticked(record.partition, record.log_ms)
            self._ticked(said, record.partition, now)
            return ()
        self.log_time.saw(record.partition, record.log_ms)
        if said.conductor is not None:
            self.watch.known(said.conductor, now)
        self.debts.add(said, Stamp(record.partition, record.log_ms), now)
        return self.kept.seen(said)

    def _ticked(self, tick: Tick, partition: int, now: float) -> None:
        if tick.service == SERVICE:
            self.ranks.ticked(now, tick.writer.partition("/")[0])
            return
        self.ranks.ticked(now)
        if tick.service == INGRESS:
            self.watch.ticked(tick.conductor, partition, now)

    def needs_no_copy(self, fact: Fact) -> bool:
        """Whether it is kept already, or stands on the log, or its call is settled there."""
        settled = self.debts.is_settled(fact.call_id, fact.leg)
        return settled or fact.identity in self.kept or self.kept.was_seen(fact)

    def keep(self, copy: Copy[Ticket], wall_ms: int, now: float, *, owes: bool = True) -> None:
        """A copy is on our disk: the debt is known here from now on, whether the log has it or not; unless it is older
        than debts are."""
        self.kept.put(copy)
        self.watch.known(copy.conductor, now)
        if owes:
            kept_ms = self._log_ms(wall_ms, now) - max(0, wall_ms - copy.kept_ms)
            self.debts.add(copy.fact, Stamp(None, kept_ms), now)

    def tell(self, fact: Fact, wall_ms: int, now: float) -> None:
        """A fact of our own, known here before it is read back."""
        self.debts.add(fact, Stamp(None, self._log_ms(wall_ms, now)), now)

    def _log_ms(self, wall_ms: int, now: float) -> int:
        """The log's time now, by the slowest of its clocks: a copy is judged by all of them, and by no clock of ours
        (T2). Our own where nothing was read yet."""
        times = [
            ms + round((now - self._read_at[partition]) * 1000) for partition, ms in self.log_time.newest().items()
        ]
        return min(times, default=wall_ms)

    def tidy(self, now: float) -> None:
        """Forgets what nobody owes any more."""
        self.debts.forget_before(self.log_time.newest(), now)
        owes = frozenset(conductor for conductor, _ in self.debts.owing() if conductor is not None)
        self.watch.forget(owes | frozenset[Conductor](self.kept.conductors()), now)
