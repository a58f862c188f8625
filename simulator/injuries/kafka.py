"""Kafka: gone, slow, refusing, silent about what it did, twice, late, its brokers one by one, for one client or all."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from services.journal import Topic
from services.journal.memory import BrokerState
from services.journal.memory_broker import BROKERS
from services.journal.memory_faults import Faults
from services.journal.topics import TOPICS
from simulator.injuries.kind import LONG_S, Drawn, Injury, Kind, Scene, nothing, seconds
from simulator.installation import SERVICE_OF, names_of, somebody

OVER_FOR_S = 5.0


def _clients(by: random.Random) -> tuple[str, ...]:
    """One client, or all of them."""
    return tuple(SERVICE_OF) if by.random() < 0.4 else (by.choice(names_of(somebody(by))),)


def _drawn(least: float = 0.0, most: float = 0.0) -> Callable[[random.Random], Drawn]:
    def draw(by: random.Random) -> Drawn:
        return _clients(by), seconds(by, *LONG_S), round(by.uniform(least, most), 3)

    return draw


def _suffers(faults: Callable[[float], Faults]) -> Callable[[Scene, Injury], None]:
    def strike(scene: Scene, injury: Injury) -> None:
        for name in injury.targets:
            scene.installation.replicas[name].suffer(faults(injury.amount))

    return strike


def _well(scene: Scene, injury: Injury) -> None:
    for name in filter(SERVICE_OF.__contains__, injury.targets):
        scene.installation.replicas[name].suffer(Faults())


def _broker(by: random.Random) -> Drawn:
    return (by.choice(BROKERS),), seconds(by, *LONG_S), 0.0


def _client_and_broker(by: random.Random) -> Drawn:
    return (*_clients(by), by.choice(BROKERS)), seconds(by, *LONG_S), 0.0


def _hang(scene: Scene, injury: Injury) -> None:
    for name in injury.targets[:-1]:
        scene.installation.replicas[name].suffer(Faults(hung=frozenset(injury.targets[-1:])))


def _turns(state: BrokerState) -> Callable[[Scene, Injury], None]:
    return lambda scene, injury: scene.broker.turn(state, *injury.targets)


def _all_brokers(by: random.Random) -> Drawn:
    return BROKERS, seconds(by, 2.0, 15.0), 0.0


def _falls(by: random.Random) -> Drawn:
    return (by.choice(BROKERS),), seconds(by, 2.0, 15.0), round(by.uniform(0.1, 0.5), 3)


def _fall(scene: Scene, injury: Injury) -> None:
    """It is silent for this share of the time, for half as long nobody leads in its place, then somebody does."""
    silent_s = injury.lasts_s * injury.amount
    away_s = injury.lasts_s - 1.5 * silent_s
    falling = scene.broker.fall(injury.targets[0], silent_s=silent_s, leaderless_s=silent_s / 2, away_s=away_s)
    asyncio.ensure_future(falling)  # noqa: RUF006  (its timers hold it)


def _moves(by: random.Random) -> Drawn:
    return tuple(by.sample(BROKERS, 2)), 0.5, 0.0


def _move(scene: Scene, injury: Injury) -> None:
    """The old leader is gone for a moment, then somebody else leads."""
    scene.broker.turn(BrokerState.GONE, injury.targets[0])


def _moved(scene: Scene, injury: Injury) -> None:
    scene.broker.move(*injury.targets)
    scene.broker.turn(BrokerState.WELL, injury.targets[0])


def _compact(scene: Scene, _: Injury) -> None:
    for topic, spec in TOPICS.items():
        if spec.compacted:
            scene.broker.compact(topic)


def _age(scene: Scene, _: Injury) -> None:
    """The head of each partition goes: what the ledger has, of calls that are over for a while. A real retention is
    longer than any call by weeks."""
    unpaid = scene.read_on().in_progress()
    store, ledgers = scene.installation.store, scene.installation.of("ledger")
    if store is None or not all(replica.ready for replica in ledgers):
        return
    positions, now_s = store.positions(), asyncio.get_running_loop().time()
    for number in scene.broker.partitions(Topic.CALLS):
        partition = scene.broker.partition(Topic.CALLS, number)
        for record in partition.records:
            over = record.key not in unpaid and now_s - partition.landed_s(record.offset) > OVER_FOR_S
            if not over or record.offset >= positions.get(number, 0):
                partition.forget(record.log_ms)
                break
    scene.broker.wake()


KINDS = (
    Kind("kafka_gone", "no broker answers", _all_brokers, _turns(BrokerState.GONE), _turns(BrokerState.WELL), 1.5),
    Kind("kafka_absent", "one or all cannot reach Kafka", _drawn(), _suffers(lambda _: Faults(absent=True)), _well),
    Kind("kafka_slow", "appends take up to so many seconds", _drawn(0.02, 4.0),
         _suffers(lambda most_s: Faults(delay_s=0.001, delay_max_s=most_s)), _well),
    Kind("kafka_refuses", "this share of the appends is refused", _drawn(0.1, 1.0),
         _suffers(lambda share: Faults(refuse_share=share)), _well),
    Kind("kafka_loses", "this share of the appends is lost without a word", _drawn(0.1, 0.9),
         _suffers(lambda share: Faults(lose_share=share)), _well),
    Kind("kafka_unacked", "this share of the appends lands, and nobody says so", _drawn(0.1, 1.0),
         _suffers(lambda share: Faults(unacked_share=share)), _well),
    Kind("kafka_twice", "this share of the appends lands twice", _drawn(0.1, 0.9),
         _suffers(lambda share: Faults(twice_share=share)), _well),
    Kind("kafka_acks_late", "appends land, are read, and are acknowledged so many seconds later", _drawn(0.02, 4.0),
         _suffers(lambda acked_after_s: Faults(acked_after_s=acked_after_s)), _well, 0.0),
    Kind("kafka_hung", "one broker answers no append of one or all; what it was given lands when it does",
         _client_and_broker, _hang, _well, 0.0),
    Kind("kafka_late", "what has landed is read so many seconds later", _drawn(0.05, 3.0),
         _suffers(lambda late_s: Faults(late_s=late_s)), _well),
    Kind("kafka_deaf", "nothing is read", _drawn(), _suffers(lambda _: Faults(deaf=True)), _well),
    Kind("broker_gone", "one broker is gone, and nobody leads in its place", _broker, _turns(BrokerState.GONE),
         _turns(BrokerState.WELL)),
    Kind("broker_hung", "one broker answers nobody", _broker, _turns(BrokerState.HUNG), _turns(BrokerState.WELL)),
    Kind("broker_falls", "one broker falls silent, others lead in its place, and it comes back", _falls, _fall, nothing,
         0.5),
    Kind("leader_moved", "another broker leads", _moves, _move, _moved),
    Kind("compacted", "compacted topics lose their older records", lambda _: ((), 0.05, 0.0), _compact, nothing, 0.3),
    Kind("aged", "records of calls that are over are past their retention", lambda _: ((), 0.05, 0.0), _age, nothing,
         0.3),
)  # fmt: skip
