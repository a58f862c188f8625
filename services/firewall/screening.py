"""One screening, from an offer to an answer and its record.

Count the call, gather what the rules may ask, have the helper say which rule speaks, and have judged what comes of it
(services/policy/verdicts/judging.py). Everything that is not known in time is a pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from throughline.v1 import call_pb2, screening_pb2

from services.domain.offer import TEST_URN, Offer
from services.domain.policy import Divert, Pass, Verdict
from services.firewall.evaluator import Evaluator, NotEvaluated
from services.firewall.known_calls import KnownCalls
from services.firewall.metrics import FirewallMetrics
from services.firewall.policies.source import Policies
from services.firewall.shadowing import Shadowing
from services.host.world import World
from services.places.region import Region
from services.policy.attributes import Value
from services.policy.bundle import Bundle
from services.policy.verdicts.guards import Grounds
from services.policy.verdicts.inputs import Located
from services.policy.verdicts.inputs import of as inputs_of
from services.policy.verdicts.judging import Judgement, Known, heard_of, judged, judged_again, proposed_by
from services.wire import offers, screenings, verdicts

FAILED_OPEN: Final = "failed-open"
DRILL_PATIENCE_S: Final = 30.0
DRILL_LOOK_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Word:
    """What a bundle said of a call; `policy` is the bundle's label, or why none was asked."""

    proposed: Verdict
    policy: str
    bundle: Bundle | None


