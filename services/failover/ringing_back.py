"""Has lines ring back callers whose conductor died: the person who answers is connected to the caller (protocol.md T3).

Which caller, and when, is decided in `services/domain/take_overs/ring_backs.py`. A line is dialled as for a conductor,
through the same exchange and within the same quotas; but nobody is on the line, so these never take what is kept for
callers who are, and give way to them at once. Where somebody could not say whether they have the caller, they are asked
again at the last moment before the caller's telephone rings, and once a try has come to nothing.
"""

from __future__ import annotations

import asyncio
from typing import Final

from throughline.v1 import delivery_pb2

from services.domain.deliveries import FINAL, Became, Delivery, Outcome
from services.domain.gateways.rings import Stage
from services.domain.holding import Standing
from services.domain.take_overs.facts import (
    LOST_CONDUCTOR,
    TRIES_MAX,
    Leg,
    attempt_name,
    attested,
    reconnected,
    try_begun,
    try_over,
)
from services.domain.take_overs.open_call import OpenCall
from services.domain.take_overs.ring_backs import RingBack
from services.domain.where import Where
from services.failover.asking import Attesters
from services.failover.lines import Exchange, Hunting
from services.failover.metrics import FailoverMetrics, RungBack
from services.failover.mistakes import Mistakes
from services.failover.taking_over import ASKED_AGAIN_S, TakingOver
from services.failover.view import View
from services.host.world import World
from services.journal import Topic
from services.journal.journal import Journal
from services.places.directory import REGION_DESK
from services.wire import deliveries, offers

RING_MS: Final = 30_000
TRY_WITHIN_S: Final = 80.0
"""A line's telephone and the caller's, both; less than after which another replica takes the try to be lost."""


class _Errand:
    """A caller to be rung back, as lines are dialled for it. `sure`: all have said that nobody has the caller."""

    def __init__(self, wanted: RingBack, call: OpenCall, owner: str, *, sure: bool) -> None:
        self.wanted = wanted
        self.sure = sure
        self.attested = False
        """Somebody has said since that they have the caller."""
        self.leg = Leg.of(call)
        self.name = attempt_name(self.leg, wanted.number)
        self.offer = delivery_pb2.RingOffer(
            attempt=self.name,
            call_id=wanted.call_id,
            leg=wanted.leg,
            psap_id=owner,
            caller=wanted.caller,
            place=offers.place_to_wire(wanted.place),
            reason=LOST_CONDUCTOR,
            ring_ms=RING_MS,
        )
        self.where = Where(owner)


