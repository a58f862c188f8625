"""A small world for the rules of a dead conductor: ingresses, a log and replicas, in steps of a tenth of a second.

The replicas hold the real core; what is played is the outside: who lives, who is reached by what, and how long it takes
to ask who has a call.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from services.domain.events import Conductor, Fact, FactKind
from services.domain.take_overs.debts import Debts
from services.domain.take_overs.facts import callback_due, taken_over
from services.domain.take_overs.log_time import LogTime
from services.domain.take_overs.open_call import Stamp
from services.domain.take_overs.ranks import Ranks
from services.domain.take_overs.taking_over import Due, TakeOvers
from services.domain.take_overs.watch import Watch

STEP_S = 0.1
PARTITIONS = 2
EPOCH_MS = 1_000_000
ASK_S = 0.3
"""How long a replica takes to hear who has a call."""


def partition_of(call_id: str) -> int:
    return sum(call_id.encode()) % PARTITIONS


@dataclass
class Ingress:
    """`state`: well, killed, paused, no_kafka (alive, watched, its facts wait) or unreachable (alive, on the log, its
    streams to us broken)."""

    number: int
    calls: dict[str, int]
    """Call ids, and the leg of each that it conducts."""
    state: str = "well"
    incarnation: int = 1
    seq: int = 0
    waiting: list[tuple[float, Fact]] = field(default_factory=list)
    always_reachable: bool = True

    @property
    def conductor(self) -> Conductor:
        return Conductor(f"ingress:{self.number}", f"{self.incarnation:04}")

    def set_state(self, state: str) -> None:
        if self.state != "killed":
            self.state = state
            self.always_reachable &= state in ("well", "no_kafka")


class Replica:
    """One failover replica's core."""

    def __init__(self, number: int) -> None:
        self.name = f"failover-{number}"
        self.alive = True
        self.debts, self.watch, self.log_time = Debts(), Watch(), LogTime()
        self.ranks = Ranks(self.name)
        self.plan = TakeOvers(self.debts, self.watch, self.log_time, self.ranks, keeps=lambda _: False)
        self.asking: list[tuple[float, Due]] = []

    def read(self, fact: Fact, log_ms: int, now: float) -> None:
        partition = partition_of(fact.call_id)
        self.log_time.saw(partition, log_ms)
        self.debts.add(fact, Stamp(partition, log_ms), now)
        if fact.conductor is not None:
            self.watch.known(fact.conductor, now)

    def read_tick(self, writer: Conductor | str, partition: int, log_ms: int, now: float) -> None:
        self.log_time.ticked(partition, log_ms)
        if isinstance(writer, Conductor):
            self.watch.ticked(writer, partition, now)
            self.ranks.ticked(now)
        else:
            self.ranks.ticked(now, writer)


class World:
    """Everybody, and the log, which every living replica reads at once."""

    def __init__(self, ingresses: list[Ingress], replicas: int) -> None:
        self.now = 0.0
        self.ingresses = ingresses
        self.replicas = [Replica(number) for number in range(1, replicas + 1)]
        self.log: list[tuple[float, Fact]] = []
        for ingress in ingresses:
            for call_id in ingress.calls:
                self._write(ingress, call_id, FactKind.OFFERED)

    @property
    def log_ms(self) -> int:
        return EPOCH_MS + round(self.now * 1000)

    def written(self, kind: FactKind) -> list[Fact]:
        return [fact for _, fact in self.log if fact.kind is kind]

    def offer_again(self, call_id: str, leg: int, at: Ingress) -> None:
        """The caller's side offers the next leg elsewhere."""
        at.calls[call_id] = leg
        self._write(at, call_id, FactKind.OFFERED, leg)

    def append(self, fact: Fact) -> None:
        self.log.append((self.now, fact))
        for replica in self.replicas:
            if replica.alive:
                replica.read(fact, self.log_ms, self.now)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.step()

    def step(self) -> None:
        self.now = round(self.now + STEP_S, 3)
        tenth = round(self.now * 10)
        if tenth % 5 == 0:
            self._tick()
        if tenth % 30 == 0:
            for ingress in self.ingresses:
                for call_id, leg in ingress.calls.items():
                    self._write(ingress, call_id, FactKind.RINGING, leg)
        for ingress in self.ingresses:
            self._backfill(ingress)
            self._watched(ingress, words=tenth % 2 == 0)
        for replica in self.replicas:
            if replica.alive:
                self._act(replica)

    def leg_of(self, call_id: str) -> int:
        """The highest leg that the log knows."""
        return max(fact.leg for _, fact in self.log if fact.call_id == call_id)

    def _tick(self) -> None:
        writers: list[Conductor | str] = [
            each.conductor for each in self.ingresses if each.state in ("well", "unreachable")
        ]
        writers += [each.name for each in self.replicas if each.alive]
        for writer in writers:
            for partition in range(PARTITIONS):
                for replica in self.replicas:
                    if replica.alive:
                        replica.read_tick(writer, partition, self.log_ms, self.now)

    def _write(self, ingress: Ingress, call_id: str, kind: FactKind, leg: int = 1) -> None:
        if ingress.state in ("killed", "paused"):
            return
        ingress.seq += 1
        fact = Fact(
            call_id,
            leg,
            ingress.seq,
            f"i{ingress.number}",
            kind,
            self.log_ms,
            due_in_ms=5_000,
            conductor=ingress.conductor,
        )
        if ingress.state == "no_kafka":
            ingress.waiting.append((self.now, fact))
        else:
            self.append(fact)

    def _backfill(self, ingress: Ingress) -> None:
        if ingress.state in ("well", "unreachable"):
            for since, fact in ingress.waiting:
                self.append(replace(fact, age_ms=round((self.now - since) * 1000)))
            ingress.waiting.clear()

    def _watched(self, ingress: Ingress, *, words: bool) -> None:
        for replica in self.replicas:
            if ingress.state in ("killed", "unreachable"):
                replica.watch.broke(ingress.conductor.address, self.now)
            elif ingress.state in ("well", "no_kafka") and words:
                replica.watch.heard(ingress.conductor.address, ingress.conductor.incarnation, self.now)

    def _act(self, replica: Replica) -> None:
        for done_at, due in list(replica.asking):
            if done_at > self.now:
                continue
            replica.asking.remove((done_at, due))
            call = replica.debts.get(due.call_id)
            if call is not None and replica.plan.stands(due, self.now):
                self.append(taken_over(call, due.cause, replica.name, self.log_ms))
                self.append(callback_due(call, self.log_ms))
            replica.plan.over(due.call_id)
        look = replica.plan.look(self.now, read=True, room=64 - len(replica.asking))
        replica.asking += [(self.now + ASK_S, due) for due in look.begin]
        for conductor in look.ask:
            ingress = next(each for each in self.ingresses if each.conductor == conductor)
            if ingress.state in ("well", "no_kafka"):
                replica.watch.heard(conductor.address, conductor.incarnation, self.now)
            else:
                replica.plan.no_answer(conductor, self.now)
