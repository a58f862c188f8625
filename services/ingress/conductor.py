"""Carries one call: hears what happens, lets the machine decide, does what it says.

The machine is driven at the moment a word arrives, without a queue between; only what is said to the caller waits in
an outbox, since only that can be held up by the caller's side. A conductor outlives its stream by two seconds (P7),
which is why nothing here depends on the stream but the outbox.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from throughline.v1 import call_pb2

from services.domain.budgets import Budgets
from services.domain.call import Call
from services.domain.events import Conductor as ConductorId
from services.domain.events import Fact, FactKind
from services.domain.exchange import (
    Admitted,
    AttemptFailed,
    CallerConfirmed,
    CallerHungUp,
    Connect,
    Effect,
    Enter,
    FindRoute,
    Input,
    Release,
    Remember,
    Ring,
    Routed,
    SayConnected,
    SayConnecting,
    SayDiverting,
    SayRinging,
    SayWaiting,
    Screen,
    Screened,
    StreamBroke,
    TimePassed,
)
from services.domain.ladder import DialLines
from services.domain.offer import Offer
from services.domain.policy import suspicion
from services.domain.transitions import State
from services.domain.where import Where
from services.host.alarm import Alarm
from services.host.network import Broken, Refuse, Status, Stream
from services.ingress.admission import Admission
from services.ingress.metrics import IngressMetrics
from services.ingress.neighbours import Neighbours
from services.ingress.rings import RingLine
from services.journal import Durability, Topic
from services.journal.journal import Journal
from services.wire import facts, offers
from services.wire.holding import where_to_wire

OUTBOX_WORDS_MAX: Final = 64
"""A caller's side that has not read this many words is gone."""
UNREAD_S: Final = 5.0
"""A word that cannot be sent for so long: the other side's window is full, and it has gone to another ingress long
ago (P2)."""
LAST_WORDS_S: Final = 1.0
NOT_READ: Final = "the words of this stream are not read; offer the next leg"
_SETTING_UP: Final = frozenset({State.SCREENING, State.ROUTING, State.ATTEMPTING})
Down = call_pb2.PlaceCallResponse
HEARTBEAT: Final = Down(heartbeat=call_pb2.Heartbeat())
_DURABILITY: Final = {
    Durability.DURABLE: call_pb2.DURABILITY_DURABLE,
    Durability.AT_RISK: call_pb2.DURABILITY_AT_RISK,
    Durability.NOT_DURABLE: call_pb2.DURABILITY_NOT_DURABLE,
}


@dataclass(frozen=True, slots=True)
class Desk:
    """What the conductors of one ingress share."""

    writer: str
    """Name and incarnation: unique among all that ever wrote a fact."""
    conductor: ConductorId
    neighbours: Neighbours
    journal: Journal
    metrics: IngressMetrics
    budgets: Budgets
    admission: Admission
    wall_ms: Callable[[], int]
    caller_hash: Callable[[str], str]
    start: Callable[[Coroutine[Any, Any, None]], object]
    """Runs a task, held until it ends."""
    mistaken: Callable[[BaseException, str], None]
    """Counts and logs a mistake of ours in a call, by its id."""
    over: Callable[[Conductor], None]


