"""To which failover replicas an ingress gives copies of its facts while Kafka is away (J4, T3); under virtual time."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest
from throughline.v1 import delivery_pb2

from services.domain.events import Conductor, Fact, FactKind
from services.domain.offer import SOS_URN, Offer
from services.host.network import Answers, Refuse, Status
from services.host.network.memory import MemoryNetwork
from services.ingress.copies import Copies
from services.ingress.replicas import Diallers
from services.ingress.scribe import NOTHING_OWED_AFTER, OPENS_OR_SETTLES
from services.wire import facts
from services.wire.methods import KEEP
from simulator.virtual_loop import run_virtual

REPLICAS = ("failover:1", "failover:2", "failover:3")
CONDUCTOR = Conductor("ingress:1", "000000000000-0001")


class AlwaysRight:
    """Our own loop is never late."""

    def excuses(self) -> bool:
        return False


def fact_of(kind: FactKind) -> bytes:
    """One fact of a call, as it goes over the wire."""
    offer = Offer("call-1", 1, "+15085550101", SOS_URN, None) if kind is FactKind.OFFERED else None
    return facts.encode(Fact("call-1", 1, 0, "ingress-1/1", kind, 0, conductor=CONDUCTOR, offer=offer))


def kept_by(kind: FactKind, *, refusing: tuple[str, ...] = ()) -> tuple[bool, set[str]]:
    """Whether such a fact counts as kept, and by whom it is."""
    has: defaultdict[str, list[bytes]] = defaultdict(list)

    async def scene() -> bool:
        network = MemoryNetwork(latency_s=0.001)
        tasks: set[asyncio.Task[None]] = set()

        def serve(address: str) -> Answers[delivery_pb2.KeepRequest, delivery_pb2.KeepResponse]:
            async def keep(request: delivery_pb2.KeepRequest) -> delivery_pb2.KeepResponse:
                if address in refusing:
                    raise Refuse(Status.RESOURCE_EXHAUSTED, "no room")
                has[address] += request.facts
                return delivery_pb2.KeepResponse()

            return Answers(KEEP, keep)

        for address in REPLICAS:
            await network.serve(address, [serve(address)])

        def start(coming: object) -> None:
            task = asyncio.ensure_future(coming)  # type: ignore[call-overload]
            tasks.add(task)

        copies = Copies(network, Diallers(network, REPLICAS, AlwaysRight(), start), CONDUCTOR, start)
        kept = await copies.keep("call-1", fact_of(kind))
        await asyncio.sleep(1)
        await network.close()
        return kept

    return run_virtual(scene(), limit_s=60), {address for address, told in has.items() if told}


@pytest.mark.parametrize("kind", sorted(NOTHING_OWED_AFTER))
def test_of_a_fact_after_which_nothing_is_owed_every_replica_has_a_copy(kind: FactKind) -> None:
    """Each may know the debt from the log, and would have a caller rung back whom a person has served (J4, T3)."""
    assert kept_by(kind) == (True, set(REPLICAS))


@pytest.mark.parametrize("kind", sorted(OPENS_OR_SETTLES - NOTHING_OWED_AFTER))
def test_of_a_fact_that_opens_a_debt_one_replica_has_a_copy(kind: FactKind) -> None:
    """Its keeper acts first, alone (T4)."""
    kept, by = kept_by(kind)
    assert kept and len(by) == 1


def test_a_settlement_counts_as_kept_when_any_replica_has_it() -> None:
    """What the others say holds nobody up, and spoils nothing."""
    for refusing in (REPLICAS[:1], REPLICAS[1:2], REPLICAS[:2]):
        assert kept_by(FactKind.ANSWERED, refusing=refusing) == (True, set(REPLICAS) - set(refusing))
    assert kept_by(FactKind.ANSWERED, refusing=REPLICAS) == (False, set())
