"""Words that a replica must not believe: whoever lies to it costs nobody a call (protocol.md T3, P5, J4)."""

from __future__ import annotations

import asyncio

import pytest
from throughline.v1 import delivery_pb2, fact_pb2

from services.domain.events import Conductor, Fact, FactKind
from services.domain.holding import Holding, Standing
from services.domain.where import Where
from services.host.network import Broken, Status
from services.ingress.scribe import OPENS_OR_SETTLES
from services.wire import facts
from services.wire.methods import KEEP
from tests.services.succession_stage import Succession
from tests.services.test_failover_debts import play, until_listed


@pytest.mark.parametrize("name", ["99999999999/1001", "2/1001", "1/1004", "1/99999999999", "1/1000"])
def test_a_try_that_failover_never_named_is_no_ring_back(name: str) -> None:
    """A PSAP that says it has the caller under such a name is believed that it has it, and the fact is written (T3)."""

    async def scene(stage: Succession) -> None:
        await stage.ingresses[0].call("call-1")
        stage.holds["call-1"] = Holding(Standing.CONNECTED, f"call-1/{name}", Where("P1"))
        await stage.ingresses[0].kill()
        await asyncio.sleep(10)
        (told,) = stage.facts(FactKind.ANSWERED)
        assert (told.leg, told.attempt, told.settled) == (1, f"call-1/{name}", True)
        assert stage.facts(FactKind.RECONNECTED) == []

    play(scene)


@pytest.mark.parametrize("name", ["4000000000/1", "2/1"])
def test_a_ring_that_goes_on_and_on_defers_a_take_over_for_half_a_minute_at_most(name: str) -> None:
    """Whoever says that a higher leg rings there is believed for as long as a ring may take; then it is due (T3)."""

    async def scene(stage: Succession) -> None:
        await stage.ingresses[0].call("call-1")
        stage.holds["call-1"] = Holding(Standing.RINGING, f"call-1/{name}", Where("P1"))
        await stage.ingresses[0].kill()
        await until_listed(stage, 1, 40.0)
        await asyncio.sleep(60)
        assert stage.dialled, "nor is its caller's being rung back deferred for ever"

    play(scene)


def forged(kind: FactKind, *, writer: str = "ingress-1/000000000000-0001") -> Fact:
    return Fact("call-1", 1, 9_999, writer, kind, at_ms=1, settled=True)


@pytest.mark.parametrize(
    ("fact", "conductor"),
    [
        (forged(FactKind.CLOSED_BY_HUMAN), None),
        (forged(FactKind.CALLED_BACK), None),
        (forged(FactKind.RECONNECTED), None),
        (forged(FactKind.ANSWERED, writer="ingress-1/000000000000-0002"), None),
        (forged(FactKind.ANSWERED, writer="failover"), None),
        (forged(FactKind.ANSWERED), Conductor("i" * 257, "000000000000-0001")),
        (forged(FactKind.ANSWERED, writer=f"x/{'1' * 257}"), Conductor("ingress:1", "1" * 257)),
        (forged(FactKind.ANSWERED, writer="x/"), Conductor("ingress:1", "")),
    ],
)
def test_a_copy_that_no_conductor_writes_is_refused(fact: Fact, conductor: Conductor | None) -> None:
    """A conductor's own facts alone are kept for it, and none that people or lines close a call by: what is kept
    is believed once its conductor is gone, and each copy bears its conductor's name (J4)."""

    async def scene(stage: Succession) -> None:
        dying = stage.ingresses[0]
        await dying.call("call-1")
        whose = conductor or dying.conductor
        asked = delivery_pb2.KeepRequest(
            facts=[facts.encode(fact)],
            conductor=fact_pb2.Conductor(address=whose.address, incarnation=whose.incarnation),
        )
        for replica in ("failover:1", "failover:2"):
            with pytest.raises(Broken) as refused:
                await stage.network.ask(replica, KEEP, asked, within_s=0.2)
            assert refused.value.status is Status.INVALID_ARGUMENT
        await dying.kill()
        await until_listed(stage, 1, 2.0)

    play(scene)


@pytest.mark.parametrize("kind", sorted(OPENS_OR_SETTLES))
def test_whatever_a_conductor_has_kept_is_kept(kind: FactKind) -> None:
    """Each kind of which an ingress asks for a copy (J4)."""

    async def scene(stage: Succession) -> None:
        ingress = stage.ingresses[0]
        assert await ingress.keep("failover:1", ingress.fact("call-1", kind))

    play(scene)
