"""The floor's ingress: three questions, six facts, the caller's stream."""

from __future__ import annotations

import asyncio
from typing import Any

from throughline.v1 import call_pb2, delivery_pb2, fact_pb2, place_pb2, routing_pb2, screening_pb2

from bench.floor.wire import Publisher, conversing, now_ms, serve, stub

Down = call_pb2.PlaceCallResponse
Up = call_pb2.PlaceCallRequest
WRITER = "ingress/0199a1b2c3d4-5e6f"
CALLER_HASH = "0123456789abcdef01234567"
CONDUCTOR = fact_pb2.Conductor(address="127.0.0.1:50051", incarnation="0199a1b2c3d4-5e6f")


class _Down:
    """What is said to one caller: one write at a time, as grpc.aio wants it, and nothing after the last."""

    def __init__(self, caller: Any) -> None:
        self._over = False
        self._caller = caller
        self._sending = asyncio.Lock()

    async def say(self, message: call_pb2.PlaceCallResponse, *, last: bool = False) -> None:
        async with self._sending:
            if not self._over:
                self._over = last
                await self._caller.write(message)


class Ingress:
    """What one call needs, in the order of a call that meets no trouble."""

    def __init__(self, publisher: Publisher, firewall: str, router: str) -> None:
        self._publisher = publisher
        self._screen = stub(
            firewall,
            "unary_unary",
            "/throughline.v1.FirewallService/Screen",
            screening_pb2.ScreenRequest,
            screening_pb2.ScreenResponse,
        )
        self._route = stub(
            router,
            "unary_unary",
            "/throughline.v1.RouterService/Route",
            routing_pb2.RouteRequest,
            routing_pb2.RouteResponse,
        )
        self._gateways: dict[str, Any] = {}
        self._accepting: set[asyncio.Task[None]] = set()

    async def place_call(self, _: Any, caller: Any) -> None:
        """One call."""
        offer = (await caller.read()).offer
        call_id = offer.call_id
        down = _Down(caller)
        first = await self._remember(offer, 0, fact_pb2.FACT_KIND_OFFERED, offer=offer, due_in_ms=1000)
        accepting = asyncio.create_task(self._accept(down, offer, first))
        self._accepting.add(accepting)
        accepting.add_done_callback(self._accepting.discard)

        verdict = (await self._screen(screening_pb2.ScreenRequest(offer=offer), timeout=5)).verdict
        await self._remember(offer, 1, fact_pb2.FACT_KIND_SCREENED, verdict=verdict, due_in_ms=1000)

        request = routing_pb2.RouteRequest(
            call_id=call_id, leg=offer.leg, place=offer.place, service_urn=offer.service_urn
        )
        route = await self._route(request, timeout=5)
        attempt = f"{call_id}/{offer.leg}/1"
        where = place_pb2.Where(psap_id=route.psap_id)
        await self._remember(offer, 2, fact_pb2.FACT_KIND_ROUTED, where=where, reason=route.reason, due_in_ms=1000)
        await self._remember(
            offer, 3, fact_pb2.FACT_KIND_ATTEMPTING, where=where, attempt=attempt, reason=route.reason, due_in_ms=1300
        )

        ring = self._deliver(route.gateways[0])()
        ring_offer = delivery_pb2.RingOffer(
            attempt=attempt,
            call_id=call_id,
            leg=offer.leg,
            psap_id=route.psap_id,
            caller=offer.caller,
            place=offer.place,
            service_urn=offer.service_urn,
            reason=route.reason,
            ring_ms=15_000,
        )
        await ring.write(delivery_pb2.DeliverRequest(offer=ring_offer))
        where = (await ring.read()).ringing.where
        await self._remember(offer, 4, fact_pb2.FACT_KIND_RINGING, where=where, attempt=attempt, due_in_ms=16_000)
        await down.say(Down(ringing=call_pb2.Ringing(attempt=attempt, where=where)))
        attempt = (await ring.read()).answer.attempt
        await down.say(Down(connecting=call_pb2.Connecting(attempt=attempt)))
        confirm = (await caller.read()).confirm
        await ring.write(delivery_pb2.DeliverRequest(connect=delivery_pb2.Connect(attempt=confirm.attempt)))
        where = (await ring.read()).connected.where
        await self._remember(offer, 5, fact_pb2.FACT_KIND_ANSWERED, where=where, attempt=attempt, settled=True)
        await down.say(Down(connected=call_pb2.Connected(attempt=attempt, where=where)), last=True)
        await ring.read()  # its orderly end

    async def _accept(self, down: _Down, offer: call_pb2.Offer, first: asyncio.Future[Any]) -> None:
        await first
        accepted = call_pb2.Accepted(durability=call_pb2.DURABILITY_DURABLE, call_id=offer.call_id, leg=offer.leg)
        await down.say(Down(accepted=accepted))

    async def _remember(
        self, call: call_pb2.Offer, seq: int, kind: fact_pb2.FactKind.ValueType, **details: Any
    ) -> asyncio.Future[Any]:
        fact = fact_pb2.Fact(
            call_id=call.call_id,
            leg=call.leg,
            seq=seq,
            writer=WRITER,
            kind=kind,
            at_ms=now_ms(),
            conductor=CONDUCTOR,
            caller_hash=CALLER_HASH,
            test=True,
            **details,
        )
        return await self._publisher.publish("floor-calls", call.call_id, fact)

    def _deliver(self, address: str) -> Any:
        method = self._gateways.get(address)
        if method is None:
            method = self._gateways[address] = stub(
                address,
                "stream_stream",
                "/throughline.v1.GatewayService/Deliver",
                delivery_pb2.DeliverRequest,
                delivery_pb2.DeliverResponse,
            )
        return method


async def main(kafka: str, firewall: str, router: str) -> None:
    """Serves."""
    publisher = Publisher(kafka)
    await publisher.start()
    ingress = Ingress(publisher, firewall, router)
    await serve("throughline.v1.IngressService", {"PlaceCall": conversing(ingress.place_call, Up, Down)})
