"""An originating network: carries a call to an ingress and holds on to it, as docs/clients.md says (P1 to P4).

One call is one or more legs (leg.py). A leg that breaks, or on which nothing is heard for a second, is cancelled, and
the next leg is offered to another ingress. The newest proposal is confirmed; media follows `Connected`. The caller
stays on the line through all of it, and hears it ring.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum
from typing import Any, Final

from loadtest.diary import Account
from loadtest.leg import PLACE_CALL, Call, Carried, Leg, LegEnd, NetworkMischief
from loadtest.wire import Ended, Wire

AGAIN_AFTER_S: Final = (0.0, 1.0, 2.0, 4.0)
STOOD_S: Final = 4.0
"""A leg that stood for this long was well: its end is no repetition."""
JITTER: Final = 0.25


class Outcome(StrEnum):
    """How a call ended for the caller."""

    CONNECTED = "connected"
    HUNG_UP = "hung_up"
    GAVE_UP = "gave_up"
    """The caller left while no stream stood on which to say so."""
    REFUSED = "refused"
    """An ingress said that it will never take this call, or any from this network."""


_OUTCOMES: Final = {
    LegEnd.CONNECTED: Outcome.CONNECTED,
    LegEnd.HUNG_UP: Outcome.HUNG_UP,
    LegEnd.WALKED_AWAY: Outcome.GAVE_UP,
    LegEnd.REFUSED: Outcome.REFUSED,
}


class Carrier:
    """One originating network and the ingresses that it knows. Every event goes to `diary` as it is seen.

    With `legs_max` it offers no more legs than that: a network that does not do its part (P2), whose callers are gone
    when their stream breaks.
    """

    def __init__(
        self,
        ingresses: Sequence[str],
        diary: Account,
        by: random.Random,
        wire: Wire,
        *,
        legs_max: int | None = None,
    ) -> None:
        assert ingresses, "expected at least one ingress"
        self.ingresses: Sequence[str] = ingresses
        """Whom it offers to, from the next call or leg on."""
        self.mischief = NetworkMischief.NONE
        """What it does wrong with each call that begins, unless something is wrong with that one already."""
        self._diary = diary
        self._random = by
        self._wire = wire
        self._legs_max = legs_max
        self._on_the_line: Counter[str] = Counter()

    def carries(self, caller: str) -> bool:
        """Whether this caller is on the line, and waits: they have one telephone, which no one else can ring."""
        return self._on_the_line[caller] > 0

    async def carry(self, call: Call, patience_s: float, **about: Any) -> Outcome:
        """Carries one call to its end. `about` goes into the first `offered` line."""
        self._on_the_line[call.caller] += 1
        if call.mischief is NetworkMischief.NONE:
            call = replace(call, mischief=self.mischief)
        try:
            return await self._carry(call, patience_s, about)
        finally:
            self._on_the_line[call.caller] -= 1

    async def _carry(self, call: Call, patience_s: float, about: dict[str, Any]) -> Outcome:
        loop = asyncio.get_running_loop()
        carried = Carried(call, self._diary, loop.time(), loop.time() + patience_s)
        first = self._random.randrange(len(self.ingresses))
        failures = 0
        legs_max = self._legs_max
        double: asyncio.Task[None] | None = None
        try:
            while True:
                carried.leg += 1
                address = self.ingresses[(first + carried.leg - 1) % len(self.ingresses)]
                began = loop.time()
                leg = Leg(carried, self._wire, address)
                if carried.sins(NetworkMischief.OFFERS_ONCE):
                    legs_max = carried.leg
                if carried.sins(NetworkMischief.OFFERS_TWICE):
                    other = self.ingresses[(first + carried.leg) % len(self.ingresses)]
                    double = asyncio.ensure_future(self._offer_unheard(other, carried.offer()))
                end = await leg.live(about if carried.leg == 1 else {})
                if end in _OUTCOMES:
                    return _OUTCOMES[end]
                if carried.leg == legs_max:
                    carried.write("gave_up")
                    return Outcome.GAVE_UP
                failures = 1 if loop.time() - began >= STOOD_S else failures + 1
                pause_s = AGAIN_AFTER_S[min(failures, len(AGAIN_AFTER_S)) - 1]
                pause_s *= self._random.uniform(1 - JITTER, 1 + JITTER)
                if loop.time() + pause_s >= carried.patience_ends:
                    await asyncio.sleep(max(0.0, carried.patience_ends - loop.time()))
                    carried.write("gave_up")
                    return Outcome.GAVE_UP
                await asyncio.sleep(pause_s)
        finally:
            if double is not None:
                double.cancel()

    async def _offer_unheard(self, address: str, offer: bytes) -> None:
        """A second stream for the same leg, on which nobody listens."""
        stream = self._wire.open(address, PLACE_CALL)
        stream.say(offer)
        try:
            with suppress(Ended):
                while await stream.read() is not None:
                    pass
        finally:
            stream.cancel()

    async def close(self) -> None:
        await self._wire.close()
