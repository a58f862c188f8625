"""The shell of one hunt: opens and closes dials, keeps its timer, and tells the hunt what the trunks say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from throughline.v1 import delivery_pb2, place_pb2, trunk_pb2

from services.domain.deliveries import Became, Outcome
from services.domain.events import Failure
from services.domain.gateways.rings import ACKNOWLEDGE_S, Stage
from services.domain.hunting.hunt import GIVE_BACK_AFTER_S, ConnectLine, Dial, Effect, HangUp, Hunt
from services.domain.hunting.lines import Choice, DialPlan, Owned, Trunks, keep_free
from services.domain.where import Where
from services.failover.metrics import FailoverMetrics
from services.host.alarm import Alarm
from services.host.attempt import REASON_CHARS_MAX
from services.host.network import Broken, Network, OpenedStream
from services.places.directory import REGION_DESK, Directory
from services.wire.deliveries import failure_of
from services.wire.methods import DIAL

PART_WITHIN_S: Final = 1.0
"""A trunk ends a released dial within this, or its stream is cut."""

RING_BACK_WITHIN_S: Final = 40.0
"""From the person's answer to the caller's: the trunk rings the caller's telephone meanwhile."""

DialStream = OpenedStream[trunk_pb2.DialResponse, trunk_pb2.DialRequest]