class RingingBack:
    """See the module."""

    def __init__(
        self,
        world: World,
        view: View,
        exchange: Exchange,
        attesters: Attesters,
        taking_over: TakingOver,
        journal: Journal,
        metrics: FailoverMetrics,
        mistakes: Mistakes,
    ) -> None:
        self._world = world
        self._view = view
        self._exchange = exchange
        self._attesters = attesters
        self._taking_over = taking_over
        self._journal = journal
        self._metrics = metrics
        self._mistakes = mistakes
        self._tries: dict[str, asyncio.Task[None]] = {}
        self._hunting: dict[str, Hunting] = {}

    def look(self) -> None:
        """Begins what is due, and withdraws what is not wanted any more."""
        now = asyncio.get_running_loop().time()
        begin, withdrawn = self._view.ring_backs.look(now, read=self._taking_over.read_to_end)
        for call_id in withdrawn:
            if call_id in self._hunting:
                self._hunting[call_id].release("withdrawn")
        for wanted in begin:
            task = asyncio.get_running_loop().create_task(self._try(wanted), name=f"ring back {wanted.call_id}")
            self._tries[wanted.call_id] = task
            task.add_done_callback(lambda done, call_id=wanted.call_id: self._over(call_id, done))  # type: ignore[misc]

    async def stop(self) -> None:
        """Lets go of every line."""
        for hunting in list(self._hunting.values()):
            hunting.release("draining")
        for task in list(self._tries.values()):
            task.cancel()
        await asyncio.gather(*self._tries.values(), return_exceptions=True)

    async def _try(self, wanted: RingBack) -> None:
        call = self._view.debts.get(wanted.call_id)
        if call is None:
            return
        holding = await self._attesters.who_has(wanted.call_id, tuple(call.tried))
        now = asyncio.get_running_loop().time()
        if not self._still_wanted(wanted):
            self._metrics.rung_back[RungBack.WITHDRAWN].inc()
        elif holding.carries_on(wanted.leg) and call.defer(now, ASKED_AGAIN_S):
            pass  # it is looked at again then
        elif holding.standing is Standing.CONNECTED:
            self._metrics.rung_back[RungBack.ATTESTED].inc()
            self._taking_over.say(attested(call, holding, self._world.wall_ms()))
        else:
            await self._dial(wanted, call, sure=holding.standing is Standing.NONE)

    async def _dial(self, wanted: RingBack, call: OpenCall, *, sure: bool) -> None:
        say, wall_ms = self._taking_over.say, self._world.wall_ms
        last = wanted.number == TRIES_MAX  # nobody there has answered so far: the region's own
        owner = REGION_DESK if last or not wanted.psap_id else self._exchange.owner_of(wanted.psap_id)
        errand = _Errand(wanted, call, owner, sure=sure)
        say(try_begun(errand.leg, wanted.number, errand.where, self._world.name, wall_ms()))
        ended: asyncio.Future[Became] = asyncio.get_running_loop().create_future()
        hunting = Hunting(errand, self._exchange, lambda step: self._became(errand, step, ended), rings_back=True)
        self._hunting[wanted.call_id] = hunting
        try:
            async with asyncio.timeout(TRY_WITHIN_S):
                hunting.begin()
                step = await asyncio.shield(ended)
        except TimeoutError:
            hunting.release("too_long")
            step = await ended
        finally:
            del self._hunting[wanted.call_id]
            hunting.release("draining")
        if step.outcome is Outcome.CONNECTED:
            say(reconnected(errand.leg, wanted.number, errand.where, wall_ms()))
            came = RungBack.CONNECTED
        else:
            why = step.reason or step.failure or step.outcome
            say(try_over(errand.leg, wanted.number, errand.where, why, wall_ms()))
            await self._ask_again(errand)
            failed = RungBack.FAILED if self._still_wanted(wanted) else RungBack.WITHDRAWN
            came = RungBack.ATTESTED if errand.attested else failed
        self._metrics.rung_back[came].inc()
        self._world.logger.info(
            "caller.rung_back", call_id=wanted.call_id, tried=wanted.number, outcome=came, line=errand.where.line
        )

    def _became(self, errand: _Errand, step: Became, ended: asyncio.Future[Became]) -> None:
        """Whoever answers a line is connected at once: nobody has to confirm for a caller who is not there. Only where
        somebody may have the caller after all is that asked first; the answer waits for a second (P4)."""
        record = Delivery(
            errand.offer.call_id, errand.offer.leg, errand.name, self._world.name, errand.where, step.outcome,
            step.failure, step.reason, self._world.wall_ms(),
        )  # fmt: skip
        self._journal.append_soon(Topic.DELIVERIES, record.call_id, deliveries.encode(record))
        if step.outcome is Outcome.ANSWERED:
            hunting, loop = self._hunting[errand.offer.call_id], asyncio.get_running_loop()
            if errand.sure:
                loop.call_soon(hunting.connect)
            else:
                asked = loop.create_task(self._connect_unless_attested(errand, hunting), name=f"ask {errand.name}")
                self._exchange.start(asked)
        elif step.outcome in FINAL and not ended.done():
            ended.set_result(step)

    async def _connect_unless_attested(self, errand: _Errand, hunting: Hunting) -> None:
        await self._ask_again(errand)
        if errand.attested:
            hunting.release("attested")
        elif hunting.stage is Stage.ANSWERED:
            hunting.connect()

    async def _ask_again(self, errand: _Errand) -> None:
        """Where somebody could not say: what is attested now settles the call, and takes it off the list."""
        call = self._view.debts.get(errand.wanted.call_id)
        if errand.sure or call is None or not self._still_wanted(errand.wanted):
            return
        holding = await self._attesters.who_has(call.call_id, tuple(call.tried))
        if holding.standing is Standing.CONNECTED and self._still_wanted(errand.wanted):
            errand.attested = True
            self._taking_over.say(attested(call, holding, self._world.wall_ms()))

    def _still_wanted(self, wanted: RingBack) -> bool:
        now = asyncio.get_running_loop().time()
        return self._view.ring_backs.stands(wanted.call_id, wanted.leg, now)

    def _over(self, call_id: str, done: asyncio.Task[None]) -> None:
        self._tries.pop(call_id, None)
        self._view.ring_backs.over(call_id)
        self._mistakes.ended("a try to ring back", done)
