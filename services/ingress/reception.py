"""Reads what a new stream offers, whatever came: nothing about a call's content is a reason to refuse it (P6).

Bytes that are no offer are kept, and what could be salvaged of them is carried. Everything odd is counted. An id that
is missing, or that another caller's call has, is replaced by one of our own: neither call is lost or harms the other.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import replace
from typing import Final

from throughline.v1 import call_pb2

from services.domain.gateways.attachments import is_attempt_of
from services.domain.offer import SOS_URN, Offer, can_be_rung_back
from services.domain.place import flaw
from services.host.network import Refuse, Status, Stream
from services.host.world import World
from services.ingress.metrics import IngressMetrics
from services.ingress.settings import IngressSettings
from services.journal import Topic
from services.journal.journal import Journal
from services.wire import offers
from services.wire.methods import Unreadable
from services.wire.salvage import salvage

LEGS_REMEMBERED_MAX: Final = 20_000
CALLER_STREAM = Stream[call_pb2.PlaceCallRequest, call_pb2.PlaceCallResponse]


class Reception:
    """One ingress's. It remembers the newest leg of each of many calls, and whose call it is."""

    def __init__(self, world: World, settings: IngressSettings, metrics: IngressMetrics, journal: Journal) -> None:
        self._world = world
        self._settings = settings
        self._metrics = metrics
        self._journal = journal
        self._legs: OrderedDict[str, tuple[int, str]] = OrderedDict()
        self._minted = 0

    async def first_offer(self, stream: CALLER_STREAM) -> Offer | None:
        """The call that a new stream offers; None where it ended before offering one, counted (P6)."""
        try:
            async with asyncio.timeout(self._settings.offer_within_ms / 1000):
                first = await stream.read()
        except TimeoutError:
            self._metrics.silent_streams.inc()
            raise Refuse(Status.DEADLINE_EXCEEDED, "no offer came; the first message must be an Offer") from None
        except Unreadable as unreadable:
            return self._salvaged(unreadable.raw)
        if first is None:
            self._metrics.silent_streams.inc()
            self._world.logger.warning("stream.without_offer", peer=stream.peer)
            return None
        if first.WhichOneof("said") != "offer":
            return self._salvaged(first.SerializeToString())
        return self._believed(offers.to_domain(first.offer))

    def take(self, offer: Offer) -> None:
        """This leg is carried from now on; one that is or was here already is refused (P8)."""
        known, _ = self._legs.get(offer.call_id, (0, ""))
        if offer.leg <= known:
            self._metrics.refused.labels("leg_twice").inc()
            raise Refuse(Status.ALREADY_EXISTS, f"leg {known} of this call was offered here; offer a higher leg")
        self._legs[offer.call_id] = (offer.leg, offer.caller)
        if len(self._legs) > LEGS_REMEMBERED_MAX:
            self._legs.popitem(last=False)

    def _salvaged(self, raw: bytes) -> Offer:
        offer = self._believed(salvage(raw))
        self._metrics.odd.labels("unreadable").inc()
        self._world.logger.warning("offer.unreadable", call_id=offer.call_id, size_bytes=len(raw))
        self._journal.append_soon(Topic.CALLS_UNREADABLE, offer.call_id, raw)
        return offer

    def _believed(self, offer: Offer) -> Offer:
        """The offer with what it must have; everything odd is counted, nothing odd is refused."""
        if self._settings.production and offer.source == "loadtest" and not offer.test:
            self._metrics.refused.labels("load_test_in_production").inc()
            raise Refuse(
                Status.PERMISSION_DENIED, "this installation is marked production: a load test sends test calls only"
            )
        odd = self._metrics.odd.labels
        _, known_caller = self._legs.get(offer.call_id, (0, ""))
        if not offer.call_id:
            odd("no_call_id").inc()
            offer = self._named_anew(offer)
        elif known_caller and offer.caller and offer.caller != known_caller:
            odd("duplicate_call_id").inc()
            self._world.logger.warning("offer.duplicate_call_id", call_id=offer.call_id, source=offer.source)
            offer = self._named_anew(offer)
        if offer.confirmed_attempt and not is_attempt_of(offer.confirmed_attempt, offer.call_id):
            odd("not_its_attempt").inc()  # it may be another call's, whose ring would be ended for it
            offer = replace(offer, confirmed_attempt="", confirmed_where=None)
        if not can_be_rung_back(offer.caller):
            odd("cannot_be_rung_back").inc()
        if not (offer.test or offer.service_urn == SOS_URN or offer.service_urn.startswith(f"{SOS_URN}.")):
            odd("unknown_service").inc()
        trouble = flaw(offer.place)
        if trouble is not None:
            odd(trouble).inc()
        return offer

    def _named_anew(self, offer: Offer) -> Offer:
        """The offer under an id of our own: a call of its own, whatever else has its id."""
        self._minted += 1
        chance = self._world.random.getrandbits(32)
        minted = f"minted-{self._world.incarnation}-{self._minted}-{chance:08x}"
        return replace(offer, call_id=minted, confirmed_attempt="", confirmed_where=None)