class Exchange:
    """What the hunts of one replica share."""

    def __init__(
        self, network: Network, directory: Callable[[], Directory], trunks: Trunks, metrics: FailoverMetrics
    ) -> None:
        self.network = network
        self._directory = directory
        self.trunks = trunks
        self.metrics = metrics
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._hunting: dict[Hunting, None] = {}

    @property
    def directory(self) -> Directory:
        """The newest: of the PSAPs and lines as they are at this moment."""
        return self._directory()

    def owner_of(self, psap_id: str) -> str:
        """Whose lines are dialled for this PSAP or desk: its own, or the region's desk where it has none."""
        if self.directory.lines_of(psap_id):
            return psap_id
        self.metrics.unknown_owners.inc()
        return REGION_DESK

    def plan(self, owner: str, now: float) -> DialPlan:
        lines = [Owned(line.number, line.channels) for line in self.directory.lines_of(owner)]
        return DialPlan(lines, self.trunks.doubted(now))

    def keep_free(self, owner: str, choice: Choice, reason: str) -> int:
        """A desk that only policies divert to keeps nothing back from them (R7)."""
        answers_for_psaps = owner in self.directory.psaps or owner == REGION_DESK
        return keep_free(choice.channels, reason) if answers_for_psaps else 0

    def begins(self, hunting: Hunting) -> None:
        """A hunt dials from now on."""
        self._hunting[hunting] = None

    def ended(self, hunting: Hunting) -> None:
        self._hunting.pop(hunting, None)

    def to_give_back(self, choice: Choice, now: float) -> Hunting | None:
        """Whose ring gives way to a caller who waits for this line (R6): one that rings a caller back, at once; else
        the oldest past its time."""
        rings = [each for each in self._hunting if each.rings_for(choice, now) is not None]
        oldest = max(rings, key=lambda each: (each.rings_back, each.rings_for(choice, now)), default=None)
        if oldest is None or not (oldest.rings_back or (oldest.rings_for(choice, now) or 0) >= GIVE_BACK_AFTER_S):
            return None
        return oldest

    def start(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        """Holds a task until it ends; its mistakes are loud."""
        self._tasks[task] = None
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled():
            task.result()

    async def close(self) -> None:
        """Cuts what is left."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Sought(Protocol):
    """For whom lines are dialled: a conductor's attempt, or a caller to be rung back."""

    name: str
    offer: delivery_pb2.RingOffer
    where: Where
    """Where it rings now."""


class Hunting:
    """One attempt's hunt. `became` gets each step, in order.

    `rings_back`: nobody is on the line; the trunk rings the caller once a person has answered and is to be connected
    (T3), which takes as long as a telephone rings."""

    def __init__(
        self, attempt: Sought, exchange: Exchange, became: Callable[[Became], None], *, rings_back: bool = False
    ) -> None:
        self.rings_back = rings_back
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._attempt = attempt
        self._exchange = exchange
        self._became = became
        self._owner = exchange.owner_of(attempt.offer.psap_id)
        self._hunt = Hunt(
            attempt.name,
            exchange.plan(self._owner, loop.time()),
            exchange.trunks,
            RING_BACK_WITHIN_S if rings_back else ACKNOWLEDGE_S,
        )
        self._dial: tuple[DialStream, asyncio.Task[None]] | None = None
        self._parting: asyncio.Task[None] | None = None
        self._alarm = Alarm(self._time_passed)

    def begin(self) -> None:
        self._exchange.begins(self)
        self._act(self._hunt.begin(self._loop.time()))

    def connect(self) -> None:
        """The caller has confirmed."""
        self._act(self._hunt.connect(self._loop.time()))

    def release(self, reason: str) -> None:
        """Not wanted any more; nothing happens where it is over."""
        self._act(self._hunt.release(reason, self._loop.time()))

    def supersede(self, reason: str) -> None:
        """Another leg has the call: the conductor hears so, and the line stops ringing."""
        self._act(self._hunt.supersede(reason, self._loop.time()))

    def rings_for(self, choice: Choice, now: float) -> float | None:
        """For how long it has rung this very line through this trunk; None where it does not."""
        since = self._hunt.rings_since
        return now - since if since is not None and self._hunt.choice == choice else None

    @property
    def stage(self) -> Stage:
        """How far it has come."""
        return self._hunt.stage

    # What the hunt wants.

    def _act(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Dial(dial, choice):
                    stream = self._exchange.network.open(choice.trunk, DIAL)
                    task = self._loop.create_task(self._converse(dial, choice, stream), name=f"dial {choice.line}")
                    self._dial = (stream, self._exchange.start(task))
                case ConnectLine():
                    self._exchange.start(self._loop.create_task(self._connect_line()))
                case HangUp(_, reason):
                    self._hang_up(reason)
                case Became():
                    if effect.outcome is Outcome.RINGING and self._hunt.choice is not None:
                        self._attempt.where = Where(self._owner, self._hunt.choice.line)
                    self._became(effect)
        self._alarm.no_later_than(self._hunt.deadline())
        if self._hunt.over:
            self._exchange.ended(self)

    def _time_passed(self) -> None:
        self._act(self._hunt.pass_time(self._loop.time()))

    # One dial.

    async def _converse(self, dial: int, choice: Choice, stream: DialStream) -> None:
        """Dials, and passes on what the trunk says, to its last word: `rejected` or `connected`."""
        offer, hunt, loop = self._attempt.offer, self._hunt, self._loop
        number = trunk_pb2.DialNumber(
            attempt=offer.attempt,
            call_id=offer.call_id,
            leg=offer.leg,
            where=place_pb2.Where(psap_id=self._owner, line=choice.line),
            caller=offer.caller,
            place=offer.place if offer.HasField("place") else None,
            reason=offer.reason,
            keep_free=self._exchange.keep_free(self._owner, choice, offer.reason),
            ring_ms=offer.ring_ms,
            callback=self.rings_back,
        )
        first = "nothing"
        try:
            await stream.write(trunk_pb2.DialRequest(dial=number))
            while (message := await stream.read()) is not None:
                said = message.WhichOneof("said") or "nothing"
                first = said if first == "nothing" else first
                match said:
                    case "ringing":
                        self._act(hunt.rings(dial, loop.time()))
                    case "answer":
                        self._act(hunt.answers(dial, loop.time()))
                    case "connected":
                        self._act(hunt.connects(dial, loop.time()))
                        if self._dial is not None and self._dial[0] is stream:  # it was asked for, and is not hung up
                            await _see_off(stream)
                            return
                    case "rejected":
                        failure, why = failure_of(message.rejected.rejection), message.rejected.reason
                        first = failure if first == "rejected" else first
                        if failure is Failure.FULL and self._had_given_back(dial, choice):
                            return
                        self._act(hunt.rejects(dial, failure, why[:REASON_CHARS_MAX], loop.time()))
                        return
            self._act(hunt.breaks(dial, "trunk_ended", loop.time()))
        except Broken as broken:
            first = "broken" if first == "nothing" else first
            self._act(hunt.breaks(dial, f"trunk_{broken.status.lower()}", loop.time()))
        finally:
            stream.cancel()
            self._exchange.metrics.dials.labels(choice.trunk, first).inc()

    def _had_given_back(self, dial: int, choice: Choice) -> bool:
        """Has a ring of ours given back for this call, and dials the line again after that; False where none is."""
        now = self._loop.time()
        other = None if self.rings_back else self._exchange.to_give_back(choice, now)
        if other is None or other is self or not self._hunt.waits(dial, now):
            return False
        self._exchange.metrics.given_back.inc()
        self._exchange.start(self._loop.create_task(self._dial_after(dial, other)))
        return True

    async def _dial_after(self, dial: int, other: Hunting) -> None:
        await other.give_back()
        self._act(self._hunt.dial_again(dial, self._loop.time()))

    async def give_back(self) -> None:
        """Ends the ring, and returns once the trunk has its channel back."""
        self._act(self._hunt.give_back(self._loop.time()))
        if self._parting is not None:
            await asyncio.wait({self._parting})

    async def _connect_line(self) -> None:
        if self._dial is not None:
            try:
                connect = delivery_pb2.Connect(attempt=self._attempt.name)
                await self._dial[0].write(trunk_pb2.DialRequest(connect=connect))
            except Broken:
                return  # the reading side tells the hunt

    def _hang_up(self, reason: str) -> None:
        """Releases the present dial, and cuts its stream where the trunk does not end it in time."""
        if self._dial is not None:
            stream, task = self._dial
            self._dial = None
            self._parting = self._exchange.start(self._loop.create_task(self._part(stream, task, reason)))

    async def _part(self, stream: DialStream, task: asyncio.Task[None], reason: str) -> None:
        release = delivery_pb2.Release(attempt=self._attempt.name, reason=reason)
        try:
            async with asyncio.timeout(PART_WITHIN_S):
                await stream.write(trunk_pb2.DialRequest(release=release))
                await asyncio.wait({task})
        except (Broken, TimeoutError):
            stream.cancel()  # to the trunk that is a release as well


async def _see_off(stream: DialStream) -> None:
    """Half-closes a connected dial and lets the trunk end it; what it does not end in time is cut by whoever reads it.
    The conversation itself is between the two people."""
    try:
        async with asyncio.timeout(PART_WITHIN_S):
            await stream.done_writing()
            while await stream.read() is not None:
                pass  # nothing means anything after the last word
    except (Broken, TimeoutError):
        return
