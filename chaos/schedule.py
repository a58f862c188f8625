"""What is hurt when, drawn from a seed: rounds of one kind each, and in them strikes at instants of the run.

Pure: the same seed, length and replicas give the same schedule. Kinds come as from a deck of cards, each once before
any comes again, and so do the replicas of each kind, so that a long run hits everybody. Two replicas of one service are
never hurt at once, except by the kinds that hurt all (`kafka_gone`, `rolling_restart`); a replica of *another* service
may be killed while one stands still or is cut off, because failures do not wait for each other.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Generic, TypeVar

T = TypeVar("T")


class Kind(StrEnum):
    """What can be done to an installation."""

    CALM = "calm"
    """Nothing: what callers feel without a fault, on the same machine."""
    KILL = "kill"
    """`kill -9` of one replica after the other, each started again by the supervision."""
    BROKER_KILL = "broker-kill"
    """`kill -9` of one broker of three."""
    PAUSE = "pause"
    """SIGSTOP of a replica, later SIGCONT."""
    BROKER_PAUSE = "broker-pause"
    DELAY = "delay"
    """Packets between a replica and its peers take longer, each for itself: later ones may come first."""
    LOSS = "loss"
    """Some of the packets between a replica and its peers are lost."""
    CUT_ONE_WAY = "cut-one-way"
    """What a replica sends to its peers does not arrive."""
    CUT_BOTH_WAYS = "cut-both-ways"
    SPOOL_FULL = "spool-full"
    """The disk of an ingress's spool has no room, and Kafka is gone for a while."""
    KAFKA_GONE = "kafka-gone"
    """Every broker is killed at once, and started again later."""
    CLOCK_JUMP = "clock-jump"
    """The wall clock of one replica is set an hour forward, later an hour back."""
    ROLLING_RESTART = "rolling-restart"
    """Every service is restarted in an orderly way: first its first replica, then its second."""


NETWORK_KINDS: Final = frozenset({Kind.DELAY, Kind.LOSS, Kind.CUT_ONE_WAY, Kind.CUT_BOTH_WAYS})
NEEDS_NAMESPACES: Final = NETWORK_KINDS | {Kind.SPOOL_FULL}
KAFKA_KINDS: Final = frozenset({Kind.BROKER_KILL, Kind.BROKER_PAUSE, Kind.KAFKA_GONE, Kind.SPOOL_FULL})
"""Those that hurt brokers."""
AIMED: Final = frozenset({Kind.KILL, Kind.PAUSE})
"""In rounds of these some callers dial in crowds, so that a strike finds calls in its victim's hands (crowds.py)."""
EVERYBODY: Final = "*"
KAFKA: Final = "kafka"
BROKERS: Final = 3
CALM_S: Final = 2.0
"""At the beginning of a round."""
AFTER_S: Final = 2.0
"""At its end: whoever was hurt is well again, and calls go on."""
KILL_EVERY_S: Final = 3.0
BACK_WITHIN_S: Final = 8.0
"""A killed replica serves again after so long on a busy machine; a broker takes longer."""
PAUSE_S: Final = 30.0
"""Long enough for all who spoke with it to have gone on without it, and for it to know of nothing."""
NETWORK_S: Final = 7.0
BROKER_GONE_S: Final = 6.0
SPOOL_FULL_S: Final = 12.0
CLOCK_S: Final = 10.0
ROLLING_S: Final = 22.0
BESIDE_SHARE: Final = 0.5
BESIDE_KINDS: Final = frozenset(
    {Kind.PAUSE, Kind.BROKER_PAUSE, Kind.DELAY, Kind.LOSS, Kind.CUT_ONE_WAY, Kind.CUT_BOTH_WAYS, Kind.KAFKA_GONE}
)
PEERS: Final[Mapping[str, tuple[str, ...]]] = {
    "ingress": ("firewall", "router", "psap_gateway", "failover", "ingress", KAFKA, EVERYBODY),
    "firewall": ("ingress", KAFKA),
    "router": ("ingress", KAFKA, EVERYBODY),
    "psap_gateway": ("ingress", "failover", KAFKA, EVERYBODY),
    "failover": ("ingress", "psap_gateway", KAFKA, EVERYBODY),
    "ledger": (KAFKA,),
}
"""With whom each service speaks."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One thing done to one victim, `at_s` seconds after the run's start, for `lasts_s`. `peer` is whom the network is
    bad to: a service, `kafka`, or everybody. The victim of a broker is its number."""

    kind: Kind
    at_s: float
    lasts_s: float
    victim: str
    peer: str = ""

    @property
    def ends_s(self) -> float:
        return self.at_s + self.lasts_s

    def __str__(self) -> str:
        lasts = f" for {self.lasts_s:.0f} s" if self.lasts_s else ""
        whom = f" {self.victim}" if self.victim else ""
        peer = f" to {'everybody' if self.peer == EVERYBODY else self.peer}" if self.peer else ""
        return f"{self.kind}{whom}{peer}{lasts}"


@dataclass(frozen=True, slots=True)
class Round:
    """A stretch of the run with one kind of strike, judged by itself."""

    number: int
    kind: Kind
    begins_s: float
    ends_s: float
    strikes: tuple[Strike, ...]


@dataclass(frozen=True, slots=True)
class Lengths:
    """What a person may choose."""

    kafka_gone_s: float = 60.0
    broker_pause_s: float = 30.0
    calm_s: float = 8.0
    kills: int = 6
    """In a round of kills."""