class Screener:
    """Screens the calls of one firewall."""

    def __init__(
        self,
        world: World,
        name: str,
        zone: ZoneInfo,
        region: Callable[[], Region],
        calls_at: Callable[[str], int],
        policies: Policies,
        built_in: Bundle,
        drilled: Bundle,
        metrics: FirewallMetrics,
        publish: Callable[[screening_pb2.Screening], None],
    ) -> None:
        self.calls = KnownCalls(policies.live())
        self.history = False
        """Whether what was screened before the start has been read."""
        self.evaluator: Evaluator | None = None
        self.shadow = Shadowing(metrics, publish)
        self._world = world
        self._name = name
        self._zone = zone
        self._region = region
        self._calls_at = calls_at
        self._policies = policies
        self.own = frozenset({built_in.digest, drilled.digest})
        """The bundles that came with this program."""
        self._built_in = built_in
        self._drilled = drilled
        self._metrics = metrics
        self._publish = publish
        self._last_asked = built_in

    def wanted(self) -> list[Bundle]:
        """The bundles that answer calls, or stand in for one that does not."""
        candidate = self._policies.candidate()
        found = [self._policies.live(), self._built_in, self._last_asked, *([candidate] if candidate else [])]
        found.append(self._drilled)
        return list({bundle.digest: bundle for bundle in found}.values())

    def watched(self) -> list[Bundle]:
        """The bundle that is only watched."""
        shadowed = self._policies.shadowed()
        return [] if shadowed is None else [shadowed]

    def asks(self, name: str) -> bool:
        """Whether a rule of these names that attribute."""
        return any(name in rule.when for bundle in (*self.wanted(), *self.watched()) for rule in bundle.rules)

    async def screen(self, message: call_pb2.Offer) -> screening_pb2.Verdict:
        """The verdict on a call, published with all that led to it."""
        loop = asyncio.get_running_loop()
        offer = offers.to_domain(message)
        record = screening_pb2.Screening(
            call_id=offer.call_id, leg=offer.leg, firewall=self._name, at_ms=self._world.wall_ms(), test=offer.test
        )
        began = loop.time()
        known = self.calls.known(offer.call_id, began, test=offer.test)
        verdict = await self._first(offer, record) if known is None else self._again(known, record, began)
        record.took_us = round((loop.time() - began) * 1e6)
        if not offer.test:
            self._metrics.verdicts[type(verdict)].inc()
            self._metrics.took.observe(loop.time() - began)
        self._publish(record)
        return record.verdict

    async def drill(self, call_id: str) -> str | None:
        """Screens a test call by the drill's own bundle on the way of real calls: what kept it from the divert that was
        proposed, empty where nothing did, None where none was. It counts among test calls alone, is published nowhere,
        and waits a while for an evaluator: no drill is of its absence."""
        for _ in range(round(DRILL_PATIENCE_S / DRILL_LOOK_S)):
            if self.evaluator is not None and self.evaluator.holds(self._drilled):
                break
            await asyncio.sleep(DRILL_LOOK_S)
        record = screening_pb2.Screening(call_id=call_id, leg=1, at_ms=self._world.wall_ms(), test=True)
        verdict = await self._first(Offer(call_id, 1, "", TEST_URN, None), record, [self._drilled])
        proposed = verdicts.to_domain(record.proposed) if record.HasField("proposed") else verdict
        return record.kept_from if isinstance(proposed, Divert) else None

    def _again(self, known: Known, record: screening_pb2.Screening, now: float) -> Verdict:
        candidate = self._policies.candidate()
        standing = [self._policies.live(), *([candidate] if candidate is not None else [])]
        grounds = self._grounds(record.call_id, first=False)
        found = judged_again(known, standing, grounds, self.calls.breakers, now)
        return self._answer(record, found, known.policy, known.bundle)

    async def _first(self, offer: Offer, record: screening_pb2.Screening, asked: list[Bundle] | None = None) -> Verdict:
        """By these bundles, or by those that the call is for; what is watched is asked of no drill."""
        loop = asyncio.get_running_loop()
        wall_ms = record.at_ms
        inputs, first = self._gather(offer, wall_ms)
        record.inputs.extend(screenings.inputs_to_wire(inputs))
        record.first_call = first
        bundles = self._asked(offer.call_id, str(inputs["area"])) if asked is None else asked
        word = await self._word(offer, bundles, inputs, wall_ms)
        bundle = word.bundle if word.bundle is not None else self._built_in
        heard = heard_of(offer.call_id, inputs, word.proposed, bundle)
        breakers, now = self.calls.breakers, loop.time()
        breakers.limit(self._policies.live().limits)
        grounds = self._grounds(offer.call_id, first=first, stands=not self._is_out(bundle))
        found = judged(word.proposed, heard, grounds, breakers, now, test=offer.test)
        self.tell_trips()
        digest = "" if word.bundle is None else bundle.digest
        verdict = self._answer(record, found, word.policy, digest)
        known = Known.of(verdict, word.policy, digest, heard)
        self.calls.answered(offer.call_id, known, loop.time(), test=offer.test)
        if asked is None and (shadowed := self._policies.shadowed()) is not None:
            self.shadow.begin(shadowed, record, inputs, wall_ms)
        return verdict

    def _gather(self, offer: Offer, wall_ms: int) -> tuple[dict[str, Value], bool]:
        """What the rules may ask, and whether it is the first call of its identity."""
        counts = self.calls.seen(offer, asyncio.get_running_loop().time())
        found = self._region().locate(offer.place)
        located = Located.of(found.town, found.candidates, self._calls_at)
        return inputs_of(offer, counts, located, wall_ms, self._zone), counts.first

    def _asked(self, call_id: str, area: str) -> list[Bundle]:
        """Whom to ask, the next where one cannot be: the candidate, the live one, the one before unless it is
        out, the built-in one."""
        if self._is_out(self._last_asked):
            self._last_asked = self._built_in
        candidate = self._policies.candidate_for(call_id, area)
        live = self._policies.live()
        return [*([candidate] if candidate is not None else []), live, self._last_asked, self._built_in]

    async def _word(self, offer: Offer, bundles: list[Bundle], inputs: dict[str, Value], wall_ms: int) -> Word:
        why = "not_ready"
        for bundle in bundles:
            if self.evaluator is None or not self.evaluator.holds(bundle):
                continue
            try:
                decision = await self.evaluator.decide(bundle, inputs, wall_ms)
            except NotEvaluated as failed:
                why = str(failed)
                self._world.logger.error("call.not_evaluated", call_id=offer.call_id, bundle=bundle.label, why=why)
                break
            for rule_id, trouble in decision.errors:
                self._metrics.errors.labels(rule_id).inc()
                self._world.logger.warning("rule.failed", rule=rule_id, bundle=bundle.label, why=trouble)
            if bundle is self._policies.live():
                self._last_asked = bundle
            return Word(proposed_by(bundle, decision.rule_id), bundle.label, bundle)
        self._metrics.failed_open.labels(why).inc()
        return Word(Pass(), FAILED_OPEN, None)

    def _desks(self) -> Container[str]:
        return self._region().directory.lines

    def _grounds(self, call_id: str, *, first: bool, stands: bool = True) -> Grounds:
        return Grounds(self._policies.bypassed(call_id), self.history, first, self._desks(), stands)

    def _is_out(self, bundle: Bundle) -> bool:
        """Whether it answers no call any more: in quarantine, or gone back from. Versions only rise otherwise."""
        if self._policies.quarantined(bundle.digest):
            return True
        return bundle is not self._policies.candidate() and bundle.version > self._policies.live().version

    def tell_trips(self) -> None:
        """Has the bundle taken back whose calls did it: by the time that another replica's are heard of here, the one
        before it may be live again."""
        self._metrics.tripped.set(len(self.calls.breakers.tripped(asyncio.get_running_loop().time())))
        for trip in self.calls.breakers.trips():
            digest = trip.bundle or self._policies.live().digest
            self._metrics.trips.labels(trip.scope.partition(":")[0], trip.why).inc()
            self._world.logger.error(
                "breaker.tripped",
                scope=trip.scope,
                why=trip.why,
                told=trip.told,
                of_calls=trip.calls,
                rule=trip.rule,
                digest=digest,
            )
            why = f"breaker {trip.scope}: {trip.why}, {trip.told} of {trip.calls}"
            self._policies.tripped(digest, why)

    def _answer(self, record: screening_pb2.Screening, found: Judgement, policy: str, digest: str) -> Verdict:
        record.verdict.CopyFrom(verdicts.to_wire(found.verdict, policy))
        record.bundle = digest
        if found.kept_from:
            record.proposed.CopyFrom(verdicts.to_wire(found.proposed, policy))
            record.kept_from = found.kept_from
        if record.test:
            return found.verdict
        if found.kept_from:
            self._metrics.kept.labels(found.kept_from.partition(":")[0]).inc()
        if not isinstance(found.proposed, Pass):
            self._metrics.rules.labels(found.proposed.rule).inc()
        return found.verdict
