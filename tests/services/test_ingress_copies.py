"""To which failover replicas an ingress gives copies of its facts while Kafka is away (J4, T3); under virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import pytest
from throughline.v1 import delivery_pb2

from services.domain.events import Conductor, Fact, FactKind
from services.domain.offer import SOS_URN, Offer
from services.host.network import Answers, Refuse, Status
from services.host.network.memory import MemoryNetwork
from services.ingress.copies import Copies
from services.ingress.replicas import Diallers
from services.ingress.scribe import OPENS_OR_SETTLES
from services.wire import facts
from services.wire.methods import KEEP
from simulator.virtual_loop import run_virtual

REPLICAS = ("failover:1", "failover:2", "failover:3")
CONDUCTOR = Conductor("ingress:1", "000000000000-0001")


class AlwaysRight:
    """Our own loop is never late."""

    def excuses(self, address: str) -> bool:
        return False


def fact_of(kind: FactKind, due_in_ms: int = 0) -> bytes:
    """One fact of a call, as it goes over the wire."""
    offer = Offer("call-1", 1, "+15085550101", SOS_URN, None) if kind is FactKind.OFFERED else None
    said = Fact("call-1", 1, 0, "ingress-1/1", kind, 0, conductor=CONDUCTOR, offer=offer, due_in_ms=due_in_ms)
    return facts.encode(said)


def handed_to(
    fact: bytes, *, refusing: tuple[str, ...] = (), slow: tuple[str, ...] = ()
) -> tuple[bool, Counter[str], Counter[str]]:
    """Whether such a fact counts as kept, how often each replica was given it, and how often each took it."""
    given: Counter[str] = Counter()
    took: Counter[str] = Counter()

    async def scene() -> bool:
        network = MemoryNetwork(latency_s=0.001)
        tasks: set[asyncio.Task[None]] = set()

        def serve(address: str) -> Answers[delivery_pb2.KeepRequest, delivery_pb2.KeepResponse]:
            async def keep(request: delivery_pb2.KeepRequest) -> delivery_pb2.KeepResponse:
                given[address] += len(request.facts)
                if address in refusing:
                    raise Refuse(Status.RESOURCE_EXHAUSTED, "no room")
                await asyncio.sleep(0.070 if address in slow else 0.0)
                took[address] += len(request.facts)
                return delivery_pb2.KeepResponse()

            return Answers(KEEP, keep)

        for address in REPLICAS:
            await network.serve(address, [serve(address)])

        def start(coming: Coroutine[Any, Any, None]) -> None:
            tasks.add(asyncio.ensure_future(coming))

        copies = Copies(network, Diallers(network, REPLICAS, AlwaysRight(), start), CONDUCTOR, start)
        kept = await copies.keep("call-1", fact)
        await asyncio.sleep(1)
        await network.close()
        return kept

    return run_virtual(scene(), limit_s=60), +given, +took


@pytest.mark.parametrize("kind", sorted(OPENS_OR_SETTLES - {FactKind.OFFERED, FactKind.CALLER_LOST}))
def test_of_a_fact_after_which_nothing_is_owed_every_replica_has_a_copy(kind: FactKind) -> None:
    """Each may know the debt from the log, and would have a caller rung back whom a person has served (J4, T3)."""
    kept, given, took = handed_to(fact_of(kind))
    assert kept
    assert given == took == Counter(REPLICAS)


@pytest.mark.parametrize("kind", [FactKind.OFFERED, FactKind.CALLER_LOST, FactKind.CALLBACK_DUE])
def test_of_a_fact_that_owes_another_one_replica_has_a_copy(kind: FactKind) -> None:
    """Its keeper acts first, alone (T4): so with a parked call, listed with its caller on the line (L1)."""
    kept, given, took = handed_to(fact_of(kind, due_in_ms=5_000))
    assert kept
    assert given == took
    assert took.total() == 1


def test_a_settlement_counts_as_kept_when_any_replica_has_it_and_is_given_to_each_once() -> None:
    """J4: what the others say holds nobody up, and spoils nothing; none writes the same fact to its disk twice."""
    settlement = fact_of(FactKind.ANSWERED)
    for refusing in (REPLICAS[:1], REPLICAS[1:2], REPLICAS[:2]):
        kept, given, took = handed_to(settlement, refusing=refusing)
        assert kept
        assert (given, took) == (Counter(REPLICAS), Counter(set(REPLICAS) - set(refusing)))
    assert handed_to(settlement, refusing=REPLICAS) == (False, Counter(REPLICAS), Counter())


def test_a_replica_that_is_too_slow_for_a_settlement_has_it_all_the_same() -> None:
    """J4: the next one counts; the slow one keeps its copy when it comes to it, and is given no other."""
    for slow in ((each,) for each in REPLICAS):
        assert handed_to(fact_of(FactKind.ANSWERED), slow=slow) == (True, Counter(REPLICAS), Counter(REPLICAS))
