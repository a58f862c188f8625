"""Carries one call: hears what happens, lets the machine decide, does what it says.

The machine is driven at the moment a word arrives, without a queue between; only what is said to the caller waits in
its outbox, since only that can be held up by the caller's side. A conductor outlives its stream by two seconds (P7),
which is why nothing here depends on the stream but the outbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from throughline.v1 import call_pb2

from services.domain.calls.budgets import Budgets
from services.domain.calls.call import Call
from services.domain.calls.exchange import (
    Admitted,
    AttemptFailed,
    CallerConfirmed,
    CallerHungUp,
    Connect,
    Effect,
    Enter,
    FindRoute,
    HigherLeg,
    Input,
    LetGo,
    NoRoom,
    Release,
    Remember,
    Resume,
    Resumed,
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
from services.domain.calls.ladder import DialLines
from services.domain.calls.overflow import OVERFLOW
from services.domain.durability import Durability
from services.domain.events import Conductor as ConductorId
from services.domain.events import FactKind
from services.domain.holding import UNKNOWN
from services.domain.identity import identity_of
from services.domain.offer import Offer
from services.domain.policy import suspicion
from services.host.alarm import Alarm
from services.ingress.admission import Admission
from services.ingress.last_line import LastLine
from services.ingress.metrics import IngressMetrics
from services.ingress.neighbours import Neighbours
from services.ingress.outbox import Down, Outbox
from services.ingress.rings import RingLine
from services.ingress.scribe import OPENS_OR_SETTLES, Scribe
from services.journal import Topic
from services.journal.journal import Journal
from services.wire import offers
from services.wire.holding import where_to_wire

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
    last_line: LastLine
    wall_ms: Callable[[], int]
    caller_hash: Callable[[str], str]
    start: Callable[[Coroutine[Any, Any, None]], object]
    """Runs a task, held until it ends."""
    mistaken: Callable[[BaseException, str], None]
    """Counts and logs a mistake of ours in a call, by its id."""
    over: Callable[[Conductor], None]


class Conductor:
    """One call and leg, from its offer until nothing more is owed here."""

    def __init__(self, offer: Offer, desk: Desk, older: Conductor | None = None, seen: Resume | None = None) -> None:
        """`older` carried the leg before this one and has handed over: its rings are this one's (P7). `seen`: what an
        earlier leg of the call connected here; it counts for more than what the caller's side confirmed."""
        self.offer = offer
        confirmed = Resume(offer.confirmed_attempt, offer.confirmed_where) if offer.confirmed_attempt else None
        self.machine: Call = Call(
            offer.call_id, offer.leg, desk.budgets, resume=seen or confirmed, older=older.machine if older else None
        )
        self.to_ringing_s: float | None = None
        self.verdict_word = "unscreened"
        self.reason = ""
        self.connected: Resume | None = None
        self.attempts = 0
        self.durability: Durability | None = None
        self._desk = desk
        self._wire_offer = offers.to_wire(offer)
        self._scribe = Scribe(offer, desk.writer, desk.conductor, desk.caller_hash(offer.caller), desk.wall_ms)
        self._loop = asyncio.get_running_loop()
        self.began = self._loop.time()
        self._suspicion = 0
        self._admitted = False  # holds a place of `desk.admission`
        self._wants_place = False
        self._no_room = False
        self._rings: dict[str, RingLine] = {}
        self._alarm = Alarm(self._time_passed)
        self.outbox = Outbox(self._not_read)
        if older is not None:
            self._take_over(older)

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
            self._settle_place()
            if self.machine.over:
                self._close()
            else:
                self._alarm.no_later_than(self.machine.deadline())

    def goes_on_with(self, offer: Offer) -> bool:
        """Whether the next leg may go on with what rings here: this one knows of all that its caller confirmed (P5)."""
        confirmed = offer.confirmed_attempt
        ours = self.machine.has_proposed(confirmed) or confirmed == self.offer.confirmed_attempt
        return bool(self._rings) and ours

    def hand_over(self, adopted: bool) -> None:
        """The next leg is here. What rings goes on for its conductor, or is released."""
        rings = dict(self._rings)
        self.hear(HigherLeg())
        if adopted:
            self._rings = rings  # until the next conductor takes them
        else:
            for ring in rings.values():
                self._desk.start(ring.release("higher_leg"))

    def _take_over(self, older: Conductor) -> None:
        self._rings, older._rings = older._rings, {}
        for ring in self._rings.values():
            ring.report_to(self.hear)
        self._suspicion, self.verdict_word = older._suspicion, older.verdict_word
        self._desk.metrics.adopted.inc()

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

    # What the machine wants done.

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Remember():
                    self._remember(effect)
                case Resume():
                    self._desk.start(self._resume(effect))
                case LetGo(attempt, where):
                    self._desk.start(self._desk.neighbours.let_go(self.offer.call_id, attempt, where))
                case Enter(parked):
                    self._enter(parked)
                case Screen():
                    self._desk.start(self._screen())
                case FindRoute(_, own_atlas) if own_atlas:
                    self._overflow()
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
                    self.outbox.say(Down(ringing=call_pb2.Ringing(attempt=attempt, where=where_to_wire(where))))
                case SayConnecting(attempt):
                    self.outbox.say(Down(connecting=call_pb2.Connecting(attempt=attempt)))
                case SayConnected(attempt, where):
                    self.connected = Resume(attempt, where, seen=True)
                    self._desk.metrics.to_answer.observe(self._loop.time() - self.began)
                    self.outbox.say(Down(connected=call_pb2.Connected(attempt=attempt, where=where_to_wire(where))))
                case SayDiverting(reason):
                    self.outbox.say(Down(diverting=call_pb2.Diverting(reason=reason)))
                case SayWaiting(reason):
                    self.outbox.say(Down(waiting=call_pb2.Waiting(reason=reason)))

    def _remember(self, effect: Remember) -> None:
        raw = self._scribe.write(effect)
        if effect.failure is not None:
            self.reason = effect.reason
            self._desk.metrics.failed[effect.failure].inc()
        if effect.kind is FactKind.OFFERED:
            kept = self._desk.journal.append_now(Topic.CALLS, self.offer.call_id, raw, keep=True)
            self._desk.start(self._accept(kept))
        else:
            keep = effect.kind in OPENS_OR_SETTLES
            self._desk.journal.append_soon(Topic.CALLS, self.offer.call_id, raw, keep=keep)

    async def _accept(self, kept: asyncio.Future[Durability]) -> None:
        """Says Accepted when the first fact is kept, or known not to be (J4); ringing never waits for it."""
        self.durability = await kept
        self._desk.metrics.accepted[self.durability].inc()
        if not self.machine.over:
            accepted = call_pb2.Accepted(
                durability=_DURABILITY[self.durability], call_id=self.offer.call_id, leg=self.offer.leg
            )
            self.outbox.say(Down(accepted=accepted))

    async def _resume(self, effect: Resume) -> None:
        try:
            holding = await self._desk.neighbours.resume(self.offer.call_id, effect.attempt, effect.where)
        except Exception as mistake:
            self._desk.mistaken(mistake, self.offer.call_id)
            holding = UNKNOWN
        self.hear(Resumed(effect.attempt, holding))

    # Its place among the calls that are set up (L1).

    def _enter(self, parked: bool) -> None:
        self._wants_place = True
        if not self._desk.admission.enter(self, parked):
            self._no_room = True
            self.hear(NoRoom())

    def admitted(self) -> None:
        """See Guest."""
        self._admitted = True
        self._wants_place = False
        self.hear(Admitted())
        self._settle_place()

    def _overflow(self) -> None:
        self._desk.admission.overflow(self, "no_room" if self._no_room else "too_long")
        self.verdict_word = OVERFLOW
        self._desk.metrics.screened.labels(OVERFLOW).inc()
        self._desk.start(self._route((), by_own_atlas=True))

    def _settle_place(self) -> None:
        """Gives the place back once it is not needed, and wants none where the call does not wait for one."""
        if self.machine.over or not self.machine.sets_up:
            self._leave()
        if self._wants_place and self.machine.over:
            self._wants_place = False
            self._desk.admission.forget(self)

    def _leave(self) -> None:
        if self._admitted:
            self._admitted = False
            self._desk.admission.leave()

    # Its questions.

    async def _screen(self) -> None:
        try:
            screened = await self._desk.neighbours.screen(self._wire_offer)
            caller, test = identity_of(self.offer), self.offer.test
            screened = self._desk.last_line.judge(self.offer.call_id, caller, screened, test=test)
        except Exception as mistake:
            self._desk.mistaken(mistake, self.offer.call_id)
            screened = Screened(None, "mistake")
        if screened.verdict is not None:
            self.verdict_word = type(screened.verdict).__name__.lower()
            self._suspicion = suspicion(screened.verdict)
        self.hear(screened)

    async def _route(self, excluded: tuple[str, ...], *, by_own_atlas: bool = False) -> None:
        neighbours, place = self._desk.neighbours, self._wire_offer.place
        try:
            if by_own_atlas:
                routed = neighbours.own_route(self.offer, excluded)
            else:
                routed = await neighbours.route(self.offer, place, excluded, self._suspicion)
        except Exception as mistake:
            self._desk.mistaken(mistake, self.offer.call_id)
            routed = Routed(None, "mistake")
        self.hear(routed)

    def _ring(self, effect: Ring) -> None:
        before = self._rings.pop(effect.attempt, None)
        if before is not None:
            before.cut()  # the same attempt, through another gateway
        if self.machine.offered_again(effect.attempt):
            self._desk.metrics.offered_again.inc()
        else:
            self.attempts += 1
        if isinstance(effect.rung, DialLines):
            self._leave()  # from here on it waits for others more than for us
        ring = RingLine(effect, self._desk.neighbours, self.hear, self._desk.start)
        self._rings[effect.attempt] = ring
        place = self._wire_offer.place if self._wire_offer.HasField("place") else None
        self._desk.start(ring.run(self.offer, place, self._suspicion, self._desk.budgets.ring_s))

    def _not_read(self) -> None:
        self.hear(StreamBroke("caller_does_not_read"))

    def _time_passed(self) -> None:
        deadline = self.machine.deadline()
        if deadline is None or deadline > self._loop.time():
            self._alarm.no_later_than(deadline)
        else:
            self.hear(TimePassed())

    def _close(self) -> None:
        self._alarm.clear()
        self._rings.clear()  # they hold this conductor: without it a call would wait for the collector
        self.outbox.end()
        self._desk.over(self)
