"""The shell of one hunt: opens and closes dials, keeps its timer, and tells the hunt what the trunks say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from throughline.v1 import delivery_pb2, place_pb2, trunk_pb2

from services.domain.deliveries import Became, Outcome
from services.domain.hunt import ConnectLine, Dial, Effect, HangUp, Hunt
from services.domain.lines import Choice, DialPlan, Owned, Trunks, keep_free
from services.domain.where import Where
from services.failover.metrics import FailoverMetrics
from services.host.alarm import Alarm
from services.host.attempt import REASON_CHARS_MAX, Attempt
from services.host.network import Broken, Network, OpenedStream
from services.places.directory import REGION_DESK, Directory
from services.wire.deliveries import failure_of
from services.wire.methods import DIAL

PART_WITHIN_S: Final = 1.0
"""A trunk ends a released dial within this, or its stream is cut."""

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
        self._tasks: set[asyncio.Task[None]] = set()

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

    def start(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        """Holds a task until it ends; its mistakes are loud."""
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.result()

    async def close(self) -> None:
        """Cuts what is left."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Hunting:
    """One attempt's hunt. `became` gets each step, in order."""

    def __init__(self, attempt: Attempt, exchange: Exchange, became: Callable[[Became], None]) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._attempt = attempt
        self._exchange = exchange
        self._became = became
        self._owner = exchange.owner_of(attempt.offer.psap_id)
        self._hunt = Hunt(attempt.name, exchange.plan(self._owner, loop.time()), exchange.trunks)
        self._dial: tuple[DialStream, asyncio.Task[None]] | None = None
        self._alarm = Alarm(self._time_passed)

    def begin(self) -> None:
        self._act(self._hunt.begin(self._loop.time()))

    def connect(self) -> None:
        """The caller has confirmed."""
        self._act(self._hunt.connect(self._loop.time()))

    def release(self, reason: str) -> None:
        """Not wanted any more; nothing happens where it is over."""
        self._act(self._hunt.release(reason, self._loop.time()))

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
                        self._act(hunt.rejects(dial, failure, why[:REASON_CHARS_MAX], loop.time()))
                        return
            self._act(hunt.breaks(dial, "trunk_ended", loop.time()))
        except Broken as broken:
            first = "broken" if first == "nothing" else first
            self._act(hunt.breaks(dial, f"trunk_{broken.status.lower()}", loop.time()))
        finally:
            stream.cancel()
            self._exchange.metrics.dials.labels(choice.trunk, first).inc()

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
            self._exchange.start(self._loop.create_task(self._part(stream, task, reason)))

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