class Conductor:
    """One call and leg, from its offer until nothing more is owed here."""

    def __init__(self, offer: Offer, desk: Desk) -> None:
        self.offer = offer
        self.machine = Call(offer.call_id, offer.leg, desk.budgets)
        self.to_ringing_s: float | None = None
        self.verdict_word = "unscreened"
        self.reason = ""
        self.where: Where | None = None
        self.attempts = 0
        self.durability: Durability | None = None
        self._desk = desk
        self._wire_offer = offers.to_wire(offer)
        self._caller_hash = desk.caller_hash(offer.caller)
        self._loop = asyncio.get_running_loop()
        self.began = self.last_said = self._loop.time()
        self._seq = 0
        self._suspicion = 0
        self._admitted = False  # holds a place of `desk.admission`
        self._rings: dict[str, RingLine] = {}
        self._outbox: deque[Down] = deque()
        self._something_to_say = asyncio.Event()
        self._alarm = Alarm(self._time_passed)
        self._speaking: asyncio.Task[Any] | None = None
        self._writing = False
        self._refusal: Refuse | None = None

    def begin(self) -> None:
        """Opens the debt and asks the first question."""
        self._do(self.machine.begin(self.began))
        self._alarm.no_later_than(self.machine.deadline())

    def hear(self, happened: Input) -> None:
        """Something happened: decides and does, at once."""
        if self.machine.over:
            return
        if isinstance(happened, AttemptFailed):
            self._rings.pop(happened.attempt, None)
        try:
            self._do(self.machine.on(happened, self._loop.time()))
        finally:  # also after a mistake of ours: the call goes on by its deadlines
            if self.machine.state not in _SETTING_UP:
                self._leave()
            if self.machine.over:
                self._close()
            else:
                self._alarm.no_later_than(self.machine.deadline())

    def said(self, message: call_pb2.PlaceCallRequest) -> bool:
        """A word of the caller's side after the offer; False for one that has no place here."""
        match message.WhichOneof("said"):
            case "confirm":
                self.hear(CallerConfirmed(message.confirm.attempt))
            case "hangup":
                self.hear(CallerHungUp())
            case _:
                return False
        return True

    async def speak(self, stream: Stream[Any, Down]) -> None:
        """Says what is to be said until the call is over; raises what `cut` was given, and Broken where it is."""
        self._speaking = asyncio.current_task()
        while True:
            while self._outbox and self._refusal is None:
                self.last_said = self._loop.time()
                await self._write(stream, self._outbox.popleft())
            if self._refusal is not None:
                raise self._refusal
            if self.machine.over:
                return
            self._something_to_say.clear()
            await self._something_to_say.wait()

    def cut(self, refusal: Refuse) -> None:
        """Ends the caller's stream at once with this word, though nobody may be reading it."""
        self._refusal = refusal
        if self._writing and self._speaking is not None:
            self._speaking.cancel()
        self._something_to_say.set()

    async def _write(self, stream: Stream[Any, Down], word: Down) -> None:
        self._writing = True
        try:
            await stream.write(word)
        except asyncio.CancelledError:
            if self._refusal is None or self._speaking is None:
                raise
            self._speaking.uncancel()
        finally:
            self._writing = False

    def beat(self, silent_s: float) -> None:
        """Says that the call is still in hand, if nothing was said for `silent_s` seconds."""
        silence_s = self._loop.time() - self.last_said
        if self._writing and silence_s >= UNREAD_S:
            self._give_up_stream()
        elif not self._outbox and silence_s >= silent_s:
            self._say(HEARTBEAT)

    # What the machine wants done.

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Remember():
                    self._remember(effect)
                case Enter():
                    self._desk.start(self._enter())
                case Screen():
                    self._desk.start(self._screen())
                case FindRoute(excluded):
                    self._desk.start(self._route(excluded))
                case Ring():
                    self._ring(effect)
                case Connect(attempt):
                    self._desk.start(self._rings[attempt].connect())
                case Release(attempt, reason):
                    ring = self._rings.pop(attempt, None)
                    if ring is not None:
                        self._desk.start(ring.release(reason))
                case SayRinging(attempt, where):
                    if self.to_ringing_s is None:
                        self.to_ringing_s = self._loop.time() - self.began
                        self._desk.metrics.to_ringing.observe(self.to_ringing_s)
                    self._say(Down(ringing=call_pb2.Ringing(attempt=attempt, where=where_to_wire(where))))
                case SayConnecting(attempt):
                    self._say(Down(connecting=call_pb2.Connecting(attempt=attempt)))
                case SayConnected(attempt, where):
                    self.where = where
                    self._desk.metrics.to_answer.observe(self._loop.time() - self.began)
                    self._say(Down(connected=call_pb2.Connected(attempt=attempt, where=where_to_wire(where))))
                case SayDiverting(reason):
                    self._say(Down(diverting=call_pb2.Diverting(reason=reason)))
                case SayWaiting(reason):
                    self._say(Down(waiting=call_pb2.Waiting(reason=reason)))

    def _remember(self, effect: Remember) -> None:
        offered = effect.kind is FactKind.OFFERED
        fact = Fact(
            self.offer.call_id,
            self.offer.leg,
            self._seq,
            self._desk.writer,
            effect.kind,
            self._desk.wall_ms(),
            effect.reason,
            0,
            effect.due_in_ms,
            effect.settled,
            self._desk.conductor,
            self._caller_hash,
            self.offer.i3_call_id,
            self.offer.i3_incident_id,
            self.offer.test,
            self.offer if offered else None,
            effect.attempt,
            effect.where,
            effect.verdict,
        )
        self._seq += 1
        if effect.kind is FactKind.DELIVERY_FAILED:
            self.reason = effect.reason
        raw = facts.encode(fact)
        if offered:
            self._desk.start(self._accept(raw))
        else:
            self._desk.journal.append_soon(Topic.CALLS, self.offer.call_id, raw)

    async def _accept(self, raw: bytes) -> None:
        """Says Accepted when the first fact is kept, or known not to be (J4); ringing never waits for it."""
        self.durability = await self._desk.journal.append(Topic.CALLS, self.offer.call_id, raw)
        self._desk.metrics.accepted[self.durability].inc()
        if not self.machine.over:
            accepted = call_pb2.Accepted(
                durability=_DURABILITY[self.durability], call_id=self.offer.call_id, leg=self.offer.leg
            )
            self._say(Down(accepted=accepted))

    async def _enter(self) -> None:
        await self._desk.admission.enter()
        self._admitted = True
        if self.machine.state is State.QUEUED:
            self.hear(Admitted())
        else:  # the caller has gone meanwhile
            self._leave()

    async def _screen(self) -> None:
        try:
            screened = await self._desk.neighbours.screen(self._wire_offer)
        except Exception as mistake:
            self._desk.mistaken(mistake, self.offer.call_id)
            screened = Screened(None, "mistake")
        if screened.verdict is not None:
            self.verdict_word = type(screened.verdict).__name__.lower()
            self._suspicion = suspicion(screened.verdict)
        self.hear(screened)

    async def _route(self, excluded: tuple[str, ...]) -> None:
        try:
            routed = await self._desk.neighbours.route(self.offer, self._wire_offer.place, excluded)
        except Exception as mistake:
            self._desk.mistaken(mistake, self.offer.call_id)
            routed = Routed(None, "mistake")
        self.hear(routed)

    def _leave(self) -> None:
        if self._admitted:
            self._admitted = False
            self._desk.admission.leave()

    def _ring(self, effect: Ring) -> None:
        self.attempts += 1
        if isinstance(effect.rung, DialLines):
            self._leave()  # from here on it waits for others more than for us
        ring = RingLine(effect, self._desk.neighbours, self.hear, self._desk.start)
        self._rings[effect.attempt] = ring
        place = self._wire_offer.place if self._wire_offer.HasField("place") else None
        self._desk.start(ring.run(self.offer, place, self._suspicion, self._desk.budgets.ring_s))

    def _say(self, message: Down) -> None:
        self._outbox.append(message)
        self._something_to_say.set()
        if len(self._outbox) > OUTBOX_WORDS_MAX:
            self._loop.call_soon(self._give_up_stream)

    def _give_up_stream(self) -> None:
        self.hear(StreamBroke("caller_does_not_read"))
        self.cut(Refuse(Status.RESOURCE_EXHAUSTED, NOT_READ))

    def _time_passed(self) -> None:
        deadline = self.machine.deadline()
        if deadline is None or deadline > self._loop.time():
            self._alarm.no_later_than(deadline)
        else:
            self.hear(TimePassed())

    def _close(self) -> None:
        self._alarm.clear()
        self._rings.clear()  # they hold this conductor: without it a call would wait for the collector
        self._something_to_say.set()
        if self._writing:  # the last words get a moment, and no more
            self._loop.call_later(LAST_WORDS_S, self._end_stream)
        self._desk.over(self)

    def _end_stream(self) -> None:
        if self._writing:
            self.cut(Refuse(Status.RESOURCE_EXHAUSTED, NOT_READ))


__all__ = ["HEARTBEAT", "Broken", "Conductor", "Desk", "Down"]
