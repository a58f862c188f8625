"""Firewalls without helper, network or log: what they decide by, joined as services/firewall/screening.py joins it.

Their records go through their bytes to each other, a few calls late.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC

from throughline.v1 import screening_pb2

from services.domain.offer import Offer
from services.domain.place import Circle
from services.domain.policy import Divert, Pass, Verdict
from services.firewall.known_calls import Known, KnownCalls, heard_of
from services.policy.bundle import Bundle
from services.policy.verdicts import inputs as inputs_of
from services.policy.verdicts.breakers import Heard
from services.policy.verdicts.evaluating import Evaluation
from services.policy.verdicts.guards import BREAKER, Grounds, kept_from
from services.policy.verdicts.inputs import Located
from services.policy.verdicts.windows import Keys
from services.wire import screenings, verdicts

DESKS = {"nuisance-desk"}
START_MS = 1_718_730_900_000


@dataclass
class Said:
    """What one call was told."""

    offer: Offer
    now: float
    verdict: Verdict
    kept: str
    proposed: Verdict


@dataclass
class Replica:
    """One firewall's pure parts. `knows` are the calls of which its breakers know: when, whose, if diverted."""

    evaluation: Evaluation
    psaps: Callable[[Offer], Located]
    calls: KnownCalls = field(init=False)
    knows: list[tuple[float, Heard, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.calls = KnownCalls(self.evaluation.bundle)

    def screen(self, offer: Offer, now: float) -> tuple[Said, screening_pb2.Screening]:
        """The verdict on a call, and its record."""
        wall_ms = START_MS + round(now * 1000)
        record = screening_pb2.Screening(call_id=offer.call_id, leg=offer.leg, at_ms=wall_ms, test=offer.test)
        known = self.calls.known(offer.call_id)
        if known is not None:
            scope = self.calls.breakers.keeps(known.heard, now) if isinstance(known.verdict, Divert) else ""
            verdict = Pass() if scope else known.verdict
            return Said(offer, now, verdict, scope, known.verdict), record
        counts = self.calls.seen(offer.call_id, Keys.of(offer), now, test=offer.test)
        inputs = inputs_of.of(offer, counts, self.psaps(offer), wall_ms, UTC)
        live = self.evaluation.bundle
        rule_id = self.evaluation.decide(inputs, wall_ms).rule_id
        spoke = live.rule(rule_id) if rule_id is not None else None
        proposed = spoke.verdict if spoke is not None else Pass()
        heard = heard_of(offer.call_id, inputs, proposed, live)
        staffed = isinstance(proposed, Divert) and proposed.desk in DESKS
        kept = kept_from(proposed, Grounds(False, True, counts.first, staffed)) or self._broken(heard, offer, now)
        if kept and not offer.test and heard.rule and not kept.startswith(BREAKER):
            self.calls.breakers.heard(heard, False, now)
        verdict = Pass() if kept else proposed
        if not offer.test:
            self.knows.append((now, heard, isinstance(verdict, Divert)))
        record.inputs.extend(screenings.inputs_to_wire(inputs))
        record.verdict.CopyFrom(verdicts.to_wire(verdict, live.label))
        record.bundle = live.digest
        if kept:
            record.proposed.CopyFrom(verdicts.to_wire(proposed, live.label))
        self.calls.answered(offer.call_id, Known(verdict, live.label, live.digest, heard))
        self.calls.breakers.ended(offer.call_id, True, now)
        return Said(offer, now, verdict, kept, proposed), record

    def _broken(self, heard: Heard, offer: Offer, now: float) -> str:
        breakers = self.calls.breakers
        if not heard.rule:
            if not offer.test:
                breakers.heard(heard, False, now)
            return ""
        scope = breakers.keeps(heard, now) if offer.test else breakers.judge(heard, now)
        return BREAKER + scope if scope else ""

    def hear(self, raw: bytes, now: float) -> None:
        """Another's record."""
        told = screenings.read(raw)
        age_s = now - (told.at_ms - START_MS) / 1000
        if self.calls.heard(told, self.evaluation.bundle, now, age_s) and not told.test:
            verdict = verdicts.to_domain(told.verdict)
            proposed = verdicts.to_domain(told.proposed) if told.HasField("proposed") else verdict
            heard = heard_of(told.call_id, screenings.inputs_of(told), proposed, self.evaluation.bundle)
            self.knows.append((now - age_s, heard, isinstance(verdict, Divert)))
            self.calls.breakers.ended(told.call_id, True, now)


@dataclass(frozen=True)
class Came:
    """One call of a stream, and which replica screened it, the next where that is gone."""

    pause_s: float
    where: int
    offer: Offer


def located(offer: Offer) -> Located:
    """A PSAP of its own for each place."""
    return Located("Lynn", f"P{offer.place.lat:.0f}", 0.5) if isinstance(offer.place, Circle) else Located()


def played(
    live: Bundle, stream: Sequence[Came], replicas: int = 1, behind_calls: int = 0
) -> tuple[list[Said], list[Replica]]:
    """A whole stream: each record reaches the others once so many more calls have come."""
    evaluation = Evaluation(live)
    all_of_them = [Replica(evaluation, located) for _ in range(replicas)]
    under_way: deque[tuple[int, bytes]] = deque()
    said = []
    now = 0.0
    for came in stream:
        now += came.pause_s
        while len(under_way) > behind_calls:
            teller, raw = under_way.popleft()
            for number, replica in enumerate(all_of_them):
                if number != teller:
                    replica.hear(raw, now)
        where = came.where % replicas
        told, record = all_of_them[where].screen(came.offer, now)
        said.append(told)
        if record.inputs:
            under_way.append((where, record.SerializeToString()))
    return said, all_of_them
