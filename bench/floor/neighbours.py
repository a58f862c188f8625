"""The floor's firewall, router and gateway: each answers at once and publishes that it did."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from throughline.v1 import delivery_pb2, place_pb2, routing_pb2, screening_pb2

from bench.floor.wire import Publisher, answering, conversing, now_ms, serve

PASS = screening_pb2.Verdict(policy="default/1")
getattr(PASS, "pass").SetInParent()  # `pass` is a word of Python's own


async def firewall(kafka: str) -> None:
    """Passes every call."""
    publisher = Publisher(kafka)
    await publisher.start()

    async def screen(request: screening_pb2.ScreenRequest, _: Any) -> screening_pb2.ScreenResponse:
        offer = request.offer
        screening = screening_pb2.Screening(
            call_id=offer.call_id, leg=offer.leg, firewall="firewall", verdict=PASS, at_ms=now_ms(), took_us=100
        )
        await publisher.publish("floor-screenings", offer.call_id, screening)
        return screening_pb2.ScreenResponse(verdict=PASS)

    method = answering(screen, screening_pb2.ScreenRequest, screening_pb2.ScreenResponse)
    await serve("throughline.v1.FirewallService", {"Screen": method})


async def router(kafka: str, psaps: list[str], gateway: str) -> None:
    """Sends calls to each PSAP in turn."""
    publisher = Publisher(kafka)
    await publisher.start()
    turn = 0

    async def route(request: routing_pb2.RouteRequest, _: Any) -> routing_pb2.RouteResponse:
        nonlocal turn
        turn += 1
        answer = routing_pb2.RouteResponse(
            psap_id=psaps[turn % len(psaps)], gateways=[gateway], reachable=True, reason="town"
        )
        routing = routing_pb2.Routing(
            call_id=request.call_id, leg=request.leg, router="router", route=answer, at_ms=now_ms()
        )
        await publisher.publish("floor-routings", request.call_id, routing)
        return answer

    method = answering(route, routing_pb2.RouteRequest, routing_pb2.RouteResponse)
    await serve("throughline.v1.RouterService", {"Route": method})


@dataclass(slots=True)
class Line:
    """One PSAP's stream."""

    stream: Any
    sending: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def say(self, message: delivery_pb2.AttachResponse) -> None:
        """One write at a time."""
        async with self.sending:
            await self.stream.write(message)


class Gateway:
    """Joins an attempt's stream with its PSAP's."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._lines: dict[str, Line] = {}
        self._attempts: dict[str, asyncio.Queue[Any]] = {}

    async def attach(self, _: Any, stream: Any) -> None:
        """A PSAP's stream: every word of an attempt goes to whoever serves it."""
        psap_id = (await stream.read()).hello.psap_id
        self._lines[psap_id] = line = Line(stream)
        welcome = delivery_pb2.Welcome(gateway="gateway", heartbeat_ms=1000)
        await line.say(delivery_pb2.AttachResponse(welcome=welcome))
        while True:
            heard = await stream.read()
            said = heard.WhichOneof("said")
            if said not in ("heartbeat", "ended"):
                word = getattr(heard, said)
                self._attempts[word.attempt].put_nowait(word)

    async def deliver(self, _: Any, conductor: Any) -> None:
        """One attempt."""
        offer = (await conductor.read()).offer
        line = self._lines[offer.psap_id]
        words = self._attempts[offer.attempt] = asyncio.Queue()
        await line.say(delivery_pb2.AttachResponse(offer=offer))
        ringing = await words.get()
        await self._publish(offer, ringing.where, delivery_pb2.DELIVERY_OUTCOME_RINGING)
        await conductor.write(delivery_pb2.DeliverResponse(ringing=ringing))
        answer = await words.get()
        await self._publish(offer, ringing.where, delivery_pb2.DELIVERY_OUTCOME_ANSWERED)
        await conductor.write(delivery_pb2.DeliverResponse(answer=answer))
        connect = (await conductor.read()).connect
        await line.say(delivery_pb2.AttachResponse(connect=connect))
        connected = await words.get()
        await self._publish(offer, connected.where, delivery_pb2.DELIVERY_OUTCOME_CONNECTED)
        await conductor.write(delivery_pb2.DeliverResponse(connected=connected))
        del self._attempts[offer.attempt]

    async def _publish(
        self, offer: delivery_pb2.RingOffer, where: place_pb2.Where, outcome: delivery_pb2.DeliveryOutcome.ValueType
    ) -> None:
        delivery = delivery_pb2.Delivery(
            call_id=offer.call_id,
            leg=offer.leg,
            attempt=offer.attempt,
            by="gateway",
            where=where,
            outcome=outcome,
            at_ms=now_ms(),
        )
        await self._publisher.publish("floor-deliveries", offer.call_id, delivery)


async def gateway(kafka: str) -> None:
    """Serves PSAPs and conductors."""
    publisher = Publisher(kafka)
    await publisher.start()
    serving = Gateway(publisher)
    methods = {
        "Attach": conversing(serving.attach, delivery_pb2.AttachRequest, delivery_pb2.AttachResponse),
        "Deliver": conversing(serving.deliver, delivery_pb2.DeliverRequest, delivery_pb2.DeliverResponse),
    }
    await serve("throughline.v1.GatewayService", methods)
