"""Firewalls without helper, network or log: their windows, and what judges (services/policy/verdicts/judging.py).

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
from services.domain.policy import Divert, Verdict
from services.firewall.known_calls import KnownCalls
from services.policy.bundle import Bundle
from services.policy.verdicts import inputs as inputs_of
from services.policy.verdicts.evaluating import Evaluation
from services.policy.verdicts.guards import Grounds
from services.policy.verdicts.inputs import Located
from services.policy.verdicts.judging import Known, heard_of, judged, judged_again, proposed_by
from services.policy.verdicts.scopes import Heard
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
        live, breakers = self.evaluation.bundle, self.calls.breakers
        known = self.calls.known(offer.call_id, now, test=offer.test)
        if known is not None:
            found = judged_again(known, [live], Grounds(False, True, False, DESKS), breakers, now)
            return Said(offer, now, found.verdict, found.kept_from, found.proposed), record
        counts = self.calls.seen(offer, now)
        inputs = inputs_of.of(offer, counts, self.psaps(offer), wall_ms, UTC)
        proposed = proposed_by(live, self.evaluation.decide(inputs, wall_ms).rule_id)
        heard = heard_of(offer.call_id, inputs, proposed, live)
        found = judged(proposed, heard, Grounds(False, True, counts.first, DESKS), breakers, now, test=offer.test)
        if not offer.test:
            self.knows.append((now, heard, isinstance(found.verdict, Divert)))
        record.inputs.extend(screenings.inputs_to_wire(inputs))
        record.verdict.CopyFrom(verdicts.to_wire(found.verdict, live.label))
        record.bundle = live.digest
        if found.kept_from:
            record.proposed.CopyFrom(verdicts.to_wire(proposed, live.label))
        answer = Known.of(found.verdict, live.label, live.digest, heard)
        self.calls.answered(offer.call_id, answer, now, test=offer.test)
        breakers.ended(offer.call_id, True, now)
        return Said(offer, now, found.verdict, found.kept_from, proposed), record

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