class Deck(Generic[T]):
    """Cards drawn without putting back; when all are drawn, they are shuffled anew."""

    def __init__(self, cards: Sequence[T], by: random.Random) -> None:
        assert cards, "expected at least one card"
        self._cards = list(cards)
        self._by = by
        self._left: list[T] = []

    def draw(self) -> T:
        if not self._left:
            self._left = list(self._cards)
            self._by.shuffle(self._left)
        return self._left.pop()


def schedule(
    seed: int,
    lasts_s: float,
    replicas: Mapping[str, Sequence[str]],
    kinds: Sequence[Kind] = tuple(Kind),
    lengths: Lengths = Lengths(),
) -> Iterator[Round]:
    """Rounds, one after the other, that begin before the run has lasted `lasts_s`; the last one is finished."""
    assert all(replicas.values()), "expected a replica of each service"
    drawn = _Drawn(random.Random(repr((seed, "schedule"))), replicas, lengths)
    deck = Deck(sorted(kinds), drawn.by)
    begins_s, number = 0.0, 0
    while begins_s < lasts_s:
        number += 1
        kind = deck.draw()
        strikes = tuple(drawn.strikes(kind, begins_s + CALM_S))
        ends_s = max(strike.ends_s + _well_after_s(strike.kind) for strike in strikes) + AFTER_S
        yield Round(number, kind, begins_s, ends_s, strikes)
        begins_s = ends_s


def possible(each: Round, why_not: Callable[[Kind], str]) -> tuple[Round, str]:
    """The round as it can be done here, and what is left out and why. A round whose kind cannot be done is calm: nobody
    is killed beside what does not happen, since a figure of calm would hold the kill."""
    if not (why := why_not(each.kind)):
        return each, ""
    first = each.strikes[0]
    calm = Strike(Kind.CALM, first.at_s, first.lasts_s, "")
    return replace(each, kind=Kind.CALM, strikes=(calm,)), f"{', '.join(map(str, each.strikes))}: {why}"


def _well_after_s(kind: Kind) -> float:
    """How long a victim takes until it is well again."""
    if kind in (Kind.KILL, Kind.BROKER_KILL, Kind.KAFKA_GONE, Kind.SPOOL_FULL):
        return BACK_WITHIN_S
    return 0.0


class _Drawn:
    """The decks of one schedule."""

    def __init__(self, by: random.Random, replicas: Mapping[str, Sequence[str]], lengths: Lengths) -> None:
        self.by = by
        self._replicas = replicas
        self._lengths = lengths
        everybody = [(service, name) for service, names in replicas.items() for name in names]
        self._anybody = {kind: Deck(everybody, by) for kind in Kind}
        self._broker = Deck([str(number) for number in range(1, BROKERS + 1)], by)
        self._next = {service: Deck(names, by) for service, names in replicas.items()}
        self._services = list(replicas)
        by.shuffle(self._services)
        self._turn = 0

    def strikes(self, kind: Kind, at_s: float) -> Iterator[Strike]:
        """Those of one round whose first strike comes at this second."""
        match kind:
            case Kind.KILL:
                yield from (
                    Strike(kind, at_s + number * KILL_EVERY_S, 0.0, self._in_turn())
                    for number in range(self._lengths.kills)
                )
                return
            case Kind.CALM:
                strike = Strike(kind, at_s, self._lengths.calm_s, "")
            case Kind.BROKER_KILL:
                strike = Strike(kind, at_s, BROKER_GONE_S, self._broker.draw())
            case Kind.BROKER_PAUSE:
                strike = Strike(kind, at_s, self._lengths.broker_pause_s, self._broker.draw())
            case Kind.PAUSE:
                strike = Strike(kind, at_s, PAUSE_S, self._anybody[kind].draw()[1])
            case Kind.DELAY | Kind.LOSS | Kind.CUT_ONE_WAY | Kind.CUT_BOTH_WAYS:
                service, victim = self._anybody[kind].draw()
                peers = [peer for peer in PEERS[service] if peer != service or len(self._replicas[service]) > 1]
                strike = Strike(kind, at_s, NETWORK_S, victim, self.by.choice(peers))
            case Kind.CLOCK_JUMP:
                strike = Strike(kind, at_s, CLOCK_S, self._anybody[kind].draw()[1])
            case Kind.SPOOL_FULL:
                strike = Strike(kind, at_s, SPOOL_FULL_S, self._next["ingress"].draw())
            case Kind.KAFKA_GONE:
                strike = Strike(kind, at_s, self._lengths.kafka_gone_s, "")
            case Kind.ROLLING_RESTART:
                strike = Strike(kind, at_s, ROLLING_S, "")
        yield strike
        if kind in BESIDE_KINDS and self.by.random() < BESIDE_SHARE:
            yield self._beside(strike)

    def _in_turn(self) -> str:
        """Services in one order for ever, so that whoever was killed is back when its sibling's turn comes."""
        service = self._services[self._turn % len(self._services)]
        self._turn += 1
        return self._next[service].draw()

    def _beside(self, strike: Strike) -> Strike:
        """A kill, while this goes on, of a replica of a service that it does not hurt."""
        hurt = {service for service, names in self._replicas.items() if strike.victim in names} | {strike.peer}
        service = self.by.choice([service for service in sorted(self._replicas) if service not in hurt])
        at_s = strike.at_s + round(strike.lasts_s * self.by.uniform(0.1, 0.6), 1)
        return Strike(Kind.KILL, at_s, 0.0, self._next[service].draw())
